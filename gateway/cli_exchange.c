#include "gateway/cli_exchange.h"

#include "gateway/config/address.h"
#include "gateway/config/options.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int cg_cli_complain(const char *about, const char *sentence)
{
    fprintf(stderr, "cachegate: %s: %s\n", about, sentence);
    return CG_CLI_FAILED;
}

const char *cg_cli_remedy(unsigned status, const char *error, const char *remedy)
{
    /* What the API says of headers is no use to somebody who types flags. */
    if (status == 401 && error != NULL && strstr(error, "missing or wrong") != NULL)
        return "it is `admin.token` of that gateway: give it with --token, in "
               "CACHEGATE_ADMIN_TOKEN, or by the gateway's configuration with -c FILE";
    return remedy;
}

/* ---- which gateway ---- */

bool cg_cli_target_take(struct cg_cli *cli, struct cg_cli_target *target)
{
    return cg_cli_take_flag(cli, "--admin", &target->admin) ||
           cg_cli_take_flag(cli, "--token", &target->token) ||
           cg_cli_take_flag(cli, "-c", &target->config) ||
           cg_cli_take_flag(cli, "--config", &target->config);
}

/* Rules are not read: a hook must reach its gateway while somebody is changing them. */
static bool resolve_from_config(struct cg_cli_target *target)
{
    struct cg_problems problems = {.arena = &target->arena};
    struct cg_settings_source source = {
        .file = target->config,
        .variable = cg_env_of_process,
        .rules_only = true,
        .without_rules = true,
    };
    cg_arena_init(&target->arena, CG_SETTINGS_ARENA_BYTES);
    struct cg_settings *settings = cg_settings_load(&source, &target->arena, &problems);
    struct cg_buf out;
    cg_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < problems.count; i++)
        if (problems.items[i].severity == CG_PROBLEM_ERROR)
            cg_settings_print_problem(&problems.items[i], &out);
    cg_cli_print(&out, STDERR_FILENO);
    if (settings != NULL && !settings->has_admin)
        cg_cli_complain(target->config, "no admin.listen is configured; set it there (`admin: "
                                        "127.0.0.1:9080`), or give --admin");
    bool found = settings != NULL && settings->has_admin;
    if (found) {
        target->address = settings->admin;
        struct cg_str address = cg_address_text(&settings->admin, &target->arena);
        target->name = cg_option_text(
            cg_arena_printf(&target->arena, "%s: %.*s", target->config, CG_STR_SHOWN(address)),
            &target->arena);
        if (target->token == NULL)
            target->token_text = cg_option_text(settings->admin_token, &target->arena);
    }
    cg_settings_free(settings); /* what was copied is of the arena */
    return found;
}

static bool resolve_from_text(struct cg_cli_target *target, const char *text)
{
    const char *error;
    if (text == NULL) {
        cg_cli_complain("--admin", "which gateway? Give the address of its admin API, or -c FILE, "
                                   "or set CACHEGATE_ADMIN_LISTEN");
        return false;
    }
    target->name = text;
    if (cg_address_parse(cg_str_from(text), &target->arena, &target->address, &error))
        return true;
    cg_cli_complain(text, error);
    return false;
}

bool cg_cli_target_resolve(struct cg_cli_target *target)
{
    const char *token = target->token != NULL ? target->token : getenv("CACHEGATE_ADMIN_TOKEN");
    target->token_text = token == NULL ? "" : token;
    target->resolved = true;
    if (target->admin == NULL && target->config != NULL)
        return resolve_from_config(target); /* begins the arena */
    cg_arena_init(&target->arena, 1 << 20);
    return resolve_from_text(target, target->admin != NULL ? target->admin
                                                           : getenv("CACHEGATE_ADMIN_LISTEN"));
}

void cg_cli_target_fini(struct cg_cli_target *target)
{
    if (target->resolved)
        cg_arena_fini(&target->arena);
    target->resolved = false;
}

/* ---- the connection ---- */

/* Bounds each step of connecting, sending and receiving. */
static int open_bounded(int family, uint32_t timeout_ms)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                              .tv_usec = timeout_ms % 1000 * 1000L + 1};
    int peer = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer < 0)
        return -1;
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    return peer;
}

static int connect_to(int family, const struct sockaddr *name, socklen_t length,
                      uint32_t timeout_ms)
{
    int peer = open_bounded(family, timeout_ms);
    if (peer < 0 || connect(peer, name, length) == 0)
        return peer;
    int error = errno == EINPROGRESS ? EAGAIN : errno;
    close(peer);
    errno = error;
    return -1;
}

static int connect_unix(const struct cg_address *address, uint32_t timeout_ms)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, address->path, strlen(address->path));
    return connect_to(AF_UNIX, (const struct sockaddr *)&name, sizeof name, timeout_ms);
}

