#include "gateway/cli_inspect.h"

#include "gateway/base/clock.h"
#include "gateway/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* cachegate inspect: what stands under a key of Redis, as far as it can be told without a secret.
 */

enum { VALUE_BYTES_MAX = 1 << 30, OUT_BYTES_MAX = 64 << 20, TIMEOUT_MIN_MS = 5000 };

static int complain(const char *about, const char *sentence)
{
    char what[CG_INSPECT_SHOWN_MAX], why[CG_INSPECT_SHOWN_MAX];
    fprintf(stderr, "cachegate: %s: %s\n", cg_inspect_shown(cg_str_from(about), what),
            cg_inspect_shown(cg_str_from(sentence), why));
    return CG_CLI_FAILED;
}

/* `ns:` of `ns:e:…`, `ns:v:…`, `ns:c:…`, `ns:{bans}:…`, `ns:{stats}:…` and `ns:beat:…`. */
static struct cg_str namespace_of(struct cg_str key, const struct cg_settings *settings)
{
    static const char *const kinds[] = {":e:", ":v:", ":c:", ":{bans}:", ":{stats}:", ":beat:"};
    for (size_t at = 0; at < key.length; at++)
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (cg_str_starts_with(cg_str_skip(key, at), cg_str_from(kinds[i])))
                return cg_str_sub(key, 0, at);
    return cg_str_from(settings->store_namespace);
}

/* ---- a value from a file ---- */

static bool read_value(const char *name, struct cg_buf *ret_value)
{
    char piece[65536];
    ssize_t length = -1;
    bool standard = strcmp(name, "-") == 0;
    int file = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    while (file >= 0 && (length = read(file, piece, sizeof piece)) > 0)
        cg_buf_add(ret_value, piece, (size_t)length);
    int error = errno;
    if (file >= 0 && !standard)
        close(file);
    if (length < 0)
        complain(name, strerror(error));
    else if (ret_value->overflowed)
        complain(name, "it is too large to be a value of Redis");
    return length == 0 && !ret_value->overflowed;
}

static int inspect_file(struct cg_inspection *inspection, const char *name)
{
    struct cg_buf value;
    cg_buf_init(&value, VALUE_BYTES_MAX);
    int status = CG_CLI_FAILED;
    inspection->now_ms = cg_clock_wall_ms();
    if (read_value(name, &value)) {
        struct cg_str bytes = cg_buf_str(&value);
        status = CG_CLI_OK;
        /* redis-cli ends its output with a newline that is not part of the value. */
        if (!cg_inspect_string(inspection, bytes) &&
            !(cg_str_ends_with(bytes, CG_STR("\n")) &&
              cg_inspect_string(inspection, cg_str_sub(bytes, 0, bytes.length - 1))))
            status = complain(name, "no gateway writes such a value");
    }
    cg_buf_fini(&value);
    return status;
}

/* ---- a key ---- */

/* NULL, and why was said, unless Redis answered something other than an error. */
static redisReply *ask(const struct cg_inspection *inspection, const struct cg_str *words,
                       size_t count)
{
    redisReply *reply = cg_redis_client_ask(inspection->client, words, count);
    if (reply == NULL) {
        complain("redis", cg_redis_client_why(inspection->client));
    } else if (reply->type == REDIS_REPLY_ERROR) {
        complain("redis", reply->str);
        cg_redis_reply_free(reply);
        reply = NULL;
    }
    return reply;
}

static bool ask_time(struct cg_inspection *inspection)
{
    const struct cg_str words[] = {CG_STR("TIME")};
    redisReply *reply = ask(inspection, words, 1);
    if (reply == NULL)
        return false;
    uint64_t seconds = 0, micros = 0;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->len > 0 &&
        reply->element[1]->len > 0) {
        (void)cg_str_to_u64(cg_str_of(reply->element[0]->str, (size_t)reply->element[0]->len),
                            INT64_MAX / 1000, &seconds);
        (void)cg_str_to_u64(cg_str_of(reply->element[1]->str, (size_t)reply->element[1]->len),
                            999999, &micros);
    }
    cg_redis_reply_free(reply);
    inspection->now_ms = (int64_t)(seconds * 1000 + micros / 1000);
    return true;
}

static bool ask_lifetime(struct cg_inspection *inspection)
{
    const struct cg_str words[] = {CG_STR("PTTL"), inspection->key};
    redisReply *reply = ask(inspection, words, 2);
    if (reply == NULL)
        return false;
    inspection->expires_in_ms = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    cg_redis_reply_free(reply);
    return true;
}

