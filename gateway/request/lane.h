/*
 * lane: how many fetches of one upstream may be under way at a time, and who is next.
 *
 * A cap with a short queue, first come first served. It does not know why the upstream is spared
 * (the machines use it while the store is away), and it does not know time: whoever has waited long
 * enough leaves. It opens no connections; the pool of the upstream has a queue of its own for those
 * (upstream/pool.h). One thread's; a ticket lies in its owner and must have left before its memory
 * goes away.
 */
#ifndef GATEWAY_REQUEST_LANE_H
#define GATEWAY_REQUEST_LANE_H

#include <stdbool.h>
#include <stdint.h>

enum cg_lane_state { CG_LANE_OUTSIDE, CG_LANE_QUEUED, CG_LANE_PLACED };

struct cg_lane_ticket {
    void (*on_place)(void *owner); /* the queue is over; never from inside cg_lane_enter */
    void *owner;
    enum cg_lane_state state;
    struct cg_lane_ticket *previous, *next; /* in the queue */
};

struct cg_lane {
    uint32_t places_max; /* at least 1 */
    uint32_t queue_max;
    uint32_t places_taken;
    uint32_t queue_length;
    struct cg_lane_ticket *first, *last;
    bool handing; /* places are being handed out, further up the stack */
};

/* Takes a place, or joins the queue; OUTSIDE when that is full. */
enum cg_lane_state cg_lane_enter(struct cg_lane *lane, struct cg_lane_ticket *ticket);
/* Gives up the place, which goes to the next before this returns, or the turn. Idempotent. */
void cg_lane_leave(struct cg_lane *lane, struct cg_lane_ticket *ticket);

#endif
