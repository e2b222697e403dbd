/*
 * redis_reply: the objects of a reply of Redis, in memory of ours.
 *
 * They look as hiredis's own do (redisReply), but a whole reply takes one allocation as long as it
 * is small, and nothing is cleared. Long strings are blobs, so that a stored entry is received once
 * and stays where it is on its way to whoever serves it. All strings end with a NUL that their
 * length does not count. Whoever makes an object has room for it: bounds are the reader's business.
 */
#ifndef GATEWAY_STORE_REDIS_REPLY_H
#define GATEWAY_STORE_REDIS_REPLY_H

#include "cachegate/blob.h"

#include <hiredis/hiredis.h>

enum { CG_REDIS_BLOB_BYTES_MIN = 512 };

/* One reply with all its parts. The first object that is added is the reply itself. */
struct cg_redis_whole;

struct cg_redis_whole *cg_redis_whole_create(void);
/* Takes NULL; returns NULL. */
struct cg_redis_whole *cg_redis_whole_destroy(struct cg_redis_whole *whole);

/* A nil or an integer. */
redisReply *cg_redis_whole_add(struct cg_redis_whole *whole, int type);
/* A status, an error or a short string; the bytes are copied. */
redisReply *cg_redis_whole_add_text(struct cg_redis_whole *whole, int type, struct cg_str text);
/* A long string, whose bytes the caller writes. */
redisReply *cg_redis_whole_add_blob(struct cg_redis_whole *whole, size_t length);
/* The caller sets its elements, which are not cleared. */
redisReply *cg_redis_whole_add_array(struct cg_redis_whole *whole, size_t count);

/* A whole reply, by the object that was added first. Takes NULL. Not for parts of one. */
void cg_redis_reply_free(redisReply *reply);
/* The bytes of a string as a blob, with a reference of the caller's: the reply's own where it has
 * one; it has none afterwards, and is nil. */
struct cg_blob *cg_redis_reply_take(const redisReply *reply);

#endif
