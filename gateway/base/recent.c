#include "gateway/base/recent.h"

#include "cachegate/assert.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cg_recent {
    pthread_mutex_t lock;
    uint64_t count; /* ever noted; the newest is in slot (count - 1) % CG_RECENT_PURGES_MAX */
    struct cg_recent_purge purges[CG_RECENT_PURGES_MAX];
};

static struct cg_recent of_process = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct cg_recent *cg_recent_process(void)
{
    return &of_process;
}

struct cg_recent *cg_recent_create(void)
{
    struct cg_recent *recent = calloc(1, sizeof *recent);
    CG_ASSERT(recent != NULL);
    CG_ASSERT(pthread_mutex_init(&recent->lock, NULL) == 0);
    return recent;
}

struct cg_recent *cg_recent_destroy(struct cg_recent *recent)
{
    if (recent == NULL)
        return NULL;
    pthread_mutex_destroy(&recent->lock);
    free(recent);
    return NULL;
}

/* The longest start of `text` that fits into `room` and does not end within a character. */
static size_t fitting(struct cg_str text, size_t room)
{
    if (text.length <= room)
        return text.length;
    size_t length = room;
    while (length > 0 && ((unsigned char)text.bytes[length] & 0xc0) == 0x80)
        length--;
    return length;
}

static void copy_text(char *target, size_t size, struct cg_str text)
{
    size_t length = fitting(text, size - 1);
    if (length > 0)
        memcpy(target, text.bytes, length);
    target[length] = '\0';
}

/* As many whole patterns as fit, and how many did not: half a pattern would name something else. */
static void copy_shapes(char target[CG_RECENT_SHAPE_BYTES], const struct cg_recent_note *note)
{
    enum { TAIL_BYTES = 32 };
    size_t used = 0;
    target[0] = '\0';
    for (size_t i = 0; i < note->shape_count; i++) {
        struct cg_str shape = note->shapes[i];
        if (used + shape.length + 2 > CG_RECENT_SHAPE_BYTES - TAIL_BYTES) {
            snprintf(target + used, TAIL_BYTES, "%sand %zu more", used > 0 ? ", " : "",
                     note->shape_count - i);
            return;
        }
        if (used > 0) {
            memcpy(target + used, ", ", 2);
            used += 2;
        }
        if (shape.length > 0)
            memcpy(target + used, shape.bytes, shape.length);
        used += shape.length;
        target[used] = '\0';
    }
}

void cg_recent_add(struct cg_recent *recent, const struct cg_recent_note *note)
{
    pthread_mutex_lock(&recent->lock);
    struct cg_recent_purge *purge = &recent->purges[recent->count % CG_RECENT_PURGES_MAX];
    recent->count++;
    purge->number = recent->count;
    purge->at_ms = note->at_ms;
    purge->cause = note->cause;
    copy_text(purge->route, sizeof purge->route, note->route);
    copy_shapes(purge->shape, note);
    purge->instances = note->instances;
    purge->open = note->open;
    purge->widened = note->widened;
    pthread_mutex_unlock(&recent->lock);
}

size_t cg_recent_read(struct cg_recent *recent, uint64_t after, struct cg_recent_purge *ret_purges,
                      size_t room)
{
    size_t count = 0;
    pthread_mutex_lock(&recent->lock);
    uint64_t number = recent->count;
    while (number > after && count < room && count < CG_RECENT_PURGES_MAX) {
        ret_purges[count++] = recent->purges[(number - 1) % CG_RECENT_PURGES_MAX];
        number--;
    }
    pthread_mutex_unlock(&recent->lock);
    return count;
}

uint64_t cg_recent_count(struct cg_recent *recent)
{
    pthread_mutex_lock(&recent->lock);
    uint64_t count = recent->count;
    pthread_mutex_unlock(&recent->lock);
    return count;
}