static int connect_tcp(const struct cg_address *address, uint32_t timeout_ms)
{
    char port[8];
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    const char *host = address->host[0] == '\0' ? "localhost" : address->host;
    int peer = -1;
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        errno = ENXIO; /* sockets never say this: see sentence_of */
        return -1;
    }
    errno = EHOSTUNREACH;
    for (const struct addrinfo *info = found; info != NULL && peer < 0; info = info->ai_next)
        peer = connect_to(info->ai_family, info->ai_addr, info->ai_addrlen, timeout_ms);
    int error = errno;
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
static bool converse(const struct cg_address *address, struct cg_str request, uint32_t timeout_ms,
                     struct cg_buf *ret_answer)
{
    char piece[16384];
    ssize_t length = -1;
    int peer = address->kind == CG_ADDRESS_UNIX ? connect_unix(address, timeout_ms)
                                                : connect_tcp(address, timeout_ms);
    if (peer < 0)
        return false;
    if (send_all(peer, request))
        while ((length = recv(peer, piece, sizeof piece, 0)) > 0)
            cg_buf_add(ret_answer, piece, (size_t)length);
    int error = errno;
    close(peer);
    errno = error;
    return length == 0;
}

/* ---- request and answer ---- */

/* "HTTP/1.1 200 OK": 0 when it is no such line. */
unsigned cg_cli_answer_status(struct cg_str answer)
{
    uint64_t status = 0;
    struct cg_str line = cg_str_sub(answer, 0, cg_str_find(answer, '\n')), version, code;
    if (!cg_str_split(&line, ' ', &version) || !cg_str_split(&line, ' ', &code) ||
        !cg_str_starts_with(version, CG_STR("HTTP/")) || !cg_str_to_u64(code, 999, &status))
        return 0;
    return (unsigned)status;
}

struct cg_str cg_cli_answer_body(struct cg_str answer)
{
    for (size_t i = 0; i + 4 <= answer.length; i++)
        if (memcmp(answer.bytes + i, "\r\n\r\n", 4) == 0)
            return cg_str_skip(answer, i + 4);
    return cg_str_skip(answer, answer.length);
}

static bool is_field_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

/* Whether it is a gateway's answer to traffic: the admin API never says this. */
static bool is_of_traffic(struct cg_str answer)
{
    static const char field[] = "cache-status:";
    struct cg_str line;
    while (cg_str_split(&answer, '\n', &line) && line.length > 1)
        if (cg_str_eq_ci(cg_str_sub(line, 0, sizeof field - 1), CG_STR(field)))
            return true;
    return false;
}

/* The reason why nobody could be asked, as a sentence with what to look at. */
static const char *sentence_of(int error)
{
    switch (error) {
    case EAGAIN:
        return "it did not answer in time";
    case ENXIO:
        return "there is no host of this name, or the name service is away";
    case ECONNREFUSED:
        return "Connection refused: is the gateway running, with this as `admin.listen`?";
    case ENOENT:
        return "No such file or directory: is the gateway running, with this as `admin.listen`?";
    case EACCES:
        return "Permission denied: only the gateway's own user may use its socket";
    case ECONNRESET:
        return "Connection reset: has the gateway ended meanwhile?";
    default:
        return strerror(error);
    }
}

bool cg_cli_exchange(const struct cg_cli_target *target, const char *method, const char *path,
                     struct cg_str body, uint32_t timeout_ms, struct cg_buf *ret_answer,
                     const char **ret_why)
{
    struct cg_buf request;
    cg_buf_init(&request, CG_CLI_BODY_BYTES_MAX + 65536);
    cg_buf_printf(&request, "%s %s HTTP/1.0\r\nHost: cachegate\r\nContent-Length: %zu\r\n", method,
                  path, body.length);
    if (target->token_text[0] != '\0' && is_field_value(target->token_text))
        cg_buf_printf(&request, "Authorization: Bearer %s\r\n", target->token_text);
    cg_buf_add_text(&request, "\r\n");
    cg_buf_add_str(&request, body);
    *ret_why = NULL;
    if (request.overflowed)
        *ret_why = "too much for one request; ask several times";
    else if (!converse(&target->address, cg_buf_str(&request), timeout_ms, ret_answer))
        *ret_why = sentence_of(errno);
    else if (cg_cli_answer_status(cg_buf_str(ret_answer)) == 0)
        *ret_why = "what answered does not speak HTTP; is this the gateway's `admin.listen`?";
    else if (is_of_traffic(cg_buf_str(ret_answer)))
        *ret_why = "traffic arrives there (`listen`); the commands ask `admin.listen`";
    cg_buf_fini(&request);
    return *ret_why == NULL;
}
