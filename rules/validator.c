#include "cachegate/validator.h"

#include "cachegate/httpdate.h"

enum { MS_PER_S = 1000 };

/* RFC 9110 8.8.3, etagc. A backslash is one of them and escapes nothing. */
static bool is_etag_char(char c)
{
    unsigned char u = (unsigned char)c;
    return u == 0x21 || (u >= 0x23 && u <= 0x7e) || u >= 0x80;
}

bool cg_etag_take(struct cg_str *rest, struct cg_etag *ret_etag)
{
    struct cg_str whole = *rest;
    bool weak = cg_str_starts_with(whole, CG_STR("W/"));
    size_t start = weak ? 2 : 0, end = start + 1;
    if (start >= whole.length || whole.bytes[start] != '"')
        return false;
    while (end < whole.length && is_etag_char(whole.bytes[end]))
        end++;
    if (end == whole.length || whole.bytes[end] != '"')
        return false;
    *ret_etag = (struct cg_etag){
        .text = cg_str_sub(whole, 0, end + 1),
        .opaque = cg_str_sub(whole, start, end + 1 - start),
        .weak = weak,
    };
    *rest = cg_str_skip(whole, end + 1);
    return true;
}

bool cg_etag_parse(struct cg_str text, struct cg_etag *ret_etag)
{
    struct cg_str rest = text;
    struct cg_etag etag;
    if (!cg_etag_take(&rest, &etag) || !cg_str_empty(rest))
        return false;
    *ret_etag = etag;
    return true;
}

bool cg_etag_weak_eq(const struct cg_etag *a, const struct cg_etag *b)
{
    return cg_str_eq(a->opaque, b->opaque);
}

bool cg_etag_strong_eq(const struct cg_etag *a, const struct cg_etag *b)
{
    return !a->weak && !b->weak && cg_etag_weak_eq(a, b);
}

bool cg_etag_of(const struct cg_fields *fields, struct cg_etag *ret_etag)
{
    return cg_fields_count(fields, CG_STR("etag")) == 1 &&
           cg_etag_parse(cg_fields_value(fields, CG_STR("etag")), ret_etag);
}

bool cg_date_of(const struct cg_fields *fields, struct cg_str name, int64_t now_ms,
                int64_t *ret_seconds)
{
    return cg_fields_count(fields, name) == 1 &&
           cg_httpdate_parse(cg_fields_value(fields, name), now_ms / MS_PER_S, ret_seconds);
}

bool cg_has_validator(const struct cg_fields *fields, int64_t now_ms)
{
    struct cg_etag etag;
    int64_t modified_s;
    return cg_etag_of(fields, &etag) ||
           cg_date_of(fields, CG_STR("last-modified"), now_ms, &modified_s);
}
