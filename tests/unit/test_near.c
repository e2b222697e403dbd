/* Near copies on strict routes: Redis is asked for versions, and decides. */
#include "cachegate/seal.h"
#include "tests/unit/near_world.h"

TestSuite(near, .init = world_begin, .fini = world_end);

Test(near, a_copy_answers_when_its_versions_are_confirmed)
{
    struct told told;
    size_t number = look_up(STRICT, &told);
    cr_expect(world.calls[number].full, "nothing is near yet");
    answer(number);
    expect_told(&told, "one", "in full");
    number = look_up(STRICT, &told);
    cr_expect_not(world.calls[number].full, "no body travels");
    cr_expect_eq(world.calls[number].count, INSTANCES);
    cr_expect_eq(told.times, 0, "nothing is told before the versions are");
    answer(number);
    expect_told(&told, "one", "confirmed");
    cr_expect(cg_token_eq(&told.versions[1].token, &world.versions[1].token));
    cr_expect(cg_epoch_eq(told.epoch, world.epoch));
    cr_expect_eq(counted(CG_METRIC_NEAR_HITS), 1);
    cr_expect_eq(world.call_count, 2);
}

Test(near, a_copy_with_another_token_never_answers)
{
    struct told told;
    keep_near(STRICT);
    for (size_t i = 0; i < INSTANCES; i++) {
        world.versions[i] = version_of((uint8_t)(100 + i));
        store_holds("two");
        size_t number = look_up(STRICT, &told);
        answer(number);
        cr_expect_eq(told.times, 0);
        cr_assert_eq(world.call_count, number + 2, "instance %zu: it asks again", i);
        cr_expect(world.calls[number + 1].full);
        answer(number + 1);
        expect_told(&told, "two", "in full");
        cr_expect_not(asks_in_full(STRICT), "what came is near now");
    }
    cr_expect_eq(counted(CG_METRIC_NEAR_HITS), INSTANCES);
}

Test(near, what_is_past_its_lifetime_is_looked_up_in_full)
{
    keep_near(STRICT);
    world.now_ms += 59999;
    cr_expect_not(asks_in_full(STRICT));
    world.now_ms += 1;
    cr_expect(asks_in_full(STRICT), "stale windows or not: another gateway may have refreshed it");
    cr_expect(asks_in_full(STRICT), "what is stale is not kept");
    store_holds("refreshed");
    cr_expect(asks_in_full(STRICT));
    cr_expect_not(asks_in_full(STRICT));
}

Test(near, another_epoch_is_looked_up_in_full_once)
{
    struct told told;
    keep_near(STRICT);
    world.epoch.counter++;
    size_t number = look_up(STRICT, &told);
    answer(number);
    cr_expect_eq(told.times, 0, "an open purge may cover it, and the store may have a newer one");
    answer(number + 1);
    expect_told(&told, "one", "the store still has it");
    cr_expect(cg_epoch_eq(told.epoch, world.epoch), "for the verdict to judge");
    cr_expect_not(asks_in_full(STRICT), "seen under this epoch");
    world.epoch.generation++;
    number = look_up(STRICT, &told);
    answer(number);
    cr_expect_eq(told.times, 0);
    answer(number + 1);
}

Test(near, a_busy_or_absent_version_needs_no_second_trip)
{
    static const enum cg_version_state states[] = {CG_VERSION_BUSY, CG_VERSION_ABSENT};
    struct told told;
    keep_near(STRICT);
    for (size_t i = 0; i < 2; i++) {
        world.versions[1] = (struct cg_version){.state = states[i]};
        size_t number = look_up(STRICT, &told);
        answer(number);
        cr_expect_eq(told.times, 1);
        cr_expect_eq(told.versions[1].state, states[i], "the verdict is a pass or a miss");
        cr_expect_eq(world.call_count, number + 1);
    }
    cr_expect_eq(counted(CG_METRIC_NEAR_HITS), 0);
    world.versions[1] = version_of(2);
    cr_expect_not(asks_in_full(STRICT), "a refused write changes nothing");
}

Test(near, dead_entries_are_not_kept)
{
    struct told told;
    world.versions[2] = version_of(77); /* purged after it was stored */
    size_t number = look_up(STRICT, &told);
    answer(number);
    expect_told(&told, "one", "the verdict is not ours");
    cr_expect(asks_in_full(STRICT), "one trip, not two");
    world.versions[2] = version_of(3);
    keep_near(STRICT);
    store_holds(NULL);
    world.versions[2] = version_of(78);
    number = look_up(STRICT, &told);
    answer(number);
    answer(number + 1);
    expect_told(&told, NULL, "purged, and nothing came since");
    cr_expect(asks_in_full(STRICT));
}

