#include "gateway/request/access_line.h"

#include "cachegate/assert.h"

/* How long values may be as they are written. All together fit into a line, with the names. */
enum {
    TARGET_MAX = 1700,
    REFERER_MAX = 600,
    AGENT_MAX = 400,
    HOST_MAX = 256,
    ROUTE_MAX = 160,
    UPSTREAM_MAX = 64,
    CLIENT_MAX = 64,
    WORD_MAX = 32,
    URL_READ_MAX = 8192, /* of a longer one the beginning is masked and shown */
};

enum { CLIENT_LEFT = 499 };

void cg_access_line_init(struct cg_access_line *line, const struct cg_access_style *style)
{
    *line = (struct cg_access_line){.style = *style};
    cg_buf_init(&line->text, CG_ACCESS_LINE_MAX);
    cg_buf_init(&line->scratch, (size_t)8 * URL_READ_MAX);
}

void cg_access_line_fini(struct cg_access_line *line)
{
    cg_buf_fini(&line->text);
    cg_buf_fini(&line->scratch);
}

/* Appends to the scratch. */
static void add_masked(struct cg_access_line *line, struct cg_str url)
{
    cg_mask_url(&line->style.mask, cg_str_sub(url, 0, URL_READ_MAX), &line->scratch);
}

static struct cg_str masked(struct cg_access_line *line, struct cg_str url)
{
    cg_buf_clear(&line->scratch);
    add_masked(line, url);
    return cg_buf_str(&line->scratch);
}

/* Whatever stands for a user in front of it is none of ours to show. */
static struct cg_str host_of(const struct cg_request_record *record)
{
    struct cg_str rest = record->authority, host = rest;
    while (cg_str_split(&rest, '@', &host))
        ;
    return host;
}

static struct cg_str field_of(const struct cg_request_record *record, struct cg_str name)
{
    return record->fields == NULL ? CG_STR("") : cg_fields_value(record->fields, name);
}

/* What is behind it is not shown anyway. */
static struct cg_str agent_of(const struct cg_request_record *record)
{
    return cg_str_sub(field_of(record, CG_STR("user-agent")), 0, AGENT_MAX);
}

static struct cg_str protocol_of(const struct cg_request_record *record)
{
    switch (record->protocol) {
    case 10:
        return CG_STR("HTTP/1.0");
    case 11:
        return CG_STR("HTTP/1.1");
    case 20:
        return CG_STR("HTTP/2.0");
    default: /* of the numbers that a front may bring */
        return CG_STR("");
    }
}

/* ---- JSON ---- */

/* What stands in front of a member's value: in one piece, since there are two dozen in a line. */
#define NAME(name) CG_STR(",\"" name "\":")

static void text(struct cg_access_line *line, struct cg_str name, struct cg_str value,
                 size_t bytes_max)
{
    if (cg_str_empty(value))
        return;
    cg_buf_add_str(&line->text, name);
    cg_json_string_print(&line->text, value, bytes_max);
}

static void number(struct cg_access_line *line, struct cg_str name, uint64_t value)
{
    cg_buf_add_str(&line->text, name);
    cg_decimal_print(&line->text, value);
}

static void duration(struct cg_access_line *line, struct cg_str name, uint64_t microseconds)
{
    cg_buf_add_str(&line->text, name);
    cg_milliseconds_print(&line->text, microseconds);
}

static void hex(struct cg_access_line *line, struct cg_str name, const uint8_t *bytes, size_t count)
{
    cg_buf_add_str(&line->text, name);
    cg_buf_add_char(&line->text, '"');
    cg_hex_print(&line->text, bytes, count);
    cg_buf_add_char(&line->text, '"');
}

static void print_request(struct cg_access_line *line, const struct cg_request_record *record)
{
    cg_buf_add_text(&line->text, "{\"time\":\"");
    cg_rfc3339_print(&line->text, &line->second, record->started_ms);
    cg_buf_add_char(&line->text, '"');
    text(line, NAME("client"), record->peer, CLIENT_MAX);
    text(line, NAME("method"), record->method, WORD_MAX);
    text(line, NAME("scheme"), record->scheme, WORD_MAX);
    text(line, NAME("host"), host_of(record), HOST_MAX);
    text(line, NAME("path"), masked(line, record->target), TARGET_MAX);
    text(line, NAME("protocol"), protocol_of(record), WORD_MAX);
    number(line, NAME("status"), record->status);
    cg_buf_add_str(&line->text,
                   record->complete ? CG_STR(",\"complete\":true") : CG_STR(",\"complete\":false"));
    number(line, NAME("bytes_in"), record->request_body_bytes);
    number(line, NAME("bytes_out"), record->response_body_bytes);
    duration(line, NAME("duration_ms"), record->duration_us);
    if (record->head_us > 0)
        duration(line, NAME("first_byte_ms"), record->head_us);
    if (record->store_us > 0)
        duration(line, NAME("store_ms"), record->store_us);
}

