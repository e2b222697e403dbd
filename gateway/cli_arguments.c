#include "gateway/cli.h"
#include "gateway/config/options.h"

#include <stdio.h>
#include <unistd.h>

void cg_cli_init(struct cg_cli *cli, int argc, char **argv)
{
    memset(cli, 0, sizeof *cli);
    cli->argc = argc;
    cli->argv = argv;
}

bool cg_cli_more(const struct cg_cli *cli)
{
    return cli->next < cli->argc;
}

bool cg_cli_at_flag(const struct cg_cli *cli)
{
    const char *argument = cli->argv[cli->next];
    return argument[0] == '-' && argument[1] != '\0';
}

const char *cg_cli_take(struct cg_cli *cli)
{
    return cli->argv[cli->next++];
}

bool cg_cli_take_flag(struct cg_cli *cli, const char *flag, const char **ret_value)
{
    const char *argument = cli->argv[cli->next];
    size_t length = strlen(flag);
    if (strncmp(argument, flag, length) != 0)
        return false;
    if (argument[length] == '=' && flag[1] == '-') {
        *ret_value = argument + length + 1;
        cli->next++;
        return true;
    }
    if (argument[length] != '\0')
        return false;
    cli->next++;
    if (!cg_cli_more(cli)) {
        fprintf(stderr, "cachegate: %s needs a value\n", flag);
        cli->failed = true;
        *ret_value = "";
        return true;
    }
    *ret_value = cg_cli_take(cli);
    return true;
}

static void add_flag(struct cg_cli *cli, const char *flag, struct cg_str path, const char *value)
{
    if (cli->flag_count == CG_CLI_FLAGS_MAX) {
        fprintf(stderr, "cachegate: more than %d flags\n", CG_CLI_FLAGS_MAX);
        cli->failed = true;
        return;
    }
    cli->flags[cli->flag_count++] =
        (struct cg_settings_flag){.flag = flag, .path = path, .value = cg_str_from(value)};
}

static void add_set(struct cg_cli *cli, const char *assignment)
{
    struct cg_str text = cg_str_from(assignment);
    size_t equals = cg_str_find(text, '=');
    if (equals == text.length || equals == 0) {
        fprintf(stderr, "cachegate: --set takes path=value, as in --set log.access=stdout\n");
        cli->failed = true;
        return;
    }
    add_flag(cli, "--set", cg_str_sub(text, 0, equals), assignment + equals + 1);
}

bool cg_cli_take_option(struct cg_cli *cli)
{
    const char *value;
    if (cg_cli_take_flag(cli, "-c", &value) || cg_cli_take_flag(cli, "--config", &value)) {
        if (cli->config != NULL && !cli->failed) {
            fprintf(stderr,
                    "cachegate: there is one configuration file; --config is given twice\n");
            cli->failed = true;
        }
        cli->config = value;
        return true;
    }
    if (cg_cli_take_flag(cli, "--set", &value)) {
        add_set(cli, value);
        return true;
    }
    for (size_t i = 0; i < cg_option_count(); i++) {
        const struct cg_option *option = cg_option_at(i);
        if (option->flag[0] == '\0' || !cg_cli_take_flag(cli, option->flag, &value))
            continue;
        /* --tls-listen is a listener that has its option on. */
        const char *path = option->home == CG_HOME_LISTENER ? "listen" : option->path;
        add_flag(cli, option->flag, cg_str_from(path), value);
        return true;
    }
    return false;
}

void cg_cli_refuse(struct cg_cli *cli, const char *const *own_flags, size_t own_count)
{
    enum { NAMES_MAX = 64 };
    const char *names[NAMES_MAX] = {"--config", "--set", "--help"};
    size_t count = 3;
    const char *argument = cg_cli_take(cli);
    struct cg_str name = cg_str_from(argument);
    cli->failed = true;
    if (argument[0] != '-') {
        fprintf(stderr, "cachegate: `%s` is not understood; see `cachegate help`\n", argument);
        return;
    }
    /* What follows was meant as its value, and is no mistake of its own. */
    if (strchr(argument, '=') == NULL && cg_cli_more(cli) && !cg_cli_at_flag(cli))
        cg_cli_take(cli);
    for (size_t i = 0; i < own_count && count < NAMES_MAX; i++)
        names[count++] = own_flags[i];
    for (size_t i = 0; i < cg_option_count() && count < NAMES_MAX; i++)
        if (cg_option_at(i)->flag[0] != '\0')
            names[count++] = cg_option_at(i)->flag;
    name = cg_str_sub(name, 0, cg_str_find(name, '='));
    const char *nearest = cg_nearest_name(name, names, count);
    if (nearest != NULL)
        fprintf(stderr, "cachegate: there is no %.*s; did you mean %s?\n", CG_STR_SHOWN(name),
                nearest);
    else
        fprintf(stderr, "cachegate: there is no %.*s; see `cachegate help`\n", CG_STR_SHOWN(name));
}

void cg_cli_source(const struct cg_cli *cli, struct cg_settings_source *ret_source)
{
    *ret_source = (struct cg_settings_source){
        .file = cli->config,
        .flags = cli->flags,
        .flag_count = cli->flag_count,
        .variable = cg_env_of_process,
    };
}

struct cg_settings *cg_cli_settings(const struct cg_cli *cli, bool rules_only, bool with_warnings,
                                    struct cg_arena *arena)
{
    cg_arena_init(arena, CG_SETTINGS_ARENA_BYTES);
    struct cg_problems problems = {.arena = arena};
    struct cg_settings_source source;
    cg_cli_source(cli, &source);
    source.rules_only = rules_only;
    struct cg_settings *settings = cg_settings_load(&source, arena, &problems);
    struct cg_buf out;
    cg_buf_init(&out, 16 << 20);
    for (size_t i = 0; i < problems.count; i++)
        if (with_warnings || problems.items[i].severity == CG_PROBLEM_ERROR)
            cg_settings_print_problem(&problems.items[i], &out);
    if (settings == NULL)
        cg_buf_printf(&out, "cachegate: %zu mistake%s, see above\n", problems.error_count,
                      problems.error_count == 1 ? "" : "s");
    cg_cli_print(&out, STDERR_FILENO);
    return settings;
}

void cg_cli_print(struct cg_buf *buf, int descriptor)
{
    FILE *stream = descriptor == STDERR_FILENO ? stderr : stdout;
    if (buf->length > 0)
        fwrite(buf->bytes, 1, buf->length, stream);
    fflush(stream);
    cg_buf_fini(buf);
}
