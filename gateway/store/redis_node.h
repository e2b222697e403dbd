/*
 * redis_node: one server that takes writes, as one thread sees it.
 *
 * A node has a channel for reads and fills and, where purges must reach replicas, a second one for
 * what changes versions. A channel is a connection (redis_link.h) that was greeted: AUTH, SELECT,
 * CLIENT SETNAME, INFO. The greeting learns the server's run id and refuses replicas, which take
 * writes late and lose them. A breaker stands before both. Whether what the server says is believed
 * is not decided here (redis_trust.c).
 */
#ifndef GATEWAY_STORE_REDIS_NODE_H
#define GATEWAY_STORE_REDIS_NODE_H

#include <stdatomic.h>

#include "cachegate/breaker.h"
#include "gateway/base/log.h"
#include "gateway/store/redis_link.h"

enum { CG_REDIS_RUN_ID_MAX = 64 };

/* Which channel a command takes. */
enum cg_redis_lane { CG_REDIS_READS, CG_REDIS_WRITES, CG_REDIS_LANES };

struct cg_redis_node;

/* What all nodes of a process count together. */
struct cg_redis_toll {
    atomic_uint_least64_t lost_commands, breaker_openings;
};

/* What the nodes of a handle have in common; borrowed by them. Callbacks may send, but not destroy
 * the node. */
struct cg_redis_node_settings {
    struct cg_redis_peer *peer;
    h2o_context_t *context;
    struct cg_clock *clock;
    uint32_t timeout_ms;
    bool two_channels;
    struct cg_breaker_limits breaker;
    struct cg_redis_toll *toll;
    void (*on_greeted)(void *owner, struct cg_redis_node *node);
    /* The node was greeted, or was about to be; commands in flight are answered afterwards. */
    void (*on_lost)(void *owner, struct cg_redis_node *node);
    /* It said something that a primary with its keys does not say. */
    void (*on_doubt)(void *owner, struct cg_redis_node *node);
    void *owner;
};

struct cg_redis_wait;

struct cg_redis_channel {
    struct cg_redis_node *node;
    struct cg_redis_wait *wait; /* leaves behind what was sent in this turn; NULL: nobody waits */
    struct cg_redis_link link;
    bool refused; /* the greeting failed, and was logged */
    bool greeted;
    char run_id[CG_REDIS_RUN_ID_MAX]; /* "" until it is known */
};

struct cg_redis_node {
    const struct cg_redis_node_settings *settings;
    struct cg_redis_address address;
    bool greeted;                     /* on all channels */
    bool believed;                    /* redis_trust.c's; false whenever it is not greeted */
    char run_id[CG_REDIS_RUN_ID_MAX]; /* of the last greeting */
    struct cg_breaker breaker;
    /* Private. */
    struct cg_redis_channel channels[CG_REDIS_LANES];
    struct cg_timer probe;
    struct cg_log_gate log_gate;
};

/* Connects by itself. */
struct cg_redis_node *cg_redis_node_create(const struct cg_redis_node_settings *settings,
                                           const struct cg_redis_address *address);
/* Commands in flight are answered with NULL. Not from inside an answer or callback of this node.
 * Takes NULL; returns NULL. */
struct cg_redis_node *cg_redis_node_destroy(struct cg_redis_node *node);

/* Greeted, and nothing speaks against asking it. */
static inline bool cg_redis_node_ready(const struct cg_redis_node *node)
{
    return node->greeted && node->breaker.state == CG_BREAKER_CLOSED;
}
/* The connection that commands of `lane` take. */
struct cg_redis_link *cg_redis_node_link(struct cg_redis_node *node, enum cg_redis_lane lane);
/* Asks how many replicas have what was sent on the lane of writes before, and waits for `replicas`
 * of them: one question for all that is sent in one turn, since it blocks what is sent behind.
 * Needs two channels. False when the node is not ready. */
bool cg_redis_node_wait(struct cg_redis_node *node, uint32_t replicas, cg_redis_reply_fn answer,
                        void *owner, size_t index);
/* It proved useful: the pause before the next attempt to connect begins anew. */
void cg_redis_node_settled(struct cg_redis_node *node);
/* What it says is of no use: its connections end in the loop's next turn and are made again. */
void cg_redis_node_give_up(struct cg_redis_node *node, const char *why);
/* A line in the log, not more than one a second. */
void cg_redis_node_complain(struct cg_redis_node *node, const char *what, const char *why);

#endif
