#include "cachegate/http1_response.h"

#include "cachegate/assert.h"
#include "cachegate/http1_syntax.h"

enum {
    CHUNK_LINE_BYTES_MAX = 1024, /* size, extensions and CR LF */
    CHUNK_SIZE_DIGITS_MAX = 16,
    INTERIM_MAX = 16,
};

#define LENGTH_MAX ((uint64_t)INT64_MAX)

enum state {
    HEAD,
    NO_BODY,
    LENGTH,
    CHUNK_LINE,
    CHUNK_DATA,
    CHUNK_END,
    TRAILERS,
    OPEN_END,
    DONE,
    FAILED
};

/* What one step of the parser sees and gives. */
struct turn {
    struct cg_str rest; /* input not used yet */
    size_t used;        /* by this step */
    struct cg_str body;
    enum cg_http1_progress progress; /* when the step says to stop */
};

const char *cg_http1_error_text(enum cg_http1_error error)
{
    switch (error) {
    case CG_HTTP1_OK:
        return "no error";
    case CG_HTTP1_BAD_STATUS_LINE:
        return "the status line is malformed";
    case CG_HTTP1_BAD_FIELD:
        return "a field line is malformed";
    case CG_HTTP1_BAD_LENGTH:
        return "Content-Length is malformed, contradictory or beside Transfer-Encoding";
    case CG_HTTP1_BAD_CODING:
        return "Transfer-Encoding is something else than chunked";
    case CG_HTTP1_BAD_CHUNK:
        return "the chunked body is malformed";
    case CG_HTTP1_HEAD_TOO_LARGE:
        return "the head or the trailers are too large";
    case CG_HTTP1_UNEXPECTED_101:
        return "the upstream switched protocols unasked";
    case CG_HTTP1_CUT:
        return "the connection ended before the message did";
    case CG_HTTP1_STRAY_BYTES:
        return "bytes follow the complete message";
    }
    CG_UNREACHABLE();
}

void cg_http1_response_init(struct cg_http1_response *response, struct cg_arena *arena,
                            bool head_request, size_t head_bytes_max)
{
    *response = (struct cg_http1_response){
        .arena = arena,
        .head_request = head_request,
        .head_bytes_max = head_bytes_max,
        .state = HEAD,
    };
}

static bool stop(struct turn *turn, enum cg_http1_progress progress)
{
    turn->progress = progress;
    return true;
}

static bool fail(struct cg_http1_response *response, struct turn *turn, enum cg_http1_error error)
{
    response->state = FAILED;
    response->error = error;
    response->keep_alive = false;
    return stop(turn, CG_HTTP1_FAILED);
}

/* The lines of head and trailers, which count alike. False when one was found; else the turn ends.
 */
static bool ends_without_line(struct cg_http1_response *response, struct turn *turn,
                              enum cg_http1_line found)
{
    switch (found) {
    case CG_HTTP1_LINE_FOUND:
        return false;
    case CG_HTTP1_LINE_INCOMPLETE:
        return stop(turn, CG_HTTP1_NEEDS_MORE);
    case CG_HTTP1_LINE_BARE_LF:
        return fail(response, turn, CG_HTTP1_BAD_FIELD);
    case CG_HTTP1_LINE_TOO_LONG:
        return fail(response, turn, CG_HTTP1_HEAD_TOO_LARGE);
    }
    CG_UNREACHABLE();
}

static bool go_on(struct cg_http1_response *response, enum state state)
{
    response->state = state;
    return false;
}

/* `HTTP/1.x SP 3DIGIT [SP reason]` (RFC 9112 4). A missing second space has one meaning only. */
static bool parse_status_line(struct cg_http1_response *response, struct cg_str line,
                              bool *ret_minor_0)
{
    if (line.length < 12 || !cg_str_starts_with(line, CG_STR("HTTP/1.")) || line.bytes[8] != ' ')
        return false;
    char minor = line.bytes[7];
    uint64_t status;
    if ((minor != '0' && minor != '1') || !cg_str_to_u64(cg_str_sub(line, 9, 3), 999, &status))
        return false;
    if (status < 100 || (line.length > 12 && line.bytes[12] != ' '))
        return false;
    if (!cg_field_value_valid(cg_str_skip(line, 12)))
        return false;
    response->status = (unsigned)status;
    *ret_minor_0 = minor == '0';
    return true;
}

