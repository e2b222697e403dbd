/*
 * claims: who fetches, so that the others need not; over all threads and gateways on one store.
 *
 * A claim is a lease on a name: at most one holder has it at a time, as far as the store knows, and
 * loses it when its life ends. Nothing correct may depend on it: a claim can be granted to two (a
 * failover, a pause longer than its life), and a wake can come for no reason or not at all. Who was
 * woken looks again and trusts nothing that was said (CONSISTENCY row 15).
 *
 * A claim names the versions that its holder fetches under (a digest; zero while they are not
 * known). Who knows others does not wait for that fetch: the claim passes to it.
 *
 * A store gives each thread its claims through cg_store_port.claims. The claim's memory is its
 * owner's, and stays until it was answered and ended. This file has the list of those who wait,
 * which the drivers share.
 */
#ifndef GATEWAY_STORE_CLAIMS_H
#define GATEWAY_STORE_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "cachegate/version.h"

enum cg_claim_state {
    CG_CLAIM_GRANTED,
    CG_CLAIM_HELD,    /* by somebody else, who fetches under the same versions or does not know */
    CG_CLAIM_UNKNOWN, /* the store does not say: everybody is on their own */
};

struct cg_claim {
    uint8_t id[CG_DIGEST_BYTES];     /* what is fetched */
    uint8_t holder[CG_DIGEST_BYTES]; /* random, fresh for each attempt */
    uint8_t digest[CG_DIGEST_BYTES]; /* of the versions */
    uint32_t lives_ms;
    bool insists; /* looked after the last wake: what was stored before is not news */
    /* Once, after HELD and before it was ended: look again. Never from inside a call of the port.
     */
    void (*on_wake)(void *owner);
    void *owner;
    /* Private to the driver. */
    struct cg_claim *next, **place; /* among those who wait */
    bool asked;                     /* not answered yet: a wake is kept for then */
    bool woken;
};

/*
 * How a claim ends. Who looked before something was stored and claims only afterwards would fetch
 * it once more: for CG_CLAIM_DONE_MS a claim under the same versions, or unknown ones, is answered
 * HELD, with nothing left, unless it insists.
 */
enum cg_claim_end {
    CG_CLAIM_WITHDRAWN, /* it was held by somebody else: stops waiting */
    CG_CLAIM_GIVEN_UP,  /* wakes all who wait; nothing was stored */
    CG_CLAIM_STORED,    /* … something was */
};
enum { CG_CLAIM_DONE_MS = 250 }; /* many round trips, and less than anybody notices */

struct cg_claim_answer {
    enum cg_claim_state state;
    uint32_t left_ms; /* HELD: how long it lives without being renewed; 0: look again at once */
    uint8_t digest[CG_DIGEST_BYTES]; /* HELD: of the holder's versions */
};

typedef void (*cg_claim_fn)(void *owner, const struct cg_claim_answer *answer);

struct cg_claims;
struct cg_claims_port {
    void (*claim)(struct cg_claims *claims, struct cg_claim *claim, cg_claim_fn answer,
                  void *owner);
    /* Of a granted one: it lives on, under the digest that it has now. Nobody is told if it was
     * lost. */
    void (*renew)(struct cg_claims *claims, const struct cg_claim *claim);
    void (*end)(struct cg_claims *claims, struct cg_claim *claim, enum cg_claim_end how);
};
struct cg_claims {
    const struct cg_claims_port *port;
};

/* ---- who waits, on one thread ---- */

enum { CG_WAITING_BUCKETS = 256 };
struct cg_waiting {
    struct cg_claim *buckets[CG_WAITING_BUCKETS];
    uint32_t count;
};

void cg_waiting_add(struct cg_waiting *waiting, struct cg_claim *claim);
/* Idempotent. */
void cg_waiting_remove(struct cg_waiting *waiting, struct cg_claim *claim);
/* Those who are there when it is called; they may wait again from inside. */
void cg_waiting_wake(struct cg_waiting *waiting, const uint8_t id[CG_DIGEST_BYTES]);
void cg_waiting_wake_all(struct cg_waiting *waiting);

bool cg_claim_digest_known(const uint8_t digest[CG_DIGEST_BYTES]);
/* Both are known, and differ. */
bool cg_claim_digests_differ(const uint8_t one[CG_DIGEST_BYTES],
                             const uint8_t other[CG_DIGEST_BYTES]);

#endif
