#include "gateway/store/delays.h"

#ifdef CACHEGATE_TEST_CLOCK

#include <stdatomic.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

enum delayed_kind { LOOKUP, PREPARE, FILL, PURGE, MARK, RELEASE, BAN, FLUSH };

/* One question, from its call to its answer. What it borrows stays valid until it is answered. */
struct trip {
    struct trip *previous, *next; /* among all of the handle */
    struct trip *behind;          /* among changes that did not go out yet */
    struct cg_delays *delays;
    struct cg_timer timer;
    int64_t leaves_ms; /* monotonic; of a change */
    enum delayed_kind kind;
    const struct cg_key *key;
    const struct cg_instance *instances;
    const struct cg_ban *bans;
    const bool *renew;
    size_t count;
    struct cg_blob *entry; /* a reference, of a fill */
    uint64_t lifetime_ms;
    const struct cg_writer *writer;
    int64_t deadline_ms;
    cg_store_view_fn answer_view;
    cg_store_done_fn answer_done;
    void *owner;
    enum cg_store_result result;
    struct cg_store_view view; /* with references of its own */
};

struct cg_delays {
    struct cg_store base;
    struct cg_store_port port; /* ours, with the inner store's `seals` */
    struct cg_store *inner;
    struct cg_clock *clock; /* borrowed */
    struct trip *trips;
    struct trip *first_change, *last_change; /* those that did not go out yet */
    struct cg_timer departure;               /* of the first */
    uint64_t random;
    uint32_t max_ms;
    bool detached;
};

/* ---- trips ---- */

/* splitmix64: seeds that differ by one give unrelated sequences. */
static uint32_t draw_ms(struct cg_delays *delays)
{
    uint64_t mixed = delays->random += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((mixed ^ (mixed >> 31)) % (delays->max_ms + 1));
}

static void free_trip(struct trip *trip)
{
    struct cg_delays *delays = trip->delays;
    cg_timer_disarm(delays->clock, &trip->timer);
    if (trip->next != NULL)
        trip->next->previous = trip->previous;
    if (trip->previous != NULL)
        trip->previous->next = trip->next;
    else
        delays->trips = trip->next;
    cg_blob_unref(trip->entry);
    cg_blob_unref(trip->view.entry);
    cg_bans_unref(trip->view.bans);
    free(trip);
}

static void hand_over(void *owner)
{
    struct trip *trip = owner;
    if (trip->answer_view != NULL)
        trip->answer_view(trip->owner, &trip->view);
    else
        trip->answer_done(trip->owner, trip->result);
    free_trip(trip);
}

static void come_back(struct trip *trip)
{
    trip->timer.on_expiry = hand_over;
    cg_timer_arm(trip->delays->clock, &trip->timer, draw_ms(trip->delays));
}

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct trip *trip = owner;
    if (trip->delays->detached)
        return;
    trip->view = *view;
    if (view->entry != NULL)
        cg_blob_ref(view->entry);
    trip->view.given = &trip->view.entry;
    if (view->bans != NULL)
        cg_bans_ref(view->bans);
    come_back(trip);
}

static void on_done(void *owner, enum cg_store_result result)
{
    struct trip *trip = owner;
    if (trip->delays->detached)
        return;
    trip->result = result;
    come_back(trip);
}

static void go(void *owner)
{
    struct trip *trip = owner;
    struct cg_store *inner = trip->delays->inner;
    switch (trip->kind) {
    case LOOKUP:
        inner->port->lookup(inner, trip->key, trip->instances, trip->count, on_view, trip);
        return;
    case PREPARE:
        inner->port->prepare(inner, trip->instances, trip->count, on_view, trip);
        return;
    case FILL:
        inner->port->fill(inner, trip->key, trip->entry, trip->lifetime_ms, on_done, trip);
        return;
    case PURGE:
        inner->port->purge(inner, trip->instances, trip->count, on_done, trip);
        return;
    case MARK:
        inner->port->mark(inner, trip->instances, trip->count, trip->writer, trip->deadline_ms,
                          on_done, trip);
        return;
    case RELEASE:
        inner->port->release(inner, trip->instances, trip->renew, trip->count, trip->writer,
                             on_done, trip);
        return;
    case BAN:
        inner->port->ban(inner, trip->bans, trip->count, on_done, trip);
        return;
    case FLUSH:
        inner->port->flush(inner, on_done, trip);
        return;
    }
}

