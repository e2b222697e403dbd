/*
 * One libh2o request as the machine's client.
 *
 * libh2o takes one send at a time and tells when another may follow (proceed). The head is held
 * back until the first bytes of the body, so that both go out in one write; when none come in the
 * same turn of the loop it goes alone. Bodies are passed on in slices: over TLS libh2o would
 * encrypt the whole send at once, and a slice is what progress is measured by.
 *
 * libh2o may dispose of a request inside a send that ends its answer; the struct is in the
 * request's pool, so nothing here touches it after such a send. The last thing that happens is
 * on_dispose, which tells the machine.
 */
#include "gateway/front/front.h"

#include "cachegate/assert.h"
#include "gateway/request/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE_BYTES = 256 << 10 };

struct client {
    struct cg_client base; /* first: the machine knows only this */
    h2o_generator_t generator;
    h2o_req_t *h2o;
    struct cg_downstream *connection; /* borrowed: outlives its requests */
    struct cg_request *request;       /* the machine's; NULL for what never got there */
    h2o_linklist_t link;              /* in connection->clients */
    struct cg_fields fields;
    struct cg_request_facts facts;
    h2o_timeout_entry_t later;    /* at the end of this turn: advance */
    h2o_timestamp_string_t *date; /* shared (ref) with the pool; NULL: libh2o's own */
    struct cg_str rest;           /* of the machine's send */
    bool asked;                   /* a send of the machine is not reported as taken yet */
    bool final;                   /* … and it is the last */
    bool begun, head_sent, no_body, chunked, framed;
    bool busy;    /* libh2o has bytes: on_proceed or on_dispose follows */
    bool ended;   /* libh2o has the end: only on_dispose follows */
    bool aborted; /* the machine gave up */
    bool cut;     /* we gave up: the machine is no longer listened to */
    char chunk_line[sizeof(size_t) * 2 + 3];
};

static struct client *client_of(struct cg_client *base)
{
    return H2O_STRUCT_FROM_MEMBER(struct client, base, base);
}

/* ---- sending ---- */

/*
 * libh2o writes a Date of its own in front of every answer. An answer that has one keeps it (RFC
 * 9110 6.6.1): for the moment in which the head is printed it is what libh2o takes for the time.
 */
static void send_dated(struct client *client, h2o_iovec_t *buffers, size_t count,
                       h2o_send_state_t state)
{
    h2o_context_t *context = &client->connection->worker->context;
    h2o_timestamp_string_t *own = NULL;
    if (!client->head_sent && client->date != NULL) {
        h2o_get_timestamp(context, NULL, NULL); /* brings it up to date, so that it stays */
        own = context->_timestamp_cache.value;
        context->_timestamp_cache.value = client->date;
    }
    client->head_sent = true;
    h2o_send(client->h2o, buffers, count, state);
    if (own != NULL)
        context->_timestamp_cache.value = own;
}

static h2o_iovec_t buffer_of(struct cg_str bytes)
{
    union { /* libh2o's type does not say that it only reads */
        const char *from;
        char *to;
    } pointer = {.from = bytes.bytes};
    return (h2o_iovec_t){pointer.to, bytes.length};
}

/* One slice of `rest` goes to libh2o, framed where HTTP/1.1 needs it (RFC 9112 7.1). */
static void send_slice(struct client *client)
{
    struct cg_downstream *connection = client->connection;
    struct cg_str slice = cg_str_sub(client->rest, 0, SLICE_BYTES);
    client->rest = cg_str_skip(client->rest, slice.length);
    bool last = client->final && client->rest.length == 0;
    h2o_iovec_t buffers[3];
    size_t count = 0;
    if (client->chunked && slice.length > 0) {
        int length =
            snprintf(client->chunk_line, sizeof(client->chunk_line), "%zx\r\n", slice.length);
        buffers[count++] = (h2o_iovec_t){client->chunk_line, (size_t)length};
    }
    if (slice.length > 0)
        buffers[count++] = buffer_of(slice);
    if (client->chunked) {
        struct cg_str end = last ? CG_STR("\r\n0\r\n\r\n") : CG_STR("\r\n");
        buffers[count++] = buffer_of(slice.length > 0 ? end : cg_str_skip(end, 2));
    }
    client->busy = !last;
    client->ended = last;
    client->base.body_bytes += slice.length;
    client->base.whole = last;
    if (last) {
        /* The connection outlives this, or the guard is told by its closing. */
        bool gone = false;
        bool *outer = connection->ret_gone;
        connection->ret_gone = &gone;
        send_dated(client, buffers, count, H2O_SEND_STATE_FINAL);
        if (gone) {
            if (outer != NULL)
                *outer = true;
            return;
        }
        connection->ret_gone = outer;
    } else {
        send_dated(client, buffers, count, H2O_SEND_STATE_IN_PROGRESS);
    }
    cg_guard_watch(connection);
}

