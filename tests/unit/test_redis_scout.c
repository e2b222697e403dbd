/* When a scout looks, whom it asks and what it believes: candidates are the test's own. */
#include "gateway/store/redis_scout.h"

#include "redis_world.h"

enum { CANDIDATES = 3 };

static struct cg_redis_scout scout;
static struct cg_redis_peer peer;
static struct answer {
    bool fails;
    uint64_t epoch;
    unsigned port;
} answers[CANDIDATES];
static unsigned asked[CANDIDATES], asked_in_all, maps, port_of_map;
static unsigned armed_ms; /* the last pause */

static void arm(struct cg_clock *clock, struct cg_timer *timer, uint32_t delay_ms)
{
    armed_ms = delay_ms;
    world_arm(clock, timer, delay_ms);
}

static const struct cg_clock_port clock_port = {world_now, arm, world_disarm};
static struct cg_clock scout_clock = {&clock_port};

static void on_map(void *owner, const struct cg_redis_map *map)
{
    (void)owner;
    maps++;
    port_of_map = map->shards[0].port;
}

static void ask_candidate(struct cg_redis_scout *asking)
{
    static struct cg_redis_map map;
    struct cg_redis_address address = {.host = "h"};
    size_t candidate = asking->next % CANDIDATES;
    const struct answer *answer = &answers[candidate];
    asked[candidate]++;
    asked_in_all++;
    if (answer->fails) {
        cg_redis_scout_failed(asking, "somebody", "fails");
        return;
    }
    address.port = (uint16_t)answer->port;
    cg_redis_map_whole(&map, &address);
    cg_redis_scout_found(asking, &map, answer->epoch, "somebody");
}

static size_t count_candidates(const struct cg_redis_scout *asking)
{
    (void)asking;
    return CANDIDATES;
}

static void begin(void)
{
    char *error = NULL;
    world_begin();
    cr_assert(cg_redis_peer_init(&peer, "redis+cluster://a,b,c", &error));
    for (size_t i = 0; i < CANDIDATES; i++)
        answers[i] = (struct answer){.epoch = 5, .port = 1};
    scout = (struct cg_redis_scout){.ask = ask_candidate, .count_candidates = count_candidates};
    cg_redis_scout_start(&scout, &peer, &world.context, &scout_clock, 1000, on_map, NULL);
    scout.next = 0;
}

static void end(void)
{
    cg_redis_scout_stop(&scout);
    cg_redis_peer_fini(&peer);
    world_end();
}

TestSuite(scout, .init = begin, .fini = end);

static void doubt_until_asked(void)
{
    unsigned before = asked_in_all;
    cg_redis_scout_doubt(&scout);
    WORLD_UNTIL(asked_in_all > before);
}

Test(scout, same_map_is_reported_once)
{
    WORLD_UNTIL(maps == 1);
    doubt_until_asked();
    doubt_until_asked();
    cr_expect_eq(maps, 1);
    answers[0].port = 2;
    WORLD_UNTIL((cg_redis_scout_doubt(&scout), maps == 2));
    cr_expect_eq(port_of_map, 2);
}

Test(scout, next_candidate_is_asked_when_one_fails)
{
    answers[0].fails = true;
    answers[1].fails = true;
    WORLD_UNTIL(maps == 1);
    cr_expect(asked[0] == 1 && asked[1] == 1 && asked[2] == 1);
}

Test(scout, view_that_is_behind_is_not_believed)
{
    WORLD_UNTIL(maps == 1);
    answers[0] = (struct answer){.epoch = 4, .port = 9};
    answers[1] = (struct answer){.epoch = 6, .port = 2};
    doubt_until_asked();
    cr_expect(maps == 2 && port_of_map == 2, "from the next");
    scout.next = 0;
    answers[2] = answers[1];
    answers[1].fails = true;
    doubt_until_asked();
    cr_expect_eq(maps, 2);
    cr_expect_eq(asked[2], 1, "it is not behind");
}

Test(scout, all_that_are_behind_have_begun_anew)
{
    WORLD_UNTIL(maps == 1);
    for (size_t i = 0; i < CANDIDATES; i++)
        answers[i] = (struct answer){.epoch = 1, .port = 9};
    doubt_until_asked();
    cr_expect_eq(maps, 1, "not at the first look");
    WORLD_UNTIL(maps == 2);
    cr_expect_eq(port_of_map, 9);
}

Test(scout, pauses_grow_while_all_fail_and_have_jitter)
{
    static const unsigned longest[] = {50, 100, 200, 400, 800, 1600, 2000, 2000};
    bool differs = false;
    for (size_t i = 0; i < CANDIDATES; i++)
        answers[i].fails = true;
    for (size_t look = 0; look < sizeof(longest) / sizeof(longest[0]); look++) {
        scout.again.on_expiry(&scout); /* before its time */
        cr_expect_eq(asked_in_all, (look + 1) * CANDIDATES);
        cr_expect(armed_ms <= longest[look] && armed_ms >= longest[look] * 3 / 4, "%zu: %u", look,
                  armed_ms);
        differs |= armed_ms != longest[look];
    }
    cr_expect(differs);
}

Test(scout, doubts_that_bring_nothing_new_are_followed_more_slowly)
{
    static const unsigned longest[] = {200, 400, 800, 800, 800};
    scout.again.on_expiry(&scout);
    cr_expect_geq(armed_ms, 7500, "no doubt, a long pause");
    for (size_t look = 0; look < sizeof(longest) / sizeof(longest[0]); look++) {
        scout.looked_ms = cg_clock_monotonic_ms() + 1000000; /* whatever this machine does */
        cg_redis_scout_doubt(&scout);
        cg_redis_scout_doubt(&scout);
        cr_expect(armed_ms >= (longest[look] + 900000) / 4 * 3 &&
                      armed_ms <= longest[look] + 1000000,
                  "%zu: %u", look, armed_ms);
        cr_expect_eq(scout.fruitless, look);
        scout.again.on_expiry(&scout);
    }
    answers[0].port = answers[1].port = answers[2].port = 2;
    scout.again.on_expiry(&scout);
    cr_expect_eq(scout.fruitless, 0, "there was news");
    cg_redis_scout_told(&scout, 2);
    cr_expect_eq(armed_ms, 0, "at once");
    scout.again.on_expiry(&scout);
    cr_expect_eq(scout.next, 2, "who told");
}
