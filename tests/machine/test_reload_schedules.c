/*
 * Random schedules over exchanges of rules: two threads of one gateway on one store, readers and
 * writers on both, and the steps of an exchange taken by each of them at random moments. Each set
 * of rules keeps other paths and purges just what it keeps; a read that starts after a write was
 * answered never shows the state before it (CONSISTENCY row 14).
 *
 * CACHEGATE_SEED replays one schedule, CACHEGATE_SCHEDULES sets how many are played.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "help_world.h"
#include "tests/make_ruleset.h"

#include "gateway/request/machine.h"

enum { RESOURCES = 2, THREADS = 2, SETS = 3, TURNS = 600, EXCHANGES_MAX = 600 };

/* Both paths show the same state. */
static const char *const texts[SETS] = {
    "defaults: { ttl: 1h, scope: shared }\n"
    "routes:\n"
    "  - match: GET /a/{id}\n"
    "  - match: GET /b/{id}\n"
    "  - match: PUT /things/{id}\n"
    "    invalidate: [ '/a/{id}', '/b/{response.id}' ]\n",
    "defaults: { ttl: 1h, scope: shared }\n"
    "routes:\n"
    "  - match: GET /a/{id}\n"
    "  - match: PUT /things/{id}\n"
    "    invalidate: [ '/a/{id}' ]\n",
    "defaults: { ttl: 1h, scope: shared }\n"
    "routes:\n"
    "  - match: GET /b/{id}\n"
    "  - match: PUT /things/{id}\n"
    "    invalidate: [ '/b/{id}' ]\n",
};

/* Steps that somebody forgot, to see that the check notices. */
enum forgotten { NOTHING, THE_PURGE, THE_ANNOUNCEMENT, FORGOTTEN };

enum phase { REST, ANNOUNCE, WAIT, PURGE, PURGING, ADOPT, FORGET };

struct play {
    struct world *worlds[THREADS];
    struct cg_regime regimes[THREADS][EXCHANGES_MAX];
    size_t regime_count, set; /* what is in force, or about to be */
    size_t before;
    enum phase phase;
    unsigned taken; /* how many threads have taken the step */
    unsigned announced, banned;
    struct cg_arena arena; /* of what is purged */
    enum forgotten forgotten;
    bool dense; /* many writes and exchanges, and so few hits */
    struct world_random random;
    long state[RESOURCES];    /* what the upstream holds */
    long answered[RESOURCES]; /* the newest state whose write was answered */
    unsigned long reads, hits, violations, exchanges;
};

static struct play *current; /* for on_asked, which gets the world only */
static struct cg_ruleset *sets[SETS];

static int resource_of(const char *target)
{
    return target[strlen(target) - 1] - '0';
}

static bool is_write(const struct world_exchange *exchange)
{
    return strcmp(exchange->method, "PUT") == 0;
}

static void on_asked(struct world *world, struct world_exchange *exchange)
{
    (void)world;
    exchange->tag = is_write(exchange) ? -1 : current->state[resource_of(exchange->target)];
}

/* ---- requests ---- */

static void start_something(struct play *play, struct world *world)
{
    char target[32];
    int resource = (int)world_random_below(&play->random, RESOURCES);
    bool write = world_random_below(&play->random, play->dense ? 6 : 12) == 0;
    const char *path = write ? "things" : world_random_below(&play->random, 2) == 0 ? "a" : "b";
    snprintf(target, sizeof(target), "/%s/%d", path, resource);
    struct world_client *client =
        world_client(world, write ? "PUT" : "GET", target, NULL, write ? "{}" : NULL);
    client->tag = play->answered[resource];
    world_send(client);
}

static void move_exchange(struct play *play, struct world_exchange *exchange)
{
    char body[64];
    int resource = resource_of(exchange->target);
    if (is_write(exchange) && exchange->tag < 0) {
        exchange->tag = ++play->state[resource];
        return;
    }
    if (is_write(exchange))
        snprintf(body, sizeof(body), "{\"id\": %d, \"s\": \"%08ld\"}", resource, exchange->tag);
    else
        snprintf(body, sizeof(body), "%08ld", exchange->tag);
    if (!exchange->headed) {
        world_origin_head(exchange, 200, NULL, (long)strlen(body));
        return;
    }
    world_origin_body(exchange, body);
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
}

