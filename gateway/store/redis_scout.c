#include "gateway/store/redis_scout.h"

#include <openssl/rand.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

enum {
    PERIOD_MS = 10000,
    PACE_MS = 200,
    PACE_DOUBLED_MAX = 2,
    PAUSE_MS_MIN = 50,
    PAUSE_MS_MAX = 2000,
    PAUSE_DOUBLED_MAX = 6,
};

uint32_t cg_redis_scout_random(uint32_t below)
{
    uint32_t random;
    CG_ASSERT(RAND_bytes((unsigned char *)&random, sizeof(random)) == 1);
    return random % below;
}

/* Between three quarters and all of it. */
static void look_after(struct cg_redis_scout *scout, uint32_t delay_ms)
{
    cg_timer_arm(scout->clock, &scout->again, delay_ms - cg_redis_scout_random(delay_ms / 4 + 1));
}

/* Whom we asked last said what is doubted now. */
static void hurry(struct cg_redis_scout *scout)
{
    unsigned doubled = scout->fruitless < PACE_DOUBLED_MAX ? scout->fruitless : PACE_DOUBLED_MAX;
    int64_t pace_ms = (int64_t)PACE_MS << doubled;
    int64_t since_ms = cg_clock_monotonic_ms() - scout->looked_ms;
    scout->hurried = true;
    scout->next++;
    look_after(scout, since_ms < pace_ms ? (uint32_t)(pace_ms - since_ms) : PAUSE_MS_MIN);
}

void cg_redis_scout_doubt(struct cg_redis_scout *scout)
{
    if (scout->looking)
        scout->doubted = true;
    else if (!scout->hurried)
        hurry(scout);
}

void cg_redis_scout_told(struct cg_redis_scout *scout, size_t candidate)
{
    scout->fruitless = 0;
    scout->next = candidate;
    if (scout->looking) {
        scout->doubted = true;
        return;
    }
    scout->hurried = true;
    cg_timer_arm(scout->clock, &scout->again, 0);
}

static void on_again(void *owner)
{
    struct cg_redis_scout *scout = owner;
    scout->looking = true;
    scout->behind = false;
    scout->asked = 0;
    scout->looked_ms = cg_clock_monotonic_ms();
    scout->turn++;
    scout->ask(scout);
}

static void complain(struct cg_redis_scout *scout, const char *who, const char *why)
{
    char more[CG_LOG_HELD_MAX];
    uint64_t held;
    if (cg_log_gate_open(&scout->log_gate, cg_clock_monotonic_ms(), &held))
        cg_log(CG_LOG_WARN, "redis", "%s: %s%s%s", who, why, cg_redis_remedy(why),
               cg_log_held(held, more));
}

void cg_redis_scout_failed(struct cg_redis_scout *scout, const char *who, const char *why)
{
    CG_ASSERT(scout->looking);
    complain(scout, who, why);
    scout->next++;
    scout->turn++;
    if (++scout->asked < scout->count_candidates(scout)) {
        scout->ask(scout);
        return;
    }
    /* Nobody knows what was seen before: they have begun anew. */
    if (scout->behind)
        scout->epoch = 0;
    unsigned doubled = scout->failures < PAUSE_DOUBLED_MAX ? scout->failures : PAUSE_DOUBLED_MAX;
    uint32_t pause_ms = (uint32_t)PAUSE_MS_MIN << doubled;
    scout->failures++;
    scout->looking = false;
    scout->doubted = false;
    scout->hurried = true;
    look_after(scout, pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX);
}

static void report(struct cg_redis_scout *scout, const char *who)
{
    char text[CG_REDIS_ADDRESS_TEXT_MAX];
    if (scout->map->shard_count == 1)
        cg_log(CG_LOG_INFO, "redis", "the primary is %s, says %s",
               cg_redis_address_text(&scout->map->shards[0], text), who);
    else
        cg_log(CG_LOG_INFO, "redis", "the cluster has %zu primaries, says %s",
               scout->map->shard_count, who);
    scout->on_map(scout->owner, scout->map);
}

bool cg_redis_scout_found(struct cg_redis_scout *scout, const struct cg_redis_map *map,
                          uint64_t epoch, const char *who)
{
    CG_ASSERT(scout->looking && map->shard_count > 0);
    if (epoch < scout->epoch) {
        scout->behind = true;
        cg_redis_scout_failed(scout, who, "does not know of the last change yet");
        return false;
    }
    bool changed = !cg_redis_map_eq(scout->map, map);
    bool again = scout->doubted && !changed;
    scout->fruitless = changed || !scout->hurried ? 0 : scout->fruitless + 1;
    scout->epoch = epoch;
    scout->failures = 0;
    scout->looking = false;
    scout->hurried = false;
    scout->doubted = false;
    if (again)
        hurry(scout);
    else
        look_after(scout, PERIOD_MS);
    if (changed) {
        *scout->map = *map;
        report(scout, who);
    }
    return true;
}

void cg_redis_scout_start(struct cg_redis_scout *scout, struct cg_redis_peer *peer,
                          struct st_h2o_context_t *context, struct cg_clock *clock,
                          uint32_t timeout_ms, cg_redis_map_fn on_map, void *owner)
{
    scout->peer = peer;
    scout->clock = clock;
    scout->on_map = on_map;
    scout->owner = owner;
    scout->probe.peer = peer;
    scout->probe.context = context;
    scout->probe.clock = clock;
    scout->probe.timeout_ms = timeout_ms;
    scout->probe.owner = scout;
    scout->map = calloc(1, sizeof(*scout->map));
    CG_ASSERT(scout->map != NULL);
    /* So that not all threads and gateways lean on the first that is written down. */
    scout->next = cg_redis_scout_random((uint32_t)peer->url.seed_count);
    scout->again = (struct cg_timer){.on_expiry = on_again, .owner = scout};
    scout->hurried = true;
    cg_timer_arm(clock, &scout->again, 0);
}

void cg_redis_scout_stop(struct cg_redis_scout *scout)
{
    cg_redis_probe_stop(&scout->probe);
    cg_timer_disarm(scout->clock, &scout->again);
    free(scout->map);
}
