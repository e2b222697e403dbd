#include "gateway/upstream/request_head.h"

#include "cachegate/http1_syntax.h"

/* No control byte and no space: either would end the part early. */
static bool is_one_word(struct cg_str s)
{
    for (size_t i = 0; i < s.length; i++) {
        unsigned char byte = (unsigned char)s.bytes[i];
        if (byte <= ' ' || byte == 0x7f)
            return false;
    }
    return s.length > 0;
}

/* Origin-form, or the asterisk-form of OPTIONS (RFC 9112 3.2). */
static bool add_target(struct cg_buf *out, struct cg_str prefix,
                       const struct cg_origin_request *request)
{
    struct cg_str target = request->target;
    if (!is_one_word(target) || (!cg_str_empty(prefix) && !is_one_word(prefix)))
        return false;
    if (cg_str_eq(target, CG_STR("*"))) {
        cg_buf_add_char(out, '*');
        return cg_str_eq(request->method, CG_STR("OPTIONS"));
    }
    if (target.bytes[0] != '/' || (!cg_str_empty(prefix) && prefix.bytes[0] != '/'))
        return false;
    cg_buf_add_str(out, prefix);
    cg_buf_add_str(out, target);
    return true;
}

/* What this module says itself; a second voice is how requests are smuggled. */
static bool is_ours(struct cg_str name)
{
    static const struct cg_str names[] = {
        {"host", 4}, {"content-length", 14}, {"transfer-encoding", 17}, {"connection", 10}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (cg_str_eq_ci(name, names[i]))
            return true;
    }
    return false;
}

static bool add_field(struct cg_buf *out, struct cg_str name, struct cg_str value)
{
    if (!cg_is_token(name) || !cg_field_value_valid(value))
        return false;
    cg_buf_add_str(out, name);
    cg_buf_add_text(out, ": ");
    cg_buf_add_str(out, value);
    cg_buf_add_text(out, "\r\n");
    return true;
}

/* About what the head will take, so that it grows once. */
static size_t length_of(const struct cg_origin_request *request)
{
    size_t length = request->method.length + request->target.length + request->authority.length;
    for (size_t i = 0; request->fields != NULL && i < request->fields->count; i++)
        length += request->fields->items[i].name.length + request->fields->items[i].value.length +
                  sizeof(": \r\n") - 1;
    return length + 256; /* prefix, version, Host and Content-Length */
}

bool cg_request_head_print(struct cg_buf *out, const struct cg_upstream_settings *settings,
                           const struct cg_origin_request *request)
{
    if (!cg_is_token(request->method))
        return false;
    cg_buf_reserve(out, length_of(request));
    cg_buf_add_str(out, request->method);
    cg_buf_add_char(out, ' ');
    if (!add_target(out, cg_str_from(settings->path_prefix), request))
        return false;
    cg_buf_add_text(out, " HTTP/1.1\r\n");

    /* A client of HTTP/1.0 may have named no host. */
    struct cg_str authority = settings->preserve_host && !cg_str_empty(request->authority)
                                  ? request->authority
                                  : cg_str_from(settings->authority);
    if (!is_one_word(authority) || !add_field(out, CG_STR("host"), authority))
        return false;
    for (size_t i = 0; request->fields != NULL && i < request->fields->count; i++) {
        const struct cg_field *field = &request->fields->items[i];
        if (is_ours(field->name) || !add_field(out, field->name, field->value))
            return false;
    }
    if (request->has_body) {
        cg_buf_add_text(out, "content-length: ");
        cg_buf_add_decimal(out, request->body.length);
        cg_buf_add_text(out, "\r\n");
    }
    cg_buf_add_text(out, "\r\n");
    return !out->overflowed;
}
