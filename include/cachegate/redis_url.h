/*
 * redis_url: what an operator writes to name a Redis server, taken apart.
 *
 * `redis://[user:password@]host[:port][/database]`, `rediss://…` for TLS, and
 * `unix://[user:password@]/path` for a UNIX socket. User, password, path and the values of options
 * are percent-decoded (RFC 3986 2.1). Options after `?`: `db`, and with TLS `ca`, `cert`, `key`
 * (PEM files), `server_name` and `verify` (on or off). Pure. Sentences of refusal are static, so
 * they cannot hold a password.
 */
#ifndef CACHEGATE_REDIS_URL_H
#define CACHEGATE_REDIS_URL_H

#include "cachegate/arena.h"
#include "cachegate/str.h"

enum { CG_REDIS_URL_MAX = 4096, CG_REDIS_DATABASE_MAX = 65535, CG_REDIS_PORT = 6379 };

/* One server: a host (a name or an address without brackets) and a port, or a UNIX socket. */
struct cg_redis_address {
    char host[256]; /* NUL-terminated, as all of them; "" with a socket */
    uint16_t port;
    char socket_path[108];
};

/* Texts are NUL-terminated and in the arena; "" where the URL says nothing. */
struct cg_redis_url {
    bool tls;
    bool verify; /* the server's certificate; true unless switched off */
    const char *host;
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
