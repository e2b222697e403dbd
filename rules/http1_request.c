#include "cachegate/http1_request.h"

#include "cachegate/assert.h"
#include "cachegate/http1_syntax.h"

enum { HOST_BYTES_MAX = 255, PORT_MAX = 65535, IPV6_GROUPS = 8 };

static const struct {
    unsigned status;
    const char *text;
} refusals[] = {
    [CG_REFUSED_NOT] = {0, "the request is sound"},
    [CG_REFUSED_HEAD] = {400, "the request head has no end, or another one than was read before"},
    [CG_REFUSED_BARE_LF] = {400, "a line of the request head ends with LF alone"},
    [CG_REFUSED_REQUEST_LINE] = {400, "the request line is not method, target and version"},
    [CG_REFUSED_VERSION] = {505, "the version is neither HTTP/1.1 nor HTTP/1.0"},
    [CG_REFUSED_METHOD] = {400, "the method is not a token"},
    [CG_REFUSED_CONNECT] = {501, "CONNECT is not offered"},
    [CG_REFUSED_TRACE] = {405, "TRACE is not offered"},
    [CG_REFUSED_ABSOLUTE_FORM] = {400, "the request target is a whole URL; send the path"},
    [CG_REFUSED_TARGET] = {400, "the request target is not a path of visible ASCII"},
    [CG_REFUSED_FOLDED_LINE] = {400, "a field line is folded"},
    [CG_REFUSED_FIELD_NAME] = {400, "a field name is not a token followed by a colon"},
    [CG_REFUSED_FIELD_VALUE] = {400, "a field value has control bytes or white space around it"},
    [CG_REFUSED_NO_HOST] = {400, "the request names no host"},
    [CG_REFUSED_SEVERAL_HOSTS] = {400, "the request names more than one host"},
    [CG_REFUSED_HOST] = {400, "the host is not a name or address with an optional port"},
    [CG_REFUSED_LENGTH] = {400, "Content-Length is not a number"},
    [CG_REFUSED_SEVERAL_LENGTHS] = {400, "Content-Length is given more than once"},
    [CG_REFUSED_LENGTH_AND_CODING] = {400, "Content-Length stands beside Transfer-Encoding"},
    [CG_REFUSED_CODING] = {501, "Transfer-Encoding is something else than chunked"},
    [CG_REFUSED_CONNECTION_LENGTH] = {400, "Connection is far too long"},
    [CG_REFUSED_CONNECTION_FIELD] = {400, "HTTP/2 has no such connection-specific field"},
    [CG_REFUSED_TE] = {400, "TE is something else than trailers"},
};

const char *cg_http1_refusal_text(enum cg_http1_refusal refusal)
{
    CG_ASSERT((size_t)refusal < sizeof refusals / sizeof refusals[0]);
    return refusals[refusal].text;
}

unsigned cg_http1_refusal_status(enum cg_http1_refusal refusal)
{
    CG_ASSERT((size_t)refusal < sizeof refusals / sizeof refusals[0]);
    return refusals[refusal].status;
}

/* Visible ASCII without space, and no fragment. */
static bool is_target_text(struct cg_str target)
{
    const unsigned bad = CG_BYTE_CONTROL | CG_BYTE_BLANK | CG_BYTE_HIGH | CG_BYTE_FRAGMENT;
    return target.length > 0 && (cg_str_classes(target) & bad) == 0;
}

bool cg_target_valid(struct cg_str target)
{
    return is_target_text(target) && target.bytes[0] == '/';
}

static bool is_ipv4(struct cg_str text)
{
    struct cg_str part;
    size_t parts = 0;
    uint64_t value;
    for (; cg_str_split(&text, '.', &part); parts++)
        if (part.length > 3 || !cg_str_to_u64(part, 255, &value))
            return false;
    return parts == 4;
}