/* The whole value, by the command that reads its type. */
static redisReply *ask_value(const struct cg_inspection *inspection, struct cg_str type)
{
    const struct cg_str get[] = {CG_STR("GET"), inspection->key};
    const struct cg_str range[] = {CG_STR("LRANGE"), inspection->key, CG_STR("0"), CG_STR("-1")};
    const struct cg_str sorted[] = {CG_STR("ZRANGE"), inspection->key, CG_STR("0"), CG_STR("-1"),
                                    CG_STR("WITHSCORES")};
    const struct cg_str map[] = {CG_STR("HGETALL"), inspection->key};
    if (cg_str_eq(type, CG_STR("string")))
        return ask(inspection, get, 2);
    if (cg_str_eq(type, CG_STR("list")))
        return ask(inspection, range, 4);
    if (cg_str_eq(type, CG_STR("zset")))
        return ask(inspection, sorted, 5);
    if (cg_str_eq(type, CG_STR("hash")))
        return ask(inspection, map, 2);
    if (cg_str_eq(type, CG_STR("none")))
        complain(inspection->key.bytes, "there is no such key; it expired, was evicted, or never "
                                        "was");
    else
        complain(inspection->key.bytes, "no gateway writes a value of that type");
    return NULL;
}

static int print_value(struct cg_inspection *inspection, const redisReply *value)
{
    char room[CG_INSPECT_SHOWN_MAX];
    cg_inspect_line(inspection, "key", "%s", cg_inspect_shown(inspection->key, room));
    bool known = value->type == REDIS_REPLY_ARRAY
                     ? cg_inspect_elements(inspection, value)
                     : value->type == REDIS_REPLY_STRING &&
                           cg_inspect_string(inspection, cg_str_of(value->str, (size_t)value->len));
    if (!known) {
        cg_buf_clear(inspection->out);
        return complain(inspection->key.bytes, "no gateway writes such a value");
    }
    if (inspection->expires_in_ms >= 0)
        cg_inspect_when(inspection, "in Redis until",
                        inspection->now_ms + inspection->expires_in_ms);
    else
        cg_inspect_line(inspection, "in Redis until", "for ever: it has no expiry");
    return CG_CLI_OK;
}

static int inspect_key(struct cg_inspection *inspection)
{
    const struct cg_settings *settings = inspection->settings;
    const struct cg_str words[] = {CG_STR("TYPE"), inspection->key};
    uint32_t timeout_ms = settings->store_timeout_ms;
    char *error = NULL;
    if (settings->redis_url == NULL)
        return complain("--redis", "which server? Give its URL, or a configuration with one");
    inspection->client = cg_redis_client_connect(
        settings->redis_url, timeout_ms < TIMEOUT_MIN_MS ? TIMEOUT_MIN_MS : timeout_ms, &error);
    if (inspection->client == NULL) {
        complain("redis", error == NULL ? "no connection" : error);
        free(error);
        return CG_CLI_FAILED;
    }
    int status = CG_CLI_FAILED;
    redisReply *type = ask_time(inspection) ? ask(inspection, words, 2) : NULL;
    redisReply *value =
        type == NULL ? NULL
                     : ask_value(inspection, cg_str_from(type->str == NULL ? "" : type->str));
    if (value != NULL && value->type == REDIS_REPLY_NIL)
        complain(inspection->key.bytes, "it has just gone");
    else if (value != NULL && ask_lifetime(inspection))
        status = print_value(inspection, value);
    if (type != NULL)
        cg_redis_reply_free(type);
    if (value != NULL)
        cg_redis_reply_free(value);
    inspection->client = cg_redis_client_close(inspection->client);
    return status;
}

/* ---- the command ---- */

static int inspect(const struct cg_settings *settings, const char *key, const char *file)
{
    struct cg_buf out;
    cg_buf_init(&out, OUT_BYTES_MAX);
    struct cg_inspection inspection = {
        .settings = settings,
        .key = key == NULL ? CG_STR("") : cg_str_from(key),
        .expires_in_ms = -1,
        .out = &out,
    };
    inspection.namespace = namespace_of(inspection.key, settings);
    int status = file != NULL ? inspect_file(&inspection, file) : inspect_key(&inspection);
    cg_cli_print(&out, STDOUT_FILENO);
    return status;
}

int cg_cli_inspect(int argc, char **argv)
{
    static const char *const flags[] = {"--value"};
    struct cg_cli cli;
    struct cg_arena arena;
    const char *key = NULL, *file = NULL;
    int status = CG_CLI_FAILED;
    cg_cli_init(&cli, argc, argv);
    while (cg_cli_more(&cli))
        if (!cg_cli_take_flag(&cli, "--value", &file) && !cg_cli_take_option(&cli)) {
            if (cg_cli_at_flag(&cli) || key != NULL)
                cg_cli_refuse(&cli, flags, 1);
            else
                key = cg_cli_take(&cli);
        }
    if (cli.failed)
        return CG_CLI_USAGE;
    if (key == NULL && file == NULL) {
        complain("inspect", "what? Give a key, as `redis-cli --scan` shows it, or --value FILE");
        return CG_CLI_USAGE;
    }
    struct cg_settings *settings = cg_cli_settings(&cli, true, false, &arena);
    if (settings != NULL)
        status = inspect(settings, key, file);
    cg_settings_free(settings);
    cg_arena_fini(&arena);
    return status;
}
