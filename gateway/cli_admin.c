#include "gateway/cli.h"
#include "gateway/config/address.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* stats, health, purge, flush: one HTTP/1.0 exchange with the admin API. */

enum { ANSWER_BYTES_MAX = 64 << 20, BODY_BYTES_MAX = 1 << 20, TIMEOUT_S = 30 };

struct call {
    const char *admin;
    const char *token;
    json_t *patterns; /* of a purge; all three owned */
    json_t *groups;
    json_t *users;
};

static int complain(const char *about, const char *sentence)
{
    fprintf(stderr, "cachegate: %s: %s\n", about, sentence);
    return CG_CLI_FAILED;
}

/* ---- the connection ---- */

static int connect_unix(const struct cg_address *address)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, address->path, strlen(address->path));
    int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer >= 0 && connect(peer, (const struct sockaddr *)&name, sizeof name) == 0)
        return peer;
    int error = errno;
    if (peer >= 0)
        close(peer);
    errno = error;
    return -1;
}

static int connect_tcp(const struct cg_address *address)
{
    char port[8];
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    const char *host = address->host[0] == '\0' ? "localhost" : address->host;
    int peer = -1, error = EHOSTUNREACH;
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    if (getaddrinfo(host, port, &hints, &found) != 0)
        found = NULL;
    for (const struct addrinfo *info = found; info != NULL && peer < 0; info = info->ai_next) {
        peer = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (peer < 0 || connect(peer, info->ai_addr, info->ai_addrlen) == 0)
            continue;
        error = errno;
        close(peer);
        peer = -1;
    }
    if (found != NULL)
        freeaddrinfo(found);
    errno = error;
    return peer;
}