/* RFC 3986 3.2.2, IPv6address: groups between colons, one `::`, an IPv4 address at the end. */
static bool is_ipv6(struct cg_str text)
{
    size_t groups = 0;
    bool compressed = cg_str_starts_with(text, CG_STR("::"));
    struct cg_str rest = compressed ? cg_str_skip(text, 2) : text;
    while (rest.length > 0) {
        size_t end = cg_str_find(rest, ':');
        struct cg_str group = cg_str_sub(rest, 0, end);
        if (end == rest.length && is_ipv4(group)) {
            groups += 2;
            break;
        }
        if (group.length == 0 || group.length > 4)
            return false;
        for (size_t i = 0; i < group.length; i++)
            if (cg_hex_digit(group.bytes[i]) < 0)
                return false;
        groups++;
        if (end == rest.length)
            break;
        rest = cg_str_skip(rest, end + 1);
        if (rest.length == 0)
            return false; /* a single colon at the end */
        if (rest.bytes[0] == ':') {
            if (compressed)
                return false;
            compressed = true;
            rest = cg_str_skip(rest, 1);
        }
    }
    return compressed ? groups < IPV6_GROUPS : groups == IPV6_GROUPS;
}

static bool is_host_name(struct cg_str name)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = name.bytes[i];
        if (!cg_is_digit(c) && !cg_is_alpha(c) && c != '-' && c != '.' && c != '_' && c != '~')
            return false;
        if (c == '.' && (i == 0 || name.bytes[i - 1] == '.')) /* a label is never empty */
            return false;
    }
    return name.length > 0 && name.length <= HOST_BYTES_MAX;
}

bool cg_authority_valid(struct cg_str authority)
{
    struct cg_str port;
    uint64_t number;
    if (cg_str_starts_with(authority, CG_STR("["))) {
        size_t end = cg_str_find(authority, ']');
        if (end == authority.length || !is_ipv6(cg_str_sub(authority, 1, end - 1)))
            return false;
        port = cg_str_skip(authority, end + 1);
    } else {
        size_t end = cg_str_find(authority, ':');
        if (!is_host_name(cg_str_sub(authority, 0, end)))
            return false;
        port = cg_str_skip(authority, end);
    }
    if (cg_str_empty(port))
        return true;
    return port.bytes[0] == ':' && port.length <= 6 &&
           cg_str_to_u64(cg_str_skip(port, 1), PORT_MAX, &number);
}

static enum cg_http1_refusal check_method(struct cg_str method)
{
    if (!cg_is_token(method))
        return CG_REFUSED_METHOD;
    /* Without case: an upstream that folds it must not be handed one. */
    if (cg_str_eq_ci(method, CG_STR("CONNECT")))
        return CG_REFUSED_CONNECT;
    if (cg_str_eq_ci(method, CG_STR("TRACE")))
        return CG_REFUSED_TRACE;
    return CG_REFUSED_NOT;
}

/* `scheme "://"` at the start (RFC 3986 3). */
static bool is_absolute_form(struct cg_str target)
{
    size_t colon = cg_str_find(target, ':');
    for (size_t i = 0; i < colon; i++) {
        char c = target.bytes[i];
        if (!cg_is_alpha(c) && !cg_is_digit(c) && c != '+' && c != '-' && c != '.')
            return false;
    }
    return cg_str_starts_with(cg_str_skip(target, colon), CG_STR("://"));
}

static enum cg_http1_refusal check_target(struct cg_str method, struct cg_str target)
{
    if (cg_target_valid(target))
        return CG_REFUSED_NOT;
    if (cg_str_eq(target, CG_STR("*")) && cg_str_eq(method, CG_STR("OPTIONS")))
        return CG_REFUSED_NOT;
    return is_absolute_form(target) ? CG_REFUSED_ABSOLUTE_FORM : CG_REFUSED_TARGET;
}

