/* store_contract_versions: the part of the contract about versions, marks and purges. */
#ifndef TESTS_STORE_CONTRACT_VERSIONS_H
#define TESTS_STORE_CONTRACT_VERSIONS_H

#include "tests/store_contract.h"

Test(store, prepare_creates_what_is_absent_and_keeps_what_there_is)
{
    struct cg_version first = prepare(here, 1);
    cr_assert_eq(first.state, CG_VERSION_CURRENT);
    struct cg_version again = prepare(there, 1);
    cr_expect(cg_token_eq(&first.token, &again.token));
    expect_kept(1, first, "read back");
}

Test(store, versions_are_answered_in_the_order_asked)
{
    struct cg_instance instances[CG_INSTANCES_MAX];
    struct cg_instance reversed[CG_INSTANCES_MAX];
    for (uint8_t i = 0; i < CG_INSTANCES_MAX; i++) {
        instances[i] = instance_of((uint8_t)(1 + i));
        reversed[CG_INSTANCES_MAX - 1 - i] = instances[i];
    }
    struct seen forwards = prepare_all(here, instances, CG_INSTANCES_MAX);
    struct seen backwards = look_up(there, 1, reversed, CG_INSTANCES_MAX);
    for (size_t i = 0; i < CG_INSTANCES_MAX; i++) {
        const struct cg_version *other = &backwards.versions[CG_INSTANCES_MAX - 1 - i];
        cr_expect_eq(forwards.versions[i].state, CG_VERSION_CURRENT);
        cr_expect_eq(other->state, CG_VERSION_CURRENT);
        cr_expect(cg_token_eq(&forwards.versions[i].token, &other->token), "%zu", i);
    }
}

Test(store, tokens_are_never_used_twice)
{
    enum { INSTANCES = 8, ROUNDS = 7 };
    struct cg_token tokens[INSTANCES * ROUNDS];
    size_t count = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        for (uint8_t i = 0; i < INSTANCES; i++) {
            struct cg_store *store = (round + i) % 2 == 0 ? here : there;
            tokens[count] = prepare(store, i).token;
            for (size_t j = 0; j < count; j++)
                cr_assert_not(cg_token_eq(&tokens[j], &tokens[count]), "%zu and %zu", j, count);
            count++;
            purge(store, i);
        }
        while (contract_snapshot_count > 0)
            cg_bans_unref(contract_snapshots[--contract_snapshot_count]);
    }
}

Test(store, purge_is_seen_by_every_lookup_that_starts_after_it)
{
    struct cg_version before = prepare(here, 1), other = prepare(here, 2);
    purge(there, 1);
    expect_renewed(1, before, "purged");
    expect_kept(2, other, "not purged");
}

Test(store, purge_of_what_was_never_read_is_harmless)
{
    purge(here, 1);
    cr_expect_eq(prepare(there, 1).state, CG_VERSION_CURRENT);
}

Test(store, several_instances_are_purged_at_once)
{
    struct done done = {0};
    struct cg_instance instances[] = {instance_of(1), instance_of(2), instance_of(1)};
    struct cg_version first = prepare(here, 1), second = prepare(here, 2);
    here->port->purge(here, instances, 3, on_done, &done);
    contract_factory.wait(&done.done);
    cr_assert_eq(done.result, CG_STORE_OK);
    expect_renewed(1, first, "the first, named twice");
    expect_renewed(2, second, "the second");
}

/* ---- marks ---- */

Test(store, mark_makes_a_version_busy_until_it_is_released)
{
    struct cg_version before = prepare(here, 1);
    mark_for(here, 1, 1, 10000);
    expect_busy(1, "marked");
    cr_expect_eq(prepare(there, 1).state, CG_VERSION_BUSY, "prepare sees it too");
    release(here, 1, 1, true);
    expect_renewed(1, before, "released");
}

Test(store, busy_version_shows_no_token)
{
    static const struct cg_token zero;
    prepare(here, 1);
    mark_for(here, 1, 1, 10000);
    struct cg_version version = version_at(here, 1);
    cr_expect(cg_token_eq(&version.token, &zero));
}

