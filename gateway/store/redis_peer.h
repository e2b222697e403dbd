/*
 * redis_peer: who the Redis server is, as all threads of the process see it.
 *
 * Made once from the URL, immutable, shared. With TLS the certificate's name is a condition of
 * OpenSSL's own verification (RFC 9110 4.3.4), since libh2o 2.2.5 does not check it on TLS 1.3.
 */
#ifndef GATEWAY_STORE_REDIS_PEER_H
#define GATEWAY_STORE_REDIS_PEER_H

#include <openssl/ssl.h>

#include "cachegate/redis_url.h"

struct cg_redis_peer {
    struct cg_arena arena;
    struct cg_redis_url url;
    SSL_CTX *tls; /* NULL in the clear */
    const char *tls_name;
    bool tls_name_is_ip;
};

/* False and a sentence (to be freed) otherwise; to be finished in both cases. */
bool cg_redis_peer_init(struct cg_redis_peer *peer, const char *url, char **ret_error);
void cg_redis_peer_fini(struct cg_redis_peer *peer);

#endif
