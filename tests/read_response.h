/*
 * read_response: drives the answer parser as a connection would, in pieces of any size, and keeps
 * what it said, so that two ways of cutting the same bytes can be compared.
 */
#ifndef TESTS_READ_RESPONSE_H
#define TESTS_READ_RESPONSE_H

#include "cachegate/buf.h"
#include "cachegate/http1_response.h"

enum { READ_HEAD_BYTES_MAX = 2048 };

struct read_response {
    struct cg_arena arena;
    struct cg_http1_response response;
    struct cg_buf body;
    enum cg_http1_progress progress;
    unsigned heads; /* how often HAS_HEAD was said */
};

/* The size of the next piece, at least 1; `left` bytes are there. */
typedef size_t (*read_piece_fn)(void *context, size_t left);

static inline void read_pending(struct read_response *reader, struct cg_buf *pending)
{
    for (;;) {
        size_t consumed = 0;
        struct cg_str body = {NULL, 0};
        reader->progress =
            cg_http1_response_feed(&reader->response, cg_buf_str(pending), &consumed, &body);
        cg_buf_add_str(&reader->body, body);
        cg_buf_consume(pending, consumed);
        if (reader->progress == CG_HTTP1_HAS_HEAD)
            reader->heads++;
        else if (reader->progress != CG_HTTP1_HAS_BODY)
            return;
    }
}

/* Feeds all of `input`; with `ends`, the connection then ends unless the message did before. */
static inline void read_response_run(struct read_response *reader, struct cg_str input,
                                     bool head_request, bool ends, read_piece_fn piece,
                                     void *context)
{
    struct cg_buf pending;
    *reader = (struct read_response){.heads = 0};
    cg_arena_init(&reader->arena, (size_t)1 << 20);
    cg_buf_init(&reader->body, input.length + 1);
    cg_buf_init(&pending, input.length + 1);
    cg_http1_response_init(&reader->response, &reader->arena, head_request, READ_HEAD_BYTES_MAX);
    reader->progress = CG_HTTP1_NEEDS_MORE;
    while (!cg_str_empty(input) && reader->progress != CG_HTTP1_FAILED) {
        size_t length = piece == NULL ? input.length : piece(context, input.length);
        cg_buf_add_str(&pending, cg_str_sub(input, 0, length));
        input = cg_str_skip(input, length);
        read_pending(reader, &pending);
    }
    if (ends && reader->progress == CG_HTTP1_NEEDS_MORE)
        reader->progress = cg_http1_response_end(&reader->response);
    cg_buf_fini(&pending);
}

static inline void read_response_fini(struct read_response *reader)
{
    cg_buf_fini(&reader->body);
    cg_arena_fini(&reader->arena);
}

static inline bool read_response_same(const struct read_response *a, const struct read_response *b)
{
    if (a->progress != b->progress || a->heads != b->heads ||
        a->response.error != b->response.error || a->response.status != b->response.status ||
        a->response.keep_alive != b->response.keep_alive ||
        a->response.fields.count != b->response.fields.count ||
        !cg_str_eq(cg_buf_str(&a->body), cg_buf_str(&b->body)))
        return false;
    for (size_t i = 0; i < a->response.fields.count; i++)
        if (!cg_str_eq(a->response.fields.items[i].name, b->response.fields.items[i].name) ||
            !cg_str_eq(a->response.fields.items[i].value, b->response.fields.items[i].value))
            return false;
    return true;
}

#endif