Test(store, mark_on_an_absent_instance_is_a_mark)
{
    mark_for(here, 1, 1, 10000);
    expect_busy(1, "marked");
    release(there, 1, 1, true);
    cr_expect_neq(version_at(here, 1).state, CG_VERSION_BUSY);
}

Test(store, refused_write_leaves_the_version_as_it_was)
{
    struct cg_version before = prepare(here, 1);
    mark_for(here, 1, 1, 10000);
    release(here, 1, 1, false);
    expect_kept(1, before, "released without renewal");
}

Test(store, version_is_busy_until_the_last_writer_released_it)
{
    struct cg_version before = prepare(here, 1);
    mark_for(here, 1, 1, 10000);
    mark_for(there, 1, 2, 10000);
    mark_for(here, 1, 3, 10000);
    release(here, 1, 2, true);
    expect_busy(1, "two left");
    release(here, 1, 1, false);
    expect_busy(1, "one left");
    release(there, 1, 3, false);
    expect_renewed(1, before, "one of three changed something");
}

Test(store, renewal_is_said_instance_by_instance)
{
    struct done done = {0};
    struct cg_instance instances[] = {instance_of(1), instance_of(2)};
    struct cg_writer writer = writer_of(1);
    struct cg_version first = prepare(here, 1), second = prepare(here, 2);
    mark_for(here, 1, 1, 10000);
    mark_for(here, 2, 1, 10000);
    here->port->release(here, instances, (const bool[]){false, true}, 2, &writer, on_done, &done);
    contract_factory.wait(&done.done);
    expect_kept(1, first, "kept");
    expect_renewed(2, second, "renewed");
}

Test(store, mark_that_ran_out_takes_the_version_with_it)
{
    struct cg_version before = prepare(here, 1);
    mark_for(here, 1, 1, 10000);
    contract_factory.pass_time(9999);
    expect_busy(1, "its last moment");
    contract_factory.pass_time(1);
    expect_renewed(1, before, "over");
}

Test(store, one_mark_that_ran_out_renews_behind_those_that_live)
{
    struct cg_version before = prepare(here, 1);
    mark_for(here, 1, 1, 100);
    mark_for(here, 1, 2, 10000);
    contract_factory.pass_time(100);
    expect_busy(1, "the second lives");
    release(here, 1, 2, false);
    expect_renewed(1, before, "the first may have written");
}

Test(store, mark_can_be_prolonged_and_not_cut_short)
{
    prepare(here, 1);
    mark_for(here, 1, 1, 100);
    mark_for(there, 1, 1, 10000);
    mark_for(here, 1, 1, 50);
    contract_factory.pass_time(9999);
    expect_busy(1, "prolonged");
    contract_factory.pass_time(1);
    cr_expect_neq(version_at(here, 1).state, CG_VERSION_BUSY);
}

Test(store, release_ends_a_mark_that_was_prolonged)
{
    struct cg_version before = prepare(here, 1);
    mark_for(here, 1, 1, 100);
    mark_for(here, 1, 1, 10000);
    release(here, 1, 1, false);
    expect_kept(1, before, "one mark, one release");
}

Test(store, late_release_renews_although_the_mark_is_lost)
{
    struct cg_version before = prepare(here, 1);
    mark_for(here, 1, 1, 100);
    contract_factory.pass_time(100);
    struct cg_version between = prepare(here, 1);
    release(here, 1, 1, true);
    expect_renewed(1, before, "the one from before the mark");
    expect_renewed(1, between, "the one that was created after the mark was lost");
}

Test(store, release_without_renewal_of_a_lost_mark_brings_nothing_back)
{
    struct cg_version before = prepare(here, 1);
    mark_for(here, 1, 1, 100);
    contract_factory.pass_time(100);
    release(here, 1, 1, false);
    expect_renewed(1, before, "it may have written");
}

Test(store, release_by_another_writer_ends_nobody_elses_mark)
{
    prepare(here, 1);
    mark_for(here, 1, 1, 10000);
    release(there, 1, 2, true);
    expect_busy(1, "the other's mark");
    release(there, 1, 2, false);
    expect_busy(1, "the other's mark");
}

