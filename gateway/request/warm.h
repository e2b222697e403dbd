/*
 * warm: asks for a list of targets when the gateway starts, and again whenever something was purged
 * openly (a flush, a wildcard), so that clients find them stored. Or once, when an operator says
 * so.
 *
 * An internal client of the machine: it asks through the same door as everybody, so what is stored
 * already is a hit that costs the upstream nothing, and what several gateways warm is fetched once.
 * The answers are thrown away. It belongs to the machine's thread.
 */
#ifndef GATEWAY_REQUEST_WARM_H
#define GATEWAY_REQUEST_WARM_H

#include "gateway/request/request.h"

struct cg_warm_wish {
    struct cg_str scheme, authority, target;
    struct cg_fields fields; /* lower-case names */
};

/* What somebody on another thread wants to be asked for once: a list with its own memory. */
enum { CG_WARM_ORDER_MAX = 1000 };
struct cg_warm_order {
    struct cg_arena arena; /* of all that the wishes name */
    struct cg_warm_wish *wishes;
    size_t count;
    struct cg_warm_order *next; /* of whoever has it */
};
/* Room for `room` wishes, at most CG_WARM_ORDER_MAX. */
struct cg_warm_order *cg_warm_order_create(size_t room);
/* Takes NULL; returns NULL. */
struct cg_warm_order *cg_warm_order_destroy(struct cg_warm_order *order);

struct cg_warm;

/* All is borrowed. `concurrency` is at least 1. `on_done` (or NULL) is called once, when each was
 * asked for. */
struct cg_warm *cg_warm_create(struct cg_machine *machine, const struct cg_warm_wish *wishes,
                               size_t count, uint32_t concurrency, void (*on_done)(void *owner),
                               void *owner);
/* Once more, when what is under way has ended: the rules have changed. Takes NULL. */
void cg_warm_again(struct cg_warm *warm);
/*
 * Each of them once, from the next turn of the clock on, whatever the store says. `on_end` (never
 * from inside another call) is told how many were answered with anything else than a success; it
 * may destroy the warm.
 */
struct cg_warm *cg_warm_once(struct cg_machine *machine, const struct cg_warm_wish *wishes,
                             size_t count, uint32_t concurrency,
                             void (*on_end)(void *owner, size_t failed), void *owner);
/* Asks for nothing more; what is under way is left. */
void cg_warm_stop(struct cg_warm *warm);
/* Stops first. No answer of the store may be awaited. Takes NULL; returns NULL. */
struct cg_warm *cg_warm_destroy(struct cg_warm *warm);

#endif