static struct trip *make_trip(struct cg_delays *delays, enum delayed_kind kind, void *owner)
{
    struct trip *trip = calloc(1, sizeof(*trip));
    CG_ASSERT(trip != NULL);
    trip->delays = delays;
    trip->kind = kind;
    trip->owner = owner;
    trip->timer.on_expiry = go;
    trip->timer.owner = trip;
    trip->next = delays->trips;
    if (trip->next != NULL)
        trip->next->previous = trip;
    delays->trips = trip;
    return trip;
}

/* Sends the first of the changes, and waits for the next. */
static void depart(void *owner)
{
    struct cg_delays *delays = owner;
    struct trip *first = delays->first_change;
    delays->first_change = first->behind;
    if (first->behind == NULL) {
        delays->last_change = NULL;
    } else {
        int64_t left_ms = first->behind->leaves_ms - cg_clock_monotonic_ms();
        cg_timer_arm(delays->clock, &delays->departure, left_ms > 0 ? (uint32_t)left_ms : 0);
    }
    go(first);
}

static void leave(struct trip *trip)
{
    struct cg_delays *delays = trip->delays;
    uint32_t delay_ms = draw_ms(delays);
    if (trip->kind == LOOKUP || trip->kind == PREPARE) {
        cg_timer_arm(delays->clock, &trip->timer, delay_ms);
        return;
    }
    trip->leaves_ms = cg_clock_monotonic_ms() + delay_ms;
    if (delays->last_change == NULL) {
        delays->first_change = trip;
        cg_timer_arm(delays->clock, &delays->departure, delay_ms);
    } else {
        delays->last_change->behind = trip;
    }
    delays->last_change = trip;
}

/* ---- the port ---- */

static void delayed_lookup(struct cg_store *store, const struct cg_key *key,
                           const struct cg_instance *instances, size_t count,
                           cg_store_view_fn answer, void *owner)
{
    struct trip *trip = make_trip((struct cg_delays *)store, LOOKUP, owner);
    trip->key = key;
    trip->instances = instances;
    trip->count = count;
    trip->answer_view = answer;
    leave(trip);
}

static void delayed_prepare(struct cg_store *store, const struct cg_instance *instances,
                            size_t count, cg_store_view_fn answer, void *owner)
{
    struct trip *trip = make_trip((struct cg_delays *)store, PREPARE, owner);
    trip->instances = instances;
    trip->count = count;
    trip->answer_view = answer;
    leave(trip);
}

static void delayed_fill(struct cg_store *store, const struct cg_key *key, struct cg_blob *entry,
                         uint64_t lifetime_ms, cg_store_done_fn answer, void *owner)
{
    struct trip *trip = make_trip((struct cg_delays *)store, FILL, owner);
    trip->key = key;
    trip->entry = cg_blob_ref(entry);
    trip->lifetime_ms = lifetime_ms;
    trip->answer_done = answer;
    leave(trip);
}

static struct trip *make_change(struct cg_store *store, enum delayed_kind kind,
                                const struct cg_instance *instances, size_t count,
                                cg_store_done_fn answer, void *owner)
{
    struct trip *trip = make_trip((struct cg_delays *)store, kind, owner);
    trip->instances = instances;
    trip->count = count;
    trip->answer_done = answer;
    return trip;
}

static void delayed_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                          cg_store_done_fn answer, void *owner)
{
    leave(make_change(store, PURGE, instances, count, answer, owner));
}

static void delayed_mark(struct cg_store *store, const struct cg_instance *instances, size_t count,
                         const struct cg_writer *writer, int64_t deadline_ms,
                         cg_store_done_fn answer, void *owner)
{
    struct trip *trip = make_change(store, MARK, instances, count, answer, owner);
    trip->writer = writer;
    trip->deadline_ms = deadline_ms;
    leave(trip);
}

static void delayed_release(struct cg_store *store, const struct cg_instance *instances,
                            const bool *renew, size_t count, const struct cg_writer *writer,
                            cg_store_done_fn answer, void *owner)
{
    struct trip *trip = make_change(store, RELEASE, instances, count, answer, owner);
    trip->renew = renew;
    trip->writer = writer;
    leave(trip);
}

static void delayed_ban(struct cg_store *store, const struct cg_ban *bans, size_t count,
                        cg_store_done_fn answer, void *owner)
{
    struct trip *trip = make_change(store, BAN, NULL, count, answer, owner);
    trip->bans = bans;
    leave(trip);
}

static void delayed_flush(struct cg_store *store, cg_store_done_fn answer, void *owner)
{
    leave(make_change(store, FLUSH, NULL, 0, answer, owner));
}

