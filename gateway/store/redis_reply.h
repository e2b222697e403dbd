/*
 * redis_reply: the objects that hiredis makes of a reply, in memory of ours.
 *
 * They look as hiredis's own do (redisReply), with one allocation for each instead of two, none of
 * them cleared. Long strings are blobs, so that a stored entry is copied once on its way from the
 * connection to whoever serves it. All strings end with a NUL that their length does not count.
 */
#ifndef GATEWAY_STORE_REDIS_REPLY_H
#define GATEWAY_STORE_REDIS_REPLY_H

#include "cachegate/blob.h"

#include <hiredis/hiredis.h>

/* The object that was made last for the reply in progress: they form a list. */
struct cg_redis_reply_maker {
    struct cg_redis_object *last;
};

/* For a reader whose privdata begins with a maker. */
extern const redisReplyObjectFunctions cg_redis_reply_functions;

/* A whole reply that was made by them. Takes NULL. Not for parts of one. */
void cg_redis_reply_free(redisReply *reply);
/* The bytes of a string as a blob, with a reference of the caller's: the reply's own where it has
 * one; it has none afterwards, and is nil. `reply` was made by these functions. */
struct cg_blob *cg_redis_reply_take(const redisReply *reply);

#endif
