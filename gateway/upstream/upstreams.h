/*
 * upstreams: what all threads share about the upstreams: TLS contexts and fixed addresses.
 *
 * Immutable once created, so it needs no lock (an SSL_CTX counts its references itself). The
 * settings are borrowed for the life of the process.
 */
#ifndef GATEWAY_UPSTREAM_UPSTREAMS_H
#define GATEWAY_UPSTREAM_UPSTREAMS_H

#include <openssl/ssl.h>
#include <sys/socket.h>

#include "gateway/config/settings.h"

struct cg_socket_address {
    struct sockaddr_storage storage;
    socklen_t length;
};

struct cg_upstream {
    const struct cg_upstream_settings *settings; /* borrowed */
    SSL_CTX *tls;                                /* owned; NULL when spoken to in the clear */
    char *tls_name;                              /* owned; whom the certificate must name */
    bool tls_name_is_ip;
    bool has_address; /* a literal or a UNIX socket: never looked up */
    struct cg_socket_address address;
};

struct cg_upstreams {
    struct cg_upstream *items; /* owned */
    size_t count;
};

#endif
