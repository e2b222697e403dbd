/* Handles of one process that are not at the same point: one thread is ahead of another, or a
 * handle ends in the middle of something. */
#include "redis_fake_calls.h"

TestSuite(handles, .init = begin, .fini = end);

/* A probe in flight is lost with its node, and arms nothing. */
Test(handles, probe_in_flight_leaves_no_timer_behind)
{
    struct cg_store_health health;
    open_store("redis");
    WORLD_UNTIL(is_available(store));
    one->held = one->trickling = true;
    for (unsigned i = 0; i < 3; i++)
        (void)look_up(NULL, 0);
    WORLD_UNTIL((store->port->health(store, &health), strcmp(health.breaker, "half-open") == 0));
    store = cg_redis_close(store);
    cr_expect_eq(cg_clock_wait_ms(world.timers, 60000), 60000, "a timer is still armed");
}
