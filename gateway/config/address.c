#include "gateway/config/address.h"

#include "gateway/config/options.h"

#include <arpa/inet.h>
#include <sys/un.h>

static bool refuse(const char **ret_error, const char *sentence)
{
    *ret_error = sentence;
    return false;
}

/* Whether it is a literal address of that family (inet_pton wants a NUL). */
static bool is_literal(int family, struct cg_str text)
{
    char copy[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[sizeof(struct in6_addr)];
    if (text.length >= sizeof copy)
        return false;
    memcpy(copy, text.bytes, text.length);
    copy[text.length] = '\0';
    return inet_pton(family, copy, bytes) == 1;
}

static bool is_host_name(struct cg_str host)
{
    bool numeric = true;
    if (host.length == 0 || host.length > 253 || host.bytes[0] == '.' || host.bytes[0] == '-')
        return false;
    for (size_t i = 0; i < host.length; i++) {
        char c = host.bytes[i];
        if (!cg_is_alpha(c) && !cg_is_digit(c) && c != '-' && c != '.' && c != '_')
            return false;
        if (!cg_is_digit(c) && c != '.')
            numeric = false;
    }
    return !numeric || is_literal(AF_INET, host);
}

/* Splits `host:port` or `[v6]:port`; *ret_has_port is false where no port stands. */
static bool split_host(struct cg_str text, struct cg_str *ret_host, struct cg_str *ret_port,
                       bool *ret_has_port, const char **ret_error)
{
    if (cg_str_starts_with(text, CG_STR("["))) {
        size_t end = cg_str_find(text, ']');
        struct cg_str behind = cg_str_skip(text, end + 1);
        *ret_host = cg_str_sub(text, 1, end - 1);
        if (end == text.length || !is_literal(AF_INET6, *ret_host))
            return refuse(ret_error, "an IPv6 address must stand in brackets: [::1]:8080");
        *ret_has_port = behind.length > 0;
        if (*ret_has_port && behind.bytes[0] != ':')
            return refuse(ret_error, "after [address] only :port may follow");
        *ret_port = cg_str_skip(behind, 1);
        return true;
    }
    size_t colon = cg_str_find(text, ':');
    *ret_host = cg_str_sub(text, 0, colon);
    *ret_port = cg_str_skip(text, colon + 1);
    *ret_has_port = colon < text.length;
    if (cg_str_find(*ret_port, ':') < ret_port->length)
        return refuse(ret_error, "an IPv6 address must stand in brackets: [::1]:8080");
    if (ret_host->length > 0 && !is_host_name(*ret_host))
        return refuse(ret_error, "the host is neither a name nor an address");
    return true;
}

static bool parse_unix(struct cg_str path, struct cg_arena *arena, struct cg_address *ret_address,
                       const char **ret_error)
{
    if (!cg_str_starts_with(path, CG_STR("/")))
        return refuse(ret_error, "a UNIX socket needs an absolute path: unix:/run/name.sock");
    if (path.length >= sizeof((struct sockaddr_un){0}.sun_path))
        return refuse(ret_error, "the path of the UNIX socket is longer than 107 bytes");
    *ret_address = (struct cg_address){.kind = CG_ADDRESS_UNIX,
                                       .host = cg_option_text(CG_STR(""), arena),
                                       .path = cg_option_text(path, arena)};
    return true;
}

bool cg_address_parse(struct cg_str text, struct cg_arena *arena, struct cg_address *ret_address,
                      const char **ret_error)
{
    struct cg_str host, port;
    bool has_port;
    uint64_t number = 0;
    if (cg_str_starts_with(text, CG_STR("unix:")))
        return parse_unix(cg_str_skip(text, 5), arena, ret_address, ret_error);
    if (cg_str_starts_with(text, CG_STR("http://")) || cg_str_starts_with(text, CG_STR("https://")))
        return refuse(ret_error, "an address is written without http://: host:port");
    if (cg_str_to_u64(text, UINT16_MAX, &number))
        return refuse(ret_error, "a port alone is written with a colon before it: :8080");
    if (!split_host(text, &host, &port, &has_port, ret_error))
        return false;
    if (!has_port)
        return refuse(ret_error, "the port is missing: host:port, [v6]:port, :port or unix:/path");
    if (!cg_str_to_u64(port, UINT16_MAX, &number))
        return refuse(ret_error, "the port must be a number from 0 to 65535");
    *ret_address = (struct cg_address){
        .kind = CG_ADDRESS_TCP, .host = cg_option_text(host, arena), .port = (uint16_t)number};
    return true;
}

bool cg_address_eq(const struct cg_address *a, const struct cg_address *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == CG_ADDRESS_UNIX)
        return strcmp(a->path, b->path) == 0;
    return a->port == b->port && a->port != 0 &&
           cg_str_eq_ci(cg_str_from(a->host), cg_str_from(b->host));
}

