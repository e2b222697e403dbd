/*
 * redis_reader: takes replies of Redis apart (hiredis), within bounds.
 *
 * hiredis believes what a server says of its replies: a bulk string may have 512 MB, an array of
 * four bytes a promise of 2^31 elements. Whoever can write to Redis makes the first, a forged
 * server the second. So one reply has at most `bytes_max` bytes, and its arrays, however nested,
 * promise at most CG_REDIS_ELEMENTS_MAX elements together; beyond, it is no reply of a Redis that
 * we use, and its connection ends. Not thread-safe; no I/O.
 */
#ifndef GATEWAY_STORE_REDIS_READER_H
#define GATEWAY_STORE_REDIS_READER_H

#include "gateway/store/redis_reply.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>

enum {
    /* CLUSTER SLOTS of 16384 ranges with some replicas has half of it. */
    CG_REDIS_ELEMENTS_MAX = 1 << 20,
    /* Beside an entry: versions full of marks, or a list of the longest bans. */
    CG_REDIS_REPLY_BYTES = 32 << 20,
};

struct cg_redis_reader {
    struct cg_redis_reply_maker maker;   /* first: for the functions of redis_reply.h */
    redisReader *reader;                 /* owned; NULL: none */
    redisReplyObjectFunctions functions; /* … but for arrays, which are bounded */
    size_t bytes_max;
    size_t bytes;    /* of the reply that has begun */
    size_t elements; /* that its arrays promised */
};

/* The address must not change until it is finished. */
void cg_redis_reader_init(struct cg_redis_reader *reader, size_t bytes_max);
/* May be called twice, and on a zeroed one. */
void cg_redis_reader_fini(struct cg_redis_reader *reader);
/*
 * How much to feed at once. hiredis moves all that it has yet to read to the front after each
 * kilobyte that it has read, so what holds many replies is fed piece by piece; the pieces of one
 * long reply double.
 */
size_t cg_redis_reader_wants(const struct cg_redis_reader *reader);
void cg_redis_reader_feed(struct cg_redis_reader *reader, const char *bytes, size_t length);
/* False: what came is no reply, or is over the bounds. True and NULL: it is not there yet. The
 * caller frees it (cg_redis_reply_free). */
bool cg_redis_reader_next(struct cg_redis_reader *reader, redisReply **ret_reply);

#endif
