/*
 * clock: the only reader of time, and the timers of one thread.
 *
 * Wall time (Unix milliseconds) dates stored answers; timers run on the monotonic clock. A thread's
 * loop asks cg_clock_wait_ms how long it may sleep and calls cg_clock_run after each turn. Builds
 * with CACHEGATE_TEST_CLOCK (all but release) add an offset to wall time that tests move: the
 * environment variable CACHEGATE_TEST_CLOCK names a file holding one little-endian int64 of
 * milliseconds, mapped and read on every call.
 */
#ifndef GATEWAY_BASE_CLOCK_H
#define GATEWAY_BASE_CLOCK_H

#include "gateway/request/ports.h"

struct cg_clock *cg_clock_create(void);
/* All timers must have been disarmed. Takes NULL; returns NULL. */
struct cg_clock *cg_clock_destroy(struct cg_clock *clock);
/* Milliseconds until the next timer, at most `max_ms`. */
uint32_t cg_clock_wait_ms(struct cg_clock *clock, uint32_t max_ms);
/* Fires what is due. */
void cg_clock_run(struct cg_clock *clock);

/* Without a handle, from any thread. */
int64_t cg_clock_wall_ms(void);
int64_t cg_clock_monotonic_ms(void);
int64_t cg_clock_monotonic_us(void);

/* Short forms of the port's calls. */
static inline int64_t cg_now_ms(struct cg_clock *clock)
{
    return clock->port->now_ms(clock);
}
static inline void cg_timer_arm(struct cg_clock *clock, struct cg_timer *timer, uint32_t delay_ms)
{
    clock->port->arm(clock, timer, delay_ms);
}
static inline void cg_timer_disarm(struct cg_clock *clock, struct cg_timer *timer)
{
    clock->port->disarm(clock, timer);
}

#endif