Test(store, purge_does_not_end_a_mark_and_is_not_undone_by_it)
{
    struct cg_version before = prepare(here, 1);
    mark_for(here, 1, 1, 10000);
    purge(there, 1);
    expect_busy(1, "purged while marked");
    release(here, 1, 1, false);
    expect_renewed(1, before, "a refused write brings nothing back");
}

Test(store, many_writers_of_one_instance_do_not_disturb_each_other)
{
    enum { WRITERS = 50 };
    struct cg_version before = prepare(here, 1);
    for (uint8_t i = 0; i < WRITERS; i++)
        mark_for(i % 2 == 0 ? here : there, 1, i, 10000 + i);
    for (uint8_t i = 0; i < WRITERS; i++) {
        cr_expect_eq(version_at(here, 1).state, CG_VERSION_BUSY, "%d left", WRITERS - i);
        /* Every third, so that they go in another order than they came. */
        release(there, 1, (uint8_t)(i * 3 % WRITERS), i == 20);
    }
    expect_renewed(1, before, "one of them changed something");
}

/* ---- acknowledgements ---- */

/* Who is told that it is done may look at once, on the other handle. */
struct told {
    struct seen seen;
    enum cg_store_result result;
};

static void on_told(void *owner, enum cg_store_result result)
{
    struct told *told = owner;
    struct cg_key key = key_of(0);
    struct cg_instance instance = instance_of(1);
    told->result = result;
    told->seen.count = 1;
    there->port->lookup(there, &key, &instance, 1, on_view, &told->seen);
}

static void expect_told(struct told *told, struct seen before, enum cg_version_state state,
                        bool banned, const char *what)
{
    contract_factory.wait(&told->seen.done);
    cr_expect_eq(told->result, CG_STORE_OK, "%s", what);
    struct cg_version now = told->seen.versions[0];
    bool same = cg_token_eq(&now.token, &before.versions[0].token);
    if (state == CG_VERSION_BUSY)
        cr_expect_eq(now.state, CG_VERSION_BUSY, "%s", what);
    else if (state == CG_VERSION_ABSENT)
        cr_expect(now.state != CG_VERSION_BUSY && !same, "%s", what);
    else
        cr_expect(now.state == CG_VERSION_CURRENT && same, "%s", what);
    cr_expect_eq(covered(&told->seen, before.epoch, "/items/5"), banned, "%s", what);
    *told = (struct told){0};
}

Test(store, what_was_acknowledged_is_seen_from_inside_the_acknowledgement)
{
    struct told told = {0};
    struct cg_instance instance = instance_of(1);
    struct cg_writer writer = writer_of(1);
    struct cg_ban ban = {CG_STR("/items/*"), {NULL, 0}};
    const struct cg_store_port *port = here->port;
    const bool renew = true, keep = false;
    struct seen before = prepare_all(here, &instance, 1);
    int64_t deadline_ms = contract_factory.now_ms() + 60000;
    port->purge(here, &instance, 1, on_told, &told);
    expect_told(&told, before, CG_VERSION_ABSENT, false, "purge");
    before = prepare_all(here, &instance, 1);
    port->mark(here, &instance, 1, &writer, deadline_ms, on_told, &told);
    expect_told(&told, before, CG_VERSION_BUSY, false, "mark");
    port->release(here, &instance, &keep, 1, &writer, on_told, &told);
    expect_told(&told, before, CG_VERSION_CURRENT, false, "refused write");
    port->release(here, &instance, &renew, 1, &writer, on_told, &told);
    expect_told(&told, before, CG_VERSION_ABSENT, false, "write");
    before = prepare_all(here, &instance, 1);
    port->ban(here, &ban, 1, on_told, &told);
    expect_told(&told, before, CG_VERSION_CURRENT, true, "ban");
    before = prepare_all(here, &instance, 1);
    port->flush(here, on_told, &told);
    contract_factory.wait(&told.seen.done);
    cr_expect(covered(&told.seen, before.epoch, "/items/5"), "flush");
}

#endif