/* A copy of the lines behind the status line, which the fields point into; names are made
 * lower-case in it. */
static enum cg_http1_error parse_fields(struct cg_http1_response *response, struct cg_str head)
{
    struct cg_str line, name, value;
    char *own = cg_arena_alloc(response->arena, head.length);
    memcpy(own, head.bytes, head.length);
    head = cg_str_of(own, head.length);
    size_t connection_bytes = 0;
    while (cg_http1_line_next(&head, &line) && !cg_str_empty(line)) {
        if (!cg_http1_field_split(line, &name, &value))
            return CG_HTTP1_BAD_FIELD;
        if (cg_str_eq_ci(name, CG_STR("connection")))
            connection_bytes += value.length;
        if (connection_bytes > CG_CONNECTION_BYTES_MAX ||
            response->fields.count >= CG_FIELDS_MAX - CG_FIELDS_OWN)
            return CG_HTTP1_HEAD_TOO_LARGE;
        char *lower = own + (name.bytes - own);
        for (size_t i = 0; i < name.length; i++)
            lower[i] = cg_lower(lower[i]);
        if (!cg_fields_add(&response->fields, response->arena, name, value))
            return CG_HTTP1_HEAD_TOO_LARGE;
    }
    return CG_HTTP1_OK;
}

/* Equal lines are one length (RFC 9110 8.6); a list in one line is refused, equal or not. */
static bool parse_content_length(struct cg_http1_response *response)
{
    for (size_t i = 0; i < response->fields.count; i++) {
        const struct cg_field *field = &response->fields.items[i];
        uint64_t length;
        if (!cg_str_eq(field->name, CG_STR("content-length")))
            continue;
        if (!cg_str_to_u64(field->value, LENGTH_MAX, &length))
            return false;
        if (response->has_content_length && length != response->content_length)
            return false;
        response->has_content_length = true;
        response->content_length = length;
    }
    return true;
}

/* RFC 9112 6.3, in its order. */
static enum cg_http1_error decide_framing(struct cg_http1_response *response, bool minor_0)
{
    size_t codings = cg_fields_count(&response->fields, CG_STR("transfer-encoding"));
    if (!parse_content_length(response) || (codings > 0 && response->has_content_length))
        return CG_HTTP1_BAD_LENGTH;
    /* A 1.0 sender does not know the field: its framing is faulty (RFC 9112 6.1). */
    if (codings > 1 || (codings == 1 && minor_0))
        return CG_HTTP1_BAD_CODING;
    if (codings == 1 &&
        !cg_str_eq_ci(cg_fields_value(&response->fields, CG_STR("transfer-encoding")),
                      CG_STR("chunked")))
        return CG_HTTP1_BAD_CODING;
    unsigned status = response->status;
    if (response->head_request || status < 200 || status == 204 || status == 304)
        response->framing = CG_HTTP1_NO_BODY;
    else if (codings == 1)
        response->framing = CG_HTTP1_CHUNKED;
    else
        response->framing = response->has_content_length ? CG_HTTP1_LENGTH : CG_HTTP1_UNTIL_CLOSE;
    return CG_HTTP1_OK;
}

static void decide_keep_alive(struct cg_http1_response *response, bool minor_0)
{
    struct cg_str connection = CG_STR("connection");
    response->keep_alive =
        response->framing != CG_HTTP1_UNTIL_CLOSE &&
        !cg_fields_has_member(&response->fields, connection, CG_STR("close")) &&
        (!minor_0 || cg_fields_has_member(&response->fields, connection, CG_STR("keep-alive")));
}

