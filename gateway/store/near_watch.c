#include "gateway/store/near_watch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/memory_table.h"

enum {
    SHARDS = 64,
    SHARD_SHIFT = 58, /* the top 6 bits of a hash */
    LINE = 64,
    /* Of a shard: when instances of one bucket last changed. Two that share a bucket cost a lookup
     * more, now and then. */
    BUCKETS = 1024,
};

struct token_slot {
    struct cg_slot slot;
    struct cg_token token;
};

struct shard {
    _Alignas(LINE) pthread_mutex_t lock;
    /* All under the lock. */
    struct cg_table table;
    bool attached;             /* else it would fill up for nothing */
    uint64_t emptied;          /* moment of the last time */
    uint64_t changed[BUCKETS]; /* moments */
};

struct cg_near_watch {
    size_t shard_tokens_max;
    uint32_t timeout_ms;
    /* The last moment. A change takes the next one while it holds its lock. */
    _Alignas(LINE) _Atomic uint64_t moment;
    _Atomic int64_t proven_ms; /* INT64_MIN: nothing is */
    _Atomic uint64_t stamp;    /* changes with everything under the history's lock */

    _Alignas(LINE) pthread_mutex_t history_lock;
    bool epoch_known;
    struct cg_epoch epoch;
    struct cg_bans *bans; /* one reference, while the epoch is known */
    uint64_t epoch_changed;
    char server[CG_NEAR_SERVER_MAX];

    struct shard shards[SHARDS];
};

static void lock(pthread_mutex_t *mutex)
{
    CG_ASSERT(pthread_mutex_lock(mutex) == 0);
}

static void unlock(pthread_mutex_t *mutex)
{
    CG_ASSERT(pthread_mutex_unlock(mutex) == 0);
}

static uint64_t next_moment(struct cg_near_watch *watch)
{
    return atomic_fetch_add(&watch->moment, 1) + 1;
}

uint64_t cg_near_watch_moment(struct cg_near_watch *watch)
{
    return atomic_load(&watch->moment);
}

/* ---- tokens ---- */

static struct shard *shard_of(struct cg_near_watch *watch, const struct cg_instance *instance)
{
    return &watch->shards[cg_table_hash(instance->id) >> SHARD_SHIFT];
}

static uint64_t *changed_of(struct shard *shard, const struct cg_instance *instance)
{
    return &shard->changed[(cg_table_hash(instance->id) >> 32) % BUCKETS];
}

static void remove_token(struct shard *shard, struct cg_slot *slot)
{
    cg_table_remove(&shard->table, slot);
    free(slot);
}

void cg_near_watch_instance_changed(struct cg_near_watch *watch, const struct cg_instance *instance)
{
    struct shard *shard = shard_of(watch, instance);
    lock(&shard->lock);
    *changed_of(shard, instance) = next_moment(watch);
    struct cg_slot *slot = cg_table_find(&shard->table, instance->id);
    if (slot != NULL)
        remove_token(shard, slot);
    unlock(&shard->lock);
}

static void empty_shard(struct cg_near_watch *watch, struct shard *shard)
{
    shard->emptied = next_moment(watch);
    while (shard->table.oldest != NULL)
        remove_token(shard, shard->table.oldest);
}

static void learn_token(struct cg_near_watch *watch, uint64_t moment,
                        const struct cg_instance *instance, const struct cg_token *token)
{
    struct shard *shard = shard_of(watch, instance);
    lock(&shard->lock);
    if (shard->attached && shard->emptied <= moment && *changed_of(shard, instance) <= moment) {
        struct cg_slot *slot = cg_table_find(&shard->table, instance->id);
        if (slot == NULL) {
            if (shard->table.count >= watch->shard_tokens_max)
                remove_token(shard, cg_table_victim(&shard->table, NULL, NULL));
            struct token_slot *fresh = calloc(1, sizeof(*fresh));
            CG_ASSERT(fresh != NULL);
            memcpy(fresh->slot.id, instance->id, CG_DIGEST_BYTES);
            slot = &fresh->slot;
            cg_table_add(&shard->table, slot);
        }
        ((struct token_slot *)slot)->token = *token;
    }
    unlock(&shard->lock);
}

static bool is_current(struct cg_near_watch *watch, const struct cg_near_stamp *stamp)
{
    struct shard *shard = shard_of(watch, &stamp->instance);
    lock(&shard->lock);
    struct cg_slot *slot = cg_table_find(&shard->table, stamp->instance.id);
    bool current = slot != NULL && cg_token_eq(&((struct token_slot *)slot)->token, &stamp->token);
    unlock(&shard->lock);
    return current;
}

size_t cg_near_watch_tokens(struct cg_near_watch *watch)
{
    size_t count = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        lock(&watch->shards[i].lock);
        count += watch->shards[i].table.count;
        unlock(&watch->shards[i].lock);
    }
    return count;
}

/* ---- the history of open purges ---- */

static void forget_epoch(struct cg_near_watch *watch)
{
    watch->epoch_changed = next_moment(watch);
    watch->epoch_known = false;
    watch->bans = cg_bans_unref(watch->bans);
    atomic_fetch_add(&watch->stamp, 1);
}

void cg_near_watch_epoch_changed(struct cg_near_watch *watch)
{
    lock(&watch->history_lock);
    forget_epoch(watch);
    unlock(&watch->history_lock);
}