static enum cg_http1_refusal check_request_line(struct cg_str line,
                                                struct cg_http1_request_line *ret)
{
    size_t first = cg_str_find(line, ' ');
    struct cg_str rest = cg_str_skip(line, first + 1);
    size_t second = cg_str_find(rest, ' ');
    if (first == line.length || second == rest.length)
        return CG_REFUSED_REQUEST_LINE;
    ret->method = cg_str_sub(line, 0, first);
    ret->target = cg_str_sub(rest, 0, second);
    struct cg_str version = cg_str_skip(rest, second + 1);
    enum cg_http1_refusal refusal = check_method(ret->method);
    if (refusal != CG_REFUSED_NOT)
        return refusal;
    if (cg_str_eq(version, CG_STR("HTTP/1.1")))
        ret->minor = 1;
    else if (cg_str_eq(version, CG_STR("HTTP/1.0")))
        ret->minor = 0;
    else /* a third space makes a target with a space, not a version */
        return cg_str_find(version, ' ') < version.length ? CG_REFUSED_REQUEST_LINE
                                                          : CG_REFUSED_VERSION;
    return check_target(ret->method, ret->target);
}

/* How often the fields that decide about framing and routing were seen. */
struct seen {
    size_t hosts, lengths, codings, connection_bytes;
    bool chunked;
};

static enum cg_http1_refusal check_field_line(struct cg_str line, struct seen *seen,
                                              struct cg_http1_request_line *ret)
{
    struct cg_str name, value;
    if (line.bytes[0] == ' ' || line.bytes[0] == '\t')
        return CG_REFUSED_FOLDED_LINE;
    if (!cg_http1_field_split(line, &name, &value)) {
        size_t colon = cg_str_find(line, ':');
        bool named = colon < line.length && cg_is_token(cg_str_sub(line, 0, colon));
        return named ? CG_REFUSED_FIELD_VALUE : CG_REFUSED_FIELD_NAME;
    }
    if (cg_str_eq_ci(name, CG_STR("host"))) {
        seen->hosts++;
        ret->host = value;
    } else if (cg_str_eq_ci(name, CG_STR("content-length"))) {
        seen->lengths++;
        if (!cg_str_to_u64(value, INT64_MAX, &ret->content_length))
            return CG_REFUSED_LENGTH;
    } else if (cg_str_eq_ci(name, CG_STR("transfer-encoding"))) {
        seen->codings++;
        seen->chunked = cg_str_eq_ci(value, CG_STR("chunked"));
    } else if (cg_str_eq_ci(name, CG_STR("connection"))) {
        seen->connection_bytes += value.length;
        if (seen->connection_bytes > CG_CONNECTION_BYTES_MAX)
            return CG_REFUSED_CONNECTION_LENGTH;
    }
    return CG_REFUSED_NOT;
}

static enum cg_http1_refusal check_seen(const struct seen *seen, struct cg_http1_request_line *ret)
{
    if (seen->hosts > 1)
        return CG_REFUSED_SEVERAL_HOSTS;
    if (seen->hosts == 0 && ret->minor == 1)
        return CG_REFUSED_NO_HOST;
    if (seen->hosts == 1 && !cg_authority_valid(ret->host))
        return CG_REFUSED_HOST;
    if (seen->lengths > 0 && seen->codings > 0)
        return CG_REFUSED_LENGTH_AND_CODING;
    if (seen->lengths > 1)
        return CG_REFUSED_SEVERAL_LENGTHS;
    /* An HTTP/1.0 sender does not know the field: its framing is faulty (RFC 9112 6.1). */
    if (seen->codings > 1 || (seen->codings == 1 && (!seen->chunked || ret->minor == 0)))
        return CG_REFUSED_CODING;
    ret->has_content_length = seen->lengths == 1;
    ret->chunked = seen->codings == 1;
    return CG_REFUSED_NOT;
}

