/* store_contract_claims: the part of the contract about who fetches (gateway/store/claims.h). */
#ifndef TESTS_STORE_CONTRACT_CLAIMS_H
#define TESTS_STORE_CONTRACT_CLAIMS_H

#include "tests/store_contract.h"

struct claimed {
    struct cg_claim claim;
    bool done, woken;
    struct cg_claim_answer answer;
};

static void on_claim_answer(void *owner, const struct cg_claim_answer *answer)
{
    struct claimed *claimed = owner;
    cr_assert_not(claimed->done, "a claim was answered twice");
    claimed->done = true;
    claimed->answer = *answer;
}

static void on_claim_wake(void *owner)
{
    struct claimed *claimed = owner;
    cr_assert(claimed->done && !claimed->woken);
    claimed->woken = true;
}

static struct cg_claims *claims_of(struct cg_store *store)
{
    return store->port->claims(store);
}

enum { CLAIM_LIVES_MS = 60000 };

static void claim_as(struct cg_store *store, struct claimed *claimed, uint8_t name, uint8_t holder,
                     uint8_t digest)
{
    *claimed = (struct claimed){
        .claim = {.lives_ms = CLAIM_LIVES_MS, .on_wake = on_claim_wake, .owner = claimed}};
    claimed->claim.id[3] = name;
    claimed->claim.holder[5] = holder;
    claimed->claim.digest[7] = digest;
    claims_of(store)->port->claim(claims_of(store), &claimed->claim, on_claim_answer, claimed);
    contract_factory.wait(&claimed->done);
}

static void end_claim(struct cg_store *store, struct claimed *claimed)
{
    claims_of(store)->port->end(claims_of(store), &claimed->claim,
                                claimed->answer.state == CG_CLAIM_GRANTED ? CG_CLAIM_GIVEN_UP
                                                                          : CG_CLAIM_WITHDRAWN);
}

/* A driver that only begins to listen may wake for nothing; `waiter` listens when this returns. */
static void begin_to_listen(struct cg_store *holder, struct cg_store *waiter)
{
    struct claimed held, waiting;
    claim_as(holder, &held, 200, 200, 9);
    claim_as(waiter, &waiting, 200, 201, 9);
    end_claim(holder, &held);
    if (waiting.answer.left_ms > 0)
        contract_factory.wait(&waiting.woken);
    end_claim(waiter, &waiting);
}

static void everybody_listens(void)
{
    begin_to_listen(here, there);
    begin_to_listen(there, here);
}

Test(store, a_claim_is_granted_to_one)
{
    struct claimed first, second, other;
    everybody_listens();
    claim_as(here, &first, 1, 1, 9);
    cr_assert_eq(first.answer.state, CG_CLAIM_GRANTED);
    claim_as(there, &second, 1, 2, 9);
    cr_assert_eq(second.answer.state, CG_CLAIM_HELD);
    cr_expect_gt(second.answer.left_ms, 0);
    cr_expect_leq(second.answer.left_ms, CLAIM_LIVES_MS);
    cr_expect_eq(second.answer.digest[7], 9, "the holder's versions are told");
    claim_as(there, &other, 2, 3, 9);
    cr_expect_eq(other.answer.state, CG_CLAIM_GRANTED, "another name");
    end_claim(there, &other);
    end_claim(there, &second);
    end_claim(here, &first);
}

Test(store, the_end_of_a_claim_wakes_who_waits_on_every_handle)
{
    struct claimed first, second, third, bystander, again;
    everybody_listens();
    claim_as(here, &first, 1, 1, 9);
    claim_as(there, &second, 1, 2, 9);
    claim_as(here, &third, 1, 3, 9);
    claim_as(there, &bystander, 2, 4, 9);
    end_claim(here, &first);
    contract_factory.wait(&second.woken);
    contract_factory.wait(&third.woken);
    claim_as(there, &again, 1, 5, 9);
    cr_expect_eq(again.answer.state, CG_CLAIM_GRANTED, "nobody holds it any more");
    end_claim(there, &again);
    end_claim(there, &second);
    end_claim(here, &third);
    end_claim(there, &bystander);
}

Test(store, a_claim_that_is_not_renewed_ends_with_its_life)
{
    struct claimed first, second, third;
    everybody_listens();
    claim_as(here, &first, 1, 1, 9);
    contract_factory.pass_time(CLAIM_LIVES_MS - 1000);
    claims_of(here)->port->renew(claims_of(here), &first.claim);
    claim_as(here, &second, 2, 2, 9); /* behind it, so it has arrived */
    end_claim(here, &second);
    contract_factory.pass_time(CLAIM_LIVES_MS - 1000);
    claim_as(here, &second, 1, 2, 9);
    cr_assert_eq(second.answer.state, CG_CLAIM_HELD, "it was renewed");
    end_claim(here, &second);
    contract_factory.pass_time(CLAIM_LIVES_MS + 1);
    claim_as(there, &third, 1, 3, 9);
    cr_expect_eq(third.answer.state, CG_CLAIM_GRANTED);
    end_claim(there, &third);
    end_claim(here, &first);
}