static void print_decision(struct cg_access_line *line, const struct cg_request_record *record)
{
    const struct cg_access_style *style = &line->style;
    if (record->route != NULL)
        text(line, NAME("route"), record->route->name, ROUTE_MAX);
    text(line, NAME("cache"), cg_str_from(cg_result_word(record->result)), WORD_MAX);
    text(line, NAME("reason"), cg_str_from(cg_reason_word(record->reason)), WORD_MAX);
    if (record->has_key)
        hex(line, NAME("key"), record->key_id, sizeof(record->key_id));
    if (record->upstream < 0)
        return;
    size_t upstream = (size_t)record->upstream;
    text(line, NAME("upstream"),
         upstream < style->upstream_count ? style->upstreams[upstream] : CG_STR("?"), UPSTREAM_MAX);
    if (record->upstream_status > 0)
        number(line, NAME("upstream_status"), record->upstream_status);
    duration(line, NAME("upstream_ms"), record->upstream_us);
}

static void print_trace(struct cg_access_line *line, const struct cg_request_record *record)
{
    if (record->trace != NULL)
        hex(line, NAME("trace_id"), record->trace->trace_id, sizeof(record->trace->trace_id));
    if (record->trace != NULL && record->upstream >= 0 && record->fetch_trace == NULL)
        hex(line, NAME("span_id"), record->trace->span_id, sizeof(record->trace->span_id));
    if (record->fetch_trace != NULL)
        hex(line, NAME("fetch_trace_id"), record->fetch_trace->trace_id,
            sizeof(record->fetch_trace->trace_id));
}

static void print_json(struct cg_access_line *line, const struct cg_request_record *record)
{
    print_request(line, record);
    print_decision(line, record);
    print_trace(line, record);
    text(line, NAME("user_agent"), masked(line, agent_of(record)), AGENT_MAX);
    text(line, NAME("referer"), masked(line, field_of(record, CG_STR("referer"))), REFERER_MAX);
    cg_buf_add_text(&line->text, "}\n");
}

/* ---- combined ---- */

static struct cg_str or_dash(struct cg_str value)
{
    return cg_str_empty(value) ? CG_STR("-") : value;
}

/* Without quotes around it, so that nothing in it may look like the next member. */
static void add_word(struct cg_access_line *line, struct cg_str value)
{
    value = cg_str_sub(or_dash(value), 0, CLIENT_MAX);
    for (size_t i = 0; i < value.length; i++) {
        char c = value.bytes[i];
        cg_buf_add_char(&line->text, c > ' ' && c < 0x7f && c != '"' ? c : '?');
    }
}

static void print_combined(struct cg_access_line *line, const struct cg_request_record *record)
{
    struct cg_buf *out = &line->text;
    add_word(line, record->peer);
    cg_buf_add_text(out, " - - [");
    cg_clf_date_print(out, &line->second, record->started_ms);
    cg_buf_add_text(out, "] ");
    cg_buf_clear(&line->scratch);
    cg_buf_add_str(&line->scratch, or_dash(cg_str_sub(record->method, 0, WORD_MAX)));
    cg_buf_add_char(&line->scratch, ' ');
    add_masked(line, or_dash(record->target));
    cg_buf_add_char(&line->scratch, ' ');
    cg_buf_add_str(&line->scratch, or_dash(protocol_of(record)));
    cg_quoted_print(out, cg_buf_str(&line->scratch), TARGET_MAX + 2 * WORD_MAX);
    cg_buf_add_char(out, ' ');
    cg_decimal_print(out, record->status == 0 ? CLIENT_LEFT : record->status);
    cg_buf_add_char(out, ' ');
    cg_decimal_print(out, record->response_body_bytes);
    cg_buf_add_char(out, ' ');
    cg_quoted_print(out, or_dash(masked(line, field_of(record, CG_STR("referer")))), REFERER_MAX);
    cg_buf_add_char(out, ' ');
    cg_quoted_print(out, or_dash(masked(line, agent_of(record))), AGENT_MAX);
    cg_buf_add_char(out, '\n');
}

struct cg_str cg_access_line_print(struct cg_access_line *line,
                                   const struct cg_request_record *record)
{
    cg_buf_clear(&line->text);
    switch (line->style.format) {
    case CG_ACCESS_JSON:
        print_json(line, record);
        break;
    case CG_ACCESS_COMBINED:
        print_combined(line, record);
        break;
    }
    CG_ASSERT(!line->text.overflowed);
    return cg_buf_str(&line->text);
}
