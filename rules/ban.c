#include "cachegate/ban.h"

#include "cachegate/agreement.h"
#include "cachegate/assert.h"
#include "cachegate/ruleset.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { BAN_ARENA_BYTES = 1 << 20 };

/* One ban, compiled; immutable but for the count, and shared by all snapshots that hold it. */
struct ban {
    atomic_uint references;
    struct cg_arena arena;
    const struct cg_pattern *pattern; /* NULL: everything */
    struct cg_str user;               /* empty: of everyone */
    uint64_t counter;                 /* of the epoch it made */
    int64_t appended_at_ms;
};

struct cg_bans {
    atomic_uint references;
    struct cg_epoch epoch;
    uint64_t first; /* entries of an older counter are dead: their bans may have been dropped */
    size_t count;
    struct ban **items; /* owned array of shared (ref) bans, counters ascending */
    bool restricted;    /* to these routes */
    struct cg_buf agreed;
};

/* ---- one ban ---- */

static struct ban *ban_create(const struct cg_ban *added, uint64_t counter, int64_t now_ms)
{
    static const struct cg_node nowhere = {.file = "ban"};
    struct ban *ban = calloc(1, sizeof *ban);
    CG_ASSERT(ban != NULL);
    atomic_init(&ban->references, 1);
    cg_arena_init(&ban->arena, BAN_ARENA_BYTES);
    ban->counter = counter;
    ban->appended_at_ms = now_ms;
    if (added->user.length <= CG_BAN_TEXT_MAX)
        ban->user = cg_arena_copy(&ban->arena, added->user);
    if (!cg_str_empty(added->pattern) && added->pattern.length <= CG_BAN_TEXT_MAX) {
        struct cg_problems problems = {.arena = &ban->arena};
        ban->pattern = cg_pattern_compile(added->pattern, false, &ban->arena, &problems, &nowhere);
    }
    return ban;
}

static void ban_unref(struct ban *ban)
{
    if (atomic_fetch_sub_explicit(&ban->references, 1, memory_order_acq_rel) != 1)
        return;
    cg_arena_fini(&ban->arena);
    free(ban);
}

/* A request that lacks some parameter, or sends it empty, is covered, as it is by a purge
 * (CONSISTENCY row 16). */
static bool covers_query(const struct cg_pattern *pattern, const struct cg_query *query)
{
    bool lacks = false, differs = false;
    for (size_t i = 0; i < pattern->term_count; i++) {
        const struct cg_term *term = &pattern->terms[i];
        bool sent = false, equal = term->is_hole;
        for (size_t j = 0; j < query->count; j++) {
            if (!cg_str_eq(query->params[j].name, term->name))
                continue;
            sent = true;
            lacks = lacks || cg_str_empty(query->params[j].value);
            equal = equal || cg_str_eq(query->params[j].value, term->text);
        }
        lacks = lacks || !sent;
        differs = differs || !equal;
    }
    return lacks || !differs;
}

static bool ban_covers(const struct ban *ban, const struct cg_path *path,
                       const struct cg_query *query, struct cg_str user)
{
    struct cg_str captures[CG_HOLES_MAX];
    if (!cg_str_empty(ban->user) && !cg_str_eq(ban->user, user))
        return false;
    return ban->pattern == NULL || (cg_pattern_match_path(ban->pattern, path, captures) &&
                                    covers_query(ban->pattern, query));
}

/* ---- snapshots ---- */

static struct cg_bans *bans_create(struct cg_epoch epoch, uint64_t first, size_t room)
{
    struct cg_bans *bans = calloc(1, sizeof *bans);
    CG_ASSERT(bans != NULL);
    atomic_init(&bans->references, 1);
    bans->epoch = epoch;
    bans->first = first;
    if (room > 0) {
        bans->items = calloc(room, sizeof(struct ban *));
        CG_ASSERT(bans->items != NULL);
    }
    return bans;
}

struct cg_bans *cg_bans_create(uint64_t generation)
{
    return bans_create((struct cg_epoch){.generation = generation}, 0, 0);
}

