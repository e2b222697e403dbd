/* The timers of a thread. No test waits: what is due is due at once, what is not is hours away. */
#include <criterion/criterion.h>

#include "gateway/base/clock.h"

enum { FAR_MS = 3600 * 1000 };

struct probe {
    struct cg_timer timer;
    struct cg_clock *clock;
    struct probe *disarms; /* what its firing disarms */
    int fired;
};

static void on_expiry(void *owner)
{
    struct probe *probe = owner;
    probe->fired++;
    if (probe->disarms != NULL)
        cg_timer_disarm(probe->clock, &probe->disarms->timer);
}

static void set_up(struct probe *probe, struct cg_clock *clock)
{
    *probe = (struct probe){.timer = {.on_expiry = on_expiry, .owner = probe}, .clock = clock};
}

/* Turns until nothing is due: deadlines are in whole milliseconds. */
static void run_due(struct cg_clock *clock)
{
    do
        cg_clock_run(clock);
    while (cg_clock_wait_ms(clock, FAR_MS) == 0);
}

Test(clock, due_timers_fire_once_and_others_wait)
{
    struct cg_clock *clock = cg_clock_create();
    struct probe due, later;
    set_up(&due, clock);
    set_up(&later, clock);
    cg_timer_arm(clock, &due.timer, 0);
    cg_timer_arm(clock, &later.timer, FAR_MS);
    run_due(clock);
    cr_assert_eq(due.fired, 1);
    cr_assert_not(due.timer.armed);
    cr_assert_eq(later.fired, 0);
    cr_assert(later.timer.armed);
    cg_timer_disarm(clock, &later.timer);
    cg_clock_destroy(clock);
}

Test(clock, arming_again_moves_the_deadline)
{
    struct cg_clock *clock = cg_clock_create();
    struct probe probe;
    set_up(&probe, clock);
    cg_timer_arm(clock, &probe.timer, 0);
    cg_timer_arm(clock, &probe.timer, FAR_MS);
    run_due(clock);
    cr_assert_eq(probe.fired, 0);
    cr_assert_gt(cg_clock_wait_ms(clock, 2 * FAR_MS), FAR_MS / 2);
    cg_timer_arm(clock, &probe.timer, 0);
    run_due(clock);
    cr_assert_eq(probe.fired, 1);
    cg_clock_destroy(clock);
}

Test(clock, a_timer_may_disarm_another_that_is_due)
{
    struct cg_clock *clock = cg_clock_create();
    struct probe first, second;
    set_up(&first, clock);
    set_up(&second, clock);
    first.disarms = &second;
    second.disarms = &first;
    cg_timer_arm(clock, &first.timer, 0);
    cg_timer_arm(clock, &second.timer, 0);
    run_due(clock);
    cr_assert_eq(first.fired + second.fired, 1);
    cg_clock_destroy(clock);
}

Test(clock, the_loop_may_sleep_until_the_nearest_of_many)
{
    enum { COUNT = 500 };
    static struct probe probes[COUNT];
    struct cg_clock *clock = cg_clock_create();
    uint32_t state = 12345;
    cr_assert_eq(cg_clock_wait_ms(clock, 77), 77u);
    for (int i = 0; i < COUNT; i++) {
        set_up(&probes[i], clock);
        state = state * 1664525u + 1013904223u;
        cg_timer_arm(clock, &probes[i].timer, FAR_MS * (1 + (state >> 16) % 100));
    }
    /* Disarm in an order that has nothing to do with deadlines; the heap must stay one: the wait
     * never grows shorter than an hour and never shrinks as timers go. */
    uint32_t before = 0;
    for (int i = 0; i < COUNT; i++) {
        uint32_t wait = cg_clock_wait_ms(clock, UINT32_MAX);
        cr_assert_gt(wait, FAR_MS / 2);
        cr_assert_geq(wait + FAR_MS / 2, before);
        before = wait;
        cg_timer_disarm(clock, &probes[(i * 7) % COUNT].timer);
    }
    cr_assert_eq(cg_clock_wait_ms(clock, 77), 77u);
    cg_clock_destroy(clock);
}
