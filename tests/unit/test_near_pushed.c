/* Near copies on pushed routes, CONSISTENCY row 12: which answers of lookups may be believed, and
 * for how long. The test is whoever listens for pushes. */
#include "tests/unit/near_world.h"

static void begin(void)
{
    world_begin();
    cg_near_watch_attach(world.watch, "primary");
    cg_near_watch_proven(world.watch, cg_clock_monotonic_ms());
}

TestSuite(near_pushed, .init = begin, .fini = world_end);

/* Whether it is answered without asking; what is asked otherwise is answered too. */
static bool is_pushed(void)
{
    struct told told;
    size_t number = look_up(PUSHED, &told);
    if (world.call_count > number)
        answer(number);
    if (world.call_count > number + 1)
        answer(number + 1);
    cr_assert_eq(told.times, 1);
    return world.call_count == number;
}

Test(near_pushed, a_hit_asks_nobody)
{
    struct told told;
    keep_near(PUSHED);
    size_t number = look_up(PUSHED, &told);
    cr_assert_eq(world.call_count, number);
    expect_told(&told, "one", "pushed");
    for (size_t i = 0; i < INSTANCES; i++)
        cr_expect(cg_token_eq(&told.versions[i].token, &world.versions[i].token));
    cr_expect(cg_epoch_eq(told.epoch, world.epoch));
    cr_expect_eq(counted(CG_METRIC_PUSHED_HITS), 1);
    cr_expect_eq(counted(CG_METRIC_NEAR_HITS), 0);
}

Test(near_pushed, strict_routes_ask_all_the_same)
{
    keep_near(PUSHED);
    keep_near(STRICT);
    cr_expect(is_pushed(), "it knows all three tokens");
    cr_expect_not(asks_in_full(STRICT));
    cr_expect_eq(counted(CG_METRIC_PUSHED_HITS), 1);
    struct told told;
    look_up(STRICT, &told);
    cr_expect_eq(told.times, 0);
}

Test(near_pushed, a_fill_is_confirmed_once)
{
    struct told told = {0};
    struct cg_blob *entry = make_entry("filled", INSTANCES);
    world.store->port->fill(world.store, &keys[PUSHED], entry, 60000, on_done, &told);
    cg_blob_unref(entry);
    answer(0);
    cr_expect_not(is_pushed(), "the tokens it was filled under may be old by now");
    cr_expect(is_pushed());
}

Test(near_pushed, a_push_ends_what_it_names)
{
    keep_near(PUSHED);
    struct cg_instance other = instance_of(200);
    cg_near_watch_instance_changed(world.watch, &other);
    cr_expect(is_pushed(), "another instance");
    for (size_t i = 0; i < INSTANCES; i++) {
        cg_near_watch_instance_changed(world.watch, &instances[i]);
        cr_expect_not(is_pushed(), "instance %zu", i);
        cr_expect(is_pushed(), "confirmed");
    }
}

/* The lookup's answer is under way, the push is handled first, then the old token would come in. */
Test(near_pushed, nothing_is_learned_that_was_pushed_since_the_lookup_was_sent)
{
    struct told told;
    keep_near(PUSHED);
    for (size_t i = 0; i < INSTANCES; i++) {
        cg_near_watch_all_changed(world.watch);
        size_t number = look_up(PUSHED, &told);
        cg_near_watch_instance_changed(world.watch, &instances[i]);
        answer(number);
        cr_expect_eq(told.times, 1);
        cr_expect_not(is_pushed(), "instance %zu", i);
        cr_expect(is_pushed());
    }
    cg_near_watch_all_changed(world.watch);
    size_t number = look_up(PUSHED, &told);
    cg_near_watch_epoch_changed(world.watch);
    answer(number);
    cr_expect_not(is_pushed(), "the epoch");
    cr_expect(is_pushed());
    cg_near_watch_instance_changed(world.watch, &instances[0]);
    number = look_up(PUSHED, &told);
    answer(number);
    cr_expect(is_pushed(), "what was pushed before it was sent is in the answer");
}

/* The second trip of one lookup begins when it is sent. */
Test(near_pushed, a_second_trip_has_a_moment_of_its_own)
{
    struct told told;
    keep_near(PUSHED);
    cg_near_watch_all_changed(world.watch);
    world.versions[1] = version_of(91);
    store_holds("two");
    size_t number = look_up(PUSHED, &told);
    answer(number);
    cg_near_watch_instance_changed(world.watch, &instances[2]);
    answer(number + 1);
    expect_told(&told, "two", "in full");
    cr_expect_not(is_pushed());
    cr_expect(is_pushed());
}