struct cg_str cg_address_text(const struct cg_address *address, struct cg_arena *arena)
{
    if (address->kind == CG_ADDRESS_UNIX)
        return cg_arena_printf(arena, "unix:%s", address->path);
    bool brackets = strchr(address->host, ':') != NULL;
    return cg_arena_printf(arena, "%s%s%s:%u", brackets ? "[" : "", address->host,
                           brackets ? "]" : "", (unsigned)address->port);
}

/* What may stand in a path prefix: a target's path without escapes that need thought. */
static bool is_prefix(struct cg_str path)
{
    for (size_t i = 0; i < path.length; i++) {
        char c = path.bytes[i];
        if (!cg_is_alpha(c) && !cg_is_digit(c) && strchr("/-._~!$&'()*+,;=:@%", c) == NULL)
            return false;
        if (c == '%' && (i + 2 >= path.length || cg_hex_digit(path.bytes[i + 1]) < 0 ||
                         cg_hex_digit(path.bytes[i + 2]) < 0))
            return false;
    }
    return true;
}

bool cg_address_parse_upstream(struct cg_str url, struct cg_arena *arena,
                               struct cg_upstream_settings *ret_upstream, const char **ret_error)
{
    if (cg_str_starts_with(url, CG_STR("unix:"))) {
        if (!parse_unix(cg_str_skip(url, 5), arena, &ret_upstream->address, ret_error))
            return false;
        ret_upstream->tls = false;
        ret_upstream->authority = cg_option_text(CG_STR("localhost"), arena);
        ret_upstream->path_prefix = cg_option_text(CG_STR(""), arena);
        return true;
    }
    bool tls = cg_str_starts_with(url, CG_STR("https://"));
    if (!tls && !cg_str_starts_with(url, CG_STR("http://")))
        return refuse(ret_error, "expected http://host:port, https://host:port or unix:/path");
    struct cg_str rest = cg_str_skip(url, tls ? 8 : 7);
    size_t slash = cg_str_find(rest, '/');
    struct cg_str authority = cg_str_sub(rest, 0, slash), prefix = cg_str_skip(rest, slash);
    struct cg_str host, port;
    bool has_port;
    uint64_t number = tls ? 443 : 80;
    if (cg_str_find(url, '@') < url.length)
        return refuse(ret_error, "a user and password in the URL are not sent on: leave them out");
    if (cg_str_find(rest, '?') < rest.length || cg_str_find(rest, '#') < rest.length)
        return refuse(ret_error, "the URL of an upstream has no query and no fragment");
    if (!split_host(authority, &host, &port, &has_port, ret_error))
        return false;
    if (host.length == 0)
        return refuse(ret_error, "the URL names no host");
    if (has_port && (!cg_str_to_u64(port, UINT16_MAX, &number) || number == 0))
        return refuse(ret_error, "the port must be a number from 1 to 65535");
    while (cg_str_ends_with(prefix, CG_STR("/")))
        prefix.length--;
    if (!is_prefix(prefix))
        return refuse(ret_error, "the path in the URL has a character that must be escaped");
    ret_upstream->address = (struct cg_address){
        .kind = CG_ADDRESS_TCP, .host = cg_option_text(host, arena), .port = (uint16_t)number};
    ret_upstream->tls = tls;
    ret_upstream->authority = cg_option_text(authority, arena);
    ret_upstream->path_prefix = cg_option_text(prefix, arena);
    return true;
}

struct cg_str cg_address_masked(struct cg_str url, struct cg_arena *arena)
{
    size_t at = url.length, from = 0;
    while (at > 0 && url.bytes[at - 1] != '@')
        at--;
    if (at == 0)
        return url;
    for (size_t i = 0; i + 2 < at; i++)
        if (url.bytes[i] == '/' && url.bytes[i + 1] == '/') {
            from = i + 2;
            break;
        }
    struct cg_str before = cg_str_sub(url, 0, from), behind = cg_str_skip(url, at);
    return cg_arena_printf(arena, "%.*s***@%.*s", CG_STR_ARG(before), CG_STR_ARG(behind));
}
