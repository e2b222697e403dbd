#include "cachegate/trace_context.h"
#include "unit/fields_of.h"

#include <criterion/criterion.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"
#define VALID "00-" TRACE "-" SPAN "-01"

static bool parses(const char *text)
{
    struct cg_trace trace;
    return cg_traceparent_parse(cg_str_from(text), &trace);
}

Test(trace_context, what_is_valid_comes_out_as_it_went_in)
{
    static const char *const valid[] = {VALID, "00-" TRACE "-" SPAN "-00",
                                        "00-" TRACE "-" SPAN "-03"};
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
        struct cg_trace trace;
        char text[CG_TRACEPARENT_LENGTH];
        cr_assert(cg_traceparent_parse(cg_str_from(valid[i]), &trace));
        cr_expect(cg_str_eq(cg_traceparent_print(&trace, text), cg_str_from(valid[i])));
    }
}

Test(trace_context, what_the_standard_refuses_is_refused)
{
    static const char *const refused[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-0x",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-01-more",
        "00-" TRACE "-" SPAN "-010",
        "ff-" TRACE "-" SPAN "-01",
        "FF-" TRACE "-" SPAN "-01",
        "0-0" TRACE "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-" TRACE "-B7AD6B7169203331-01",
        "00-" TRACE "-" SPAN "-0A",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-0af7651916cd43dd8448eb211c80319g-" SPAN "-01",
        " " VALID,
        "01-" TRACE "-" SPAN "-01more",
        "01-" TRACE "-" SPAN "-01.",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        cr_expect_not(parses(refused[i]), "'%s' was taken", refused[i]);
}

Test(trace_context, of_a_version_to_come_the_beginning_is_read)
{
    struct cg_trace trace;
    char text[CG_TRACEPARENT_LENGTH];
    cr_expect(parses("01-" TRACE "-" SPAN "-01"));
    cr_expect(parses("fe-" TRACE "-" SPAN "-01-"));
    cr_assert(
        cg_traceparent_parse(CG_STR("cc-" TRACE "-" SPAN "-ff-what-the-future-brings"), &trace));
    cr_expect(cg_str_eq(cg_traceparent_print(&trace, text), CG_STR("00-" TRACE "-" SPAN "-03")),
              "known flags alone, under the version that we speak");
}

Test(trace_context, two_fields_are_none)
{
    struct cg_arena arena;
    struct cg_trace trace;
    cg_arena_init(&arena, 65536);
    struct cg_fields one = fields_of("accept: a\ntraceparent: " VALID "\n", &arena);
    struct cg_fields two = fields_of("traceparent: " VALID "\ntraceparent: " VALID "\n", &arena);
    struct cg_fields no = fields_of("tracestate: a=b\n", &arena);
    cr_expect(cg_trace_of_fields(&one, &trace));
    cr_expect_not(cg_trace_of_fields(&two, &trace));
    cr_expect_not(cg_trace_of_fields(&no, &trace));
    cg_arena_fini(&arena);
}

Test(trace_context, what_is_drawn_is_valid_whatever_was_drawn)
{
    struct cg_trace trace = {.flags = CG_TRACE_SAMPLED};
    char text[CG_TRACEPARENT_LENGTH + 1] = {0};
    cg_trace_draw(&trace, 0, 0);
    cg_trace_draw_span(&trace, 0);
    cg_traceparent_print(&trace, text);
    cr_expect(parses(text), "%s", text);
    cg_trace_draw(&trace, 0x0af7651916cd43dd, 0x8448eb211c80319c);
    cg_trace_draw_span(&trace, 0xb7ad6b7169203331);
    cg_traceparent_print(&trace, text);
    cr_expect_str_eq(text, VALID);
}
