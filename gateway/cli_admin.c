#include "gateway/cli.h"
#include "gateway/cli_exchange.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* stats, health, purge, refresh, flush: one exchange with the admin API, printed. */

enum { ANSWER_BYTES_MAX = 64 << 20 };

struct call {
    struct cg_cli_target target;
    json_t *patterns; /* of a purge or refresh; all owned */
    json_t *groups;
    json_t *users;
    json_t *tags;
    json_t *urls; /* of a refresh; NULL otherwise */
    json_t *headers;
};

/* What `reload` has to say: a line for each, to standard error. */
static void print_lines(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        fprintf(stderr, "%s\n", json_string_value(json_array_get(list, i)));
}

static int print_answer(const struct cg_cli_target *target, struct cg_str answer)
{
    unsigned status = cg_cli_answer_status(answer);
    struct cg_str body = cg_cli_answer_body(answer);
    if (status >= 200 && status < 300) {
        if (body.length > 0)
            fwrite(body.bytes, 1, body.length, stdout);
        return CG_CLI_OK;
    }
    json_t *json = json_loadb(body.bytes, body.length, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error"));
    const char *remedy = json_string_value(json_object_get(json, "remedy"));
    print_lines(json_object_get(json, "problems"));
    remedy = cg_cli_remedy(status, error, remedy);
    if (error == NULL)
        fprintf(stderr, "cachegate: %s: it answered %u\n", target->name, status);
    else
        fprintf(stderr, "cachegate: %s: %s%s%s\n", target->name, error, remedy == NULL ? "" : "; ",
                remedy == NULL ? "" : remedy);
    json_decref(json);
    return CG_CLI_FAILED;
}

static int ask(struct call *call, const char *method, const char *path, struct cg_str body)
{
    struct cg_buf answer;
    const char *why;
    int status = CG_CLI_FAILED;
    cg_buf_init(&answer, ANSWER_BYTES_MAX);
    if (cg_cli_target_resolve(&call->target)) {
        if (cg_cli_exchange(&call->target, method, path, body, CG_CLI_ANSWER_S * 1000, &answer,
                            &why))
            status = print_answer(&call->target, cg_buf_str(&answer));
        else
            cg_cli_complain(call->target.name, why);
    }
    cg_buf_fini(&answer);
    cg_cli_target_fini(&call->target);
    return status;
}

/* ---- arguments ---- */

/* NAME:PARAM=VALUE[,PARAM=VALUE] */
static bool add_group(struct call *call, const char *text)
{
    struct cg_str rest = cg_str_from(text), name, part;
    json_t *object = json_object();
    cg_str_split(&rest, ':', &name);
    bool well = rest.bytes != NULL &&
                json_object_set_new(object, "group", json_stringn(name.bytes, name.length)) == 0;
    while (well && cg_str_split(&rest, ',', &part)) {
        char param[128];
        size_t equals = cg_str_find(part, '=');
        struct cg_str value = cg_str_skip(part, equals + 1);
        well = equals < part.length && equals < sizeof param;
        if (!well)
            break;
        memcpy(param, part.bytes, equals);
        param[equals] = '\0';
        well = json_object_set_new(object, param, json_stringn(value.bytes, value.length)) == 0;
    }
    if (well)
        json_array_append_new(call->groups, object);
    else
        json_decref(object);
    return well;
}

static void add_text(struct cg_cli *cli, json_t *list, const char *text)
{
    if (json_array_append_new(list, json_string(text)) == 0)
        return;
    cg_cli_complain("purge", "the arguments are not UTF-8");
    cli->failed = true;
}

/* Patterns, groups and users only where a purge is asked for. */
static bool take_purge_argument(struct cg_cli *cli, struct call *call)
{
    const char *value;
    if (cg_cli_take_flag(cli, "--group", &value)) {
        if (!add_group(call, value)) {
            cg_cli_complain("--group", "expected NAME:PLACEHOLDER=VALUE, as in session:id=abc123");
            cli->failed = true;
        }
        return true;
    }
    if (cg_cli_take_flag(cli, "--user", &value)) {
        add_text(cli, call->users, value);
        return true;
    }
    if (cg_cli_take_flag(cli, "--tag", &value)) {
        add_text(cli, call->tags, value);
        return true;
    }
    if (!cg_cli_take_flag(cli, "--pattern", &value)) {
        if (cg_cli_at_flag(cli))
            return false;
        value = cg_cli_take(cli);
    }
    add_text(cli, call->urls != NULL ? call->urls : call->patterns, value);
    return true;
}

/* -H 'Name: value' */
static bool take_refresh_argument(struct cg_cli *cli, struct call *call)
{
    const char *value;
    if (cg_cli_take_flag(cli, "--pattern", &value)) {
        add_text(cli, call->patterns, value);
        return true;
    }
    if (!cg_cli_take_flag(cli, "-H", &value))
        return take_purge_argument(cli, call);
    struct cg_str rest = cg_str_from(value), name;
    cg_str_split(&rest, ':', &name);
    char text[128];
    if (rest.bytes == NULL || name.length >= sizeof text) {
        cg_cli_complain("-H", "expected 'Name: value'");
        cli->failed = true;
        return true;
    }
    memcpy(text, name.bytes, name.length);
    text[name.length] = '\0';
    rest = cg_str_trim(rest);
    if (json_object_set_new(call->headers, text, json_stringn(rest.bytes, rest.length)) != 0) {
        cg_cli_complain("-H", "it is not UTF-8");
        cli->failed = true;
    }
    return true;
}

static bool read_arguments(int argc, char **argv, bool purges, struct call *call)
{
    static const char *const flags[] = {"--admin", "--token", "--config",  "--group",
                                        "--user",  "--tag",   "--pattern", "-H"};
    struct cg_cli cli;
    cg_cli_init(&cli, argc, argv);
    while (cg_cli_more(&cli))
        if (!cg_cli_target_take(&cli, &call->target) &&
            (!purges || !(call->urls != NULL ? take_refresh_argument(&cli, call)
                                             : take_purge_argument(&cli, call))))
            cg_cli_refuse(&cli, flags, !purges ? 3 : call->urls == NULL ? 7 : 8);
    return !cli.failed;
}

static int ask_simply(int argc, char **argv, const char *method, const char *path)
{
    struct call call = {0};
    if (!read_arguments(argc, argv, false, &call))
        return CG_CLI_USAGE;
    return ask(&call, method, path, CG_STR(""));
}

int cg_cli_stats(int argc, char **argv)
{
    return ask_simply(argc, argv, "GET", "/cache/stats");
}

int cg_cli_health(int argc, char **argv)
{
    return ask_simply(argc, argv, "GET", "/cache/health");
}

int cg_cli_flush(int argc, char **argv)
{
    return ask_simply(argc, argv, "DELETE", "/cache/flush");
}

/* Takes the lists. */
static int ask_with_lists(struct call *call, bool well, const char *path, const char *empty_remedy)
{
    bool refreshes = call->urls != NULL;
    bool empty = json_array_size(call->patterns) + json_array_size(call->groups) +
                     json_array_size(call->users) + json_array_size(call->tags) +
                     json_array_size(call->urls) ==
                 0;
    json_t *body = json_pack("{s:o, s:o, s:o, s:o}", "patterns", call->patterns, "groups",
                             call->groups, "users", call->users, "tags", call->tags);
    if (refreshes && body != NULL &&
        json_object_update_new(
            body, json_pack("{s:o, s:o}", "urls", call->urls, "headers", call->headers)) != 0)
        well = false;
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    int status = CG_CLI_USAGE;
    if (well && empty)
        cg_cli_complain(refreshes ? "refresh" : "purge", empty_remedy);
    else if (well && text != NULL)
        status = ask(call, "POST", path, cg_str_from(text));
    free(text);
    json_decref(body);
    return status;
}

int cg_cli_reload(int argc, char **argv)
{
    return ask_simply(argc, argv, "POST", "/reload");
}

int cg_cli_purge(int argc, char **argv)
{
    struct call call = {.patterns = json_array(),
                        .groups = json_array(),
                        .users = json_array(),
                        .tags = json_array()};
    bool well = read_arguments(argc, argv, true, &call);
    return ask_with_lists(
        &call, well, "/cache/purge",
        "what? Give patterns, --group NAME:PLACEHOLDER=VALUE, --user NAME or --tag NAME; "
        "`cachegate flush` purges everything");
}

int cg_cli_refresh(int argc, char **argv)
{
    struct call call = {.patterns = json_array(),
                        .groups = json_array(),
                        .users = json_array(),
                        .tags = json_array(),
                        .urls = json_array(),
                        .headers = json_object()};
    bool well = read_arguments(argc, argv, true, &call);
    return ask_with_lists(&call, well, "/cache/refresh",
                          "what? Give URLs, and with -H 'Name: value' the credentials of the one "
                          "for whom they are fetched");
}
