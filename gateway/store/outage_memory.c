#include "gateway/store/outage_memory.h"

#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"
#include "gateway/store/memory.h"

struct cg_outage_memory {
    struct cg_memory *memory;
    uint32_t ttl_ms;
};

/* A lookup or prepare on its way; what it asks for is borrowed from the caller. */
struct question {
    struct question *previous, *next; /* of the handle */
    struct handle *handle;
    bool prepares;
    const struct cg_key *key;
    const struct cg_instance *instances;
    size_t count;
    cg_store_view_fn answer;
    void *owner;
};

/* What views name as `stand_in`: it is filled, and nothing else. */
struct stand_in {
    struct cg_store base;
    struct cg_store_port port;
    struct handle *handle;
};

struct handle {
    struct cg_store base;
    struct cg_store_port port;       /* `seals` is the inner store's */
    struct cg_outage_memory *outage; /* borrowed */
    struct cg_store *inner;          /* borrowed */
    struct cg_store *local;          /* owned */
    struct stand_in stand_in;
    bool away; /* what the inner store said last */
    struct question *first;
};

static struct handle *handle_of(struct cg_store *store)
{
    return (struct handle *)store;
}

static void on_local_done(void *owner, enum cg_store_result result)
{
    (void)owner;
    CG_ASSERT(result == CG_STORE_OK); /* the embedded store takes every change */
}

/* ---- coming and going ---- */

/*
 * A new history, for all threads: what was stored in one outage says nothing in the next, and a
 * thread that has the store back must not find another's entries when it loses it again.
 */
static void set_away(struct handle *handle, bool away)
{
    if (handle->away == away)
        return;
    handle->away = away;
    handle->local->port->flush(handle->local, on_local_done, NULL);
}

/* ---- lookup and prepare ---- */

static struct question *ask(struct handle *handle, const struct question *what)
{
    struct question *question = malloc(sizeof(*question));
    CG_ASSERT(question != NULL);
    *question = *what;
    question->handle = handle;
    question->previous = NULL;
    question->next = handle->first;
    if (handle->first != NULL)
        handle->first->previous = question;
    handle->first = question;
    return question;
}

static void forget(struct question *question)
{
    if (question->previous != NULL)
        question->previous->next = question->next;
    else
        question->handle->first = question->next;
    if (question->next != NULL)
        question->next->previous = question->previous;
    free(question);
}

static void on_local_view(void *owner, const struct cg_store_view *view)
{
    const struct question *question = owner;
    struct cg_store_view ours; /* large: only what was asked for is filled in */
    ours.result = view->result;
    ours.entry = view->entry;
    ours.given = NULL;
    ours.epoch = view->epoch;
    ours.bans = view->bans;
    ours.stand_in = &question->handle->stand_in.base;
    memcpy(ours.versions, view->versions, question->count * sizeof(ours.versions[0]));
    question->answer(question->owner, &ours);
}

static void on_inner_view(void *owner, const struct cg_store_view *view)
{
    struct question asked = *(struct question *)owner;
    struct cg_store *local = asked.handle->local;
    forget(owner); /* its answer may ask again */
    set_away(asked.handle, view->result != CG_STORE_OK);
    if (view->result == CG_STORE_OK)
        asked.answer(asked.owner, view);
    else if (asked.prepares)
        local->port->prepare(local, asked.instances, asked.count, on_local_view, &asked);
    else
        local->port->lookup(local, asked.key, asked.instances, asked.count, on_local_view, &asked);
}

static void outage_lookup(struct cg_store *store, const struct cg_key *key,
                          const struct cg_instance *instances, size_t count,
                          cg_store_view_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    struct question what = {
        .key = key, .instances = instances, .count = count, .answer = answer, .owner = owner};
    CG_ASSERT(count <= CG_INSTANCES_MAX);
    handle->inner->port->lookup(handle->inner, key, instances, count, on_inner_view,
                                ask(handle, &what));
}

static void outage_prepare(struct cg_store *store, const struct cg_instance *instances,
                           size_t count, cg_store_view_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    struct question what = {
        .prepares = true, .instances = instances, .count = count, .answer = answer, .owner = owner};
    CG_ASSERT(count <= CG_INSTANCES_MAX);
    handle->inner->port->prepare(handle->inner, instances, count, on_inner_view,
                                 ask(handle, &what));
}

/* ---- fills: each under the versions of its own store ---- */

static void outage_fill(struct cg_store *store, const struct cg_key *key, struct cg_blob *entry,
                        uint64_t lifetime_ms, cg_store_done_fn answer, void *owner)
{
    struct cg_store *inner = handle_of(store)->inner;
    inner->port->fill(inner, key, entry, lifetime_ms, answer, owner);
}

static void stand_in_fill(struct cg_store *store, const struct cg_key *key, struct cg_blob *entry,
                          uint64_t lifetime_ms, cg_store_done_fn answer, void *owner)
{
    struct handle *handle = ((struct stand_in *)store)->handle;
    uint32_t ttl_ms = handle->outage->ttl_ms;
    handle->local->port->fill(handle->local, key, entry,
                              lifetime_ms < ttl_ms ? lifetime_ms : ttl_ms, answer, owner);
}

/* ---- changes: here first, so that they are seen here before anybody is told ---- */

