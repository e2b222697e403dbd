/* The lease, with every moment given. 6000 ms: it is noticed within 2000, its pace is 1000. */
#include <criterion/criterion.h>

#include "cachegate/lease.h"

enum { LEASE = 6000, GONE_AFTER = 60000, FAILOVER = 5000, SERVER = 1000000 };

static struct cg_lease make(bool binding, bool replicated)
{
    return (struct cg_lease){.terms = {LEASE, GONE_AFTER, FAILOVER, binding, replicated, false}};
}

/* The server's clock is ours plus SERVER. */
static void hear(struct cg_lease *lease, int64_t sent_ms, int64_t now_ms, bool renewed, bool lapsed)
{
    struct cg_lease_answer answer = {.sent_ms = sent_ms,
                                     .server_ms = SERVER + (sent_ms + now_ms) / 2,
                                     .renewed = renewed,
                                     .others_lapsed = lapsed};
    cg_lease_hear(lease, &answer, now_ms);
}

static struct cg_lease make_member(void)
{
    struct cg_lease lease = make(true, false);
    hear(&lease, 0, 10, false, false);
    cr_assert_eq(cg_lease_send(&lease, 20), SERVER + 5 + 10 + LEASE);
    hear(&lease, 20, 30, true, false);
    return lease;
}

Test(lease, nothing_binds_in_the_other_modes)
{
    struct cg_lease lease = make(false, false);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), INT64_MAX);
    cr_expect_eq(cg_lease_hold_ms(&lease, 1), 0);
}

Test(lease, is_asked_for_by_the_clock_of_the_store_and_never_too_long)
{
    struct cg_lease lease = make(true, false);
    cr_expect_eq(cg_lease_send(&lease, 5), 0, "its clock is not known yet");
    struct cg_lease_answer answer = {.sent_ms = 0, .server_ms = SERVER + 1};
    cg_lease_hear(&lease, &answer, 100); /* its clock was read at 1, and is thought to be at 100 */
    int64_t ends_ms = cg_lease_send(&lease, 200);
    cr_expect_leq(ends_ms, SERVER + 200 + LEASE);
    cr_expect_eq(ends_ms, SERVER + 1 + 100 + LEASE);
}

Test(lease, what_was_told_counts_for_a_third_of_it)
{
    struct cg_lease lease = make_member();
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), 20 + 2000, "from when it was asked");
    hear(&lease, 1000, 1900, true, true);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), INT64_MIN, "somebody's lease is over");
    hear(&lease, 900, 1950, true, false);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), INT64_MIN, "older news");
    hear(&lease, 2000, 2010, true, false);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), 4000);
}

Test(lease, lost_list_of_members_is_waited_for)
{
    struct cg_lease lease = make_member();
    int64_t over_ms = 2500 + GONE_AFTER + LEASE;
    cg_lease_doubt(&lease, 2500);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), INT64_MIN);
    hear(&lease, over_ms - 1, over_ms + 1, true, false);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), INT64_MIN);
    hear(&lease, over_ms, over_ms + 1, true, false);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), over_ms + 2000);
}

Test(lease, answers_are_held_until_the_others_have_noticed)
{
    struct cg_lease lease = make(true, false);
    cr_expect_eq(cg_lease_hold_ms(&lease, 0), CG_LEASE_REFUSE, "never a member");
    hear(&lease, 0, 10, false, false);
    cr_expect_eq(cg_lease_hold_ms(&lease, 10), CG_LEASE_REFUSE, "greeted, not a member");
    lease = make_member();
    uint32_t whole = LEASE + LEASE / 3;
    uint32_t hold_ms = cg_lease_hold_ms(&lease, 20);
    cr_expect_geq(hold_ms, whole);
    cr_expect_leq(hold_ms, whole + whole / 50);
    /* A heartbeat that was not answered may be executed later: it counts from there. */
    cg_lease_send(&lease, 1000);
    cr_expect_geq(cg_lease_hold_ms(&lease, 1100), whole - 100);
    cr_expect_eq(cg_lease_hold_ms(&lease, 1000 + whole + whole / 50), 0, "all have noticed");
}

