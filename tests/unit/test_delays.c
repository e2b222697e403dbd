#include <criterion/criterion.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/store/delays.h"

#ifdef CACHEGATE_TEST_CLOCK

enum { QUESTIONS = 200 };

/* An inner store that answers at once and remembers in which order it was asked. */
static struct {
    int changes[QUESTIONS];
    size_t change_count;
    size_t lookup_count;
} inner_saw;

static void inner_lookup(struct cg_store *store, const struct cg_key *key,
                         const struct cg_instance *instances, size_t count, cg_store_view_fn answer,
                         void *owner)
{
    struct cg_store_view view = {.result = CG_STORE_OK};
    (void)store, (void)key, (void)instances, (void)count;
    inner_saw.lookup_count++;
    answer(owner, &view);
}

/* The number of the change stands in its instance. */
static void inner_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                        cg_store_done_fn answer, void *owner)
{
    (void)store, (void)count;
    inner_saw.changes[inner_saw.change_count++] = instances->id[0];
    answer(owner, CG_STORE_OK);
}

static const struct cg_store_port inner_port = {
    .lookup = inner_lookup,
    .purge = inner_purge,
    .seals = true,
};
static struct cg_store inner = {.port = &inner_port};

static size_t answers;

static void on_view(void *owner, const struct cg_store_view *view)
{
    (void)owner;
    cr_assert_eq(view->result, CG_STORE_OK);
    answers++;
}

static void on_done(void *owner, enum cg_store_result result)
{
    (void)owner;
    cr_assert_eq(result, CG_STORE_OK);
    answers++;
}

static struct cg_store *open_delays(struct cg_clock *clock, const char *wish)
{
    memset(&inner_saw, 0, sizeof(inner_saw));
    answers = 0;
    if (wish == NULL)
        unsetenv("CACHEGATE_TEST_STORE_DELAYS");
    else
        setenv("CACHEGATE_TEST_STORE_DELAYS", wish, 1);
    return cg_delays_open(&inner, clock);
}

static void ask_all(struct cg_store *store, struct cg_instance *instances)
{
    for (int i = 0; i < QUESTIONS; i++) {
        if (i % 2 == 0) {
            store->port->lookup(store, NULL, NULL, 0, on_view, NULL);
            continue;
        }
        instances[i].id[0] = (uint8_t)i;
        store->port->purge(store, &instances[i], 1, on_done, NULL);
    }
}

Test(delays, nothing_is_in_between_unless_asked_for)
{
    struct cg_clock *clock = cg_clock_create();
    cr_assert_eq(open_delays(clock, NULL), &inner);
    cr_assert_eq(open_delays(clock, "1:0"), &inner);
    cr_assert_null(cg_delays_of(&inner));
    cg_clock_destroy(clock);
}

Test(delays, every_answer_comes_later_and_changes_keep_their_order)
{
    struct cg_clock *clock = cg_clock_create();
    struct cg_instance instances[QUESTIONS];
    struct cg_store *store = open_delays(clock, "7:3");
    cr_assert(store->port->seals);
    ask_all(store, instances);
    cr_assert_eq(answers, 0);
    int64_t started_ms = cg_clock_monotonic_ms();
    while (answers < QUESTIONS) {
        cr_assert_lt(cg_clock_monotonic_ms() - started_ms, 60000);
        cg_clock_run(clock);
    }
    cr_assert_eq(inner_saw.lookup_count, QUESTIONS / 2);
    cr_assert_eq(inner_saw.change_count, QUESTIONS / 2);
    for (size_t i = 0; i < inner_saw.change_count; i++)
        cr_assert_eq(inner_saw.changes[i], (int)(2 * i + 1));
    struct cg_delays *delays = cg_delays_of(store);
    cr_assert_eq(cg_delays_detach(delays), &inner);
    cg_delays_destroy(delays);
    cg_clock_destroy(clock);
}

Test(delays, nobody_is_answered_after_the_end)
{
    struct cg_clock *clock = cg_clock_create();
    struct cg_instance instances[QUESTIONS];
    struct cg_store *store = open_delays(clock, "7:1000");
    ask_all(store, instances);
    struct cg_delays *delays = cg_delays_of(store);
    cr_assert_eq(cg_delays_detach(delays), &inner);
    cg_clock_run(clock);
    cg_delays_destroy(delays);
    cr_assert_eq(answers, 0);
    cg_clock_destroy(clock); /* asserts that no timer is left */
}

#endif