static void check(struct play *play, const struct world_client *client)
{
    char text[64];
    if (client->aborted || client->status != 200 || client->body.length == 0)
        return;
    snprintf(text, sizeof(text), "%.*s", CG_STR_ARG(cg_buf_str(&client->body)));
    if (cg_str_eq(client->facts.method, CG_STR("GET"))) {
        play->reads++;
        play->hits += strstr(world_field(client, "cache-status"), "hit") != NULL;
        play->violations += strtol(text, NULL, 10) < client->tag;
        return;
    }
    const char *state = strstr(text, "\"s\": \"");
    long written = state == NULL ? 0 : strtol(state + 6, NULL, 10);
    int of = client->facts.target.bytes[client->facts.target.length - 1] - '0';
    if (written > play->answered[of])
        play->answered[of] = written;
}

static void harvest(struct play *play, struct world *world)
{
    for (size_t i = 0; i < world->client_count; i++) {
        struct world_client *client = world->clients[i];
        if (client->ended && !client->gone) {
            check(play, client);
            world_client_leaves(client);
        }
    }
}

/* ---- an exchange ---- */

static void on_announced(void *owner)
{
    ((struct play *)owner)->announced++;
}

static void on_banned(void *owner, enum cg_store_result result)
{
    ((struct play *)owner)->banned += result == CG_STORE_OK;
}

static void begin_exchange(struct play *play)
{
    play->before = play->set;
    play->set = (play->set + 1 + world_random_below(&play->random, SETS - 1)) % SETS;
    for (size_t i = 0; i < THREADS; i++) {
        struct cg_regime *next = &play->regimes[i][play->regime_count];
        *next = play->worlds[i]->regime;
        next->references = 0;
        next->ruleset = sets[play->set];
    }
    play->phase = ANNOUNCE;
    play->taken = play->announced = play->banned = 0;
}

static void purge(struct play *play)
{
    struct cg_purge_set set = {0};
    struct cg_store *store = play->worlds[0]->machine.store;
    cg_purge_of_changes(sets[play->before], sets[play->set], &play->arena, &set);
    play->phase = PURGING;
    if (set.ban_count == 0 || play->forgotten == THE_PURGE)
        play->banned = 1;
    else
        store->port->ban(store, set.bans, set.ban_count, on_banned, play);
}

/* All threads take a step before anybody takes the next one. */
static void next_phase(struct play *play, enum phase next)
{
    if (++play->taken < THREADS)
        return;
    play->taken = 0;
    play->phase = next;
}

static void move_rules(struct play *play)
{
    struct cg_machine *machine = &play->worlds[play->taken]->machine;
    switch (play->phase) {
    case REST:
        if (play->regime_count < EXCHANGES_MAX &&
            world_random_below(&play->random, play->dense ? 4 : 16) == 0)
            begin_exchange(play);
        return;
    case ANNOUNCE:
        if (play->forgotten != THE_ANNOUNCEMENT) {
            cg_machine_announce(machine, &play->regimes[play->taken][play->regime_count],
                                on_announced, play);
        } else { /* known only when it is adopted */
            play->regimes[play->taken][play->regime_count].references++;
            play->announced++;
        }
        next_phase(play, WAIT);
        return;
    case WAIT:
        if (play->announced == THREADS)
            play->phase = PURGE;
        return;
    case PURGE:
        purge(play);
        return;
    case PURGING:
        if (play->banned > 0)
            play->phase = ADOPT;
        return;
    case ADOPT:
        if (play->forgotten == THE_ANNOUNCEMENT)
            machine->other = &play->regimes[play->taken][play->regime_count];
        cg_machine_adopt(machine);
        if (play->forgotten == THE_ANNOUNCEMENT)
            cg_machine_forget(machine);
        next_phase(play, FORGET);
        return;
    case FORGET:
        if (play->forgotten != THE_ANNOUNCEMENT)
            cg_machine_forget(machine);
        next_phase(play, REST);
        play->regime_count += play->phase == REST;
        play->exchanges += play->phase == REST;
        return;
    }
}

/* ---- the schedule ---- */

static void move_some_exchange(struct play *play, struct world *world)
{
    size_t live = 0, chosen;
    for (size_t i = 0; i < world->exchange_count; i++)
        live += world->exchanges[i]->live;
    if (live == 0)
        return;
    chosen = world_random_below(&play->random, (uint32_t)live);
    for (size_t i = 0; i < world->exchange_count; i++)
        if (world->exchanges[i]->live && chosen-- == 0) {
            move_exchange(play, world->exchanges[i]);
            return;
        }
}

