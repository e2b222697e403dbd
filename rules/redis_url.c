#include "cachegate/redis_url.h"

#include <string.h>

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
        enum cg_redis_form form;
        bool tls;
    } schemes[] = {
        {"redis://", CG_REDIS_STANDALONE, false},
        {"rediss://", CG_REDIS_STANDALONE, true},
        {"unix://", CG_REDIS_STANDALONE, false},
        {"redis+sentinel://", CG_REDIS_SENTINEL, false},
        {"rediss+sentinel://", CG_REDIS_SENTINEL, true},
        {"redis+cluster://", CG_REDIS_CLUSTER, false},
        {"rediss+cluster://", CG_REDIS_CLUSTER, true},
    };
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (!cg_str_starts_with(*rest, cg_str_from(schemes[i].scheme)))
            continue;
        *rest = cg_str_skip(*rest, strlen(schemes[i].scheme));
        url->form = schemes[i].form;
        url->tls = schemes[i].tls;
        return true;
    }
    return refuse(ret_error, "the URL must begin with redis://, rediss://, unix://, "
                             "redis+sentinel:// or redis+cluster://");
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

/* Host and port; brackets are not part of the host. */
static bool split_port(struct cg_str text, struct cg_str *ret_host, struct cg_str *ret_port,
                       const char **ret_error)
{
    if (!cg_str_starts_with(text, CG_STR("["))) {
        size_t colon = cg_str_find(text, ':');
        *ret_host = cg_str_sub(text, 0, colon);
        *ret_port = cg_str_skip(text, colon);
        return true;
    }
    size_t end = cg_str_find(text, ']');
    *ret_host = cg_str_sub(text, 1, end - 1);
    *ret_port = cg_str_skip(text, end + 1);
    return (end < text.length && (ret_port->length == 0 || ret_port->bytes[0] == ':')) ||
           refuse(ret_error, "an IPv6 host is written in brackets: [::1]:6379");
}

static bool parse_host(struct cg_str text, struct cg_redis_url *url, const char **ret_error)
{
    struct cg_str host, port;
    uint64_t number = url->form == CG_REDIS_SENTINEL ? CG_REDIS_SENTINEL_PORT : CG_REDIS_PORT;
    if (!split_port(text, &host, &port, ret_error))
        return false;
    if (cg_str_empty(host))
        return refuse(ret_error, "the host is missing");
    for (size_t i = 0; i < host.length; i++) {
        char c = host.bytes[i];
        if (!cg_is_alpha(c) && !cg_is_digit(c) && c != '-' && c != '.' && c != '_' &&
            !(c == ':' && text.bytes[0] == '['))
            return refuse(ret_error, "the host is neither a name nor an address");
    }
    if (host.length >= sizeof(url->seeds[0].host))
        return refuse(ret_error, "the host is longer than 255 bytes");
    if (port.length > 0 &&
        (!cg_str_to_u64(cg_str_skip(port, 1), UINT16_MAX, &number) || number == 0))
        return refuse(ret_error, "the port must be a number from 1 to 65535");
    if (url->seed_count == CG_REDIS_SEEDS_MAX)
        return refuse(ret_error, "more than 16 hosts; some of them are enough to find the others");
    struct cg_redis_address *seed = &url->seeds[url->seed_count++];
    memcpy(seed->host, host.bytes, host.length);
    seed->port = (uint16_t)number;
    return true;
}

static bool parse_hosts(struct cg_str text, struct cg_redis_url *url, const char **ret_error)
{
    size_t comma = cg_str_find(text, ',');
    if (url->form == CG_REDIS_STANDALONE && comma < text.length)
        return refuse(ret_error, "several hosts need redis+sentinel:// or redis+cluster://");
    for (; comma < text.length; comma = cg_str_find(text, ',')) {
        if (!parse_host(cg_str_sub(text, 0, comma), url, ret_error))
            return false;
        text = cg_str_skip(text, comma + 1);
    }
    return parse_host(text, url, ret_error);
}

static bool parse_database(struct cg_str text, struct cg_redis_url *url, const char **ret_error)
{
    uint64_t number;
    if (!cg_str_to_u64(text, CG_REDIS_DATABASE_MAX, &number))
        return refuse(ret_error, "the database must be a number from 0 to 65535");
    if (number != 0 && url->form == CG_REDIS_CLUSTER)
        return refuse(ret_error, "Redis Cluster has no database but 0");
    url->database = (uint32_t)number;
    return true;
}

static const char needs_tls[] = "ca, cert, key, server_name and verify need TLS: rediss://";
static const char needs_sentinel[] =
    "sentinel_user and sentinel_password need redis+sentinel:// or rediss+sentinel://";