static enum cg_http1_error parse_head(struct cg_http1_response *response, struct cg_str head)
{
    struct cg_str line;
    bool minor_0 = false;
    response->fields = (struct cg_fields){0};
    response->has_content_length = false;
    response->content_length = 0;
    if (!cg_http1_line_next(&head, &line) || !parse_status_line(response, line, &minor_0))
        return CG_HTTP1_BAD_STATUS_LINE;
    enum cg_http1_error error = parse_fields(response, head);
    if (error == CG_HTTP1_OK)
        error = decide_framing(response, minor_0);
    if (error == CG_HTTP1_OK)
        decide_keep_alive(response, minor_0);
    return error;
}

static enum state body_state(enum cg_http1_framing framing)
{
    switch (framing) {
    case CG_HTTP1_NO_BODY:
        return NO_BODY;
    case CG_HTTP1_LENGTH:
        return LENGTH;
    case CG_HTTP1_CHUNKED:
        return CHUNK_LINE;
    case CG_HTTP1_UNTIL_CLOSE:
        return OPEN_END;
    }
    CG_UNREACHABLE();
}

static bool read_head(struct cg_http1_response *response, struct turn *turn)
{
    struct cg_str head;
    size_t bytes_left = response->head_bytes_max - response->head_bytes;
    if (ends_without_line(response, turn, cg_http1_head_find(turn->rest, bytes_left, &head)))
        return true;
    enum cg_http1_error error = parse_head(response, head);
    if (error != CG_HTTP1_OK)
        return fail(response, turn, error);
    response->head_bytes += head.length;
    turn->used = head.length;
    if (response->status == 101)
        return fail(response, turn, CG_HTTP1_UNEXPECTED_101);
    if (response->status < 200) {
        /* The next head of the same exchange follows (RFC 9110 15.2). */
        if (++response->interim_count > INTERIM_MAX)
            return fail(response, turn, CG_HTTP1_HEAD_TOO_LARGE);
        return go_on(response, HEAD);
    }
    response->state = body_state(response->framing);
    response->body_left = response->framing == CG_HTTP1_LENGTH ? response->content_length : 0;
    return stop(turn, CG_HTTP1_HAS_HEAD);
}

static bool give_body(struct turn *turn, uint64_t length_max)
{
    size_t length = turn->rest.length;
    if (length > length_max)
        length = (size_t)length_max;
    turn->body = cg_str_sub(turn->rest, 0, length);
    turn->used = length;
    return stop(turn, length == 0 ? CG_HTTP1_NEEDS_MORE : CG_HTTP1_HAS_BODY);
}

/* Body bytes of a known number, then on to `next`. */
static bool read_counted(struct cg_http1_response *response, struct turn *turn, enum state next)
{
    if (response->body_left == 0)
        return go_on(response, next);
    give_body(turn, response->body_left);
    response->body_left -= turn->body.length;
    return true;
}

/* `1*HEXDIG [BWS ";" ...]` (RFC 9112 7.1). White space behind the digits is seen in the wild and
 * has one meaning; anything else there does not. Extensions are skipped. */
static bool parse_chunk_line(struct cg_str line, uint64_t *ret_size)
{
    uint64_t size = 0;
    size_t digits = 0;
    while (digits < line.length && cg_hex_digit(line.bytes[digits]) >= 0) {
        if (digits == CHUNK_SIZE_DIGITS_MAX || size > LENGTH_MAX >> 4)
            return false;
        size = size << 4 | (uint64_t)cg_hex_digit(line.bytes[digits]);
        digits++;
    }
    struct cg_str behind = cg_str_trim(cg_str_skip(line, digits));
    if (digits == 0 || !cg_field_value_valid(behind))
        return false;
    if (!cg_str_empty(behind) && behind.bytes[0] != ';')
        return false;
    *ret_size = size;
    return true;
}

