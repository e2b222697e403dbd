/* store_contract_entries: the part of the contract about entries, bans and what is reported. */
#ifndef TESTS_STORE_CONTRACT_ENTRIES_H
#define TESTS_STORE_CONTRACT_ENTRIES_H

#include "tests/store_contract.h"

Test(store, new_store_holds_nothing)
{
    struct cg_instance instance = instance_of(1);
    struct seen seen = look_up(here, 1, &instance, 1);
    cr_expect_not(seen.has_entry);
    cr_expect_eq(seen.versions[0].state, CG_VERSION_ABSENT);
    cr_assert_not_null(seen.bans);
    cr_expect(cg_epoch_eq(seen.epoch, cg_bans_epoch(seen.bans)), "the bans reach up to the epoch");
}

Test(store, entry_is_found_by_every_handle_and_under_its_own_key_only)
{
    cr_assert_eq(fill(here, 1, CG_STR("one"), 60000), CG_STORE_OK);
    cr_expect_str_eq(look_up(here, 1, NULL, 0).entry, "one");
    cr_expect_str_eq(look_up(there, 1, NULL, 0).entry, "one");
    cr_expect_not(look_up(here, 2, NULL, 0).has_entry);
}

Test(store, later_fill_replaces_the_entry)
{
    fill(here, 1, CG_STR("first"), 60000);
    fill(there, 1, CG_STR("second"), 60000);
    cr_expect_str_eq(look_up(here, 1, NULL, 0).entry, "second");
}

Test(store, entry_is_gone_when_its_lifetime_is_over)
{
    fill(here, 1, CG_STR("short"), 60000);
    fill(here, 2, CG_STR("endless"), UINT64_MAX);
    contract_factory.pass_time(59999);
    cr_expect(look_up(there, 1, NULL, 0).has_entry);
    contract_factory.pass_time(1);
    cr_expect_not(look_up(there, 1, NULL, 0).has_entry);
    cr_expect(look_up(there, 2, NULL, 0).has_entry);
}

Test(store, fill_again_begins_a_new_lifetime)
{
    fill(here, 1, CG_STR("old"), 10);
    contract_factory.pass_time(9);
    fill(here, 1, CG_STR("new"), 60000);
    contract_factory.pass_time(100);
    cr_expect_str_eq(look_up(here, 1, NULL, 0).entry, "new");
}

struct keeper {
    bool done;
    struct cg_blob *entry;
};

static void on_view_keep(void *owner, const struct cg_store_view *view)
{
    struct keeper *keeper = owner;
    cr_assert_not_null(view->entry);
    keeper->entry = cg_blob_ref(view->entry);
    keeper->done = true;
}

Test(store, entry_that_is_being_delivered_outlives_its_place_in_the_store)
{
    struct keeper keeper = {0};
    struct cg_key key = key_of(1);
    fill(here, 1, CG_STR("delivered"), 60000);
    here->port->lookup(here, &key, NULL, 0, on_view_keep, &keeper);
    contract_factory.wait(&keeper.done);
    fill(there, 1, CG_STR("other"), 60000);
    flush(there);
    cr_expect(cg_str_eq(cg_blob_str(keeper.entry), CG_STR("delivered")));
    cg_blob_unref(keeper.entry);
}

/* More than a connection brings at once, over TLS too. */
Test(store, large_entries_come_back_byte_by_byte)
{
    static char bytes[1500 * 1000 + 1];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 + i / 1021);
    for (size_t length = sizeof(bytes); length > 1; length /= 11) {
        struct cg_str large = cg_str_of(bytes + length % 7, length - length % 7);
        struct keeper keeper = {0};
        struct cg_key key = key_of(1);
        cr_assert_eq(fill(here, 1, large, 60000), CG_STORE_OK);
        here->port->lookup(here, &key, NULL, 0, on_view_keep, &keeper);
        contract_factory.wait(&keeper.done);
        cr_expect(cg_str_eq(cg_blob_str(keeper.entry), large), "%zu bytes", large.length);
        cg_blob_unref(keeper.entry);
    }
}

/* ---- bans ---- */

Test(store, ban_is_seen_by_every_lookup_that_starts_after_it)
{
    struct seen before = look_up(there, 1, NULL, 0);
    ban_all(here, (const char *const[]){"/items/*"}, 1);
    struct seen after = look_up(there, 1, NULL, 0);
    cr_expect_not(covered(&before, before.epoch, "/items/5"));
    cr_expect(covered(&after, before.epoch, "/items/5"));
    cr_expect_not(covered(&after, before.epoch, "/other"));
    cr_expect_not(covered(&after, after.epoch, "/items/5"), "stored since");
}

Test(store, each_ban_moves_the_epoch_by_one)
{
    struct cg_epoch before = look_up(here, 1, NULL, 0).epoch;
    ban_all(here, (const char *const[]){"/a", "/b", "/c"}, 3);
    ban_all(there, (const char *const[]){"/d"}, 1);
    struct seen after = look_up(here, 1, NULL, 0);
    cr_expect_eq(after.epoch.generation, before.generation);
    cr_expect_eq(after.epoch.counter, before.counter + 4);
    cr_expect(cg_epoch_eq(after.epoch, cg_bans_epoch(after.bans)));
}