Test(near_pushed, only_current_versions_are_learned)
{
    keep_near(PUSHED);
    cg_near_watch_instance_changed(world.watch, &instances[1]);
    world.versions[1] = (struct cg_version){.state = CG_VERSION_BUSY};
    cr_expect_not(is_pushed());
    cr_expect_not(is_pushed(), "busy is asked each time");
    cr_expect_eq(cg_near_watch_tokens(world.watch), INSTANCES - 1);
    world.versions[1] = version_of(2);
    cr_expect_not(is_pushed());
    cr_expect(is_pushed());
}

Test(near_pushed, a_push_without_names_empties_all)
{
    keep_near(PUSHED);
    cg_near_watch_all_changed(world.watch);
    cr_expect_not(is_pushed());
    cr_expect(is_pushed());
    struct told told;
    cg_near_watch_all_changed(world.watch);
    size_t number = look_up(PUSHED, &told);
    cg_near_watch_all_changed(world.watch);
    answer(number);
    cr_expect_not(is_pushed(), "it came while the answer was under way");
}

/* The epoch is learned by somebody else; the tokens alone would come in. */
Test(near_pushed, a_push_without_names_ends_answers_under_way)
{
    struct told told, quick = {0};
    struct cg_instance another = instance_of(200);
    keep_near(PUSHED);
    for (unsigned i = 0; i < 2; i++) {
        cg_near_watch_all_changed(world.watch);
        size_t number = look_up(PUSHED, &told);
        if (i == 0)
            cg_near_watch_all_changed(world.watch);
        else
            cg_near_watch_attach(world.watch, "primary");
        cg_near_watch_proven(world.watch, cg_clock_monotonic_ms());
        quick.times = 0;
        world.store->port->lookup(world.store, &(struct cg_key){.id = {99}, .route = PUSHED},
                                  &another, 1, on_view, &quick);
        answer(number + 1);
        answer(number);
        cr_expect_not(is_pushed());
        cr_expect(is_pushed());
    }
}

Test(near_pushed, an_open_purge_is_asked_for)
{
    keep_near(PUSHED);
    cg_near_watch_epoch_changed(world.watch);
    world.epoch.counter++;
    struct told told;
    size_t number = look_up(PUSHED, &told);
    cr_assert_eq(world.call_count, number + 1);
    answer(number);
    cr_assert_eq(world.call_count, number + 2, "the store may have a newer one");
    answer(number + 1);
    cr_expect(cg_epoch_eq(told.epoch, world.epoch), "so the verdict sees the ban");
    cr_expect(is_pushed(), "seen under the new epoch");
}

/* It might be covered, and then the store may have a newer one. */
Test(near_pushed, a_copy_from_before_an_open_purge_is_asked_for)
{
    struct told told, other = {0};
    struct cg_instance another = instance_of(200);
    keep_near(PUSHED);
    cg_near_watch_epoch_changed(world.watch);
    world.epoch.counter++;
    size_t number = world.call_count;
    world.store->port->lookup(world.store, &(struct cg_key){.id = {99}, .route = PUSHED}, &another,
                              1, on_view, &other);
    answer(number); /* now the epoch is known */
    number = look_up(PUSHED, &told);
    cr_assert_eq(world.call_count, number + 1);
    answer(number);
    cr_assert_eq(world.call_count, number + 2);
    answer(number + 1);
    cr_expect(is_pushed());
}

Test(near_pushed, an_older_history_does_not_replace_a_newer_one)
{
    struct told early, late;
    keep_near(PUSHED);
    cg_near_watch_all_changed(world.watch);
    size_t number = look_up(PUSHED, &early);
    look_up(PUSHED, &late);
    struct cg_epoch before = world.epoch;
    world.epoch.counter++;
    answer(number + 1); /* a handle with a newer snapshot */
    answer(number + 2);
    world.epoch = before;
    answer(number);
    world.epoch.counter++;
    struct told told;
    number = look_up(PUSHED, &told);
    cr_expect_eq(world.call_count, number);
    cr_expect(cg_epoch_eq(told.epoch, world.epoch));
}

/* ---- our own changes ---- */

enum change { PURGE, MARK, RELEASE, BAN, FLUSH, CHANGES };

