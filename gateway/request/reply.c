/*
 * What a client is told: a flight's answer, a stored one, or one of our own. After each call into
 * the client port the client may be gone.
 */
#include <stdio.h>

#include "gateway/request/machine.h"

enum { BOUNDARY_LENGTH = 32 };

/* RFC 9209 2.3 names, by outcome. */
static const struct {
    enum cg_origin_outcome outcome;
    unsigned status;
    const char *proxy_error;
    const char *sentence;
} failures[] = {
    {CG_ORIGIN_UNRESOLVED, 502, "dns_error", "the upstream's name has no address"},
    {CG_ORIGIN_REFUSED, 502, "connection_refused", "the upstream refused the connection"},
    {CG_ORIGIN_CONNECT_TIMEOUT, 504, "connection_timeout", "the upstream did not accept in time"},
    {CG_ORIGIN_TLS_FAILED, 502, "tls_protocol_error", "no trusted TLS connection to the upstream"},
    {CG_ORIGIN_QUEUE_FULL, 503, "connection_limit_reached",
     "too many requests wait for the upstream"},
    {CG_ORIGIN_FIRST_BYTE_TIMEOUT, 504, "http_response_timeout",
     "the upstream did not answer in time"},
    {CG_ORIGIN_BETWEEN_BYTES_TIMEOUT, 504, "connection_read_timeout", "the upstream stalled"},
    {CG_ORIGIN_TOTAL_TIMEOUT, 504, "http_response_timeout", "the upstream took too long"},
    {CG_ORIGIN_BAD_ANSWER, 502, "http_protocol_error", "the upstream's answer is not valid HTTP"},
    {CG_ORIGIN_CUT, 502, "http_response_incomplete", "the upstream cut its answer short"},
};

static void begin(struct cg_request *request, const struct cg_reply_head *head)
{
    CG_ASSERT(!request->reply_begun && request->client != NULL);
    request->reply_begun = true;
    cg_request_note_head(request, head->status);
    /* Before the client is told: whoever has an answer finds it counted. */
    cg_count_reason(request->machine->sheet, request->reason);
    request->client->port->begin(request->client, head);
}

static void end(struct cg_request *request, struct cg_str bytes)
{
    request->reply_ended = true;
    if (request->client == NULL)
        return;
    request->client_busy = true;
    request->client->port->send(request->client, bytes, true);
}

/* The name in the store: a keyed digest, which tells of identities no more than that they differ.
 */
static struct cg_str key_of(struct cg_request *request)
{
    static const char digits[] = "0123456789abcdef";
    if (!request->regime->shows_keys || request->plan.kind != CG_PLAN_LOOKUP)
        return CG_STR("");
    char *text = cg_arena_alloc(&request->arena, 2 * CG_DIGEST_BYTES);
    for (size_t i = 0; i < 2 * CG_DIGEST_BYTES; i++)
        text[i] = digits[request->variant_key.id[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
    return cg_str_of(text, 2 * CG_DIGEST_BYTES);
}

static bool removes_groups(const struct cg_request *request)
{
    return request->plan.route != NULL && request->plan.route->groups == CG_GROUPS_REMOVE;
}

static struct cg_reply_facts facts_of_flight(struct cg_request *request)
{
    const struct cg_flight *flight = request->flight;
    const struct cg_storable *storable = &flight->storable;
    struct cg_reply_facts facts = {
        .reason = request->reason,
        .not_stored = storable->reason,
        .stored_expired = storable->store_expired,
        .detail = request->plan.detail,
        .collapsed = request->collapsed,
        .received_at_ms = flight->head_at_ms,
        .key = key_of(request),
        .removes_groups = removes_groups(request),
        .via = request->regime->via,
    };
    if (flight->confirmed) {
        facts.reason = request->reason = CG_REASON_VALIDATED;
        facts.forward_status = 304;
    }
    if (storable->store) {
        facts.has_ttl = true;
        facts.ttl_s = ((int64_t)storable->lifetime_ms - (int64_t)storable->initial_age_ms) / 1000;
    }
    return facts;
}

/* What one client's fetch brought for that client alone (a cookie) is not for its followers. */
static const struct cg_fields *fields_of_flight(struct cg_request *request,
                                                struct cg_fields *ret_shared)
{
    const struct cg_fields *fields = &request->flight->fields;
    return request->collapsed && cg_stored_fields(fields, &request->arena, ret_shared) ? ret_shared
                                                                                       : fields;
}

void cg_request_begin_flight(struct cg_request *request)
{
    if (request->collapsed)
        request->result = CG_RESULT_COLLAPSED;
    const struct cg_flight *flight = request->flight;
    struct cg_reply_facts facts = facts_of_flight(request);
    struct cg_fields fields = {0}, shared = {0};
    const struct cg_fields *from = fields_of_flight(request, &shared);
    if (!cg_reply_fields(from, &facts, &request->arena, &fields))
        fields = *from;
    struct cg_reply_head head = {
        .status = flight->status,
        .fields = &fields,
        .has_length = flight->has_length,
        .content_length = flight->content_length,
        .no_body = flight->no_body,
    };
    begin(request, &head);
}

void cg_request_reply_not_modified(struct cg_request *request)
{
    if (request->collapsed)
        request->result = CG_RESULT_COLLAPSED;
    struct cg_reply_facts facts = facts_of_flight(request);
    struct cg_fields fields = {0}, cut = {0}, shared = {0};
    if (facts.forward_status == 0) /* RFC 9211 2.3: it differs from ours */
        facts.forward_status = request->flight->status;
    const struct cg_fields *from = fields_of_flight(request, &shared);
    if (!cg_not_modified_fields(from, &request->arena, &cut) ||
        !cg_reply_fields(&cut, &facts, &request->arena, &fields))
        fields = cut;
    struct cg_reply_head head = {.status = 304, .fields = &fields, .no_body = true};
    begin(request, &head);
    end(request, CG_STR(""));
}

/* ---- a stored answer ---- */

static void write_boundary(const struct cg_machine *machine, char ret_text[BOUNDARY_LENGTH])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[BOUNDARY_LENGTH / 2];
    machine->random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < BOUNDARY_LENGTH; i++)
        ret_text[i] = digits[bytes[i / 2] >> (i % 2 * 4) & 15];
}