static void send_error(struct client *client)
{
    client->ended = true;
    if (client->h2o->version < 0x200 && !client->framed)
        cg_downstream_reset(client->connection);
    h2o_send(client->h2o, NULL, 0, H2O_SEND_STATE_ERROR);
}

static void advance(struct client *client)
{
    if (client->busy || client->ended)
        return;
    if (client->aborted) {
        send_error(client);
    } else if (client->rest.length > 0 || (client->asked && client->final)) {
        send_slice(client);
    } else if (!client->head_sent) {
        client->busy = true;
        send_dated(client, NULL, 0, H2O_SEND_STATE_IN_PROGRESS);
        cg_guard_watch(client->connection);
    } else if (client->asked) {
        client->asked = false;
        cg_request_client_ready(client->request);
    }
}

static void on_later(h2o_timeout_entry_t *entry)
{
    advance(H2O_STRUCT_FROM_MEMBER(struct client, later, entry));
}

static void advance_later(struct client *client)
{
    h2o_context_t *context = &client->connection->worker->context;
    if (!h2o_timeout_is_linked(&client->later))
        h2o_timeout_link(context->loop, &context->zero_timeout, &client->later);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *request)
{
    struct client *client = H2O_STRUCT_FROM_MEMBER(struct client, generator, generator);
    (void)request;
    client->busy = false;
    advance(client);
}

/* ---- the port ---- */

/* A Date as we would print it, in a string that libh2o can share. Equal ones are not made twice. */
static void take_date(struct client *client, struct cg_str value)
{
    struct cg_worker *worker = client->connection->worker;
    if (value.length != H2O_TIMESTR_RFC1123_LEN)
        return;
    if (worker->date == NULL || memcmp(worker->date->rfc1123, value.bytes, value.length) != 0) {
        if (worker->date != NULL)
            h2o_mem_release_shared(worker->date);
        worker->date = h2o_mem_alloc_shared(NULL, sizeof(*worker->date), NULL);
        memset(worker->date, 0, sizeof(*worker->date));
        memcpy(worker->date->rfc1123, value.bytes, value.length);
    }
    client->date = worker->date;
    h2o_mem_link_shared(&client->h2o->pool, client->date);
}

static void add_field(h2o_req_t *h2o, h2o_iovec_t *name, h2o_iovec_t value)
{
    h2o_headers_t *headers = &h2o->res.headers;
    headers->entries[headers->size++] = (h2o_header_t){name, NULL, value};
}

/*
 * The fields are borrowed for this call only, so they are copied, into one block. Names are not
 * given as libh2o's tokens: it rewrites Vary for some browsers when it knows the name.
 */
static void take_reply_fields(struct client *client, const struct cg_fields *fields)
{
    h2o_req_t *h2o = client->h2o;
    size_t bytes = 0;
    for (size_t i = 0; i < fields->count; i++)
        bytes += fields->items[i].name.length + fields->items[i].value.length;
    char *to = h2o_mem_alloc_pool(&h2o->pool, bytes + 1);
    h2o_iovec_t *names = h2o_mem_alloc_pool(&h2o->pool, sizeof(*names) * (fields->count + 1));
    h2o_vector_reserve(&h2o->pool, &h2o->res.headers, fields->count + 1);
    for (size_t i = 0; i < fields->count; i++) {
        const struct cg_field *field = &fields->items[i];
        if (cg_str_eq(field->name, CG_STR("date"))) {
            take_date(client, field->value);
            continue;
        }
        names[i] = (h2o_iovec_t){to, field->name.length};
        memcpy(to, field->name.bytes, field->name.length);
        to += field->name.length;
        if (field->value.length > 0)
            memcpy(to, field->value.bytes, field->value.length);
        add_field(h2o, &names[i], (h2o_iovec_t){to, field->value.length});
        to += field->value.length;
    }
    if (client->chunked) {
        static const char name[] = "transfer-encoding", value[] = "chunked";
        names[fields->count] = buffer_of(cg_str_from(name));
        add_field(h2o, &names[fields->count], buffer_of(cg_str_from(value)));
    }
}