static size_t start_change(enum change change, struct told *told)
{
    static const struct cg_writer writer;
    static const bool renew[1];
    static const struct cg_ban ban;
    const struct cg_store_port *port = world.store->port;
    size_t number = world.call_count;
    *told = (struct told){0};
    switch (change) {
    case PURGE:
        port->purge(world.store, &instances[1], 1, on_done, told);
        break;
    case MARK:
        port->mark(world.store, &instances[1], 1, &writer, world.now_ms, on_done, told);
        break;
    case RELEASE:
        port->release(world.store, &instances[1], renew, 1, &writer, on_done, told);
        break;
    case BAN:
        port->ban(world.store, &ban, 1, on_done, told);
        break;
    case FLUSH:
        port->flush(world.store, on_done, told);
        break;
    case CHANGES:
        break;
    }
    return number;
}

/* Between the change's way there and its acknowledgement, the old state may be looked up and come
 * in; it must be gone when the writer hears of it. */
Test(near_pushed, own_changes_are_applied_before_anybody_is_told)
{
    static const enum cg_store_result results[] = {CG_STORE_OK, CG_STORE_UNAVAILABLE};
    struct told told, early;
    keep_near(PUSHED);
    for (enum change change = PURGE; change < CHANGES; change++) {
        for (size_t i = 0; i < 2; i++) {
            (void)is_pushed();
            cr_assert(is_pushed());
            size_t number = start_change(change, &told);
            cr_expect_not(is_pushed(), "change %d: it is certain to be dead soon", change);
            cr_expect(is_pushed(), "change %d: the store has not heard of it yet", change);
            cg_near_watch_all_changed(world.watch);
            size_t under_way = look_up(PUSHED, &early);
            cr_expect_eq(told.times, 0);
            answer_as(number, results[i]);
            cr_expect_eq(told.times, 1);
            cr_expect_eq(told.result, results[i]);
            answer(under_way);
            cr_expect_not(is_pushed(), "change %d: an answer from before it was learned", change);
            cr_expect(is_pushed());
            number = start_change(change, &told);
            (void)is_pushed();
            cr_expect(is_pushed());
            answer_as(number, results[i]);
            cr_expect_not(is_pushed(), "change %d: it was told, and the old state served", change);
        }
    }
}

static bool served_when_told;

static void on_told(void *owner, enum cg_store_result result)
{
    (void)owner, (void)result;
    served_when_told = is_pushed();
}

Test(near_pushed, who_is_told_already_finds_it_gone)
{
    keep_near(PUSHED);
    size_t number = world.call_count;
    world.store->port->purge(world.store, &instances[0], 1, on_told, NULL);
    (void)is_pushed();
    cr_assert(is_pushed());
    answer(number);
    cr_expect_not(served_when_told);
}

/* ---- the connection ---- */

Test(near_pushed, nothing_counts_before_it_is_proven)
{
    cg_near_watch_attach(world.watch, "primary");
    cr_expect_not(cg_near_watch_is_up(world.watch));
    keep_near(PUSHED);
    cr_expect_not(is_pushed());
    cg_near_watch_proven(world.watch, cg_clock_monotonic_ms());
    cr_expect(cg_near_watch_is_up(world.watch));
    cr_expect(is_pushed(), "what was learned since it was attached");
}

Test(near_pushed, a_proof_lasts_for_the_timeout)
{
    keep_near(PUSHED);
    cg_near_watch_proven(world.watch, cg_clock_monotonic_ms() - FOREVER_MS / 2);
    cr_expect(is_pushed());
    cg_near_watch_proven(world.watch, cg_clock_monotonic_ms() - FOREVER_MS - 1);
    cr_expect_not(cg_near_watch_is_up(world.watch));
    cr_expect_not(is_pushed());
    cg_near_watch_proven(world.watch, cg_clock_monotonic_ms());
    cr_expect(is_pushed());
}

Test(near_pushed, a_lost_connection_empties_all)
{
    keep_near(PUSHED);
    cg_near_watch_detach(world.watch);
    cr_expect_not(cg_near_watch_is_up(world.watch));
    cr_expect_not(is_pushed());
    cr_expect_not(is_pushed(), "nothing is learned while nobody listens");
    cr_expect_eq(cg_near_watch_tokens(world.watch), 0);
    cg_near_watch_attach(world.watch, "primary");
    cg_near_watch_proven(world.watch, cg_clock_monotonic_ms());
    cr_expect_not(is_pushed(), "what was pushed meanwhile is lost");
    cr_expect(is_pushed());
}

