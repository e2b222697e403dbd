/* Rows name the section of RFC 9110. */
#include "cachegate/delivery.h"

#include <criterion/criterion.h>

#include "unit/fields_of.h"

enum { LENGTH = 36 };

Test(delivery, conditions_come_before_ranges)
{
    static const struct {
        const char *clause, *method, *request;
        unsigned status, expected;
        uint64_t length;
    } rows[] = {
        {"nothing asked", "GET", "", 200, 200, LENGTH},
        {"13.2.2 step 3", "GET", "if-none-match: \"a\"\n", 200, 304, 0},
        {"13.2.2 step 3 for HEAD", "HEAD", "if-none-match: \"a\"\n", 200, 304, 0},
        {"13.2.2 step 3 before 5", "GET", "if-none-match: \"a\"\nrange: bytes=0-4\n", 200, 304, 0},
        {"13.2.2 step 5", "GET", "if-none-match: \"b\"\nrange: bytes=0-4\n", 200, 206, 5},
        {"13.2.2 step 5", "GET", "range: bytes=0-4\nif-range: \"a\"\n", 200, 206, 5},
        {"13.2.2 step 5 fails", "GET", "range: bytes=0-4\nif-range: \"b\"\n", 200, 200, LENGTH},
        {"14.2 ranges are for GET", "HEAD", "range: bytes=0-4\n", 200, 200, LENGTH},
        {"14.2 unsatisfiable", "GET", "range: bytes=99-\n", 200, 416, 0},
        {"13.2.1 no condition on a 404", "GET", "if-none-match: *\nrange: bytes=0-4\n", 404, 404,
         LENGTH},
    };
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields request = fields_of(rows[i].request, &arena);
        struct cg_fields answer = fields_of("etag: \"a\"\ncontent-type: a/b\n", &arena);
        struct cg_range_plan plan;
        cr_assert(cg_delivery_of(cg_str_from(rows[i].method), &request, rows[i].status, &answer,
                                 LENGTH, 0, CG_STR("B"), &arena, &plan));
        cr_expect_eq(plan.status, rows[i].expected, "%s: %u", rows[i].clause, plan.status);
        cr_expect_eq(plan.content_length, rows[i].length, "%s", rows[i].clause);
        cr_expect_eq(cg_fields_count(&plan.fields, CG_STR("content-type")),
                     rows[i].expected != 304 && rows[i].expected != 416, "%s", rows[i].clause);
    }
    cg_arena_fini(&arena);
}