struct cg_bans *cg_bans_ref(struct cg_bans *bans)
{
    atomic_fetch_add_explicit(&bans->references, 1, memory_order_relaxed);
    return bans;
}

struct cg_bans *cg_bans_unref(struct cg_bans *bans)
{
    if (bans == NULL || atomic_fetch_sub_explicit(&bans->references, 1, memory_order_acq_rel) != 1)
        return NULL;
    for (size_t i = 0; i < bans->count; i++)
        ban_unref(bans->items[i]);
    free(bans->items);
    cg_buf_fini(&bans->agreed);
    free(bans);
    return NULL;
}

/* How many of the old bans go: those over the horizon, and those for which there is no room. */
static size_t count_dropped(const struct cg_bans *bans, size_t added, int64_t now_ms,
                            uint64_t horizon_ms)
{
    int64_t horizon = horizon_ms > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)horizon_ms;
    size_t room = added < CG_BANS_MAX ? CG_BANS_MAX - added : 0;
    size_t dropped = bans->count > room ? bans->count - room : 0;
    while (dropped < bans->count && now_ms - bans->items[dropped]->appended_at_ms > horizon)
        dropped++;
    return dropped;
}

struct cg_bans *cg_bans_append(const struct cg_bans *bans, const struct cg_ban *added, size_t count,
                               int64_t now_ms, uint64_t horizon_ms)
{
    size_t dropped = count_dropped(bans, count, now_ms, horizon_ms);
    size_t skipped = count > CG_BANS_MAX ? count - CG_BANS_MAX : 0; /* dropped at once */
    struct cg_epoch epoch = {bans->epoch.generation, bans->epoch.counter + count};
    uint64_t first = dropped == 0 ? bans->first : bans->items[dropped - 1]->counter;
    if (skipped > 0)
        first = bans->epoch.counter + skipped;
    struct cg_bans *next = bans_create(epoch, first, bans->count - dropped + count - skipped);
    for (size_t i = dropped; i < bans->count; i++) {
        atomic_fetch_add_explicit(&bans->items[i]->references, 1, memory_order_relaxed);
        next->items[next->count++] = bans->items[i];
    }
    for (size_t i = skipped; i < count; i++)
        next->items[next->count++] = ban_create(&added[i], bans->epoch.counter + i + 1, now_ms);
    return next;
}

struct cg_bans *cg_bans_restore(struct cg_epoch epoch, const struct cg_ban *added, size_t count,
                                int64_t now_ms)
{
    CG_ASSERT(count <= CG_BANS_MAX && count <= epoch.counter);
    uint64_t first = epoch.counter - count;
    struct cg_bans *bans = bans_create(epoch, first, count);
    for (size_t i = 0; i < count; i++)
        bans->items[bans->count++] = ban_create(&added[i], first + i + 1, now_ms);
    return bans;
}

void cg_bans_restrict(struct cg_bans *bans, struct cg_str route_set)
{
    CG_ASSERT(!bans->restricted && cg_route_set_is_valid(route_set));
    cg_buf_init(&bans->agreed, route_set.length);
    cg_buf_add_str(&bans->agreed, route_set);
    bans->restricted = true;
}

bool cg_bans_agree(const struct cg_bans *bans, const uint8_t digest[CG_DIGEST_BYTES])
{
    return !bans->restricted || cg_route_set_has(cg_buf_str(&bans->agreed), digest);
}

struct cg_epoch cg_bans_epoch(const struct cg_bans *bans)
{
    return bans->epoch;
}

size_t cg_bans_count(const struct cg_bans *bans)
{
    return bans->count;
}

bool cg_bans_cover(const struct cg_bans *bans, struct cg_epoch epoch, const struct cg_path *path,
                   const struct cg_query *query, struct cg_str user)
{
    /* Of another history, from before the list begins, or from after it ends: it cannot acquit. */
    if (epoch.generation != bans->epoch.generation || epoch.counter < bans->first ||
        epoch.counter > bans->epoch.counter)
        return true;
    for (size_t i = bans->count; i > 0 && bans->items[i - 1]->counter > epoch.counter; i--)
        if (ban_covers(bans->items[i - 1], path, query, user))
            return true;
    return false;
}
