/*
 * redis_peer: how the servers of Redis are reached and who we are to them, for all threads.
 *
 * Made once from the URL and shared. With TLS the certificate's name is a condition of OpenSSL's
 * own verification (RFC 9110 4.3.4), since libh2o 2.2.5 does not check it on TLS 1.3; so each host
 * has a context of its own, made when it is first asked for. Functions may be called from any
 * thread.
 */
#ifndef GATEWAY_STORE_REDIS_PEER_H
#define GATEWAY_STORE_REDIS_PEER_H

#include <openssl/ssl.h>
#include <pthread.h>

#include "cachegate/redis_url.h"

enum { CG_REDIS_TLS_HOSTS_MAX = 128 };

struct cg_redis_peer {
    struct cg_arena arena;
    struct cg_redis_url url;
    size_t reply_bytes_max; /* of one reply; whoever expects entries adds theirs */
    /* Private. */
    pthread_mutex_t lock;
    X509_STORE *authorities; /* shared by all contexts; NULL in the clear or unverified */
    struct cg_redis_tls_host {
        char name[256];
        SSL_CTX *context;
    } * hosts;                    /* owned, CG_REDIS_TLS_HOSTS_MAX */
    size_t host_count, host_next; /* the oldest is replaced when all are taken */
};

/* False and a sentence (to be freed) otherwise; to be finished in both cases. */
bool cg_redis_peer_init(struct cg_redis_peer *peer, const char *url, char **ret_error);
void cg_redis_peer_fini(struct cg_redis_peer *peer);

/* The name that the certificate of the server on `host` must have. */
const char *cg_redis_peer_name(const struct cg_redis_peer *peer, const char *host);
/* One reference (SSL_CTX_free), or NULL when no certificate can name the host. Needs TLS. */
SSL_CTX *cg_redis_peer_tls(struct cg_redis_peer *peer, const char *host);
bool cg_redis_is_ip(const char *name);
/* What a server said, for a log: who does not know AUTH repeats the password in its error. */
const char *cg_redis_peer_shown(const struct cg_redis_peer *peer, const char *said);
/* What the operator can do about it, to stand behind it; "" when it says that itself. */
const char *cg_redis_remedy(const char *said);

#endif