static bool take_option(struct cg_str name, struct cg_str value, struct cg_arena *arena,
                        struct cg_redis_url *url, const char **ret_error)
{
    const struct {
        struct cg_str name;
        const char **member;
        bool allowed;
        const char *otherwise;
    } texts[] = {
        {CG_STR("ca"), &url->ca_file, url->tls, needs_tls},
        {CG_STR("cert"), &url->certificate_file, url->tls, needs_tls},
        {CG_STR("key"), &url->key_file, url->tls, needs_tls},
        {CG_STR("server_name"), &url->server_name, url->tls, needs_tls},
        {CG_STR("sentinel_user"), &url->sentinel_user, url->form == CG_REDIS_SENTINEL,
         needs_sentinel},
        {CG_STR("sentinel_password"), &url->sentinel_password, url->form == CG_REDIS_SENTINEL,
         needs_sentinel},
    };
    if (cg_str_eq(name, CG_STR("db")))
        return parse_database(value, url, ret_error);
    if (cg_str_eq(name, CG_STR("verify"))) {
        url->verify = !cg_str_eq(value, CG_STR("off"));
        if (!url->tls)
            return refuse(ret_error, needs_tls);
        return !url->verify || cg_str_eq(value, CG_STR("on")) ||
               refuse(ret_error, "the option verify is on or off");
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!cg_str_eq(name, texts[i].name))
            continue;
        if (!texts[i].allowed)
            return refuse(ret_error, texts[i].otherwise);
        *texts[i].member = decode(value, arena);
        return (*texts[i].member != NULL && *texts[i].member[0] != '\0') ||
               refuse(ret_error, "an option is empty or has a broken escape");
    }
    return refuse(ret_error, "unknown option; known are db, ca, cert, key, server_name, verify, "
                             "sentinel_user and sentinel_password");
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
    if (url->sentinel_user[0] != '\0' && url->sentinel_password[0] == '\0')
        return refuse(ret_error, "sentinel_user needs the option sentinel_password too");
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
    const char *decoded = decode(path, arena);
    if (decoded == NULL)
        return refuse(ret_error, "the path has a broken escape; write % as %25");
    if (decoded[0] != '/')
        return refuse(ret_error, "a UNIX socket needs an absolute path: unix:///run/redis.sock");
    if (strlen(decoded) >= sizeof(url->seeds[0].socket_path))
        return refuse(ret_error, "the path of the UNIX socket is longer than 107 bytes");
    memcpy(url->seeds[url->seed_count++].socket_path, decoded, strlen(decoded));
    return true;
}

/* What stands behind the hosts: a primary, a database, both. */
static bool parse_path(struct cg_str path, struct cg_arena *arena, struct cg_redis_url *url,
                       const char **ret_error)
{
    if (url->form == CG_REDIS_SENTINEL) {
        size_t slash = cg_str_find(path, '/');
        url->primary_name = decode(cg_str_sub(path, 0, slash), arena);
        if (url->primary_name == NULL)
            return refuse(ret_error, "the name of the primary has a broken escape");
        if (url->primary_name[0] == '\0')
            return refuse(ret_error, "the name of the primary is missing: "
                                     "redis+sentinel://host:port,host:port/NAME");
        path = cg_str_skip(path, slash + 1);
    }
    return cg_str_empty(path) || parse_database(path, url, ret_error);
}

static bool parse_authority(struct cg_str text, bool is_unix, struct cg_arena *arena,
                            struct cg_redis_url *url, const char **ret_error)
{
    size_t slash = cg_str_find(text, '/');
    if (is_unix)
        return parse_socket(text, arena, url, ret_error);
    return parse_hosts(cg_str_sub(text, 0, slash), url, ret_error) &&
           parse_path(cg_str_skip(text, slash + 1), arena, url, ret_error);
}

static bool check_bytes(struct cg_str text, const char **ret_error)
{
    if (text.length > CG_REDIS_URL_MAX)
        return refuse(ret_error, "the URL is longer than 4096 bytes");
    for (size_t i = 0; i < text.length; i++)
        if (text.bytes[i] <= ' ' || text.bytes[i] == 0x7f)
            return refuse(ret_error, "the URL has a space or a control byte; escape it");
    return true;
}

static const char *keep(const char *text, struct cg_arena *arena)
{
    return cg_arena_copy(arena, cg_str_of(text, strlen(text) + 1)).bytes;
}

bool cg_redis_url_parse(struct cg_str text, struct cg_arena *arena, struct cg_redis_url *ret_url,
                        const char **ret_error)
{
    struct cg_redis_url url = {.verify = true,
                               .primary_name = "",
                               .sentinel_user = "",
                               .sentinel_password = "",
                               .user = "",
                               .password = "",
                               .ca_file = "",
                               .certificate_file = "",
                               .key_file = "",
                               .server_name = ""};
    bool is_unix = cg_str_starts_with(text, CG_STR("unix://"));
    if (!check_bytes(text, ret_error) || !take_scheme(&text, &url, ret_error))
        return false;
    size_t query = cg_str_find(text, '?');
    struct cg_str options = cg_str_skip(text, query + 1);
    text = cg_str_sub(text, 0, query);
    if (cg_str_find(text, '#') < text.length)
        return refuse(ret_error, "the URL has a `#`; write it as %23");
    if (!take_credentials(&text, text.length, arena, &url, ret_error) ||
        !parse_authority(text, is_unix, arena, &url, ret_error) ||
        !parse_options(options, arena, &url, ret_error))
        return false;
    url.host = keep(url.seeds[0].host, arena);
    url.port = url.seeds[0].port;
    url.socket_path = keep(url.seeds[0].socket_path, arena);
    *ret_url = url;
    return true;
}