static bool send_all(int peer, struct cg_str bytes)
{
    while (bytes.length > 0) {
        ssize_t sent = send(peer, bytes.bytes, bytes.length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes = cg_str_skip(bytes, (size_t)sent);
    }
    return true;
}

/* Sends the request and reads the answer to its end. False: errno says why. */
static bool exchange(const struct cg_address *address, struct cg_str request,
                     struct cg_buf *ret_answer)
{
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    char piece[16384];
    ssize_t length = -1;
    int peer = address->kind == CG_ADDRESS_UNIX ? connect_unix(address) : connect_tcp(address);
    if (peer < 0)
        return false;
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (send_all(peer, request))
        while ((length = recv(peer, piece, sizeof piece, 0)) > 0)
            cg_buf_add(ret_answer, piece, (size_t)length);
    int error = errno;
    close(peer);
    errno = error;
    return length == 0;
}

/* ---- the answer ---- */

/* "HTTP/1.1 200 OK": 0 when it is no such line. */
static unsigned status_of(struct cg_str answer)
{
    uint64_t status = 0;
    struct cg_str line = cg_str_sub(answer, 0, cg_str_find(answer, '\n')), version, code;
    if (!cg_str_split(&line, ' ', &version) || !cg_str_split(&line, ' ', &code) ||
        !cg_str_starts_with(version, CG_STR("HTTP/")) || !cg_str_to_u64(code, 999, &status))
        return 0;
    return (unsigned)status;
}

static struct cg_str body_of(struct cg_str answer)
{
    for (size_t i = 0; i + 4 <= answer.length; i++)
        if (memcmp(answer.bytes + i, "\r\n\r\n", 4) == 0)
            return cg_str_skip(answer, i + 4);
    return cg_str_skip(answer, answer.length);
}

static int print_answer(const char *admin, struct cg_str answer)
{
    unsigned status = status_of(answer);
    struct cg_str body = body_of(answer);
    if (status >= 200 && status < 300) {
        if (body.length > 0)
            fwrite(body.bytes, 1, body.length, stdout);
        return CG_CLI_OK;
    }
    json_t *json = json_loadb(body.bytes, body.length, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error"));
    const char *remedy = json_string_value(json_object_get(json, "remedy"));
    if (status == 0)
        complain(admin, "what answered does not speak HTTP");
    else if (error == NULL)
        fprintf(stderr, "cachegate: %s answered %u\n", admin, status);
    else
        fprintf(stderr, "cachegate: %s%s%s\n", error, remedy == NULL ? "" : "; ",
                remedy == NULL ? "" : remedy);
    json_decref(json);
    return CG_CLI_FAILED;
}

/* ---- the request ---- */

static bool is_field_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static int ask(const struct call *call, const char *method, const char *path, struct cg_str body)
{
    struct cg_arena arena;
    struct cg_address address;
    struct cg_buf request, answer;
    const char *error;
    int status;
    if (call->admin == NULL)
        return complain("--admin", "which gateway? Give the address of its admin API, or set "
                                   "CACHEGATE_ADMIN_LISTEN");
    cg_arena_init(&arena, 1 << 20);
    if (!cg_address_parse(cg_str_from(call->admin), &arena, &address, &error)) {
        cg_arena_fini(&arena);
        return complain(call->admin, error);
    }
    cg_buf_init(&request, BODY_BYTES_MAX + 65536);
    cg_buf_init(&answer, ANSWER_BYTES_MAX);
    cg_buf_printf(&request, "%s %s HTTP/1.0\r\nHost: cachegate\r\nContent-Length: %zu\r\n", method,
                  path, body.length);
    if (call->token != NULL && is_field_value(call->token))
        cg_buf_printf(&request, "Authorization: Bearer %s\r\n", call->token);
    cg_buf_add_text(&request, "\r\n");
    cg_buf_add_str(&request, body);
    if (request.overflowed)
        status = complain("purge", "too much for one request; ask several times");
    else if (!exchange(&address, cg_buf_str(&request), &answer))
        status =
            complain(call->admin, errno == EAGAIN ? "it did not answer in time" : strerror(errno));
    else
        status = print_answer(call->admin, cg_buf_str(&answer));
    cg_buf_fini(&request);
    cg_buf_fini(&answer);
    cg_arena_fini(&arena);
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
    complain("purge", "the arguments are not UTF-8");
    cli->failed = true;
}

/* Patterns, groups and users only where a purge is asked for. */
static bool take_purge_argument(struct cg_cli *cli, struct call *call)
{
    const char *value;
    if (cg_cli_take_flag(cli, "--group", &value)) {
        if (!add_group(call, value)) {
            complain("--group", "expected NAME:PLACEHOLDER=VALUE, as in session:id=abc123");
            cli->failed = true;
        }
        return true;
    }
    if (cg_cli_take_flag(cli, "--user", &value)) {
        add_text(cli, call->users, value);
        return true;
    }
    if (!cg_cli_take_flag(cli, "--pattern", &value)) {
        if (cg_cli_at_flag(cli))
            return false;
        value = cg_cli_take(cli);
    }
    add_text(cli, call->patterns, value);
    return true;
}

static bool read_arguments(int argc, char **argv, bool purges, struct call *call)
{
    static const char *const flags[] = {"--admin", "--token", "--group", "--user", "--pattern"};
    struct cg_cli cli;
    cg_cli_init(&cli, argc, argv);
    call->admin = getenv("CACHEGATE_ADMIN_LISTEN");
    call->token = getenv("CACHEGATE_ADMIN_TOKEN");
    while (cg_cli_more(&cli))
        if (!cg_cli_take_flag(&cli, "--admin", &call->admin) &&
            !cg_cli_take_flag(&cli, "--token", &call->token) &&
            (!purges || !take_purge_argument(&cli, call)))
            cg_cli_refuse(&cli, flags, purges ? 5 : 2);
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

int cg_cli_purge(int argc, char **argv)
{
    struct call call = {.patterns = json_array(), .groups = json_array(), .users = json_array()};
    bool well = read_arguments(argc, argv, true, &call);
    bool empty = json_array_size(call.patterns) + json_array_size(call.groups) +
                     json_array_size(call.users) ==
                 0;
    json_t *body = json_pack("{s:o, s:o, s:o}", "patterns", call.patterns, "groups", call.groups,
                             "users", call.users);
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    int status = CG_CLI_USAGE;
    if (well && empty)
        complain("purge", "what? Give patterns, --group NAME:PLACEHOLDER=VALUE or --user NAME; "
                          "`cachegate flush` purges everything");
    else if (well && text != NULL)
        status = ask(&call, "POST", "/cache/purge", cg_str_from(text));
    free(text);
    json_decref(body);
    return status;
}