static void client_begin(struct cg_client *base, const struct cg_reply_head *head)
{
    struct client *client = client_of(base);
    h2o_req_t *h2o = client->h2o;
    CG_ASSERT(!client->begun);
    if (client->cut)
        return;
    bool bodiless = head->status == 204 || head->status == 304;
    bool has_length = head->has_length && head->status != 204; /* RFC 9110 8.6 */
    client->begun = true;
    client->no_body = head->no_body || bodiless;
    client->chunked = !client->no_body && !has_length && h2o->version == 0x101;
    client->framed = client->no_body || has_length || client->chunked;
    h2o->res.status = (int)head->status;
    h2o->res.reason = cg_reason_phrase(head->status);
    h2o->res.content_length = has_length ? (size_t)head->content_length : SIZE_MAX;
    if (client->connection->worker->draining || (h2o->version < 0x200 && !client->framed))
        h2o->http1_is_persistent = 0;
    take_reply_fields(client, head->fields);
    h2o_start_response(h2o, &client->generator);
    advance_later(client);
}

static void client_send(struct cg_client *base, struct cg_str bytes, bool final)
{
    struct client *client = client_of(base);
    if (client->cut || client->aborted)
        return;
    CG_ASSERT(client->begun && !client->asked && !client->ended);
    client->asked = true;
    client->final = final;
    client->rest = client->no_body ? CG_STR("") : bytes;
    if (client->busy)
        return;
    /* The end alone may dispose of the request at once; the caller has not returned yet. */
    if (client->rest.length == 0 && client->head_sent) {
        advance_later(client);
        return;
    }
    h2o_timeout_unlink(&client->later);
    advance(client);
}

