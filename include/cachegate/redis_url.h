/*
 * redis_url: what an operator writes to name the servers of Redis, taken apart.
 *
 *     redis://[user:password@]host[:port][/database]                    one server
 *     unix://[user:password@]/path                                      one, on a UNIX socket
 *     redis+sentinel://[user:password@]host[:port],…/primary[/database] the sentinels of a primary
 *     redis+cluster://[user:password@]host[:port],…                     some nodes of a Cluster
 *
 * rediss://, rediss+sentinel:// and rediss+cluster:// are the same over TLS, to sentinels too.
 * Ports default to 6379, of sentinels to 26379. The credentials are those of the servers that hold
 * data; sentinels have their own. User, password, name of the primary, path and the values of
 * options are percent-decoded (RFC 3986 2.1). Options after `?`: `db`; with Sentinel
 * `sentinel_user` and `sentinel_password`; with TLS `ca`, `cert`, `key` (PEM files), `server_name`
 * (the name that every server's certificate has, instead of its host) and `verify` (on or off).
 * Pure. Sentences of refusal are static, so they cannot hold a password.
 */
#ifndef CACHEGATE_REDIS_URL_H
#define CACHEGATE_REDIS_URL_H

#include "cachegate/arena.h"
#include "cachegate/str.h"

enum {
    CG_REDIS_URL_MAX = 4096,
    CG_REDIS_SEEDS_MAX = 16,
    CG_REDIS_DATABASE_MAX = 65535,
    CG_REDIS_PORT = 6379,
    CG_REDIS_SENTINEL_PORT = 26379,
};

enum cg_redis_form { CG_REDIS_STANDALONE, CG_REDIS_SENTINEL, CG_REDIS_CLUSTER };

/* One server: a host (a name or an address without brackets) and a port, or a UNIX socket. */
struct cg_redis_address {
    char host[256]; /* NUL-terminated, as all of them; "" with a socket */
    uint16_t port;
    char socket_path[108];
};

/* Texts are NUL-terminated and in the arena; "" where the URL says nothing. */
struct cg_redis_url {
    enum cg_redis_form form;
    struct cg_redis_address seeds[CG_REDIS_SEEDS_MAX]; /* in the order written */
    size_t seed_count;                                 /* 1 unless sentinels or a Cluster */
    const char *primary_name;                          /* as the sentinels know it */
    const char *sentinel_user, *sentinel_password;
    bool tls;
    bool verify;      /* the server's certificate; true unless switched off */
    const char *host; /* the first seed, once more */
    uint16_t port;
    const char *socket_path; /* not empty: a UNIX socket, and no host */
    const char *user;        /* ACL user; "" is the default one */
    bool has_password;
    const char *password;
    uint32_t database;
    const char *ca_file;          /* "": the system's authorities */
    const char *certificate_file; /* of the client; with key_file */
    const char *key_file;
    const char *server_name; /* "": the host */
};

/* False and a sentence about the part that is wrong. */
bool cg_redis_url_parse(struct cg_str text, struct cg_arena *arena, struct cg_redis_url *ret_url,
                        const char **ret_error);

#endif
