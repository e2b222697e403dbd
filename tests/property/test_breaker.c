/* Whatever happens in whatever order, a breaker opens for a bounded time and probes one by one. */
#include "cachegate/breaker.h"

#include <criterion/criterion.h>

#include "property/seed.h"

enum { ROUNDS = 300, STEPS = 400 };

struct world {
    struct cg_breaker breaker;
    struct cg_breaker_limits limits;
    int64_t now_ms;
    uint32_t row;      /* of losses while closed */
    int64_t opened_ms; /* when it last opened */
    bool probe_is_out;
};

static void check(const struct world *world, uint64_t seed)
{
    const struct cg_breaker *breaker = &world->breaker;
    int64_t open_ms = breaker->until_ms - world->opened_ms;
    switch (breaker->state) {
    case CG_BREAKER_CLOSED:
        cr_assert_eq(breaker->failures, world->row, "seed %llu", (unsigned long long)seed);
        cr_assert_lt(world->row, world->limits.failures, "seed %llu", (unsigned long long)seed);
        break;
    case CG_BREAKER_OPEN:
        cr_assert(open_ms >= (int64_t)(world->limits.open_ms / 2) &&
                      open_ms <= (int64_t)world->limits.open_longest_ms,
                  "%lld ms (seed %llu)", (long long)open_ms, (unsigned long long)seed);
        break;
    case CG_BREAKER_HALF_OPEN:
        cr_assert(world->probe_is_out, "seed %llu", (unsigned long long)seed);
        break;
    }
}

static void opened(struct world *world, bool is)
{
    if (!is)
        return;
    world->opened_ms = world->now_ms;
    world->row = 0;
    world->probe_is_out = false;
}

static void step(struct world *world, struct seed *seed)
{
    struct cg_breaker *breaker = &world->breaker;
    uint32_t random = (uint32_t)seed_next(seed);
    bool closed = breaker->state == CG_BREAKER_CLOSED;
    world->now_ms += (int64_t)seed_below(seed, world->limits.open_ms);
    switch (seed_below(seed, 8)) {
    case 0:
        opened(world, cg_breaker_cut(breaker, &world->limits, world->now_ms, random));
        break;
    case 1:
        if (cg_breaker_win(breaker))
            world->probe_is_out = false;
        world->row = 0;
        break;
    case 2:
        (void)cg_breaker_close(breaker);
        world->probe_is_out = false;
        world->row = 0;
        break;
    case 3:
    case 4:
        if (cg_breaker_probe(breaker, world->now_ms)) {
            cr_assert_not(world->probe_is_out, "seed %llu", (unsigned long long)seed->start);
            world->probe_is_out = true;
        }
        break;
    default:
        world->row += closed ? 1 : 0;
        opened(world, cg_breaker_lose(breaker, &world->limits, world->now_ms, random));
        break;
    }
}

Test(breaker, opens_for_a_bounded_time_and_probes_one_by_one)
{
    struct seed seed = seed_init();
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct world world = {0};
        world.limits.failures = 1 + (uint32_t)seed_below(&seed, 6);
        world.limits.open_ms = 1 + (uint32_t)seed_below(&seed, 1000);
        world.limits.open_longest_ms = world.limits.open_ms + (uint32_t)seed_below(&seed, 5000);
        for (unsigned i = 0; i < STEPS; i++) {
            step(&world, &seed);
            check(&world, seed.start);
        }
    }
}
