/*
 * redis_reader: takes replies of Redis apart (RESP2), within bounds.
 *
 * The objects are hiredis's (redis_reply.h); its own reader is not used, because it copies each
 * byte twice and keeps a long string for long in a buffer that grows. Here what is missing of a
 * long string, once its length is known, is received straight into the blob that it becomes.
 *
 * A server is not believed: a bulk string may promise 512 MB, an array of four bytes 2^31 elements.
 * Whoever can write to Redis makes the first, a forged server the second. So one reply has at most
 * `bytes_max` bytes, and its arrays, however nested, promise at most CG_REDIS_ELEMENTS_MAX elements
 * together; beyond, and wherever a byte is not as RESP2 has it, it is no reply of a Redis that we
 * use, and its connection ends. Not thread-safe; reads from a descriptor, never blocks for it.
 */
#ifndef GATEWAY_STORE_REDIS_READER_H
#define GATEWAY_STORE_REDIS_READER_H

#include "gateway/store/redis_reply.h"

#include <stdbool.h>

enum {
    /* CLUSTER SLOTS of 16384 ranges with some replicas has half of it. */
    CG_REDIS_ELEMENTS_MAX = 1 << 20,
    /* Beside an entry: versions full of marks, or a list of the longest bans. */
    CG_REDIS_REPLY_BYTES = 32 << 20,
    CG_REDIS_NESTING_MAX = 8, /* hiredis's */
};

struct cg_redis_reader {
    size_t bytes_max;
    size_t bytes;    /* of the reply that has begun */
    size_t elements; /* that its arrays promised */
    bool broken;
    char *buffer; /* owned; what stands from `begin` to `end` was not taken apart yet */
    size_t begin, end, capacity;
    size_t searched;              /* of that: has no end of a line */
    struct cg_redis_whole *whole; /* owned: the reply that has begun; NULL: none */
    redisReply *reply;            /* its first object */
    redisReply *string;           /* a long string whose end was not seen; NULL: none */
    size_t missing;               /* bytes of it; then the buffer is empty */
    size_t depth;
    struct {
        redisReply *array;
        size_t next;
    } levels[CG_REDIS_NESTING_MAX];
};

enum cg_redis_received {
    CG_REDIS_RECEIVED_END,  /* the connection has ended */
    CG_REDIS_RECEIVED_NONE, /* nothing is there now */
    CG_REDIS_RECEIVED_ALL,  /* all that is there now */
    CG_REDIS_RECEIVED_MORE, /* there may be more */
};

void cg_redis_reader_init(struct cg_redis_reader *reader, size_t bytes_max);
/* May be called twice, and on a zeroed one. */
void cg_redis_reader_fini(struct cg_redis_reader *reader);
void cg_redis_reader_feed(struct cg_redis_reader *reader, const char *bytes, size_t length);
/* The same with what the socket has, which does not block. */
enum cg_redis_received cg_redis_reader_receive(struct cg_redis_reader *reader, int socket);
/* False, from then on: what came is no reply, or is over the bounds. True and NULL: it is not there
 * yet. The caller frees it (cg_redis_reply_free). */
bool cg_redis_reader_next(struct cg_redis_reader *reader, redisReply **ret_reply);

#endif
