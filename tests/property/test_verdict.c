#include "cachegate/verdict.h"
#include "cachegate/wishes.h"

#include <criterion/criterion.h>

#include "property/seed.h"

enum { ROUNDS = 20000, NOW_MS = 1000000000 };

struct world {
    struct cg_entry entry;
    struct cg_plan plan;
    struct cg_version versions[4];
    struct cg_bans *bans;
};

static uint64_t random_window(struct seed *seed)
{
    return seed_below(seed, 3) == 0 ? 0 : seed_below(seed, 100000);
}

static struct cg_field validator = {CG_STR("etag"), CG_STR("\"a\"")};

/* A lookup that finds a valid entry of some age and windows. */
static void generate(struct seed *seed, struct cg_bans *bans, struct world *world)
{
    *world = (struct world){.bans = bans};
    world->plan.canonical = world->entry.canonical = CG_STR("canonical");
    world->plan.instance_count = world->entry.instance_count = 1 + seed_below(seed, 4);
    for (size_t i = 0; i < world->plan.instance_count; i++) {
        memset(world->plan.instances[i].id, (int)i, CG_DIGEST_BYTES);
        memset(world->entry.tokens[i].bytes, (int)seed_below(seed, 256), CG_DIGEST_BYTES);
        world->entry.instances[i] = world->plan.instances[i];
        world->versions[i] = (struct cg_version){CG_VERSION_CURRENT, world->entry.tokens[i]};
    }
    world->entry.epoch = cg_bans_epoch(bans);
    world->entry.status = 200;
    world->entry.fields = (struct cg_fields){.items = &validator, .count = 1, .capacity = 1};
    world->entry.stored_at_ms = NOW_MS - (int64_t)seed_below(seed, 200000);
    world->entry.initial_age_ms = random_window(seed);
    world->entry.lifetime_ms = random_window(seed);
    world->entry.stale_while_revalidate_ms = random_window(seed);
    world->entry.stale_if_error_ms = random_window(seed);
    world->entry.must_revalidate = seed_below(seed, 4) == 0;
}

static struct cg_verdict judge(const struct world *world, int64_t now_ms)
{
    return cg_verdict_of(&world->entry, &world->plan, CG_STR(""), world->versions,
                         cg_bans_epoch(world->bans), world->bans, now_ms);
}

/* The higher, the less the entry is good for. */
static int rank(struct cg_verdict verdict)
{
    if (verdict.kind == CG_VERDICT_HIT)
        return 0;
    if (verdict.kind == CG_VERDICT_STALE)
        return 1;
    return verdict.usable_if_error ? 2 : 3;
}

Test(verdict, entry_never_gets_better_with_age)
{
    struct seed seed = seed_init();
    struct cg_bans *bans = cg_bans_create(1);
    size_t seen[4] = {0};
    for (size_t round = 0; round < ROUNDS; round++) {
        struct world world;
        generate(&seed, bans, &world);
        int64_t now_ms = NOW_MS;
        struct cg_verdict before = judge(&world, now_ms);
        for (size_t step = 0; step < 5; step++) {
            seen[rank(before)]++;
            now_ms += (int64_t)seed_below(&seed, 50000);
            struct cg_verdict after = judge(&world, now_ms);
            cr_assert(rank(after) >= rank(before) && after.age_s >= before.age_s &&
                          after.ttl_s <= before.ttl_s,
                      "CACHEGATE_SEED=%llu, %zu", (unsigned long long)seed.start, round);
            before = after;
        }
    }
    for (size_t i = 0; i < 4; i++)
        cr_expect_gt(seen[i], ROUNDS / 100, "rank %zu was hardly seen", i);
    cg_bans_unref(bans);
}

Test(verdict, fresh_means_time_left_and_stale_means_none)
{
    struct seed seed = seed_init();
    struct cg_bans *bans = cg_bans_create(1);
    for (size_t round = 0; round < ROUNDS; round++) {
        struct world world;
        generate(&seed, bans, &world);
        struct cg_verdict verdict = judge(&world, NOW_MS);
        cr_assert_eq(verdict.ttl_s >= 0, verdict.kind == CG_VERDICT_HIT, "CACHEGATE_SEED=%llu, %zu",
                     (unsigned long long)seed.start, round);
        cr_assert(!world.entry.must_revalidate || rank(verdict) == 0 || rank(verdict) == 3);
    }
    cg_bans_unref(bans);
}