Test(near_pushed, answers_from_before_the_connection_are_not_learned)
{
    struct told told;
    keep_near(PUSHED);
    size_t number = look_up(PUSHED, &told);
    cr_assert_eq(world.call_count, number, "a hit so far");
    cg_near_watch_detach(world.watch);
    number = look_up(PUSHED, &told);
    cg_near_watch_attach(world.watch, "primary");
    cg_near_watch_proven(world.watch, cg_clock_monotonic_ms());
    answer(number);
    cr_expect_eq(told.times, 1);
    cr_expect_not(is_pushed());
}

/* A failover that the tracking connection, or this thread, has not seen. */
Test(near_pushed, the_data_must_come_from_the_server_that_tells)
{
    keep_near(PUSHED);
    (void)snprintf(world.server, sizeof(world.server), "promoted");
    cr_expect_not(is_pushed());
    (void)snprintf(world.server, sizeof(world.server), "primary");
    cr_expect(is_pushed());
    world.server[0] = '\0';
    cr_expect_not(is_pushed(), "what it says is not believed");
    (void)snprintf(world.server, sizeof(world.server), "primary");
    world.reachable = false;
    cr_expect_not(is_pushed(), "a purge could not be delivered");
    cg_near_watch_attach(world.watch, "");
    cg_near_watch_proven(world.watch, cg_clock_monotonic_ms());
    world.server[0] = '\0';
    world.reachable = true;
    cr_expect_not(is_pushed());
    cr_expect_not(is_pushed(), "two that do not know are not one");
}

Test(near_pushed, copies_past_their_lifetime_are_not_pushed)
{
    keep_near(PUSHED);
    world.now_ms += 60000;
    struct told told;
    size_t number = look_up(PUSHED, &told);
    cr_assert_eq(world.call_count, number + 1);
    cr_expect(world.calls[number].full);
}

Test(near_pushed, its_health_is_told)
{
    struct cg_store_health health;
    world.store->port->health(world.store, &health);
    cr_expect_str_eq(health.backend, "double");
    cr_expect_str_eq(health.tracking, "up");
    cg_near_watch_detach(world.watch);
    world.store->port->health(world.store, &health);
    cr_expect_str_eq(health.tracking, "down");
}

Test(near_pushed, without_pushed_routes_nobody_listens)
{
    world.routes[PUSHED].pushed = false;
    struct cg_near *strict = cg_near_create(&world.settings, world.book, server_of);
    cr_expect_null(cg_near_watch_of(strict));
    struct cg_store *store = cg_near_open(strict, &world.base, &world.clock);
    struct cg_store_health health;
    store->port->health(store, &health);
    cr_expect_null(health.tracking);
    cg_near_close(store);
    cg_near_destroy(strict);
}

Test(near_pushed, the_table_of_tokens_is_bounded)
{
    struct cg_near_watch *small = cg_near_watch_create(64, FOREVER_MS);
    struct cg_store_view view = {.bans = cg_bans_create(1)};
    cg_near_watch_attach(small, "primary");
    for (unsigned i = 0; i < 100000; i++) {
        struct cg_instance instance = {0};
        memcpy(instance.id, &i, sizeof(i));
        view.versions[0] = version_of((uint8_t)i);
        cg_near_watch_learn(small, cg_near_watch_moment(small), &instance, &view, 1);
    }
    cr_expect_leq(cg_near_watch_tokens(small), 128);
    cr_expect_gt(cg_near_watch_tokens(small), 32);
    cg_bans_unref(view.bans);
    cg_near_watch_destroy(small);
}

/* Pushes tell of what the copy was stored for; the counter of groups has to be asked for. */
Test(near_pushed, what_is_watched_besides_is_asked_for)
{
    struct told told;
    cg_blob_unref(world.entry);
    world.entry = make_entry("one", INSTANCES - 1);
    keep_near(PUSHED);
    cr_expect_not(is_pushed());
    size_t number = look_up(PUSHED, &told);
    cr_expect_not(world.calls[number].full, "no body travels all the same");
    answer(number);
    expect_told(&told, "one", "confirmed");
    cr_expect(
        cg_token_eq(&told.versions[INSTANCES - 1].token, &world.versions[INSTANCES - 1].token));
}
