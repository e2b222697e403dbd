/*
 * libh2o's own reverse proxy without a cache: what passing through is measured against. The last
 * argument is the URL of the upstream.
 */
#include "server.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct server *server = server_prepare();
    h2o_url_t upstream;
    if (argc < 3 || h2o_url_parse(argv[argc - 1], SIZE_MAX, &upstream) != 0) {
        fprintf(stderr, "proxy: PORT [TLS_PORT CERTIFICATE KEY] URL\n");
        return 1;
    }
    h2o_proxy_config_vars_t settings = {
        .io_timeout = 30000, .preserve_host = 1, .keepalive_timeout = 30000};
    h2o_proxy_register_reverse_proxy(server->everything, &upstream, &settings);
    server_start(server, argc - 1, argv);
    server_run(server);
}