/* Any one thing that is not as it was stored, at any age. */
static void disturb(struct seed *seed, struct world *world)
{
    size_t which = seed_below(seed, world->plan.instance_count);
    switch (seed_below(seed, 6)) {
    case 0:
        world->versions[which].token.bytes[seed_below(seed, CG_DIGEST_BYTES)] ^=
            (uint8_t)(1 + seed_below(seed, 255));
        break;
    case 1:
        world->versions[which].state = CG_VERSION_ABSENT;
        break;
    case 2:
        world->versions[which].state = CG_VERSION_BUSY;
        break;
    case 3:
        world->entry.instances[which].id[seed_below(seed, CG_DIGEST_BYTES)] ^= 1;
        break;
    case 4:
        world->entry.instance_count--;
        break;
    default:
        world->entry.epoch.generation ^= seed_next(seed) | 1;
        break;
    }
}

Test(verdict, version_dead_entry_is_good_for_nothing_at_any_age)
{
    struct seed seed = seed_init();
    struct cg_bans *bans = cg_bans_create(1);
    for (size_t round = 0; round < ROUNDS; round++) {
        struct world world;
        generate(&seed, bans, &world);
        disturb(&seed, &world);
        struct cg_verdict verdict = judge(&world, NOW_MS);
        cr_assert(!verdict.alive && !verdict.may_validate &&
                      (verdict.kind == CG_VERDICT_PASS ||
                       (verdict.kind == CG_VERDICT_MISS && !verdict.usable_if_error)),
                  "CACHEGATE_SEED=%llu, %zu", (unsigned long long)seed.start, round);
    }
    cg_bans_unref(bans);
}

static struct cg_wishes random_wishes(struct seed *seed)
{
    return (struct cg_wishes){
        .only_if_cached = seed_below(seed, 4) == 0,
        .no_cache = seed_below(seed, 4) == 0,
        .has_max_age = seed_below(seed, 3) == 0,
        .has_min_fresh = seed_below(seed, 3) == 0,
        .has_max_stale = seed_below(seed, 3) == 0,
        .max_age_s = (int64_t)seed_below(seed, 200),
        .min_fresh_s = (int64_t)seed_below(seed, 100),
        .max_stale_s = (int64_t)seed_below(seed, 200),
    };
}

/* Over ages, wishes and disturbances: a wish never makes a dead entry useful, and never makes one
 * better with age. */
Test(verdict, wishes_never_revive_and_never_reward_age)
{
    struct seed seed = seed_init();
    struct cg_bans *bans = cg_bans_create(1);
    size_t served = 0, refused = 0, accepted = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct world world;
        struct cg_wishes wishes = random_wishes(&seed);
        generate(&seed, bans, &world);
        bool disturbed = seed_below(&seed, 2) == 0;
        if (disturbed)
            disturb(&seed, &world);
        struct cg_verdict now = cg_verdict_for(judge(&world, NOW_MS), &world.entry, &wishes);
        struct cg_verdict later = cg_verdict_for(
            judge(&world, NOW_MS + (int64_t)seed_below(&seed, 100000)), &world.entry, &wishes);
        bool is_served = now.kind == CG_VERDICT_HIT || now.kind == CG_VERDICT_STALE;
        bool is_served_later = later.kind == CG_VERDICT_HIT || later.kind == CG_VERDICT_STALE;
        cr_assert(!(disturbed && (is_served || now.alive || now.may_validate)),
                  "CACHEGATE_SEED=%llu, %zu", (unsigned long long)seed.start, round);
        cr_assert(is_served || !is_served_later, "CACHEGATE_SEED=%llu, %zu",
                  (unsigned long long)seed.start, round);
        cr_assert(!(now.refused && is_served));
        served += is_served;
        refused += now.refused;
        accepted += now.reason == CG_REASON_MAX_STALE;
    }
    cr_expect(served > ROUNDS / 100 && refused > ROUNDS / 100 && accepted > ROUNDS / 100,
              "%zu %zu %zu", served, refused, accepted);
    cg_bans_unref(bans);
}