bool cg_request_cut_entry(struct cg_request *request)
{
    const struct cg_entry *entry = &request->entry;
    char boundary[BOUNDARY_LENGTH];
    if (!request->speaks_to_caches || request->facts == NULL)
        return false;
    write_boundary(request->machine, boundary);
    struct cg_range_plan *plan = CG_ARENA_ARRAY(&request->arena, struct cg_range_plan, 1);
    if (!cg_delivery_of(request->facts->method, request->facts->fields, entry->status,
                        &entry->fields, entry->body.length, entry->stored_at_ms,
                        cg_arena_copy(&request->arena, cg_str_of(boundary, sizeof(boundary))),
                        &request->arena, plan))
        return false;
    request->delivery = plan;
    return plan->piece_count > 1 && !request->plan.head;
}

static struct cg_str part_of(const struct cg_request *request, size_t index)
{
    const struct cg_range_piece *piece = &request->delivery->pieces[index / 2];
    if (index % 2 == 0)
        return piece->text;
    return cg_str_sub(request->entry.body, (size_t)piece->content.first,
                      (size_t)piece->content.length);
}

bool cg_request_send_part(struct cg_request *request)
{
    size_t count = 2 * request->delivery->piece_count;
    CG_ASSERT(request->client != NULL && !request->client_busy && request->parts_sent < count);
    struct cg_str part = part_of(request, request->parts_sent++);
    while (request->parts_sent < count && cg_str_empty(part_of(request, request->parts_sent)))
        request->parts_sent++;
    if (request->parts_sent == count) {
        end(request, part);
        return true;
    }
    request->client_busy = true;
    request->client->port->send(request->client, part, false);
    return false;
}

static void reply_cut(struct cg_request *request, const struct cg_reply_facts *facts)
{
    const struct cg_range_plan *plan = request->delivery;
    struct cg_fields fields = {0};
    if (!cg_reply_fields(&plan->fields, facts, &request->arena, &fields))
        fields = plan->fields;
    struct cg_reply_head head = {
        .status = plan->status,
        .fields = &fields,
        .has_length = plan->status != 304, /* RFC 9110 8.6 */
        .content_length = plan->content_length,
        .no_body = request->plan.head || plan->status == 304,
    };
    begin(request, &head);
    if (request->plan.head || plan->piece_count == 0)
        end(request, CG_STR(""));
    else if (plan->piece_count == 1)
        end(request, part_of(request, 1));
}

void cg_request_reply_entry(struct cg_request *request)
{
    const struct cg_entry *entry = &request->entry;
    struct cg_reply_facts facts = {
        .hit = true,
        .reason = request->reason,
        .ttl_s = request->verdict.ttl_s,
        .age_s = request->verdict.age_s,
        .received_at_ms = entry->stored_at_ms,
        .key = key_of(request),
        .removes_groups = removes_groups(request),
        .via = request->regime->via,
    };
    if (request->delivery != NULL) {
        reply_cut(request, &facts);
        return;
    }
    struct cg_fields fields = {0};
    if (!cg_reply_fields(&entry->fields, &facts, &request->arena, &fields))
        fields = entry->fields;
    struct cg_reply_head head = {
        .status = entry->status,
        .fields = &fields,
        .has_length = true,
        .content_length = entry->body.length,
        .no_body = request->plan.head,
    };
    begin(request, &head);
    end(request, request->plan.head ? CG_STR("") : entry->body);
}

