/*
 * redis_client: a blocking client of Redis, for command lines, which wait anyway; the links of a
 * running gateway (redis_link.h) need a loop.
 *
 * It goes where the URL leads: to one server, to the primary that a sentinel names, or to any node
 * of a Cluster, whose redirections it follows. One connection at a time, one question at a time.
 */
#ifndef GATEWAY_STORE_REDIS_CLIENT_H
#define GATEWAY_STORE_REDIS_CLIENT_H

#include "cachegate/str.h"
#include "gateway/store/redis_reply.h"

struct cg_redis_client;

/* NULL and a sentence in *ret_error (to be freed) when no server can be reached. `timeout_ms` holds
 * for connecting and for each answer. */
struct cg_redis_client *cg_redis_client_connect(const char *url, uint32_t timeout_ms,
                                                char **ret_error);
/* The reply (cg_redis_reply_free), errors of Redis among them; NULL when the connection is lost. At
 * most 8 words. */
redisReply *cg_redis_client_ask(struct cg_redis_client *client, const struct cg_str *words,
                                size_t count);
/* About the last question that got NULL. Borrowed. */
const char *cg_redis_client_why(const struct cg_redis_client *client);
/* Takes NULL; returns NULL. */
struct cg_redis_client *cg_redis_client_close(struct cg_redis_client *client);

#endif
