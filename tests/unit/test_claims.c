/* The list of those who wait for claims of others (claims.h), which the drivers share. */
#include <criterion/criterion.h>

#include "gateway/store/claims.h"

enum { MANY = 600 };

static struct cg_waiting waiting;
static struct cg_claim claims[MANY];
static unsigned woken[MANY];
static void (*also)(size_t number); /* what is done from inside a wake */

static void on_wake(void *owner)
{
    size_t number = (size_t)((struct cg_claim *)owner - claims);
    woken[number]++;
    if (also != NULL)
        also(number);
}

static void waits(size_t number, uint8_t first, uint8_t last)
{
    claims[number] = (struct cg_claim){.on_wake = on_wake, .owner = &claims[number]};
    claims[number].id[0] = first;
    claims[number].id[CG_DIGEST_BYTES - 1] = last;
    cg_waiting_add(&waiting, &claims[number]);
}

Test(claims, only_who_waits_for_that_name_is_woken)
{
    uint8_t id[CG_DIGEST_BYTES] = {7};
    waits(0, 7, 0);
    waits(1, 7, 1);
    waits(2, 8, 0);
    waits(3, 7, 0);
    cr_assert_eq(waiting.count, 4);
    cg_waiting_wake(&waiting, id);
    cr_assert(woken[0] == 1 && woken[1] == 0 && woken[2] == 0 && woken[3] == 1);
    cr_assert_eq(waiting.count, 2);
    cg_waiting_wake(&waiting, id);
    cr_assert(woken[0] == 1 && woken[3] == 1, "once");
}

Test(claims, all_are_woken_wherever_they_stand)
{
    for (size_t i = 0; i < MANY; i++)
        waits(i, (uint8_t)i, (uint8_t)(i >> 8));
    cg_waiting_wake_all(&waiting);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(woken[i], 1, "%zu", i);
    cr_assert_eq(waiting.count, 0);
}

Test(claims, who_is_not_answered_yet_is_told_with_the_answer)
{
    uint8_t id[CG_DIGEST_BYTES] = {7};
    waits(0, 7, 0);
    claims[0].asked = true;
    cg_waiting_wake(&waiting, id);
    cr_assert_eq(woken[0], 0);
    cr_assert(claims[0].woken && waiting.count == 1, "it stays, and it is noted");
    cg_waiting_wake_all(&waiting);
    cr_assert_eq(woken[0], 0);
    claims[0].asked = false;
    cg_waiting_wake(&waiting, id);
    cr_assert_eq(woken[0], 1);
}

static void ends_all_others(size_t number)
{
    for (size_t i = 0; i < 3; i++)
        if (i != number)
            cg_waiting_remove(&waiting, &claims[i]);
}

Test(claims, who_is_woken_may_end_the_others)
{
    uint8_t id[CG_DIGEST_BYTES] = {7};
    for (size_t i = 0; i < 3; i++)
        waits(i, 7, 0);
    also = ends_all_others;
    cg_waiting_wake(&waiting, id);
    cr_assert_eq(woken[0] + woken[1] + woken[2], 1);
    cr_assert_eq(waiting.count, 0);
}

static void waits_again(size_t number)
{
    cr_assert_lt(woken[number], 3, "for ever");
    waits(number, 7, 0);
}

Test(claims, who_waits_again_is_not_woken_again)
{
    uint8_t id[CG_DIGEST_BYTES] = {7};
    waits(0, 7, 0);
    waits(1, 7, 0);
    also = waits_again;
    cg_waiting_wake(&waiting, id);
    cr_assert(woken[0] == 1 && woken[1] == 1 && waiting.count == 2);
    cg_waiting_wake_all(&waiting);
    cr_assert(woken[0] == 2 && woken[1] == 2 && waiting.count == 2);
}

Test(claims, a_digest_that_is_not_known_differs_from_none)
{
    uint8_t none[CG_DIGEST_BYTES] = {0}, one[CG_DIGEST_BYTES] = {1}, two[CG_DIGEST_BYTES] = {2};
    cr_expect(cg_claim_digests_differ(one, two));
    cr_expect_not(cg_claim_digests_differ(one, one));
    cr_expect_not(cg_claim_digests_differ(none, one));
    cr_expect_not(cg_claim_digests_differ(one, none));
    cr_expect_not(cg_claim_digests_differ(none, none));
}
