#include "cachegate/redis_url.h"

#include <string.h>

enum { SOCKET_PATH_MAX = 107 }; /* sun_path and its NUL */

static bool refuse(const char **ret_error, const char *sentence)
{
    *ret_error = sentence;
    return false;
}

/* NULL for a broken escape, a NUL or a control byte. */
static const char *decode(struct cg_str text, struct cg_arena *arena)
{
    char *bytes = cg_arena_alloc(arena, text.length + 1);
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.bytes[i];
        if (byte == '%') {
            int high = i + 2 < text.length ? cg_hex_digit(text.bytes[i + 1]) : -1;
            int low = i + 2 < text.length ? cg_hex_digit(text.bytes[i + 2]) : -1;
            if (high < 0 || low < 0)
                return NULL;
            byte = (unsigned char)(high * 16 + low);
            i += 2;
        }
        if (byte < ' ' || byte == 0x7f)
            return NULL;
        bytes[length++] = (char)byte;
    }
    bytes[length] = '\0';
    return bytes;
}

static bool take_scheme(struct cg_str *rest, struct cg_redis_url *url, const char **ret_error)
{
    static const struct {
        const char *scheme;
        bool tls;
        const char *refusal;
    } schemes[] = {
        {"redis://", false, NULL},
        {"rediss://", true, NULL},
        {"unix://", false, NULL},
        {"redis+sentinel://", false,
         "Sentinel is not built into this version; name the server itself: redis://host:port"},
        {"rediss+sentinel://", false,
         "Sentinel is not built into this version; name the server itself: rediss://host:port"},
        {"redis+cluster://", false,
         "Redis Cluster is not built into this version; use a standalone server: "
         "redis://host:port"},
        {"rediss+cluster://", false,
         "Redis Cluster is not built into this version; use a standalone server: "
         "rediss://host:port"},
    };
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (!cg_str_starts_with(*rest, cg_str_from(schemes[i].scheme)))
            continue;
        *rest = cg_str_skip(*rest, strlen(schemes[i].scheme));
        url->tls = schemes[i].tls;
        return schemes[i].refusal == NULL || refuse(ret_error, schemes[i].refusal);
    }
    return refuse(ret_error, "the URL must begin with redis://, rediss:// or unix://");
}

static bool parse_credentials(struct cg_str text, struct cg_arena *arena, struct cg_redis_url *url,
                              const char **ret_error)
{
    size_t colon = cg_str_find(text, ':');
    url->user = decode(cg_str_sub(text, 0, colon), arena);
    if (url->user == NULL)
        return refuse(ret_error, "the user has a broken escape; write % as %25");
    if (colon == text.length)
        return refuse(ret_error, "the password is missing: user:password@ or :password@");
    url->password = decode(cg_str_skip(text, colon + 1), arena);
    if (url->password == NULL)
        return refuse(ret_error, "the password has a broken escape; write % as %25");
    if (url->password[0] == '\0')
        return refuse(ret_error, "the password is empty; leave user:password@ out for none");
    url->has_password = true;
    return true;
}

static bool parse_host(struct cg_str text, struct cg_arena *arena, struct cg_redis_url *url,
                       const char **ret_error)
{
    struct cg_str host = text, port = {NULL, 0};
    uint64_t number = CG_REDIS_PORT;
    if (cg_str_starts_with(text, CG_STR("["))) {
        size_t end = cg_str_find(text, ']');
        host = cg_str_sub(text, 1, end - 1);
        port = cg_str_skip(text, end + 1);
        if (end == text.length || (port.length > 0 && port.bytes[0] != ':'))
            return refuse(ret_error, "an IPv6 host is written in brackets: [::1]:6379");
    } else {
        size_t colon = cg_str_find(text, ':');
        host = cg_str_sub(text, 0, colon);
        port = cg_str_skip(text, colon);
    }
    if (cg_str_empty(host))
        return refuse(ret_error, "the host is missing");
    for (size_t i = 0; i < host.length; i++) {
        char c = host.bytes[i];
        if (!cg_is_alpha(c) && !cg_is_digit(c) && c != '-' && c != '.' && c != '_' &&
            !(c == ':' && text.bytes[0] == '['))
            return refuse(ret_error, "the host is neither a name nor an address");
    }
    if (port.length > 0 &&
        (!cg_str_to_u64(cg_str_skip(port, 1), UINT16_MAX, &number) || number == 0))
        return refuse(ret_error, "the port must be a number from 1 to 65535");
    url->host = decode(host, arena);
    url->port = (uint16_t)number;
    return true;
}

static bool parse_database(struct cg_str text, struct cg_redis_url *url, const char **ret_error)
{
    uint64_t number;
    if (!cg_str_to_u64(text, CG_REDIS_DATABASE_MAX, &number))
        return refuse(ret_error, "the database must be a number from 0 to 65535");
    url->database = (uint32_t)number;
    return true;
}

