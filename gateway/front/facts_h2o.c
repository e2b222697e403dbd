/*
 * From libh2o's request to the facts that the machine acts on, or a refusal. What libh2o repaired
 * or overlooked is read again strictly (http1_request.h).
 */
#include "gateway/front/front.h"

#include "cachegate/http1_request.h"

/* Field lines as they count towards the limit of the head: name, value, `: ` and CR LF. */
enum { LINE_OVERHEAD = 4 };

static const struct cg_refusal accepted = {0, CG_REASON_COUNT, NULL};

static struct cg_refusal too_large(const char *text)
{
    return (struct cg_refusal){431, CG_REASON_HEAD_TOO_LARGE, text};
}

static struct cg_refusal refusal_of(enum cg_http1_refusal refusal)
{
    if (refusal == CG_REFUSED_NOT)
        return accepted;
    return (struct cg_refusal){cg_http1_refusal_status(refusal), CG_REASON_BAD_REQUEST,
                               cg_http1_refusal_text(refusal)};
}

static struct cg_str slice(h2o_iovec_t bytes)
{
    return cg_str_of(bytes.base, bytes.len);
}

static struct cg_refusal take_fields(const struct cg_limits *limits, h2o_req_t *request,
                                     struct cg_fields *ret_fields)
{
    size_t count = request->headers.size, bytes = request->input.path.len;
    if (count > limits->request_fields_max || count > CG_FIELDS_MAX)
        return too_large("the request has too many fields");
    struct cg_field *items = h2o_mem_alloc_pool(&request->pool, sizeof(*items) * (count + 1));
    for (size_t i = 0; i < count; i++) {
        const h2o_header_t *header = &request->headers.entries[i];
        items[i].name = slice(*header->name);
        items[i].value = slice(header->value);
        if (request->version < 0x200) /* over HTTP/2 it would be malformed, and is refused below */
            items[i].value = cg_str_trim(items[i].value);
        bytes += items[i].name.length + items[i].value.length + LINE_OVERHEAD;
    }
    if (bytes > limits->request_head_max)
        return too_large("the request's head is too large");
    *ret_fields = (struct cg_fields){.items = items, .count = count, .capacity = count + 1};
    return accepted;
}

/* The raw head is still at the start of the input, with names in lower case. */
static struct cg_refusal check_http1(const struct cg_downstream *connection, h2o_req_t *request,
                                     size_t head_max)
{
    const h2o_buffer_t *input = connection->socket->input;
    struct cg_str bytes = cg_str_sub(cg_str_of(input->bytes, input->size), 0, head_max + 4);
    struct cg_http1_request_line line;
    enum cg_http1_refusal refusal = cg_http1_request_check(bytes, &line);
    /* What is wrong with a head whose end is far away is that. */
    if (refusal != CG_REFUSED_NOT && bytes.length == head_max + 4 &&
        memmem(bytes.bytes, bytes.length, "\r\n\r\n", 4) == NULL)
        return too_large("the request's head is too large");
    /* libh2o takes bare LF, junk behind a chunk's size and the like, and has decoded it already: a
     * proxy before us may see the request end elsewhere, so nothing behind it is a request. */
    if (refusal == CG_REFUSED_NOT && line.chunked)
        request->http1_is_persistent = 0;
    return refusal_of(refusal);
}

/* libh2o puts the name of its only host in the place of an authority that was not sent. */
static bool has_authority(const h2o_req_t *request)
{
    return request->input.authority.base != NULL &&
           request->input.authority.base != request->conn->hosts[0]->authority.hostport.base;
}

struct cg_refusal cg_facts_of(struct cg_downstream *connection, h2o_req_t *request,
                              struct cg_fields *fields, struct cg_request_facts *ret_facts)
{
    const struct cg_limits *limits = &connection->worker->server->settings->limits;
    bool http2 = request->version >= 0x200;
    struct cg_refusal refusal = accepted;
    if (!http2)
        refusal = check_http1(connection, request, limits->request_head_max);
    if (refusal.status == 0)
        refusal = take_fields(limits, request, fields);
    if (refusal.status == 0 && request->entity.len > limits->request_body_max)
        return (struct cg_refusal){413, CG_REASON_BODY_TOO_LARGE,
                                   "the request's body is too large"};
    if (refusal.status == 0 && !cg_uploads_take(connection->worker, request->entity.len))
        return (struct cg_refusal){503, CG_REASON_BODY_TOO_LARGE,
                                   "requests in progress hold limits.request_bodies"};
    if (refusal.status != 0)
        return refusal;
    *ret_facts = (struct cg_request_facts){
        .method = slice(request->input.method),
        .scheme = connection->tls ? CG_STR("https") : CG_STR("http"),
        .authority = has_authority(request) ? slice(request->input.authority) : CG_STR(""),
        .target = slice(request->input.path),
        .fields = fields,
        .body = slice(request->entity),
        .has_body = request->entity.base != NULL,
        .peer_address = cg_str_from(cg_downstream_peer(connection)),
        .http2 = http2,
    };
    if (!http2)
        return accepted;
    return refusal_of(cg_http_request_refusal_of_parts(ret_facts->method, ret_facts->target,
                                                       ret_facts->authority, fields));
}
