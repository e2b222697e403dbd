#include "gateway/cli.h"

#include "cachegate/tree.h"
#include "gateway/base/clock.h"
#include "gateway/cli_exchange.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

/* drain, wait, healthcheck: for hooks and probes where there is no shell. */

enum { ANSWER_BYTES_MAX = 1 << 20, PAUSE_MS_MIN = 20, PAUSE_MS_MAX = 250, ONE_ANSWER_MS = 5000 };

struct watch {
    struct cg_cli_target target;
    bool waits;          /* drain --wait */
    uint32_t timeout_ms; /* of wait, and of drain --wait */
    int64_t until_ms;    /* monotonic */
    uint32_t pause_ms;   /* before the next question */
    char last[512];      /* why it is not over yet */
};

/* Waits a little longer each time. False when the time is over. */
static bool pause_before_next(struct watch *watch)
{
    int64_t left_ms = watch->until_ms - cg_clock_monotonic_ms();
    if (left_ms <= 0)
        return false;
    int64_t pause_ms = watch->pause_ms < left_ms ? watch->pause_ms : left_ms;
    struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000L};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    watch->pause_ms = watch->pause_ms * 2 < PAUSE_MS_MAX ? watch->pause_ms * 2 : PAUSE_MS_MAX;
    return true;
}

/*
 * One question. Returns the answer's status, 0 for none; `last` is then why, else what its JSON
 * says: its error, or its status. *ret_answer (may be NULL) is to be released.
 */
static unsigned ask(struct watch *watch, const char *method, const char *path, json_t **ret_answer)
{
    struct cg_buf answer;
    const char *why;
    unsigned status = 0;
    json_t *json = NULL;
    cg_buf_init(&answer, ANSWER_BYTES_MAX);
    if (cg_cli_exchange(&watch->target, method, path, CG_STR(""), ONE_ANSWER_MS, &answer, &why)) {
        struct cg_str body = cg_cli_answer_body(cg_buf_str(&answer));
        status = cg_cli_answer_status(cg_buf_str(&answer));
        json = json_loadb(body.bytes, body.length, 0, NULL);
        const char *error = json_string_value(json_object_get(json, "error"));
        const char *said = json_string_value(json_object_get(json, "status"));
        why = error != NULL ? error : said != NULL ? said : "an answer without a status";
        const char *remedy = json_string_value(json_object_get(json, "remedy"));
        remedy = cg_cli_remedy(status, error, remedy);
        snprintf(watch->last, sizeof watch->last, "%s answered %u, %s%s%s", path, status, why,
                 remedy == NULL ? "" : "; ", remedy == NULL ? "" : remedy);
    } else {
        snprintf(watch->last, sizeof watch->last, "%s", why);
    }
    cg_buf_fini(&answer);
    if (ret_answer != NULL)
        *ret_answer = json;
    else
        json_decref(json);
    return status;
}

static int give_up(const struct watch *watch)
{
    char sentence[600];
    snprintf(sentence, sizeof sentence, "still after %u ms: %s", watch->timeout_ms, watch->last);
    return cg_cli_complain(watch->target.name, sentence);
}

/* ---- arguments ---- */

static bool take_timeout(struct cg_cli *cli, struct watch *watch)
{
    const char *text;
    if (!cg_cli_take_flag(cli, "--timeout", &text))
        return false;
    struct cg_node node = {.kind = CG_NODE_SCALAR, .text = cg_str_from(text)};
    uint64_t timeout_ms = 0;
    bool known = cg_node_duration_ms(&node, UINT32_MAX, NULL, &timeout_ms);
    watch->timeout_ms = (uint32_t)timeout_ms;
    if (!known && !cli->failed) {
        cg_cli_complain("--timeout", "expected a duration, as in 30s or 500ms");
        cli->failed = true;
    }
    return true;
}

static bool take_wait(struct cg_cli *cli, struct watch *watch)
{
    if (strcmp(cli->argv[cli->next], "--wait") != 0)
        return false;
    cg_cli_take(cli);
    watch->waits = true;
    return true;
}

/* CG_CLI_OK when the gateway can be asked. */
static int prepare(int argc, char **argv, bool takes_timeout, bool takes_wait, struct watch *watch)
{
    static const char *const flags[] = {"--admin", "--token", "--config", "--timeout", "--wait"};
    struct cg_cli cli;
    *watch = (struct watch){.timeout_ms = 30000, .pause_ms = PAUSE_MS_MIN};
    cg_cli_init(&cli, argc, argv);
    while (cg_cli_more(&cli))
        if (!cg_cli_target_take(&cli, &watch->target) &&
            !(takes_timeout && take_timeout(&cli, watch)) &&
            !(takes_wait && take_wait(&cli, watch)))
            cg_cli_refuse(&cli, flags, takes_wait ? 5 : takes_timeout ? 4 : 3);
    if (cli.failed)
        return CG_CLI_USAGE;
    if (!cg_cli_target_resolve(&watch->target)) {
        cg_cli_target_fini(&watch->target);
        return CG_CLI_FAILED;
    }
    watch->until_ms = cg_clock_monotonic_ms() + watch->timeout_ms;
    return CG_CLI_OK;
}

/* ---- the commands ---- */

/* Until no connection is left, or nobody answers any more: then the process has ended. */
static int wait_for_departure(struct watch *watch)
{
    for (;;) {
        json_t *answer;
        unsigned status = ask(watch, "POST", "/drain", &answer);
        json_int_t left = json_integer_value(json_object_get(answer, "connections"));
        json_decref(answer);
        if (status == 0 || (status == 200 && left == 0))
            return CG_CLI_OK;
        if (status == 200)
            snprintf(watch->last, sizeof watch->last, "%lld connection%s left", (long long)left,
                     left == 1 ? " is" : "s are");
        if (!pause_before_next(watch))
            return give_up(watch);
    }
}

int cg_cli_drain(int argc, char **argv)
{
    struct watch watch;
    int status = prepare(argc, argv, true, true, &watch);
    if (status != CG_CLI_OK)
        return status;
    if (ask(&watch, "POST", "/drain", NULL) != 200)
        status = cg_cli_complain(watch.target.name, watch.last);
    else if (watch.waits)
        status = wait_for_departure(&watch);
    cg_cli_target_fini(&watch.target);
    return status;
}

int cg_cli_wait(int argc, char **argv)
{
    struct watch watch;
    int status = prepare(argc, argv, true, false, &watch);
    if (status != CG_CLI_OK)
        return status;
    while (ask(&watch, "GET", "/readyz", NULL) != 200 && status == CG_CLI_OK)
        if (!pause_before_next(&watch))
            status = give_up(&watch);
    cg_cli_target_fini(&watch.target);
    return status;
}

/* Both: loops that turn, and traffic that is wanted. */
int cg_cli_healthcheck(int argc, char **argv)
{
    static const char *const probes[] = {"/livez", "/readyz"};
    struct watch watch;
    int status = prepare(argc, argv, false, false, &watch);
    if (status != CG_CLI_OK)
        return status;
    for (size_t i = 0; i < 2 && status == CG_CLI_OK; i++)
        if (ask(&watch, "GET", probes[i], NULL) != 200)
            status = cg_cli_complain(watch.target.name, watch.last);
    cg_cli_target_fini(&watch.target);
    return status;
}
