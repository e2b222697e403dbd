/*
 * redis_trust: whether what a Redis says is believed. Private to the driver.
 *
 * Nothing is, before a hello: after all primaries were greeted, one script compares the record that
 * the epoch was made under (which servers) with what stands there now, and begins a new history
 * where the servers may have forgotten purges (CONSISTENCY row 10). Then the process is a member,
 * by heartbeats over whichever connection of it is usable; how long its belief and its membership
 * last is lease.h's. All handles of a process share one belief, so it is under a lock, and what a
 * lookup has to know is one atomic number.
 */
#ifndef GATEWAY_STORE_REDIS_TRUST_H
#define GATEWAY_STORE_REDIS_TRUST_H

#include <pthread.h>
#include <stdatomic.h>

#include "cachegate/ban.h"
#include "cachegate/lease.h"
#include "gateway/store/redis_node.h"

struct cg_redis;
struct cg_redis_handle;

/* Of a process. */
struct cg_redis_trust {
    pthread_mutex_t lock;
    struct cg_lease lease;
    char record[CG_REDIS_RUN_ID_MAX]; /* of the servers last believed; "" before the first */
    atomic_uint belief;               /* moves when they are others */
    bool has_greeted;                 /* its hello was answered, so it does not start any more */
    unsigned strange;                 /* grows when a server was seen that takes no writes */
    unsigned strange_seen;            /* … up to where a new history has covered it */
    int64_t due_ms;                   /* of the next heartbeat */
    bool joins;                       /* it makes this process a member */
    bool has_others;                  /* … and when last told it was not the only one */
    atomic_llong until_ms;            /* what is read is believed */
    int64_t (*now_ms)(void);          /* monotonic; a test's own */
};

/* One heartbeat of a handle, on all its nodes. */
struct cg_redis_heartbeat {
    struct cg_timer timer;
    size_t remaining; /* replies to come; 0: none is under way */
    bool failed;
    bool replicated;
    bool joins;
    bool unknown; /* answered that this process is no member */
    bool has_others;
    int64_t ends_ms; /* of the lease that it asks for */
    struct cg_lease_answer answer;
};

/* ---- redis_epoch.c: the one script on the epoch, the list of bans and the members ---- */

struct cg_redis_order {
    const char *mode; /* append, hello, renew, join, beat or leave */
    const struct cg_ban *bans;
    size_t count;
    int64_t lease_ends_ms; /* 0: it does not join */
    /* Above 0: a new history, unless a member with this record was heard so lately. */
    uint32_t vouched_within_ms;
    bool starts; /* whoever lapsed is taken for dead */
};

struct cg_redis_epoch_reply {
    int64_t server_ms;
    uint64_t lapsed; /* other members whose lease is over, and who are not gone */
    bool renewed_history, joined, unknown, has_others, record_differs, rules_untold;
};

extern const struct cg_str cg_redis_epoch_text;
bool cg_redis_epoch_send(struct cg_redis_handle *handle, const struct cg_redis_order *order,
                         bool whole, cg_redis_reply_fn answer, void *owner, size_t index);
bool cg_redis_epoch_reply_read(const redisReply *reply, struct cg_redis_epoch_reply *ret_reply);

/* ---- redis_trust.c ---- */

void cg_redis_trust_init(struct cg_redis *redis);
void cg_redis_trust_fini(struct cg_redis *redis);
/* All primaries of the map are greeted, and their run ids known: nothing is believed before this
 * sets handle->trusted and node->believed, in an answer of the server. */
void cg_redis_handle_greeted(struct cg_redis_handle *handle);
/* All are connected, but so long was not heard of them that they may have been others meanwhile. */
void cg_redis_handle_greet_again(struct cg_redis_handle *handle);
/* Nothing is believed until the primaries have been greeted once more. */
void cg_redis_handle_distrust(struct cg_redis_handle *handle);
/* Its servers are greeted, and those that the process believes: a thread that was the first to hear
 * of others takes belief in the old ones from all. */
bool cg_redis_trusts(const struct cg_redis_handle *handle);
/*
 * Now and then: a handle that is behind looks for the servers that the others believe. When nobody
 * has heard of those for as long as a failover takes, its own may be believed instead.
 */
void cg_redis_handle_catch_up(struct cg_redis_handle *handle);
/* A server was seen that takes no writes: what it held may have been replaced. */
void cg_redis_trust_strange(struct cg_redis *redis);
/* Under the lock: what lookups see of it. */
void cg_redis_trust_publish(struct cg_redis *redis);
/* Under the lock: the list of members does not know this process. It was lost with all the others,
 * unless this one was away for so long that it was declared gone, or leases bind nobody. */
void cg_redis_trust_unknown(struct cg_redis *redis);
/* Why nothing is believed, in a few words; NULL when it is, as far as this thread knows. */
const char *cg_redis_trust_why(const struct cg_redis_handle *handle);
/* store.h, unpurged_hold_ms. */
uint32_t cg_redis_trust_hold_ms(struct cg_redis_handle *handle);

/* ---- redis_member.c ---- */

void cg_redis_member_start(struct cg_redis_handle *handle);
void cg_redis_member_stop(struct cg_redis_handle *handle);
/* A heartbeat at once, as far as it may send one. */
void cg_redis_member_beat(struct cg_redis_handle *handle);
/* The process ends in good order: turns the loop until Redis was told, for at most a timeout. */
void cg_redis_member_leave(struct cg_redis_handle *handle);

#endif
