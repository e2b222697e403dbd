#include "gateway/store/redis_reply.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"

/* The first block has room for the versions of a lookup, and is of a size that malloc is quick
 * with. */
enum { FIRST_BYTES = 960, MORE_BYTES = 16 << 10, ALIGNMENT = 16 };

struct object {
    redisReply base;      /* first */
    struct cg_blob *blob; /* owned reference, for a long string */
    struct object *next;  /* another one that had a blob */
};

struct block {
    struct block *next;
    _Alignas(ALIGNMENT) char bytes[];
};

struct cg_redis_whole {
    struct object *strings; /* that had a blob */
    struct block *blocks;   /* owned: where the first did not suffice */
    char *free;             /* of the newest block, or of `first` */
    size_t left;
    _Alignas(ALIGNMENT) char first[];
};

struct cg_redis_whole *cg_redis_whole_create(void)
{
    struct cg_redis_whole *whole = malloc(sizeof(*whole) + FIRST_BYTES);
    CG_ASSERT(whole != NULL);
    whole->strings = NULL;
    whole->blocks = NULL;
    whole->free = whole->first;
    whole->left = FIRST_BYTES;
    return whole;
}

struct cg_redis_whole *cg_redis_whole_destroy(struct cg_redis_whole *whole)
{
    if (whole == NULL)
        return NULL;
    for (struct object *object = whole->strings; object != NULL; object = object->next)
        cg_blob_unref(object->blob);
    while (whole->blocks != NULL) {
        struct block *block = whole->blocks;
        whole->blocks = block->next;
        free(block);
    }
    free(whole);
    return NULL;
}

static void *take(struct cg_redis_whole *whole, size_t bytes)
{
    CG_ASSERT(bytes <= SIZE_MAX / 2);
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes > whole->left) {
        size_t size = bytes > MORE_BYTES ? bytes : MORE_BYTES;
        struct block *block = malloc(sizeof(*block) + size);
        CG_ASSERT(block != NULL);
        block->next = whole->blocks;
        whole->blocks = block;
        whole->free = block->bytes;
        whole->left = size;
    }
    void *at = whole->free;
    whole->free += bytes;
    whole->left -= bytes;
    return at;
}

/* Before what it points to: the reply itself stands first, where cg_redis_reply_free finds it. */
static struct object *add(struct cg_redis_whole *whole, int type)
{
    struct object *object = take(whole, sizeof(*object));
    object->base = (redisReply){.type = type};
    object->blob = NULL;
    return object;
}

redisReply *cg_redis_whole_add(struct cg_redis_whole *whole, int type)
{
    return &add(whole, type)->base;
}

redisReply *cg_redis_whole_add_text(struct cg_redis_whole *whole, int type, struct cg_str text)
{
    struct object *object = add(whole, type);
    char *copy = take(whole, text.length + 1);
    if (text.length > 0)
        memcpy(copy, text.bytes, text.length);
    copy[text.length] = '\0';
    object->base.str = copy;
    object->base.len = text.length;
    return &object->base;
}

redisReply *cg_redis_whole_add_blob(struct cg_redis_whole *whole, size_t length)
{
    struct object *object = add(whole, REDIS_REPLY_STRING);
    object->blob = cg_blob_alloc(length + 1); /* with the NUL, which is none of its bytes */
    object->blob->length = length;
    object->blob->bytes[length] = '\0';
    object->base.str = object->blob->bytes;
    object->base.len = length;
    object->next = whole->strings;
    whole->strings = object;
    return &object->base;
}

redisReply *cg_redis_whole_add_array(struct cg_redis_whole *whole, size_t count)
{
    struct object *object = add(whole, REDIS_REPLY_ARRAY);
    object->base.elements = count;
    object->base.element = take(whole, count * sizeof(struct redisReply *));
    return &object->base;
}

void cg_redis_reply_free(redisReply *reply)
{
    if (reply != NULL)
        cg_redis_whole_destroy((void *)((char *)reply - offsetof(struct cg_redis_whole, first)));
}

struct cg_blob *cg_redis_reply_take(const redisReply *reply)
{
    union { /* who is told of a reply may not change it, but for this */
        const redisReply *from;
        struct object *to;
    } pointer = {.from = reply};
    struct object *object = pointer.to;
    struct cg_blob *blob = object->blob;
    CG_ASSERT(reply->type == REDIS_REPLY_STRING);
    if (blob == NULL)
        blob = cg_blob_create(cg_str_of(reply->str, reply->len));
    object->blob = NULL;
    object->base = (redisReply){.type = REDIS_REPLY_NIL};
    return blob;
}
