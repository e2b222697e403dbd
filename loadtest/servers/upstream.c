/*
 * The application behind everything that is measured. GET answers JSON that names who asked for
 * what and how many writes there were before, filled up to `size=` bytes, after `delay=` (20 or
 * 200) milliseconds. Any other method counts as a write. GET /count tells how many requests there
 * were.
 */
#include "server.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { SIZE_MAX_BYTES = 1 << 20, PREFIX_BYTES_MAX = 2048 };

static char padding[SIZE_MAX_BYTES];
static size_t request_count, write_count;
static h2o_timeout_t delay_20_ms, delay_200_ms;

static h2o_generator_t nothing_follows;

static void answer(h2o_req_t *request, const char *text, size_t length, size_t size)
{
    bool padded = size >= length + 2 && size <= SIZE_MAX_BYTES;
    h2o_iovec_t parts[] = {h2o_strdup(&request->pool, text, length),
                           {padding, padded ? size - length - 2 : 0},
                           {H2O_STRLIT("\"}")}};
    request->res.status = 200;
    request->res.reason = "OK";
    request->res.content_length = parts[0].len + parts[1].len + parts[2].len;
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/json"));
    h2o_start_response(request, &nothing_follows);
    h2o_send(request, parts, 3, H2O_SEND_STATE_FINAL);
}

static void answer_read(h2o_req_t *request)
{
    char prefix[PREFIX_BYTES_MAX];
    ssize_t at = h2o_find_header(&request->headers, H2O_TOKEN_AUTHORIZATION, -1);
    h2o_iovec_t user = {H2O_STRLIT("nobody")};
    if (at >= 0)
        user = request->headers.entries[at].value;
    int length =
        snprintf(prefix, sizeof(prefix),
                 "{\"user\":\"%.*s\",\"for\":\"%.*s\",\"writes\":%zu,"
                 "\"rest\":\"",
                 (int)user.len, user.base, (int)request->path.len, request->path.base, write_count);
    if (length < 0 || (size_t)length >= sizeof(prefix))
        h2o_send_error_400(request, "Too Long", "too long", 0);
    else
        answer(request, prefix, (size_t)length, server_query_number(request, "size"));
}

/* ---- answers that take time ---- */

/* Lives in the request's pool, which may end before the time is over. */
struct waiting {
    h2o_timeout_entry_t timer;
    h2o_req_t *request;
};

static void on_time(h2o_timeout_entry_t *timer)
{
    struct waiting *waiting = H2O_STRUCT_FROM_MEMBER(struct waiting, timer, timer);
    answer_read(waiting->request);
}

static void forget(void *memory)
{
    struct waiting *waiting = memory;
    if (h2o_timeout_is_linked(&waiting->timer))
        h2o_timeout_unlink(&waiting->timer);
}

static void answer_later(h2o_req_t *request, h2o_timeout_t *delay)
{
    struct waiting *waiting = h2o_mem_alloc_shared(&request->pool, sizeof(*waiting), forget);
    memset(waiting, 0, sizeof(*waiting));
    waiting->request = request;
    waiting->timer.cb = on_time;
    h2o_timeout_link(request->conn->ctx->loop, delay, &waiting->timer);
}

static int on_request(h2o_handler_t *handler, h2o_req_t *request)
{
    char text[64];
    (void)handler;
    if (h2o_memis(request->path_normalized.base, request->path_normalized.len,
                  H2O_STRLIT("/count"))) {
        int length = snprintf(text, sizeof(text), "{\"count\":%zu,\"rest\":\"", request_count);
        answer(request, text, (size_t)length, 0);
        return 0;
    }
    request_count++;
    if (!h2o_memis(request->method.base, request->method.len, H2O_STRLIT("GET"))) {
        int length = snprintf(text, sizeof(text), "{\"writes\":%zu,\"rest\":\"", ++write_count);
        answer(request, text, (size_t)length, 0);
        return 0;
    }
    size_t delay_ms = server_query_number(request, "delay");
    if (delay_ms == 0)
        answer_read(request);
    else
        answer_later(request, delay_ms >= 200 ? &delay_200_ms : &delay_20_ms);
    return 0;
}

int main(int argc, char **argv)
{
    struct server *server = server_prepare();
    memset(padding, 'x', sizeof(padding));
    h2o_create_handler(server->everything, sizeof(h2o_handler_t))->on_req = on_request;
    server_start(server, argc, argv);
    h2o_timeout_init(server->context.loop, &delay_20_ms, 20);
    h2o_timeout_init(server->context.loop, &delay_200_ms, 200);
    server_run(server);
}