static void client_abort(struct cg_client *base)
{
    struct client *client = client_of(base);
    if (client->cut || client->ended)
        return;
    client->aborted = true;
    client->rest = CG_STR("");
    if (!client->begun) {
        client->ended = true;
        h2o_send_error_generic(client->h2o, 502, cg_reason_phrase(502), "no answer",
                               H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
    } else if (!client->busy) {
        advance_later(client);
    } else if (client->h2o->version < 0x200) {
        if (!client->framed)
            cg_downstream_reset(client->connection);
        cg_downstream_kill(client->connection); /* the write that is stuck fails now */
    }
}

static const struct cg_client_port port = {client_begin, client_send, client_abort};

/* ---- life ---- */

static void on_dispose(void *memory)
{
    struct client *client = memory;
    struct cg_downstream *connection = client->connection;
    struct cg_request *request = client->request;
    h2o_timeout_unlink(&client->later);
    h2o_linklist_unlink(&client->link);
    cg_reading_resume(connection);
    connection->client_count--;
    connection->bytes_done += client->h2o->bytes_sent;
    client->request = NULL;
    if (request != NULL)
        cg_request_client_gone(request);
}

static unsigned protocol_of(const h2o_req_t *request)
{
    if (request->version >= 0x200)
        return 20;
    return request->version == 0x100 ? 10 : 11;
}

static struct client *create_client(struct cg_downstream *connection, h2o_req_t *request)
{
    struct client *client = h2o_mem_alloc_shared(&request->pool, sizeof(*client), on_dispose);
    memset(client, 0, sizeof(*client));
    client->base.port = &port;
    client->base.protocol = protocol_of(request);
    client->generator.proceed = on_proceed;
    client->later.cb = on_later;
    client->h2o = request;
    client->connection = connection;
    h2o_linklist_insert(&connection->clients, &client->link);
    connection->client_count++;
    connection->requests++;
    return client;
}

static struct cg_str text_of(h2o_iovec_t bytes)
{
    return cg_str_of(bytes.base, bytes.len);
}

/* Its facts were not taken, so it is told as libh2o read it. */
static void note_refusal(const struct client *client, const struct cg_refusal *refusal)
{
    const h2o_req_t *h2o = client->h2o;
    struct cg_request_record record = {
        .method = text_of(h2o->input.method),
        .scheme = client->connection->tls ? CG_STR("https") : CG_STR("http"),
        .authority = text_of(h2o->input.authority),
        .target = text_of(h2o->input.path),
        .fields = client->fields.count > 0 ? &client->fields : NULL,
        .peer = cg_str_from(cg_downstream_peer(client->connection)),
        .protocol = client->base.protocol,
        .status = refusal->status,
        .request_body_bytes = h2o->entity.len,
        .response_body_bytes = strlen(refusal->text),
        .complete = true,
        .result = CG_RESULT_ERROR,
        .reason = refusal->reason,
        .upstream = CG_RECORD_NO_UPSTREAM,
    };
    cg_machine_note_refusal(&client->connection->worker->machine, &record);
}

static void answer_refusal(struct client *client, const struct cg_refusal *refusal)
{
    struct cg_worker *worker = client->connection->worker;
    note_refusal(client, refusal);
    cg_worker_log_refused(worker, cg_downstream_peer(client->connection), refusal->text);
    client->ended = true;
    h2o_send_error_generic(client->h2o, (int)refusal->status, cg_reason_phrase(refusal->status),
                           refusal->text, H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
}

static int on_request(h2o_handler_t *handler, h2o_req_t *request)
{
    struct cg_worker *worker = cg_worker_of(request->conn->ctx);
    h2o_socket_t *socket = request->conn->callbacks->get_socket(request->conn);
    struct client *client = create_client(socket->on_close.data, request);
    (void)handler;
    cg_reading_pause(client->connection);
    struct cg_refusal refusal =
        cg_facts_of(client->connection, request, &client->fields, &client->facts);
    if (refusal.status != 0)
        answer_refusal(client, &refusal);
    else
        cg_request_start(&worker->machine, &client->base, &client->facts, &client->request);
    return 0;
}

void cg_client_register(h2o_pathconf_t *path)
{
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_request;
    /* libh2o's own chunking is for answers of status 200 only, and cannot send the head first. */
    for (size_t i = 0; i < path->filters.size; i++)
        free(path->filters.entries[i]);
    path->filters.size = 0;
}

/* ---- all clients of a connection ---- */

static struct client *first_client(const struct cg_downstream *connection, h2o_linklist_t *at)
{
    return at == &connection->clients ? NULL : H2O_STRUCT_FROM_MEMBER(struct client, link, at);
}

uint64_t cg_clients_bytes(const struct cg_downstream *connection)
{
    uint64_t sum = 0;
    const struct client *client;
    for (h2o_linklist_t *at = connection->clients.next;
         (client = first_client(connection, at)) != NULL; at = at->next)
        sum += client->h2o->bytes_sent;
    return sum;
}

bool cg_clients_wait(const struct cg_downstream *connection)
{
    const struct client *client;
    for (h2o_linklist_t *at = connection->clients.next;
         (client = first_client(connection, at)) != NULL; at = at->next)
        if (client->busy || client->ended)
            return true;
    return false;
}

/* Without a write in progress nothing would notice that the connection is dead. */
static void cut(struct client *client)
{
    client->cut = true;
    client->base.whole = false;
    h2o_timeout_unlink(&client->later);
    if (client->busy || client->ended)
        return;
    client->ended = true;
    if (client->begun)
        h2o_send(client->h2o, NULL, 0, H2O_SEND_STATE_ERROR);
    else
        h2o_send_error_generic(client->h2o, 503, cg_reason_phrase(503), "shutting down",
                               H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
}

void cg_clients_cut(struct cg_downstream *connection)
{
    bool gone = false;
    bool *outer = connection->ret_gone;
    h2o_linklist_t *next;
    connection->ret_gone = &gone;
    for (h2o_linklist_t *at = connection->clients.next; !gone && at != &connection->clients;
         at = next) {
        struct client *client = H2O_STRUCT_FROM_MEMBER(struct client, link, at);
        next = at->next;
        cut(client); /* of HTTP/1.1 there is only one, which may take the connection with it */
    }
    if (!gone)
        connection->ret_gone = outer;
    else if (outer != NULL)
        *outer = true;
}