Test(near, a_fill_is_near_when_it_was_acknowledged)
{
    static const enum cg_store_result failures[] = {CG_STORE_UNAVAILABLE, CG_STORE_FULL};
    struct told told = {0};
    struct cg_blob *entry = make_entry("filled", INSTANCES);
    for (size_t i = 0; i < 2; i++) {
        size_t number = world.call_count;
        world.store->port->fill(world.store, &keys[STRICT], entry, 60000, on_done, &told);
        answer_as(number, failures[i]);
        cr_expect_eq(told.result, failures[i]);
        store_holds(NULL);
        cr_expect(asks_in_full(STRICT), "it is not in the store");
    }
    size_t number = world.call_count;
    told.times = 0;
    world.store->port->fill(world.store, &keys[STRICT], entry, 60000, on_done, &told);
    cg_blob_unref(entry); /* the copy has a reference of its own */
    cr_expect_eq(told.times, 0);
    answer(number);
    cr_expect_eq(told.times, 1);
    struct told found;
    number = look_up(STRICT, &found);
    cr_expect_not(world.calls[number].full);
    answer(number);
    expect_told(&found, "filled", "from the copy");
}

/* Whoever was told of the new answer asks behind its fill. */
Test(near, a_fill_under_way_ends_the_copy_that_it_replaces)
{
    struct told told = {0};
    store_holds("old");
    keep_near(STRICT);
    struct cg_blob *entry = make_entry("new", INSTANCES);
    size_t number = world.call_count;
    world.store->port->fill(world.store, &keys[STRICT], entry, 60000, on_done, &told);
    cr_expect(asks_in_full(STRICT));
    answer(number);
    cg_blob_unref(entry);
}

Test(near, a_slow_lookup_does_not_undo_a_refresh)
{
    struct told told, refreshed = {0};
    size_t number = look_up(STRICT, &told);
    answer(number);
    world.now_ms += 1000;
    world.epoch.counter++; /* so that it is looked up in full */
    look_up(STRICT, &told);
    answer(number + 1); /* the versions */
    struct cg_blob *before = cg_blob_ref(world.entry);
    store_holds("refreshed");
    world.store->port->fill(world.store, &keys[STRICT], world.entry, 60000, on_done, &refreshed);
    answer(number + 3);
    cg_blob_unref(world.entry);
    world.entry = before; /* what the lookup in full had found */
    answer(number + 2);
    expect_told(&told, "one", "slow");
    number = look_up(STRICT, &told);
    answer(number);
    expect_told(&told, "refreshed", "near");
    /* Under other tokens it is no refresh. */
    world.now_ms -= 2000;
    world.versions[0] = version_of(99);
    store_holds("by a clock that is behind");
    number = look_up(STRICT, &told);
    answer(number);
    answer(number + 1);
    number = look_up(STRICT, &told);
    answer(number);
    expect_told(&told, "by a clock that is behind", "near");
}

Test(near, where_the_store_cannot_answer_no_copy_does)
{
    struct told told;
    keep_near(STRICT);
    size_t number = look_up(STRICT, &told);
    answer_as(number, CG_STORE_UNAVAILABLE);
    cr_expect_eq(told.times, 1);
    cr_expect_eq(told.result, CG_STORE_UNAVAILABLE);
    world.versions[0] = version_of(90);
    number = look_up(STRICT, &told);
    answer(number);
    answer_as(number + 1, CG_STORE_UNAVAILABLE);
    cr_expect_eq(told.result, CG_STORE_UNAVAILABLE);
    world.versions[0] = version_of(1);
    cr_expect_not(asks_in_full(STRICT), "that was no reason to forget the copy");
}

Test(near, other_instances_are_looked_up_in_full)
{
    struct told told = {0};
    keep_near(STRICT);
    size_t number = world.call_count;
    world.store->port->lookup(world.store, &keys[STRICT], instances, INSTANCES - 1, on_view, &told);
    cr_expect(world.calls[number].full, "fewer");
    answer(number);
    keep_near(STRICT);
    struct cg_instance swapped[INSTANCES] = {instances[1], instances[0], instances[2]};
    number = world.call_count;
    world.store->port->lookup(world.store, &keys[STRICT], swapped, INSTANCES, on_view, &told);
    cr_expect(world.calls[number].full, "in another order");
    answer(number);
}

Test(near, sealed_entries_stay_sealed)
{
    struct cg_secret secret;
    const uint8_t salt[CG_SEAL_SALT_BYTES] = {1}, identity[32] = {2};
    struct told told;
    cg_secret_from_text(CG_STR("a secret"), &secret);
    struct cg_sealer *sealer = cg_sealer_create(&secret, NULL);
    struct cg_blob *sealed = cg_seal_close(sealer, cg_blob_str(world.entry), identity, salt);
    cg_sealer_destroy(sealer);
    cg_blob_unref(world.entry);
    world.entry = sealed;
    world.port.seals = true;
    world.store = cg_near_close(world.store);
    world.store = cg_near_open(world.near, &world.base, &world.clock);
    cr_expect(world.store->port->seals);
    keep_near(STRICT);
    size_t number = look_up(STRICT, &told);
    cr_expect_not(world.calls[number].full, "its clear head says enough");
    answer(number);
    cr_expect(told.has_entry);
    cr_expect_str_eq(told.body, "", "it cannot be read without the secret");
}