static bool pass_reachable(struct cg_store *store)
{
    struct cg_store *inner = ((struct cg_delays *)store)->inner;
    return inner->port->reachable(inner);
}

static uint32_t pass_unpurged_hold_ms(struct cg_store *store)
{
    struct cg_store *inner = ((struct cg_delays *)store)->inner;
    return inner->port->unpurged_hold_ms == NULL ? 0 : inner->port->unpurged_hold_ms(inner);
}

static void pass_announce(struct cg_store *store, const struct cg_ruleset *ruleset,
                          cg_store_done_fn answer, void *owner)
{
    struct cg_store *inner = ((struct cg_delays *)store)->inner;
    if (inner->port->announce == NULL)
        answer(owner, CG_STORE_OK);
    else
        inner->port->announce(inner, ruleset, answer, owner);
}

static struct cg_claims *pass_claims(struct cg_store *store)
{
    struct cg_store *inner = ((struct cg_delays *)store)->inner;
    return inner->port->claims == NULL ? NULL : inner->port->claims(inner);
}

static void pass_stats(struct cg_store *store, struct cg_store_stats *ret_stats)
{
    struct cg_store *inner = ((struct cg_delays *)store)->inner;
    inner->port->stats(inner, ret_stats);
}

static void pass_health(struct cg_store *store, struct cg_store_health *ret_health)
{
    struct cg_store *inner = ((struct cg_delays *)store)->inner;
    inner->port->health(inner, ret_health);
}

static const struct cg_store_port delayed_port = {
    .lookup = delayed_lookup,
    .prepare = delayed_prepare,
    .fill = delayed_fill,
    .purge = delayed_purge,
    .mark = delayed_mark,
    .release = delayed_release,
    .ban = delayed_ban,
    .flush = delayed_flush,
    .reachable = pass_reachable,
    .unpurged_hold_ms = pass_unpurged_hold_ms,
    .announce = pass_announce,
    .claims = pass_claims,
    .stats = pass_stats,
    .health = pass_health,
};

/* ---- the wrapper ---- */

/* `<seed>:<milliseconds>`; false where nothing is asked for. Nobody but a test writes it. */
static bool read_wish(uint64_t *ret_seed, uint32_t *ret_max_ms)
{
    const char *text = getenv("CACHEGATE_TEST_STORE_DELAYS");
    uint64_t max_ms;
    if (text == NULL)
        return false;
    struct cg_str wish = cg_str_from(text);
    size_t colon = cg_str_find(wish, ':');
    CG_ASSERT(colon < wish.length &&
              cg_str_to_u64(cg_str_sub(wish, 0, colon), UINT64_MAX, ret_seed) &&
              cg_str_to_u64(cg_str_skip(wish, colon + 1), 60000, &max_ms));
    *ret_max_ms = (uint32_t)max_ms;
    return max_ms > 0;
}

struct cg_store *cg_delays_open(struct cg_store *inner, struct cg_clock *clock)
{
    static atomic_uint opened; /* each handle has a sequence of its own */
    uint64_t seed;
    uint32_t max_ms;
    if (!read_wish(&seed, &max_ms))
        return inner;
    struct cg_delays *delays = calloc(1, sizeof(*delays));
    CG_ASSERT(delays != NULL);
    delays->port = delayed_port;
    delays->port.seals = inner->port->seals;
    delays->base.port = &delays->port;
    delays->inner = inner;
    delays->clock = clock;
    delays->random = seed + ((uint64_t)atomic_fetch_add(&opened, 1) << 32);
    delays->max_ms = max_ms;
    delays->departure.on_expiry = depart;
    delays->departure.owner = delays;
    return &delays->base;
}

struct cg_delays *cg_delays_of(struct cg_store *store)
{
    return store->port->lookup == delayed_lookup ? (struct cg_delays *)store : NULL;
}

struct cg_store *cg_delays_detach(struct cg_delays *delays)
{
    delays->detached = true;
    cg_timer_disarm(delays->clock, &delays->departure);
    for (struct trip *trip = delays->trips; trip != NULL; trip = trip->next)
        cg_timer_disarm(delays->clock, &trip->timer);
    return delays->inner;
}

struct cg_delays *cg_delays_destroy(struct cg_delays *delays)
{
    if (delays == NULL)
        return NULL;
    while (delays->trips != NULL)
        free_trip(delays->trips);
    free(delays);
    return NULL;
}

#endif
