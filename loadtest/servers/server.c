#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BACKLOG = 4096, ACCEPTS_PER_TURN = 64 };

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    if (error != NULL)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
        if (socket == NULL)
            return;
        h2o_accept(listener->data, socket);
    }
}

static void listen_on(struct server *server, const char *port, h2o_accept_ctx_t *accept_context)
{
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, BACKLOG) != 0)
        die(port, strerror(errno));
    h2o_socket_t *socket =
        h2o_evloop_socket_create(server->context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    socket->data = accept_context;
    h2o_socket_read_start(socket, on_accept);
}

static SSL_CTX *make_tls(const char *certificate, const char *key)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (tls == NULL || SSL_CTX_use_certificate_chain_file(tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        die(certificate, "cannot be used");
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    h2o_ssl_register_alpn_protocols(tls, h2o_http2_alpn_protocols);
    return tls;
}

struct server *server_prepare(void)
{
    static struct server server;
    signal(SIGPIPE, SIG_IGN);
    h2o_config_init(&server.config);
    h2o_hostconf_t *host =
        h2o_config_register_host(&server.config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    server.everything = h2o_config_register_path(host, "/", 0);
    return &server;
}

void server_start(struct server *server, int argc, char **argv)
{
    if (argc < 2)
        die(argv[0], "PORT [TLS_PORT CERTIFICATE KEY]");
    h2o_context_init(&server->context, h2o_evloop_create(), &server->config);
    server->accept_plain =
        (h2o_accept_ctx_t){.ctx = &server->context, .hosts = server->config.hosts};
    listen_on(server, argv[1], &server->accept_plain);
    if (argc >= 5) {
        server->accept_tls = server->accept_plain;
        server->accept_tls.ssl_ctx = make_tls(argv[3], argv[4]);
        listen_on(server, argv[2], &server->accept_tls);
    }
}

_Noreturn void server_run(struct server *server)
{
    for (;;)
        h2o_evloop_run(server->context.loop, INT32_MAX);
}

size_t server_query_number(const h2o_req_t *request, const char *name)
{
    if (request->query_at == SIZE_MAX)
        return 0;
    const char *at = request->path.base + request->query_at;
    const char *end = request->path.base + request->path.len;
    size_t length = strlen(name), number = 0;
    while (at != NULL && at < end) {
        at++; /* past `?` or `&` */
        if ((size_t)(end - at) > length && memcmp(at, name, length) == 0 && at[length] == '=') {
            for (at += length + 1; at < end && *at >= '0' && *at <= '9'; at++)
                number = number * 10 + (size_t)(*at - '0');
            return number;
        }
        at = memchr(at, '&', (size_t)(end - at));
    }
    return 0;
}
