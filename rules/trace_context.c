#include "cachegate/trace_context.h"

/* 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 */
enum { TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53 };

/* Lower case only: 0..15, or -1. */
static int digit_of(char c)
{
    if (cg_is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct cg_str text, size_t at, uint8_t *ret_bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int high = digit_of(text.bytes[at + 2 * i]), low = digit_of(text.bytes[at + 2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++)
        any |= bytes[i];
    return any == 0;
}

bool cg_traceparent_parse(struct cg_str text, struct cg_trace *ret_trace)
{
    struct cg_trace trace;
    uint8_t version;
    if (text.length < CG_TRACEPARENT_LENGTH || text.length > CG_TRACE_FIELD_MAX)
        return false;
    if (text.bytes[TRACE_AT - 1] != '-' || text.bytes[SPAN_AT - 1] != '-' ||
        text.bytes[FLAGS_AT - 1] != '-')
        return false;
    if (!read_hex(text, 0, &version, 1) || version == 0xff ||
        !read_hex(text, TRACE_AT, trace.trace_id, sizeof(trace.trace_id)) ||
        !read_hex(text, SPAN_AT, trace.span_id, sizeof(trace.span_id)) ||
        !read_hex(text, FLAGS_AT, &trace.flags, 1))
        return false;
    if (text.length > CG_TRACEPARENT_LENGTH &&
        (version == 0 || text.bytes[CG_TRACEPARENT_LENGTH] != '-'))
        return false;
    if (is_zero(trace.trace_id, sizeof(trace.trace_id)) ||
        is_zero(trace.span_id, sizeof(trace.span_id)))
        return false;
    trace.flags &= CG_TRACE_SAMPLED | CG_TRACE_RANDOM; /* others must be passed on as zero */
    *ret_trace = trace;
    return true;
}

static char *put_hex(char *to, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    return to;
}

struct cg_str cg_traceparent_print(const struct cg_trace *trace,
                                   char ret_text[CG_TRACEPARENT_LENGTH])
{
    static const uint8_t version = 0;
    char *to = put_hex(ret_text, &version, 1);
    *to++ = '-';
    to = put_hex(to, trace->trace_id, sizeof(trace->trace_id));
    *to++ = '-';
    to = put_hex(to, trace->span_id, sizeof(trace->span_id));
    *to++ = '-';
    put_hex(to, &trace->flags, 1);
    return cg_str_of(ret_text, CG_TRACEPARENT_LENGTH);
}

bool cg_trace_of_fields(const struct cg_fields *fields, struct cg_trace *ret_trace)
{
    struct cg_str name = CG_STR("traceparent");
    const struct cg_field *field = cg_fields_find(fields, name);
    return field != NULL && cg_fields_count(fields, name) == 1 &&
           cg_traceparent_parse(field->value, ret_trace);
}

static void put_bits(uint8_t *to, uint64_t bits)
{
    for (size_t i = 0; i < 8; i++)
        to[i] = (uint8_t)(bits >> (8 * (7 - i)));
}

void cg_trace_draw(struct cg_trace *trace, uint64_t high, uint64_t low)
{
    put_bits(trace->trace_id, high);
    put_bits(trace->trace_id + 8, low == 0 ? 1 : low);
}

void cg_trace_draw_span(struct cg_trace *trace, uint64_t bits)
{
    put_bits(trace->span_id, bits == 0 ? 1 : bits);
}