Test(near, versions_alone_are_passed_on)
{
    struct told told = {0};
    world.store->port->lookup(world.store, NULL, instances, INSTANCES, on_view, &told);
    cr_expect_not(world.calls[0].full);
    answer(0);
    expect_told(&told, NULL, "no entry was asked for");
}

Test(near, handles_share_copies)
{
    struct cg_store *first = world.store;
    keep_near(STRICT);
    world.store = cg_near_open(world.near, &world.base, &world.clock);
    cr_expect_not(asks_in_full(STRICT));
    cg_near_close(world.store);
    world.store = first;
}

Test(near, bytes_are_bounded_and_reported)
{
    struct cg_store_stats stats;
    struct told told;
    char body[4096];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    store_holds(body);
    for (unsigned i = 0; i < 1000; i++) {
        struct cg_key key = {.id = {(uint8_t)i, (uint8_t)(i >> 8), 9}};
        world.call_count = 0;
        told = (struct told){0};
        world.store->port->lookup(world.store, &key, instances, INSTANCES, on_view, &told);
        answer(0);
    }
    world.store->port->stats(world.store, &stats);
    cr_expect_eq(stats.bans, 7, "the rest is the store's");
    cr_expect_leq(stats.near_bytes, world.settings.near_bytes);
    cr_expect_gt(stats.near_bytes, world.settings.near_bytes / 2);
    cr_expect_gt(stats.near_entries, 100);
    cr_expect_leq(stats.near_entries * sizeof(body), world.settings.near_bytes);
}

Test(near, one_entry_cannot_take_everything)
{
    size_t length = world.settings.near_bytes / 4;
    char *body = malloc(length + 1);
    memset(body, 'x', length);
    body[length] = '\0';
    store_holds(body);
    free(body);
    keep_near(STRICT);
    cr_expect(asks_in_full(STRICT));
}

static void ask_again(void *owner, const struct cg_store_view *view)
{
    struct told *told = owner;
    told->times++;
    told->result = view->result;
    if (told->times == 1)
        world.store->port->lookup(world.store, &keys[STRICT], instances, INSTANCES, ask_again,
                                  told);
}

Test(near, an_answer_may_ask_again)
{
    struct told told = {0};
    keep_near(STRICT);
    world.store->port->lookup(world.store, &keys[STRICT], instances, INSTANCES, ask_again, &told);
    answer(1);
    cr_expect_eq(told.times, 1);
    answer(2);
    cr_expect_eq(told.times, 2);
}

Test(near, a_handle_can_be_closed_with_questions_in_flight)
{
    struct told told;
    struct cg_blob *entry = make_entry("filled", INSTANCES);
    keep_near(STRICT);
    look_up(STRICT, &told);
    look_up(PUSHED, &told);
    world.store->port->fill(world.store, &keys[STRICT], entry, 60000, on_done, &told);
    cg_blob_unref(entry);
    world.store = cg_near_close(world.store);
    cr_expect_eq(told.times, 0, "its owner is gone");
}

/* The counter of groups is watched with every lookup, and is no part of what was stored. */
Test(near, what_is_watched_besides_says_nothing_about_a_copy)
{
    struct told told;
    cg_blob_unref(world.entry);
    world.entry = make_entry("one", INSTANCES - 1);
    keep_near(STRICT);
    world.versions[INSTANCES - 1] = version_of(100); /* of what is watched besides */
    size_t number = look_up(STRICT, &told);
    cr_expect_not(world.calls[number].full);
    cr_expect_eq(world.calls[number].count, INSTANCES);
    answer(number);
    expect_told(&told, "one", "confirmed");
    cr_expect(
        cg_token_eq(&told.versions[INSTANCES - 1].token, &world.versions[INSTANCES - 1].token),
        "but it is told");
    world.versions[INSTANCES - 2] = version_of(101);
    number = look_up(STRICT, &told);
    answer(number);
    cr_expect_eq(told.times, 0, "purged");
    answer(number + 1);
}

Test(near, a_copy_is_for_all_that_it_was_stored_for)
{
    struct told told;
    keep_near(STRICT);
    size_t number = world.call_count;
    world.store->port->lookup(world.store, &keys[STRICT], instances, INSTANCES - 1, on_view, &told);
    cr_expect(world.calls[number].full, "fewer are asked about");
    answer(number);
    keep_near(STRICT);
    instances[0] = instance_of(200);
    number = world.call_count;
    world.store->port->lookup(world.store, &keys[STRICT], instances, INSTANCES, on_view, &told);
    cr_expect(world.calls[number].full, "another one");
    answer(number);
}
