#include "gateway/config/options.h"

struct chapter {
    enum cg_option_home home;
    const char *title;
    const char *text;
};

static const struct chapter chapters[] = {
    {CG_HOME_SETTINGS, "Options", ""},
    {CG_HOME_LISTENER, "Each listener",
     "An element of `listen` is an address, or a map with these keys.\n\n"},
    {CG_HOME_UPSTREAM, "Each upstream",
     "A value of `upstreams` is a URL, or a map with these keys. `--set "
     "upstreams.NAME.timeouts.total=5s` and the like work too.\n\n"},
};

static const char introduction[] =
    "# Configuration reference\n"
    "\n"
    "This page is printed by `cachegate reference` from "
    "`include/cachegate/tables/options.def`; do not edit\nit by hand.\n"
    "\n"
    "The configuration is one YAML or JSON file. A command line flag wins over an environment "
    "variable,\nwhich wins over the file, which wins over the default. The variable of an option "
    "is `CACHEGATE_` and\nits path in capitals with `_` for dots: `CACHEGATE_ADMIN_TOKEN` for "
    "`admin.token`; lists are\nseparated by commas there. Any option with a single value can "
    "also be given as `--set path=value`.\n"
    "`${NAME}` and `${NAME:-default}` in any value of the file are taken from the environment.\n"
    "\n"
    "Durations are `250ms`, `30s`, `5m`, `1h`, `1d`; a bare number is seconds. Sizes are `64KB`, "
    "`256MB`,\n`1GB`; a bare number is bytes. Addresses are `host:port`, `[v6]:port`, `:port` or "
    "`unix:/path`. File names\nin the file are relative to it. Unknown keys are errors. "
    "`cachegate check` reports every mistake at\nonce.\n";

/* Cells of a Markdown table must not hold a bare bar. */
static void add_cell(struct cg_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            cg_buf_add_char(out, '\\');
        cg_buf_add_char(out, *text);
    }
}

static void print_row(struct cg_buf *out, const struct cg_option *option)
{
    cg_buf_printf(out, "| `%s` | %s", option->path, cg_option_type_name(option->type));
    if (option->type == CG_OPTION_CHOICE && option->min[0] != '\0') {
        struct cg_str rest = cg_str_from(option->min), word;
        for (const char *mark = " "; cg_str_split(&rest, '|', &word); mark = ", ")
            cg_buf_printf(out, "%s`%.*s`", mark, CG_STR_ARG(word));
    } else if (option->type == CG_OPTION_CHOICE) {
        cg_buf_add_text(out, " the words below");
    } else if (option->min[0] != '\0') {
        cg_buf_printf(out, ", %s to %s", option->min, option->max);
    }
    cg_buf_add_text(out, " | ");
    add_cell(out, option->fallback[0] == '\0' ? "none" : option->fallback);
    cg_buf_add_text(out, " | ");
    if (option->flag[0] != '\0')
        cg_buf_printf(out, "`%s`", option->flag);
    cg_buf_add_text(out, " | ");
    add_cell(out, option->sentence);
    cg_buf_add_text(out, " |\n");
}

void cg_reference_print(struct cg_buf *out)
{
    cg_buf_add_text(out, introduction);
    for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++) {
        cg_buf_printf(out, "\n## %s\n\n%s", chapters[i].title, chapters[i].text);
        cg_buf_add_text(out, "| option | what | default | flag | |\n|---|---|---|---|---|\n");
        for (size_t j = 0; j < cg_option_count(); j++)
            if (cg_option_at(j)->home == chapters[i].home)
                print_row(out, cg_option_at(j));
    }
}

/* What stands behind a flag in `--help`. */
static const char *placeholder(enum cg_option_type type)
{
    static const char *const names[] = {
        [CG_OPTION_BOOL] = "ADDR", /* the only one is --tls-listen */
        [CG_OPTION_NUMBER] = "N",       [CG_OPTION_DURATION] = "TIME",
        [CG_OPTION_SIZE] = "SIZE",      [CG_OPTION_TEXT] = "TEXT",
        [CG_OPTION_TOKEN] = "NAME",     [CG_OPTION_CHOICE] = "WORD",
        [CG_OPTION_FILE] = "FILE",      [CG_OPTION_SECRET] = "URL",
        [CG_OPTION_ADDRESS] = "ADDR",   [CG_OPTION_URL] = "[NAME=]URL",
        [CG_OPTION_LISTENERS] = "ADDR", [CG_OPTION_UPSTREAMS] = "",
        [CG_OPTION_RULES] = "FILE",     [CG_OPTION_IDENTITY] = "",
        [CG_OPTION_WARM] = "",          [CG_OPTION_NAMES] = "",
        [CG_OPTION_TARGET] = "FILE",
    };
    return names[type];
}

/* A sentence over several lines of at most `width`, each indented. */
static void add_wrapped(struct cg_buf *out, const char *text, size_t indent, size_t width)
{
    struct cg_str rest = cg_str_from(text), word;
    size_t column = indent;
    while (cg_str_split(&rest, ' ', &word)) {
        if (column > indent && column + 1 + word.length > width) {
            cg_buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            cg_buf_add_char(out, ' ');
            column++;
        }
        cg_buf_add_str(out, word);
        column += word.length;
    }
    cg_buf_add_char(out, '\n');
}

void cg_reference_print_flags(struct cg_buf *out)
{
    enum { INDENT = 28, WIDTH = 96 };
    for (size_t i = 0; i < cg_option_count(); i++) {
        const struct cg_option *option = cg_option_at(i);
        if (option->flag[0] == '\0')
            continue;
        size_t before = out->length;
        cg_buf_printf(out, "  %s %s ", option->flag, placeholder(option->type));
        size_t used = out->length - before;
        cg_buf_printf(out, "%*s", used < INDENT ? (int)(INDENT - used) : 0, "");
        if (used > INDENT)
            cg_buf_printf(out, "\n%*s", INDENT, "");
        add_wrapped(out, option->sentence, INDENT, WIDTH);
    }
}