static void turn(struct play *play)
{
    struct world *world = play->worlds[world_random_below(&play->random, THREADS)];
    switch (world_random_below(&play->random, 8)) {
    case 0:
    case 1:
        start_something(play, world);
        break;
    case 2:
    case 3:
        world_store_step(world);
        break;
    case 4:
    case 5:
        move_some_exchange(play, world);
        break;
    default:
        move_rules(play);
    }
    for (size_t i = 0; i < THREADS; i++)
        harvest(play, play->worlds[i]);
}

static bool finish(struct play *play, struct world *world)
{
    bool moved = world_store_step(world);
    for (size_t j = 0; j < world->exchange_count; j++)
        if (world->exchanges[j]->live) {
            move_exchange(play, world->exchanges[j]);
            moved = true;
        }
    harvest(play, world);
    return moved;
}

static void come_to_rest(struct play *play)
{
    for (int i = 0; i < 10000; i++) {
        bool moved = play->phase != REST;
        if (moved)
            move_rules(play);
        for (size_t w = 0; w < THREADS; w++)
            moved = finish(play, play->worlds[w]) || moved;
        if (!moved)
            return;
    }
    cr_assert_fail("it does not come to rest");
}

static void play_schedule(struct play *play, uint64_t seed, enum forgotten forgotten)
{
    *play = (struct play){
        .random = {seed}, .forgotten = forgotten, .dense = forgotten != NOTHING || seed % 2 == 0};
    current = play;
    cg_arena_init(&play->arena, 64 << 20);
    for (size_t i = 0; i < THREADS; i++) {
        play->worlds[i] = world_create(texts[0]);
        play->worlds[i]->regime.ruleset = sets[0];
        play->worlds[i]->machine.writer_seed[0] = i + 1;
        play->worlds[i]->on_asked = on_asked;
        play->worlds[i]->store_mode = (enum world_store_mode)world_random_below(&play->random, 3);
        if (i > 0)
            world_shares(play->worlds[i], play->worlds[0]);
    }
    for (int i = 0; i < TURNS; i++)
        turn(play);
    come_to_rest(play);
    for (size_t i = THREADS; i > 0; i--)
        world_destroy(play->worlds[i - 1]);
    cg_arena_fini(&play->arena);
}

static unsigned long number_from(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoul(text, NULL, 10);
}

static void compile_sets(void)
{
    for (size_t i = 0; i < SETS; i++) {
        sets[i] = make_ruleset_under(texts[i], NULL, "a secret of the tests", NULL);
        cr_assert_not_null(sets[i]);
    }
}

TestSuite(reload_schedules, .init = compile_sets);

Test(reload_schedules, no_read_after_an_answered_write_shows_the_state_before_it)
{
    unsigned long count = number_from("CACHEGATE_SCHEDULES", 200), hits = 0, reads = 0;
    unsigned long first = number_from("CACHEGATE_SEED", 1), exchanges = 0;
    struct play *play = calloc(1, sizeof *play);
    if (getenv("CACHEGATE_SEED") != NULL)
        count = 1;
    for (unsigned long seed = first; seed < first + count; seed++) {
        play_schedule(play, seed, NOTHING);
        cr_assert_eq(play->violations, 0u, "CACHEGATE_SEED=%lu replays it", seed);
        hits += play->hits;
        reads += play->reads;
        exchanges += play->exchanges;
    }
    free(play);
    if (count > 1) { /* a gateway that never hits would pass otherwise */
        cr_assert(hits * 40 > reads, "%lu hits of %lu reads", hits, reads);
        cr_assert(exchanges > count, "%lu exchanges in %lu schedules", exchanges, count);
    }
}

Test(reload_schedules, the_check_notices_each_step_that_is_forgotten)
{
    struct play *play = calloc(1, sizeof *play);
    for (enum forgotten forgotten = THE_PURGE; forgotten < FORGOTTEN; forgotten++) {
        unsigned long violations = 0;
        for (uint64_t seed = 1; seed <= 2000 && violations == 0; seed++) {
            play_schedule(play, seed, forgotten);
            violations += play->violations;
        }
        cr_assert_gt(violations, 0u, "forgotten: %d", forgotten);
    }
    free(play);
}