Test(lease, writes_fail_before_their_gateway_can_be_declared_gone)
{
    struct cg_lease lease = make_member();
    int64_t gone_ms = 20 + GONE_AFTER - LEASE; /* a lease before anybody can say so */
    cr_expect_eq(cg_lease_hold_ms(&lease, gone_ms - 1), 0);
    cr_expect_eq(cg_lease_hold_ms(&lease, gone_ms), CG_LEASE_REFUSE);
    /* Not released at a moment that is too late either. */
    cg_lease_send(&lease, gone_ms - LEASE);
    cr_expect_eq(cg_lease_hold_ms(&lease, gone_ms - LEASE), CG_LEASE_REFUSE);
    hear(&lease, gone_ms - LEASE, gone_ms, false, false);
    cr_expect_eq(cg_lease_hold_ms(&lease, gone_ms), CG_LEASE_REFUSE, "answered, but not renewed");
    hear(&lease, gone_ms + 1, gone_ms + 2, true, false);
    cr_expect_neq(cg_lease_hold_ms(&lease, gone_ms + 2), CG_LEASE_REFUSE);
}

Test(lease, replicas_must_have_had_a_heartbeat_within_the_failover_time)
{
    struct cg_lease lease = make(false, true);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), INT64_MIN);
    hear(&lease, 0, 10, true, false);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), INT64_MIN, "answered, not replicated");
    struct cg_lease_answer answer = {
        .sent_ms = 100, .server_ms = SERVER, .renewed = true, .replicated = true};
    cg_lease_hear(&lease, &answer, 900);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), 100 + FAILOVER);
    hear(&lease, 2000, 2010, true, false);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), 100 + FAILOVER);
    lease.terms.binding = true;
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), 4000, "the earlier of both");
    cr_expect_leq(cg_lease_pace_ms(&lease.terms), FAILOVER / 3);
}

Test(lease, continuity_ends_with_the_failover_time)
{
    struct cg_lease lease = make(false, false);
    cr_expect_not(cg_lease_lapsed(&lease, 0), "a server that nothing takes the place of");
    lease.terms.replaceable = true;
    cr_expect(cg_lease_lapsed(&lease, 0), "never heard");
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), INT64_MIN);
    hear(&lease, 100, 4000, true, false);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), 100 + FAILOVER);
    cr_expect_leq(cg_lease_pace_ms(&lease.terms), FAILOVER / 3);
    cr_expect_not(cg_lease_lapsed(&lease, 100 + FAILOVER - 1));
    cr_expect(cg_lease_lapsed(&lease, 100 + FAILOVER));
}

Test(lease, member_is_listed_until_it_may_have_been_declared_gone)
{
    struct cg_lease lease = make(true, false);
    cr_expect_not(cg_lease_is_listed(&lease, 0));
    lease = make_member();
    cr_expect(cg_lease_is_listed(&lease, GONE_AFTER));
    cr_expect_not(cg_lease_is_listed(&lease, 20 + LEASE + GONE_AFTER));
}

Test(lease, other_servers_vouch_for_themselves)
{
    struct cg_lease lease = make(true, true);
    struct cg_lease_answer answer = {
        .sent_ms = 100, .server_ms = SERVER, .renewed = true, .replicated = true};
    cg_lease_hear(&lease, &answer, 110);
    cr_assert_gt(cg_lease_trusted_until_ms(&lease), 110);
    cr_assert_neq(cg_lease_hold_ms(&lease, 120), CG_LEASE_REFUSE);
    cg_lease_move(&lease);
    hear(&lease, 130, 140, false, false);
    cr_expect_eq(cg_lease_trusted_until_ms(&lease), INT64_MIN, "no replica of theirs was heard of");
    cr_expect_eq(cg_lease_hold_ms(&lease, 150), CG_LEASE_REFUSE, "nor are we on their list");
}
