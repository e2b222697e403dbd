/* The ring of recent purges. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdio.h>

#include "gateway/base/recent.h"

static void note(struct cg_recent *recent, const char *route, uint64_t instances)
{
    struct cg_str shape = CG_STR("/items?session={id}");
    struct cg_recent_note one = {.at_ms = 1000 + (int64_t)instances,
                                 .cause = "write",
                                 .route = cg_str_from(route),
                                 .shapes = &shape,
                                 .shape_count = 1,
                                 .instances = instances};
    cg_recent_add(recent, &one);
}

Test(recent, what_was_noted_is_read_newest_first)
{
    struct cg_recent *recent = cg_recent_create();
    struct cg_recent_purge purges[4];
    cr_assert_eq(cg_recent_read(recent, 0, purges, 4), 0);
    note(recent, "first", 1);
    note(recent, "second", 2);
    cr_assert_eq(cg_recent_read(recent, 0, purges, 4), 2);
    cr_assert_str_eq(purges[0].route, "second");
    cr_assert_str_eq(purges[0].shape, "/items?session={id}");
    cr_assert_str_eq(purges[0].cause, "write");
    cr_assert_eq(purges[0].number, 2);
    cr_assert_eq(purges[0].at_ms, 1002);
    cr_assert_eq(purges[0].instances, 2);
    cr_assert_not(purges[0].widened);
    cr_assert_str_eq(purges[1].route, "first");
    cr_assert_eq(cg_recent_read(recent, 1, purges, 4), 1);
    cr_assert_eq(purges[0].number, 2);
    cr_assert_eq(cg_recent_read(recent, 2, purges, 4), 0);
    cr_assert_eq(cg_recent_read(recent, 9, purges, 4), 0);
    cr_assert_eq(cg_recent_read(recent, 0, purges, 1), 1);
    cr_assert_str_eq(purges[0].route, "second");
    cg_recent_destroy(recent);
}

Test(recent, the_oldest_make_room)
{
    struct cg_recent *recent = cg_recent_create();
    static struct cg_recent_purge purges[CG_RECENT_PURGES_MAX + 10];
    for (uint64_t i = 1; i <= CG_RECENT_PURGES_MAX + 10; i++)
        note(recent, "route", i);
    cr_assert_eq(cg_recent_count(recent), CG_RECENT_PURGES_MAX + 10);
    cr_assert_eq(cg_recent_read(recent, 0, purges, CG_RECENT_PURGES_MAX + 10),
                 CG_RECENT_PURGES_MAX);
    for (size_t i = 0; i < CG_RECENT_PURGES_MAX; i++)
        cr_assert_eq(purges[i].number, CG_RECENT_PURGES_MAX + 10 - i);
    cg_recent_destroy(recent);
}

Test(recent, long_names_are_cut_between_characters)
{
    struct cg_recent *recent = cg_recent_create();
    struct cg_recent_purge purge;
    char name[400];
    for (size_t i = 0; i < sizeof name - 1; i += 3)
        memcpy(name + i, "\xe2\x82\xac", 3); /* a character of three bytes */
    name[sizeof name - 1] = '\0';
    note(recent, name, 1);
    cg_recent_read(recent, 0, &purge, 1);
    cr_assert_eq(strlen(purge.route), (CG_RECENT_ROUTE_BYTES - 1) / 3 * 3);
    cr_assert_eq(memcmp(purge.route, name, strlen(purge.route)), 0);
    cg_recent_destroy(recent);
}

Test(recent, patterns_that_do_not_fit_are_counted)
{
    struct cg_recent *recent = cg_recent_create();
    struct cg_recent_purge purge;
    struct cg_str shapes[40];
    char longest[CG_RECENT_SHAPE_BYTES * 2];
    for (size_t i = 0; i < 40; i++)
        shapes[i] = CG_STR("/a/pattern/of/30/bytes?of={id}");
    struct cg_recent_note one = {.cause = "write", .shapes = shapes, .shape_count = 40};
    cg_recent_add(recent, &one);
    cg_recent_read(recent, 0, &purge, 1);
    cr_assert_str_eq(purge.shape + strlen(purge.shape) - 13, ", and 29 more");
    cr_assert_eq(strlen(purge.shape), 11 * 32 - 2 + 13);
    memset(longest, 'x', sizeof longest);
    shapes[0] = cg_str_of(longest, sizeof longest);
    one.shape_count = 2;
    cg_recent_add(recent, &one);
    cg_recent_read(recent, 0, &purge, 1);
    cr_assert_str_eq(purge.shape, "and 2 more");
    one.shape_count = 0;
    cg_recent_add(recent, &one);
    cg_recent_read(recent, 0, &purge, 1);
    cr_assert_str_eq(purge.shape, "");
    cg_recent_destroy(recent);
}

enum { WRITERS = 4, NOTES = 2000 };

static void *write_notes(void *argument)
{
    for (uint64_t i = 0; i < NOTES; i++)
        note(argument, i % 2 == 0 ? "even" : "odd", i);
    return NULL;
}

Test(recent, threads_note_at_the_same_time)
{
    pthread_t threads[WRITERS];
    struct cg_recent_purge purges[CG_RECENT_PURGES_MAX];
    struct cg_recent *recent = cg_recent_create();
    for (size_t i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_notes, recent), 0);
    for (size_t round = 0; round < 50; round++) {
        size_t count = cg_recent_read(recent, 0, purges, CG_RECENT_PURGES_MAX);
        for (size_t i = 0; i < count; i++) /* none is half written */
            cr_assert_str_eq(purges[i].route, purges[i].instances % 2 == 0 ? "even" : "odd");
        for (size_t i = 1; i < count; i++)
            cr_assert_eq(purges[i].number, purges[i - 1].number - 1);
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(cg_recent_count(recent), (uint64_t)WRITERS * NOTES);
    cg_recent_destroy(recent);
}

Test(recent, the_process_has_one)
{
    uint64_t before = cg_recent_count(cg_recent_process());
    note(cg_recent_process(), "route", 1);
    cr_assert_eq(cg_recent_count(cg_recent_process()), before + 1);
}