static void learn_epoch(struct cg_near_watch *watch, uint64_t moment, struct cg_epoch epoch,
                        struct cg_bans *bans)
{
    lock(&watch->history_lock);
    bool older = watch->epoch_known && watch->epoch.generation == epoch.generation &&
                 watch->epoch.counter >= epoch.counter;
    if (watch->epoch_changed <= moment && !older) {
        cg_bans_unref(watch->bans);
        watch->bans = cg_bans_ref(bans);
        watch->epoch = epoch;
        watch->epoch_known = true;
        atomic_fetch_add(&watch->stamp, 1);
    }
    unlock(&watch->history_lock);
}

void cg_near_sight_fini(struct cg_near_sight *sight)
{
    sight->bans = cg_bans_unref(sight->bans);
}

/* The stamp is raised before a change is told, so whoever looks afterwards takes the lock. */
static void refresh(struct cg_near_watch *watch, struct cg_near_sight *sight)
{
    if (sight->stamp == atomic_load(&watch->stamp))
        return;
    cg_bans_unref(sight->bans);
    lock(&watch->history_lock);
    sight->stamp = atomic_load(&watch->stamp);
    sight->known = watch->epoch_known;
    sight->epoch = watch->epoch;
    sight->bans = watch->bans == NULL ? NULL : cg_bans_ref(watch->bans);
    memcpy(sight->server, watch->server, sizeof(sight->server));
    unlock(&watch->history_lock);
}

/* ---- the connection ---- */

/* Unproven first: from then on nothing of the old connection is served. */
static void begin_anew(struct cg_near_watch *watch, bool attached, const char *server)
{
    atomic_store(&watch->proven_ms, INT64_MIN);
    lock(&watch->history_lock);
    (void)snprintf(watch->server, sizeof(watch->server), "%s", server);
    forget_epoch(watch);
    unlock(&watch->history_lock);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &watch->shards[i];
        lock(&shard->lock);
        shard->attached = attached;
        empty_shard(watch, shard);
        unlock(&shard->lock);
    }
}

void cg_near_watch_attach(struct cg_near_watch *watch, const char *server)
{
    begin_anew(watch, true, server);
}

void cg_near_watch_detach(struct cg_near_watch *watch)
{
    begin_anew(watch, false, "");
}

void cg_near_watch_all_changed(struct cg_near_watch *watch)
{
    cg_near_watch_epoch_changed(watch);
    for (size_t i = 0; i < SHARDS; i++) {
        lock(&watch->shards[i].lock);
        empty_shard(watch, &watch->shards[i]);
        unlock(&watch->shards[i].lock);
    }
}

void cg_near_watch_proven(struct cg_near_watch *watch, int64_t moment_ms)
{
    atomic_store(&watch->proven_ms, moment_ms);
}

bool cg_near_watch_is_up(struct cg_near_watch *watch)
{
    int64_t proven_ms = atomic_load(&watch->proven_ms);
    return proven_ms != INT64_MIN &&
           cg_clock_monotonic_ms() - proven_ms <= (int64_t)watch->timeout_ms;
}

/* ---- lookups ---- */

void cg_near_watch_learn(struct cg_near_watch *watch, uint64_t moment,
                         const struct cg_instance *instances, const struct cg_store_view *view,
                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (view->versions[i].state == CG_VERSION_CURRENT)
            learn_token(watch, moment, &instances[i], &view->versions[i].token);
    if (view->bans != NULL)
        learn_epoch(watch, moment, view->epoch, view->bans);
}

bool cg_near_watch_confirms(struct cg_near_watch *watch, struct cg_near_sight *sight,
                            const struct cg_near_copy *copy, const char *server,
                            struct cg_store_view *ret_view)
{
    if (server[0] == '\0' || !cg_near_watch_is_up(watch))
        return false;
    refresh(watch, sight);
    if (!sight->known || !cg_epoch_eq(sight->epoch, copy->seen_at) ||
        strcmp(sight->server, server) != 0)
        return false;
    for (size_t i = 0; i < copy->count; i++) {
        if (!is_current(watch, &copy->stamps[i]))
            return false;
        ret_view->versions[i] =
            (struct cg_version){.state = CG_VERSION_CURRENT, .token = copy->stamps[i].token};
    }
    ret_view->epoch = sight->epoch;
    ret_view->bans = cg_bans_ref(sight->bans);
    return true;
}

/* ---- life ---- */

struct cg_near_watch *cg_near_watch_create(size_t tokens_max, uint32_t timeout_ms)
{
    struct cg_near_watch *watch = aligned_alloc(LINE, sizeof(*watch));
    CG_ASSERT(watch != NULL);
    memset(watch, 0, sizeof(*watch));
    watch->shard_tokens_max = tokens_max / SHARDS + 1;
    watch->timeout_ms = timeout_ms;
    atomic_init(&watch->proven_ms, INT64_MIN);
    atomic_init(&watch->stamp, 1); /* not that of a zeroed sight */
    CG_ASSERT(pthread_mutex_init(&watch->history_lock, NULL) == 0);
    for (size_t i = 0; i < SHARDS; i++)
        CG_ASSERT(pthread_mutex_init(&watch->shards[i].lock, NULL) == 0);
    return watch;
}

struct cg_near_watch *cg_near_watch_destroy(struct cg_near_watch *watch)
{
    if (watch == NULL)
        return NULL;
    cg_bans_unref(watch->bans);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &watch->shards[i];
        empty_shard(watch, shard);
        cg_table_fini(&shard->table);
        CG_ASSERT(pthread_mutex_destroy(&shard->lock) == 0);
    }
    CG_ASSERT(pthread_mutex_destroy(&watch->history_lock) == 0);
    free(watch);
    return NULL;
}