static void outage_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                         cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    handle->local->port->purge(handle->local, instances, count, on_local_done, NULL);
    handle->inner->port->purge(handle->inner, instances, count, answer, owner);
}

static void outage_mark(struct cg_store *store, const struct cg_instance *instances, size_t count,
                        const struct cg_writer *writer, int64_t deadline_ms,
                        cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    handle->local->port->mark(handle->local, instances, count, writer, deadline_ms, on_local_done,
                              NULL);
    handle->inner->port->mark(handle->inner, instances, count, writer, deadline_ms, answer, owner);
}

static void outage_release(struct cg_store *store, const struct cg_instance *instances,
                           const bool *renew, size_t count, const struct cg_writer *writer,
                           cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    handle->local->port->release(handle->local, instances, renew, count, writer, on_local_done,
                                 NULL);
    handle->inner->port->release(handle->inner, instances, renew, count, writer, answer, owner);
}

static void outage_ban(struct cg_store *store, const struct cg_ban *bans, size_t count,
                       cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    handle->local->port->ban(handle->local, bans, count, on_local_done, NULL);
    handle->inner->port->ban(handle->inner, bans, count, answer, owner);
}

static void outage_flush(struct cg_store *store, cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    handle->local->port->flush(handle->local, on_local_done, NULL);
    handle->inner->port->flush(handle->inner, answer, owner);
}

/* ---- what is said of the store is said of the inner one ---- */

static bool outage_reachable(struct cg_store *store)
{
    struct cg_store *inner = handle_of(store)->inner;
    return inner->port->reachable(inner);
}

static uint32_t outage_hold_ms(struct cg_store *store)
{
    struct cg_store *inner = handle_of(store)->inner;
    return inner->port->unpurged_hold_ms == NULL ? 0 : inner->port->unpurged_hold_ms(inner);
}

static void outage_announce(struct cg_store *store, const struct cg_ruleset *ruleset,
                            cg_store_done_fn answer, void *owner)
{
    struct cg_store *inner = handle_of(store)->inner;
    if (inner->port->announce == NULL)
        answer(owner, CG_STORE_OK);
    else
        inner->port->announce(inner, ruleset, answer, owner);
}

static struct cg_claims *outage_claims(struct cg_store *store)
{
    struct cg_store *inner = handle_of(store)->inner;
    return inner->port->claims == NULL ? NULL : inner->port->claims(inner);
}

static void outage_stats(struct cg_store *store, struct cg_store_stats *ret_stats)
{
    struct cg_store *inner = handle_of(store)->inner;
    inner->port->stats(inner, ret_stats);
}

static void outage_health(struct cg_store *store, struct cg_store_health *ret_health)
{
    struct cg_store *inner = handle_of(store)->inner;
    inner->port->health(inner, ret_health);
}

static const struct cg_store_port outage_port = {
    .lookup = outage_lookup,
    .prepare = outage_prepare,
    .fill = outage_fill,
    .purge = outage_purge,
    .mark = outage_mark,
    .release = outage_release,
    .ban = outage_ban,
    .flush = outage_flush,
    .reachable = outage_reachable,
    .unpurged_hold_ms = outage_hold_ms,
    .announce = outage_announce,
    .claims = outage_claims,
    .stats = outage_stats,
    .health = outage_health,
};

/* ---- life ---- */

struct cg_outage_memory *cg_outage_memory_create(size_t bytes_max, uint64_t ban_horizon_ms,
                                                 uint32_t ttl_ms, uint64_t random)
{
    struct cg_outage_memory *outage = calloc(1, sizeof(*outage));
    CG_ASSERT(outage != NULL);
    outage->memory = cg_memory_create(bytes_max, ban_horizon_ms, random);
    outage->ttl_ms = ttl_ms;
    return outage;
}

void cg_outage_memory_outlive(struct cg_outage_memory *outage, uint64_t lifetime_ms)
{
    cg_memory_outlive(outage->memory, lifetime_ms);
}

struct cg_outage_memory *cg_outage_memory_destroy(struct cg_outage_memory *outage)
{
    if (outage != NULL)
        cg_memory_destroy(outage->memory);
    free(outage);
    return NULL;
}

struct cg_store *cg_outage_memory_open(struct cg_outage_memory *outage, struct cg_store *inner,
                                       struct cg_clock *clock)
{
    struct handle *handle = calloc(1, sizeof(*handle));
    CG_ASSERT(handle != NULL);
    handle->port = outage_port;
    handle->port.seals = inner->port->seals;
    handle->base.port = &handle->port;
    handle->outage = outage;
    handle->inner = inner;
    handle->local = cg_memory_open(outage->memory, clock);
    handle->stand_in.port = (struct cg_store_port){.fill = stand_in_fill};
    handle->stand_in.port.seals = inner->port->seals;
    handle->stand_in.base.port = &handle->stand_in.port;
    handle->stand_in.handle = handle;
    return &handle->base;
}

struct cg_store *cg_outage_memory_inner(struct cg_store *store)
{
    return handle_of(store)->inner;
}

struct cg_store *cg_outage_memory_close(struct cg_store *store)
{
    if (store == NULL)
        return NULL;
    struct handle *handle = handle_of(store);
    while (handle->first != NULL)
        forget(handle->first);
    cg_memory_close(handle->local);
    free(handle);
    return NULL;
}