static bool read_chunk_line(struct cg_http1_response *response, struct turn *turn)
{
    struct cg_str line;
    switch (cg_http1_line_find(turn->rest, CHUNK_LINE_BYTES_MAX, &line)) {
    case CG_HTTP1_LINE_FOUND:
        break;
    case CG_HTTP1_LINE_INCOMPLETE:
        return stop(turn, CG_HTTP1_NEEDS_MORE);
    case CG_HTTP1_LINE_BARE_LF:
    case CG_HTTP1_LINE_TOO_LONG:
        return fail(response, turn, CG_HTTP1_BAD_CHUNK);
    }
    if (!parse_chunk_line(line, &response->body_left))
        return fail(response, turn, CG_HTTP1_BAD_CHUNK);
    turn->used = line.length + 2;
    return go_on(response, response->body_left == 0 ? TRAILERS : CHUNK_DATA);
}

static bool read_chunk_end(struct cg_http1_response *response, struct turn *turn)
{
    struct cg_str end = cg_str_sub(turn->rest, 0, 2);
    if (!cg_str_starts_with(CG_STR("\r\n"), end))
        return fail(response, turn, CG_HTTP1_BAD_CHUNK);
    if (end.length < 2)
        return stop(turn, CG_HTTP1_NEEDS_MORE);
    turn->used = 2;
    return go_on(response, CHUNK_LINE);
}

/* One line per turn. Trailers count as head bytes; they are checked and dropped (RFC 9110 6.5.1).
 */
static bool read_trailer(struct cg_http1_response *response, struct turn *turn)
{
    struct cg_str line, name, value;
    size_t bytes_left = response->head_bytes_max - response->head_bytes;
    if (ends_without_line(response, turn, cg_http1_line_find(turn->rest, bytes_left, &line)))
        return true;
    if (!cg_str_empty(line) && !cg_http1_field_split(line, &name, &value))
        return fail(response, turn, CG_HTTP1_BAD_FIELD);
    turn->used = line.length + 2;
    response->head_bytes += turn->used;
    return go_on(response, cg_str_empty(line) ? DONE : TRAILERS);
}

static bool finish(struct cg_http1_response *response, struct turn *turn)
{
    if (!cg_str_empty(turn->rest)) {
        response->error = CG_HTTP1_STRAY_BYTES;
        response->keep_alive = false;
    }
    return stop(turn, CG_HTTP1_COMPLETE);
}

static bool take_turn(struct cg_http1_response *response, struct turn *turn)
{
    switch ((enum state)response->state) {
    case HEAD:
        return read_head(response, turn);
    case NO_BODY:
        return go_on(response, DONE);
    case LENGTH:
        return read_counted(response, turn, DONE);
    case CHUNK_LINE:
        return read_chunk_line(response, turn);
    case CHUNK_DATA:
        return read_counted(response, turn, CHUNK_END);
    case CHUNK_END:
        return read_chunk_end(response, turn);
    case TRAILERS:
        return read_trailer(response, turn);
    case OPEN_END:
        return give_body(turn, UINT64_MAX);
    case DONE:
        return finish(response, turn);
    case FAILED:
        return stop(turn, CG_HTTP1_FAILED);
    }
    CG_UNREACHABLE();
}

enum cg_http1_progress cg_http1_response_feed(struct cg_http1_response *response,
                                              struct cg_str input, size_t *ret_consumed,
                                              struct cg_str *ret_body)
{
    *ret_consumed = 0;
    for (;;) {
        struct turn turn = {.rest = cg_str_skip(input, *ret_consumed)};
        bool stopped = take_turn(response, &turn);
        CG_ASSERT(turn.used <= turn.rest.length);
        *ret_consumed += turn.used;
        if (stopped) {
            *ret_body = turn.body;
            return turn.progress;
        }
    }
}

enum cg_http1_progress cg_http1_response_end(struct cg_http1_response *response)
{
    response->keep_alive = false;
    if (response->state == FAILED)
        return CG_HTTP1_FAILED;
    if (response->state == DONE || response->state == NO_BODY || response->state == OPEN_END ||
        (response->state == LENGTH && response->body_left == 0)) {
        response->state = DONE;
        return CG_HTTP1_COMPLETE;
    }
    response->state = FAILED;
    response->error = CG_HTTP1_CUT;
    return CG_HTTP1_FAILED;
}
