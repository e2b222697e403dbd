#include "gateway/store/redis_reader.h"

#include <stddef.h>

#include "cachegate/assert.h"

enum { PIECE_BYTES = 4096 };

/* hiredis takes NULL for "out of memory", and ends. */
static void *create_array(const redisReadTask *task, int elements)
{
    struct cg_redis_reader *reader = task->privdata;
    if ((size_t)elements > CG_REDIS_ELEMENTS_MAX - reader->elements)
        return NULL;
    reader->elements += (size_t)elements;
    return cg_redis_reply_functions.createArray(task, elements);
}

void cg_redis_reader_init(struct cg_redis_reader *reader, size_t bytes_max)
{
    *reader = (struct cg_redis_reader){.reader = redisReaderCreate(), .bytes_max = bytes_max};
    CG_ASSERT(reader->reader != NULL);
    reader->functions = cg_redis_reply_functions;
    reader->functions.createArray = create_array;
    reader->reader->fn = &reader->functions;
    reader->reader->privdata = reader;
    reader->reader->maxbuf = 0; /* do not give large buffers back after each reply */
}

void cg_redis_reader_fini(struct cg_redis_reader *reader)
{
    if (reader->reader != NULL)
        redisReaderFree(reader->reader);
    reader->reader = NULL;
}

size_t cg_redis_reader_wants(const struct cg_redis_reader *reader)
{
    return reader->bytes > PIECE_BYTES ? reader->bytes : PIECE_BYTES;
}

void cg_redis_reader_feed(struct cg_redis_reader *reader, const char *bytes, size_t length)
{
    reader->bytes += length;
    (void)redisReaderFeed(reader->reader, bytes, length); /* its error stays, for the next reply */
}

bool cg_redis_reader_next(struct cg_redis_reader *reader, redisReply **ret_reply)
{
    void *reply = NULL;
    *ret_reply = NULL;
    if (redisReaderGetReply(reader->reader, &reply) != REDIS_OK)
        return false;
    if (reply == NULL)
        return reader->bytes <= reader->bytes_max;
    /* What is left belongs to the next one. */
    reader->bytes = reader->reader->len - reader->reader->pos;
    reader->elements = 0;
    *ret_reply = reply;
    return true;
}
