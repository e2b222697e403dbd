/*
 * lease: how long a gateway may believe a shared store, and how long it holds what it could not
 * purge there (CONSISTENCY rows 3, 10 and 11; tests/model/lease.pml).
 *
 * Every process is a member of the store for one lease and renews it by heartbeats. When purges
 * that cannot be delivered bind (`on_unpurgeable: lease`), the others stop believing what they read
 * once a member's lease is over, until it is back or was declared gone; so a process that lost the
 * store holds the answers of its writes until then, and fails them when it may have been declared
 * gone. A heartbeat asks for its lease's end by the store's clock, as far as that is known, so that
 * one which executes late renews nothing. Pure: stepped with the process's monotonic clock, which
 * only has to run as fast as the store's. The caller owns the struct; zeroed, nothing is believed.
 */
#ifndef CACHEGATE_LEASE_H
#define CACHEGATE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#define CG_LEASE_REFUSE UINT32_MAX

struct cg_lease_terms {
    uint32_t lease_ms;
    uint32_t gone_after_ms; /* after the end of a lease; at least three leases */
    uint32_t failover_ms;   /* in less time no replica is promoted */
    bool binding;           /* nothing is believed while some member's lease is over */
    bool replicated;        /* nothing is believed unless a heartbeat reached replicas lately */
    bool replaceable;       /* a replica may take the server's place, and give it back unseen */
};

struct cg_lease {
    struct cg_lease_terms terms;
    bool told; /* some heartbeat or greeting was answered */
    bool joined;
    bool others_lapsed;
    bool has_replicated;
    int64_t server_ms, heard_ms; /* the store's clock, when it was heard, by ours */
    int64_t told_ms;             /* of the answered ones: when the last was sent */
    int64_t sent_ms;             /* the last heartbeat that may be executed some time */
    int64_t renewed_ms;          /* when the last one was sent that renewed for certain */
    int64_t replicated_ms;
    int64_t doubted_until_ms; /* no answer from before counts */
};

/* What a heartbeat or greeting was answered. */
struct cg_lease_answer {
    int64_t sent_ms; /* by our clock */
    int64_t server_ms;
    bool renewed;
    bool others_lapsed;
    bool replicated;
};

/* A heartbeat leaves: the end of the lease that it asks for, by the store's clock; 0 while that is
 * not known. */
int64_t cg_lease_send(struct cg_lease *lease, int64_t now_ms);
void cg_lease_hear(struct cg_lease *lease, const struct cg_lease_answer *answer, int64_t now_ms);
/* The store is on other servers now: what the old ones knew of this member they may not know. */
void cg_lease_move(struct cg_lease *lease);
/* The store has lost its list of members: whoever lapsed cannot be told any more, until all of them
 * are back or have stopped releasing what they could not purge. */
void cg_lease_doubt(struct cg_lease *lease, int64_t now_ms);
/* Until when what is read may be believed; INT64_MAX when nothing binds, INT64_MIN for not now. */
int64_t cg_lease_trusted_until_ms(const struct cg_lease *lease);
/* Whether a server of the same record may have been replaced and come back since it was heard: then
 * no heartbeat is sent, but a greeting, which has the others vouch for it. */
bool cg_lease_lapsed(const struct cg_lease *lease, int64_t now_ms);
/* Whether the store knows this member, if it has not lost its list: nobody has declared it gone. */
bool cg_lease_is_listed(const struct cg_lease *lease, int64_t now_ms);
/* How long the answer of a write that could not be purged is held; CG_LEASE_REFUSE: for ever. */
uint32_t cg_lease_hold_ms(const struct cg_lease *lease, int64_t now_ms);
/* How long until the next heartbeat, give or take. */
uint32_t cg_lease_pace_ms(const struct cg_lease_terms *terms);

#endif