static void add(struct cg_request *request, struct cg_fields *fields, const char *name,
                struct cg_str value)
{
    (void)cg_fields_add(fields, &request->arena, cg_str_from(name), value);
}

static void reply_own(struct cg_request *request, unsigned status, enum cg_reason reason,
                      struct cg_str detail, const char *proxy_error, uint32_t retry_after_s)
{
    struct cg_arena *arena = &request->arena;
    struct cg_str via = request->regime->via;
    struct cg_fields fields = {0};
    request->reason = reason;
    if (status != 200) /* the answer to a PURGE */
        request->result = CG_RESULT_ERROR;
    struct cg_str body =
        cg_arena_printf(arena, "%.*s: %s%s%.*s\n", CG_STR_ARG(via), cg_reason_sentence(reason),
                        cg_str_empty(detail) ? "" : ": ", CG_STR_ARG(detail));
    add(request, &fields, "content-type", CG_STR("text/plain; charset=utf-8"));
    add(request, &fields, "cache-control", CG_STR("no-store"));
    if (status == 405)
        add(request, &fields, "allow", CG_STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    if (retry_after_s > 0)
        add(request, &fields, "retry-after", cg_arena_printf(arena, "%u", retry_after_s));
    if (proxy_error != NULL)
        add(request, &fields, "proxy-status",
            cg_arena_printf(arena, "%.*s; error=%s", CG_STR_ARG(via), proxy_error));
    add(request, &fields, "cache-status",
        cg_arena_printf(arena, "%.*s; detail=%s", CG_STR_ARG(via), cg_reason_word(reason)));
    struct cg_reply_head head = {
        .status = status,
        .fields = &fields,
        .has_length = true,
        .content_length = body.length,
        .no_body = request->plan.head,
    };
    begin(request, &head);
    end(request, request->plan.head ? CG_STR("") : body);
}

void cg_request_reply_error(struct cg_request *request, unsigned status, enum cg_reason reason,
                            struct cg_str detail, const char *proxy_error)
{
    reply_own(request, status, reason, detail, proxy_error, 0);
}

void cg_request_reply_busy(struct cg_request *request, enum cg_reason reason, uint32_t after_s,
                           const char *proxy_error)
{
    reply_own(request, 503, reason, CG_STR(""), proxy_error, after_s == 0 ? 1 : after_s);
}

void cg_request_reply_failure(struct cg_request *request)
{
    const struct cg_flight *flight = request->flight;
    if (flight->crowded) {
        struct cg_machine *machine = request->machine;
        cg_count(machine->sheet,
                 flight->capped ? CG_METRIC_FETCHES_REFUSED : CG_METRIC_OUTAGE_REFUSED, 1);
        cg_request_reply_busy(
            request, flight->capped ? CG_REASON_UPSTREAM_CROWDED : CG_REASON_OUTAGE_CROWDED,
            (request->regime->limits.outage_wait_ms + 999) / 1000, "connection_limit_reached");
        return;
    }
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
        if (failures[i].outcome == flight->outcome) {
            cg_request_reply_error(request, failures[i].status, CG_REASON_UPSTREAM_FAILED,
                                   cg_str_from(failures[i].sentence), failures[i].proxy_error);
            return;
        }
    CG_UNREACHABLE();
}

void cg_request_abort_client(struct cg_request *request)
{
    request->reply_ended = true;
    if (request->client != NULL)
        request->client->port->abort(request->client);
}

bool cg_request_send_piece(struct cg_request *request, uint64_t limit, bool end_at_limit)
{
    struct cg_flight *flight = request->flight;
    CG_ASSERT(request->client != NULL && !request->client_busy);
    CG_ASSERT(request->offset >= flight->body_base && limit <= flight->received);
    uint64_t left = limit > request->offset ? limit - request->offset : 0;
    size_t length = left > CG_SEND_BYTES_MAX ? CG_SEND_BYTES_MAX : (size_t)left;
    bool final = end_at_limit && request->offset + length >= limit;
    if (length == 0 && !final)
        return false;
    /* A copy: the flight's buffer moves while the client takes its time. */
    cg_buf_clear(&request->sending);
    if (length > 0)
        cg_buf_add(&request->sending, flight->body.bytes + (request->offset - flight->body_base),
                   length);
    request->offset += length;
    cg_flight_consumed(flight);
    if (final) {
        end(request, cg_buf_str(&request->sending));
        return true;
    }
    request->client_busy = true;
    request->client->port->send(request->client, cg_buf_str(&request->sending), false);
    return true;
}