enum cg_http1_refusal cg_http1_request_check(struct cg_str head,
                                             struct cg_http1_request_line *ret_line)
{
    struct cg_http1_request_line found = {0};
    struct seen seen = {0};
    struct cg_str whole, line;
    /* One empty line may come before (RFC 9112 2.2); libh2o skips it too. */
    size_t skipped = cg_str_starts_with(head, CG_STR("\r\n")) ? 2 : 0;
    head = cg_str_skip(head, skipped);
    switch (cg_http1_head_find(head, head.length, &whole)) {
    case CG_HTTP1_LINE_FOUND:
        break;
    case CG_HTTP1_LINE_BARE_LF:
        return CG_REFUSED_BARE_LF;
    case CG_HTTP1_LINE_INCOMPLETE:
    case CG_HTTP1_LINE_TOO_LONG:
        return CG_REFUSED_HEAD;
    }
    found.head_length = skipped + whole.length;
    bool has_line = cg_http1_line_next(&whole, &line);
    CG_ASSERT(has_line);
    enum cg_http1_refusal refusal = check_request_line(line, &found);
    while (refusal == CG_REFUSED_NOT && cg_http1_line_next(&whole, &line) && !cg_str_empty(line))
        refusal = check_field_line(line, &seen, &found);
    if (refusal == CG_REFUSED_NOT)
        refusal = check_seen(&seen, &found);
    if (refusal == CG_REFUSED_NOT)
        *ret_line = found;
    return refusal;
}

static bool is_lower_token(struct cg_str name)
{
    return name.length > 0 && (cg_str_classes(name) & (CG_BYTE_OTHER | CG_BYTE_UPPER)) == 0;
}

/* RFC 9113 8.2.2. */
static bool is_connection_specific(struct cg_str name)
{
    return cg_str_eq(name, CG_STR("connection")) || cg_str_eq(name, CG_STR("keep-alive")) ||
           cg_str_eq(name, CG_STR("proxy-connection")) ||
           cg_str_eq(name, CG_STR("transfer-encoding")) || cg_str_eq(name, CG_STR("upgrade"));
}

static enum cg_http1_refusal check_part(const struct cg_field *field, struct cg_str authority)
{
    uint64_t length;
    if (!is_lower_token(field->name))
        return CG_REFUSED_FIELD_NAME;
    if (!cg_field_value_valid(field->value) ||
        cg_str_trim(field->value).length != field->value.length)
        return CG_REFUSED_FIELD_VALUE;
    if (is_connection_specific(field->name))
        return CG_REFUSED_CONNECTION_FIELD;
    if (cg_str_eq(field->name, CG_STR("te")) && !cg_str_eq_ci(field->value, CG_STR("trailers")))
        return CG_REFUSED_TE;
    if (cg_str_eq(field->name, CG_STR("host")) && !cg_str_eq_ci(field->value, authority))
        return CG_REFUSED_SEVERAL_HOSTS;
    if (cg_str_eq(field->name, CG_STR("content-length")) &&
        !cg_str_to_u64(field->value, INT64_MAX, &length))
        return CG_REFUSED_LENGTH;
    return CG_REFUSED_NOT;
}

enum cg_http1_refusal cg_http_request_refusal_of_parts(struct cg_str method, struct cg_str target,
                                                       struct cg_str authority,
                                                       const struct cg_fields *fields)
{
    enum cg_http1_refusal refusal = check_method(method);
    if (refusal == CG_REFUSED_NOT)
        refusal = check_target(method, target);
    if (refusal != CG_REFUSED_NOT)
        return refusal;
    if (cg_str_empty(authority))
        return CG_REFUSED_NO_HOST;
    if (!cg_authority_valid(authority))
        return CG_REFUSED_HOST;
    for (size_t i = 0; i < fields->count && refusal == CG_REFUSED_NOT; i++)
        refusal = check_part(&fields->items[i], authority);
    if (refusal == CG_REFUSED_NOT && cg_fields_count(fields, CG_STR("content-length")) > 1)
        return CG_REFUSED_SEVERAL_LENGTHS;
    return refusal;
}
