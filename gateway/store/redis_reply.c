#include "gateway/store/redis_reply.h"

#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"

enum { BLOB_BYTES_MIN = 512 };

struct cg_redis_object {
    redisReply base; /* first */
    struct cg_redis_object *next;
    struct cg_blob *blob; /* owned reference, for a long string */
    union {
        char text[1]; /* of a short one, with its NUL */
        struct redisReply *elements[1];
    } more; /* as long as was asked for */
};

/* `more_bytes`: behind the object. */
static struct cg_redis_object *create(const redisReadTask *task, size_t more_bytes)
{
    struct cg_redis_reply_maker *maker = task->privdata;
    struct cg_redis_object *object =
        malloc(offsetof(struct cg_redis_object, more) + more_bytes + sizeof(object->more));
    CG_ASSERT(object != NULL);
    object->base = (redisReply){.type = task->type};
    object->next = NULL;
    object->blob = NULL;
    if (task->parent != NULL) {
        redisReply *array = task->parent->obj;
        array->element[task->idx] = &object->base;
        maker->last->next = object;
    }
    maker->last = object;
    return object;
}

static void *create_string(const redisReadTask *task, char *bytes, size_t length)
{
    bool is_long = length >= BLOB_BYTES_MIN;
    struct cg_redis_object *object = create(task, is_long ? 0 : length);
    char *text = object->more.text;
    if (is_long) {
        object->blob = cg_blob_alloc(length + 1); /* with the NUL, which is none of its bytes */
        object->blob->length = length;
        text = object->blob->bytes;
    }
    memcpy(text, bytes, length);
    text[length] = '\0';
    object->base.str = text;
    object->base.len = length;
    return object;
}

static void *create_array(const redisReadTask *task, int count)
{
    size_t bytes = (size_t)count * sizeof(struct redisReply *);
    struct cg_redis_object *object = create(task, bytes);
    memset(object->more.elements, 0, bytes);
    object->base.element = object->more.elements;
    object->base.elements = (size_t)count;
    return object;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct cg_redis_object *object = create(task, 0);
    object->base.integer = value;
    return object;
}

static void *create_nil(const redisReadTask *task)
{
    struct cg_redis_object *object = create(task, 0);
    object->base.type = REDIS_REPLY_NIL; /* the task was for a string or an array */
    return object;
}

static void free_object(void *root)
{
    struct cg_redis_object *object = root;
    while (object != NULL) {
        struct cg_redis_object *next = object->next;
        cg_blob_unref(object->blob);
        free(object);
        object = next;
    }
}

const redisReplyObjectFunctions cg_redis_reply_functions = {
    create_string, create_array, create_integer, create_nil, free_object};

void cg_redis_reply_free(redisReply *reply)
{
    free_object(reply);
}

struct cg_blob *cg_redis_reply_take(const redisReply *reply)
{
    union { /* who is told of a reply may not change it, but for this */
        const redisReply *from;
        struct cg_redis_object *to;
    } pointer = {.from = reply};
    struct cg_redis_object *object = pointer.to;
    struct cg_blob *blob = object->blob;
    CG_ASSERT(reply->type == REDIS_REPLY_STRING);
    if (blob == NULL)
        blob = cg_blob_create(cg_str_of(reply->str, reply->len));
    object->blob = NULL;
    object->base = (redisReply){.type = REDIS_REPLY_NIL};
    return blob;
}