static bool take_option(struct cg_str name, struct cg_str value, struct cg_arena *arena,
                        struct cg_redis_url *url, const char **ret_error)
{
    const struct {
        struct cg_str name;
        const char **member;
    } texts[] = {
        {CG_STR("ca"), &url->ca_file},
        {CG_STR("cert"), &url->certificate_file},
        {CG_STR("key"), &url->key_file},
        {CG_STR("server_name"), &url->server_name},
    };
    if (cg_str_eq(name, CG_STR("db")))
        return parse_database(value, url, ret_error);
    if (cg_str_eq(name, CG_STR("verify"))) {
        url->verify = !cg_str_eq(value, CG_STR("off"));
        if (!url->tls)
            return refuse(ret_error, "ca, cert, key, server_name and verify need rediss://");
        return !url->verify || cg_str_eq(value, CG_STR("on")) ||
               refuse(ret_error, "the option verify is on or off");
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!cg_str_eq(name, texts[i].name))
            continue;
        if (!url->tls)
            return refuse(ret_error, "ca, cert, key, server_name and verify need rediss://");
        *texts[i].member = decode(value, arena);
        return (*texts[i].member != NULL && *texts[i].member[0] != '\0') ||
               refuse(ret_error, "an option is empty or has a broken escape");
    }
    return refuse(ret_error, "unknown option; known are db, ca, cert, key, server_name and verify");
}

static bool parse_options(struct cg_str text, struct cg_arena *arena, struct cg_redis_url *url,
                          const char **ret_error)
{
    struct cg_str option;
    while (cg_str_split(&text, '&', &option)) {
        size_t equals = cg_str_find(option, '=');
        if (!cg_str_empty(option) &&
            !take_option(cg_str_sub(option, 0, equals), cg_str_skip(option, equals + 1), arena, url,
                         ret_error))
            return false;
    }
    if ((url->certificate_file[0] == '\0') != (url->key_file[0] == '\0'))
        return refuse(ret_error, "a client certificate needs both options: cert and key");
    return true;
}

/* The last `@` ends the credentials, so that one that was not escaped is no part of the host. */
static bool take_credentials(struct cg_str *rest, size_t end, struct cg_arena *arena,
                             struct cg_redis_url *url, const char **ret_error)
{
    for (size_t i = end; i > 0; i--) {
        if (rest->bytes[i - 1] != '@')
            continue;
        struct cg_str text = cg_str_sub(*rest, 0, i - 1);
        *rest = cg_str_skip(*rest, i);
        return parse_credentials(text, arena, url, ret_error);
    }
    return true;
}

static bool parse_socket(struct cg_str path, struct cg_arena *arena, struct cg_redis_url *url,
                         const char **ret_error)
{
    url->socket_path = decode(path, arena);
    if (url->socket_path == NULL)
        return refuse(ret_error, "the path has a broken escape; write % as %25");
    if (url->socket_path[0] != '/')
        return refuse(ret_error, "a UNIX socket needs an absolute path: unix:///run/redis.sock");
    if (strlen(url->socket_path) > SOCKET_PATH_MAX)
        return refuse(ret_error, "the path of the UNIX socket is longer than 107 bytes");
    return true;
}

bool cg_redis_url_parse(struct cg_str text, struct cg_arena *arena, struct cg_redis_url *ret_url,
                        const char **ret_error)
{
    struct cg_redis_url url = {.verify = true,
                               .host = "",
                               .socket_path = "",
                               .user = "",
                               .password = "",
                               .ca_file = "",
                               .certificate_file = "",
                               .key_file = "",
                               .server_name = ""};
    bool is_unix = cg_str_starts_with(text, CG_STR("unix://"));
    if (text.length > CG_REDIS_URL_MAX)
        return refuse(ret_error, "the URL is longer than 4096 bytes");
    for (size_t i = 0; i < text.length; i++)
        if (text.bytes[i] <= ' ' || text.bytes[i] == 0x7f)
            return refuse(ret_error, "the URL has a space or a control byte; escape it");
    if (!take_scheme(&text, &url, ret_error))
        return false;
    size_t query = cg_str_find(text, '?');
    struct cg_str options = cg_str_skip(text, query + 1);
    text = cg_str_sub(text, 0, query);
    if (cg_str_find(text, '#') < text.length)
        return refuse(ret_error, "the URL has a `#`; write it as %23");
    if (!take_credentials(&text, text.length, arena, &url, ret_error))
        return false;
    if (is_unix) {
        if (!parse_socket(text, arena, &url, ret_error))
            return false;
    } else {
        size_t slash = cg_str_find(text, '/');
        struct cg_str database = cg_str_skip(text, slash + 1);
        if (!parse_host(cg_str_sub(text, 0, slash), arena, &url, ret_error) ||
            (!cg_str_empty(database) && !parse_database(database, &url, ret_error)))
            return false;
    }
    if (!parse_options(options, arena, &url, ret_error))
        return false;
    *ret_url = url;
    return true;
}