Test(store, a_claim_under_other_versions_is_taken_over)
{
    struct claimed first, unknown, second, third;
    everybody_listens();
    claim_as(here, &first, 1, 1, 9);
    claim_as(there, &unknown, 1, 2, 0);
    cr_expect_eq(unknown.answer.state, CG_CLAIM_HELD, "who knows no versions waits");
    claim_as(there, &second, 1, 3, 8);
    cr_assert_eq(second.answer.state, CG_CLAIM_GRANTED);
    end_claim(here, &first); /* wakes, but ends nothing: it is not its own any more */
    contract_factory.wait(&unknown.woken);
    claim_as(here, &third, 1, 4, 8);
    cr_expect_eq(third.answer.state, CG_CLAIM_HELD, "by the one that took it over");
    end_claim(here, &third);
    end_claim(there, &second);
    end_claim(there, &unknown);
}

Test(store, who_comes_just_after_something_was_stored_looks_again)
{
    struct claimed first, second, third, insisting;
    everybody_listens();
    claim_as(here, &first, 1, 1, 9);
    claim_as(there, &second, 1, 2, 9);
    claims_of(here)->port->end(claims_of(here), &first.claim, CG_CLAIM_STORED);
    if (second.answer.left_ms > 0)
        contract_factory.wait(&second.woken);
    end_claim(there, &second);
    claim_as(there, &third, 1, 3, 9);
    cr_expect_eq(third.answer.state, CG_CLAIM_HELD);
    cr_expect_eq(third.answer.left_ms, 0);
    end_claim(there, &third);
    third.claim.insists = true;
    third.done = false;
    claims_of(there)->port->claim(claims_of(there), &third.claim, on_claim_answer, &third);
    contract_factory.wait(&third.done);
    cr_expect_eq(third.answer.state, CG_CLAIM_GRANTED, "it has looked");
    claims_of(there)->port->end(claims_of(there), &third.claim, CG_CLAIM_STORED);
    claim_as(here, &insisting, 1, 4, 8);
    cr_expect_eq(insisting.answer.state, CG_CLAIM_GRANTED, "under other versions it is news");
    claims_of(here)->port->end(claims_of(here), &insisting.claim, CG_CLAIM_STORED);
    claim_as(here, &third, 2, 6, 8); /* behind it, so it has arrived */
    end_claim(here, &third);
    contract_factory.pass_time(CG_CLAIM_DONE_MS + 1);
    claim_as(here, &first, 1, 5, 8);
    cr_expect_eq(first.answer.state, CG_CLAIM_GRANTED, "for a moment only");
    end_claim(here, &first);
}

Test(store, who_stopped_waiting_is_not_woken)
{
    struct claimed first, second, third;
    everybody_listens();
    claim_as(here, &first, 1, 1, 9);
    claim_as(there, &second, 1, 2, 9);
    claim_as(there, &third, 1, 3, 9);
    end_claim(there, &second);
    end_claim(here, &first);
    contract_factory.wait(&third.woken);
    cr_expect_not(second.woken);
    end_claim(there, &third);
}

/* Who was overtaken may not know it yet. */
Test(store, who_lost_a_claim_neither_renews_nor_ends_it)
{
    struct claimed first, second, third;
    everybody_listens();
    claim_as(here, &first, 1, 1, 9);
    claim_as(there, &second, 1, 2, 8);
    cr_assert_eq(second.answer.state, CG_CLAIM_GRANTED);
    claims_of(here)->port->renew(claims_of(here), &first.claim);
    claim_as(here, &third, 1, 3, 8);
    cr_expect_eq(third.answer.state, CG_CLAIM_HELD, "not under the old versions again");
    cr_expect_eq(third.answer.digest[7], 8);
    end_claim(here, &third);
    claims_of(here)->port->end(claims_of(here), &first.claim, CG_CLAIM_STORED);
    claim_as(here, &third, 1, 4, 8);
    cr_expect_eq(third.answer.state, CG_CLAIM_HELD);
    if (third.answer.left_ms == 0) { /* the first one's end may wake, from afar: it looks again */
        end_claim(here, &third);
        claim_as(here, &third, 1, 5, 8);
        cr_expect_eq(third.answer.state, CG_CLAIM_HELD);
    }
    cr_expect_gt(third.answer.left_ms, 0, "what the second fetches is not stored yet");
    end_claim(here, &third);
    end_claim(there, &second);
}

/* More than a mailbox holds. */
Test(store, many_claims_that_end_at_once_wake_all_who_wait)
{
    enum { MANY = 200 };
    static struct claimed held[MANY], waiting[MANY];
    everybody_listens();
    for (size_t i = 0; i < MANY; i++) {
        claim_as(here, &held[i], (uint8_t)i, 1, 9);
        claim_as(there, &waiting[i], (uint8_t)i, 2, 9);
        cr_assert_eq(waiting[i].answer.state, CG_CLAIM_HELD);
    }
    for (size_t i = 0; i < MANY; i++)
        end_claim(here, &held[i]);
    for (size_t i = 0; i < MANY; i++)
        contract_factory.wait(&waiting[i].woken);
    for (size_t i = 0; i < MANY; i++)
        end_claim(there, &waiting[i]);
}

#endif
