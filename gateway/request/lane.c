#include "gateway/request/lane.h"

#include <stddef.h>

#include "cachegate/assert.h"

static void append(struct cg_lane *lane, struct cg_lane_ticket *ticket)
{
    ticket->state = CG_LANE_QUEUED;
    ticket->next = NULL;
    ticket->previous = lane->last;
    if (lane->last != NULL)
        lane->last->next = ticket;
    else
        lane->first = ticket;
    lane->last = ticket;
    lane->queue_length++;
}

static void unlink_ticket(struct cg_lane *lane, struct cg_lane_ticket *ticket)
{
    if (ticket->previous != NULL)
        ticket->previous->next = ticket->next;
    else
        lane->first = ticket->next;
    if (ticket->next != NULL)
        ticket->next->previous = ticket->previous;
    else
        lane->last = ticket->previous;
    ticket->previous = ticket->next = NULL;
    lane->queue_length--;
}

static void take_place(struct cg_lane *lane, struct cg_lane_ticket *ticket)
{
    ticket->state = CG_LANE_PLACED;
    lane->places_taken++;
    CG_ASSERT(lane->places_taken <= lane->places_max);
}

/*
 * Who gets a place may be done with it before its call returns, and give it back: the outermost
 * call goes on with the next, so that a queue of fetches that fail at once takes no stack.
 */
static void hand_places(struct cg_lane *lane)
{
    if (lane->handing)
        return;
    lane->handing = true;
    while (lane->first != NULL && lane->places_taken < lane->places_max) {
        struct cg_lane_ticket *ticket = lane->first;
        unlink_ticket(lane, ticket);
        take_place(lane, ticket);
        ticket->on_place(ticket->owner);
    }
    lane->handing = false;
}

enum cg_lane_state cg_lane_enter(struct cg_lane *lane, struct cg_lane_ticket *ticket)
{
    CG_ASSERT(lane->places_max > 0 && ticket->state == CG_LANE_OUTSIDE);
    /* A place may be free although somebody queues, while places are handed out: no overtaking. */
    if (lane->first == NULL && lane->places_taken < lane->places_max)
        take_place(lane, ticket);
    else if (lane->queue_length < lane->queue_max)
        append(lane, ticket);
    return ticket->state;
}

void cg_lane_leave(struct cg_lane *lane, struct cg_lane_ticket *ticket)
{
    enum cg_lane_state state = ticket->state;
    ticket->state = CG_LANE_OUTSIDE;
    switch (state) {
    case CG_LANE_OUTSIDE:
        return;
    case CG_LANE_QUEUED:
        unlink_ticket(lane, ticket);
        return;
    case CG_LANE_PLACED:
        CG_ASSERT(lane->places_taken > 0);
        lane->places_taken--;
        hand_places(lane);
        return;
    }
    CG_UNREACHABLE();
}
