/*
 * The least that a libh2o program can do for an answer: it stands in memory and is found by its
 * size. No key, no user, no store: what a near hit is measured against.
 */
#include "server.h"

#include <string.h>

enum { SIZE_MAX_BYTES = 1 << 20 };

static char body[SIZE_MAX_BYTES];
static h2o_generator_t nothing_follows;

static int on_request(h2o_handler_t *handler, h2o_req_t *request)
{
    (void)handler;
    size_t size = server_query_number(request, "size");
    h2o_iovec_t part = {body, size <= SIZE_MAX_BYTES ? size : SIZE_MAX_BYTES};
    request->res.status = 200;
    request->res.reason = "OK";
    request->res.content_length = part.len;
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/json"));
    h2o_start_response(request, &nothing_follows);
    h2o_send(request, &part, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

int main(int argc, char **argv)
{
    struct server *server = server_prepare();
    memset(body, 'x', sizeof(body));
    h2o_create_handler(server->everything, sizeof(h2o_handler_t))->on_req = on_request;
    server_start(server, argc, argv);
    server_run(server);
}
