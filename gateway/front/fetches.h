/*
 * fetches: what other threads want to be fetched through the traffic's machinery (POST
 * /cache/refresh), one list after the other.
 *
 * Any thread hands a list over; the first thread of traffic asks for it as an internal client
 * (request/warm.h), so nothing of the machines is shared. What is handed over is asked for as soon
 * as the list before it is through; more than a few lists are not taken. At the end of the gateway
 * what was not asked for is forgotten.
 */
#ifndef GATEWAY_FRONT_FETCHES_H
#define GATEWAY_FRONT_FETCHES_H

#include "gateway/request/warm.h"

struct st_h2o_context_t;
struct cg_fetches;

struct cg_fetches *cg_fetches_create(void);
/* Takes NULL; returns NULL. */
struct cg_fetches *cg_fetches_destroy(struct cg_fetches *fetches);
/* On the thread that fetches, as the next two. All is borrowed until closed. */
void cg_fetches_open(struct cg_fetches *fetches, struct cg_machine *machine,
                     struct st_h2o_context_t *context, uint32_t concurrency);
/* Asks for nothing more, and takes no more lists. Idempotent. */
void cg_fetches_stop(struct cg_fetches *fetches);
/* Before the context's queue goes. */
void cg_fetches_close(struct cg_fetches *fetches);
/* From any thread: takes the list. False: too many wait, or the gateway ends; it is the caller's.
 */
bool cg_fetches_hand_over(struct cg_fetches *fetches, struct cg_warm_order *order);

#endif