Test(store, prepare_tells_the_epoch_that_a_fetch_is_stored_under)
{
    struct cg_instance instance = instance_of(1);
    struct cg_epoch before = prepare_all(here, &instance, 1).epoch;
    ban_all(there, (const char *const[]){"/a"}, 1);
    struct cg_epoch after = prepare_all(here, &instance, 1).epoch;
    cr_expect_eq(after.counter, before.counter + 1);
    struct seen seen = look_up(here, 1, NULL, 0);
    cr_expect(covered(&seen, before, "/a"), "a fetch from before the ban is dead on arrival");
    cr_expect_not(covered(&seen, after, "/a"));
}

Test(store, flush_covers_everything_that_was_stored_or_fetched_before_it)
{
    fill(here, 1, CG_STR("stored"), 60000);
    struct cg_epoch before = look_up(here, 1, NULL, 0).epoch;
    flush(there);
    fill(here, 1, CG_STR("fetched before"), 60000);
    struct seen seen = look_up(here, 1, NULL, 0);
    cr_expect(covered(&seen, before, "/any/path?q=1"));
    cr_expect_not(covered(&seen, seen.epoch, "/any/path?q=1"));
}

Test(store, bans_beyond_the_horizon_can_only_cause_misses)
{
    struct cg_epoch before = look_up(here, 1, NULL, 0).epoch;
    ban_all(here, (const char *const[]){"/old"}, 1);
    contract_factory.pass_time(CONTRACT_HORIZON_MS + 1000);
    ban_all(here, (const char *const[]){"/new"}, 1);
    struct seen seen = look_up(there, 1, NULL, 0);
    cr_expect(covered(&seen, before, "/old"));
}

/* ---- calls from inside an answer ---- */

/* The end of a write over TLS is told in a turn of libh2o's own, which never comes while an answer
 * on that connection turns the loop, as this test does and no gateway. */
#ifndef CONTRACT_WITHOUT_NESTED_TURNS
struct nested {
    bool done;
    struct cg_epoch epoch_before;
};

static void on_view_ban(void *owner, const struct cg_store_view *view)
{
    struct nested *nested = owner;
    nested->epoch_before = view->epoch;
    ban_all(here, (const char *const[]){"/nested"}, 1);
    look_up(there, 1, NULL, 0); /* so that no other handle keeps the old snapshot alive */
    struct seen inner = look_up(here, 1, NULL, 0);
    cr_expect(covered(&inner, view->epoch, "/nested"));
    cr_expect_str_eq(inner.entry, "new", "what was filled meanwhile");
    cr_expect(cg_epoch_eq(cg_bans_epoch(view->bans), view->epoch), "the outer view stays valid");
    cr_expect(cg_str_eq(cg_blob_str(view->entry), CG_STR("old")));
    nested->done = true;
}

static void on_view_fill(void *owner, const struct cg_store_view *view)
{
    fill(here, 1, CG_STR("new"), 60000);
    on_view_ban(owner, view);
}

Test(store, answer_may_call_the_store_again)
{
    struct nested nested = {0};
    struct cg_key key = key_of(1);
    fill(here, 1, CG_STR("old"), 60000);
    here->port->lookup(here, &key, NULL, 0, on_view_fill, &nested);
    contract_factory.wait(&nested.done);
    cr_expect_eq(look_up(here, 1, NULL, 0).epoch.counter, nested.epoch_before.counter + 1);
}

#endif

/* ---- what is reported ---- */

#ifndef CONTRACT_WITHOUT_STATISTICS /* a driver that does not know what its server holds */
Test(store, statistics_count_what_there_is)
{
    struct cg_store_stats stats;
    fill(here, 1, CG_STR("one"), 60000);
    fill(here, 2, CG_STR("two"), 60000);
    fill(here, 2, CG_STR("again"), 60000);
    prepare(here, 1);
    prepare(there, 2);
    prepare(there, 2);
    ban_all(here, (const char *const[]){"/a"}, 1);
    there->port->stats(there, &stats);
    cr_expect_eq(stats.entries, 2);
    cr_expect_geq(stats.entry_bytes, strlen("one") + strlen("again"));
    cr_expect_eq(stats.versions, 2);
    cr_expect_eq(stats.evictions, 0);
    cr_expect_eq(stats.bans, 1);
    flush(here);
    there->port->stats(there, &stats);
    cr_expect_eq(stats.entries, 0);
    cr_expect_eq(stats.entry_bytes, 0);
}
#endif

Test(store, health_names_the_backend)
{
    struct cg_store_health health = {0};
    here->port->health(here, &health);
    cr_expect(health.available);
    cr_assert_not_null(health.backend);
    cr_expect_str_eq(health.breaker, "closed");
}

#endif
