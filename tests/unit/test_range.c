/* Rows name the section of RFC 9110. */
#include "cachegate/range.h"

#include <criterion/criterion.h>

#include "unit/fields_of.h"

#define MODIFIED "Sun, 06 Nov 1994 08:49:37 GMT"

static struct cg_arena arena;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 22);
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(range, .init = setup, .fini = teardown);

/* "whole", "unsatisfiable", or first+length of each range. */
static const char *show(const char *method, const char *request, uint64_t length)
{
    struct cg_fields fields = fields_of(request, &arena);
    struct cg_range_set set;
    cg_range_parse(cg_str_from(method), &fields, length, &set);
    struct cg_str text = cg_arena_printf(&arena, "%s", "");
    if (set.kind == CG_RANGE_WHOLE || set.kind == CG_RANGE_UNSATISFIABLE) {
        cr_expect_eq(set.count, 0, "%s", request);
        return set.kind == CG_RANGE_WHOLE ? "whole" : "unsatisfiable";
    }
    cr_expect_eq(set.kind == CG_RANGE_SINGLE, set.count == 1, "%s", request);
    for (size_t i = 0; i < set.count; i++)
        text = cg_arena_printf(&arena, "%s%s%llu+%llu", text.bytes, i > 0 ? " " : "",
                               (unsigned long long)set.ranges[i].first,
                               (unsigned long long)set.ranges[i].length);
    return text.bytes;
}

Test(range, ranges_are_read_against_the_length)
{
    static const struct {
        const char *clause, *range;
        uint64_t length;
        const char *expected;
    } rows[] = {
        {"14.1.2 first and last", "bytes=0-499", 10000, "0+500"},
        {"14.1.2 second", "bytes=500-999", 10000, "500+500"},
        {"14.1.2 to the end", "bytes=9500-", 10000, "9500+500"},
        {"14.1.2 suffix", "bytes=-500", 10000, "9500+500"},
        {"14.1.2 one byte", "bytes=0-0", 10000, "0+1"},
        {"14.1.2 last byte", "bytes=9999-9999", 10000, "9999+1"},
        {"14.1.2 last beyond the end", "bytes=9999-20000", 10000, "9999+1"},
        {"14.1.2 longer suffix than all", "bytes=-20000", 10000, "0+10000"},
        {"14.1.2 all", "bytes=0-", 10000, "0+10000"},
        {"14.1 units have no case", "Bytes=0-0", 10000, "0+1"},
        {"14.1.2 numbers beyond 64 bits", "bytes=1-99999999999999999999999", 10000, "1+9999"},
        {"14.1.2 numbers beyond 64 bits", "bytes=-99999999999999999999999", 10000, "0+10000"},
        {"14.1.2 first beyond the end", "bytes=10000-", 10000, "unsatisfiable"},
        {"14.1.2 first beyond 64 bits", "bytes=99999999999999999999999-", 10000, "unsatisfiable"},
        {"14.1.2 suffix of nothing", "bytes=-0", 10000, "unsatisfiable"},
        {"14.2 some satisfiable", "bytes=20000-, 0-0", 10000, "0+1"},
        {"14.2 none satisfiable", "bytes=20000-, -0", 10000, "unsatisfiable"},
        {"14.1.2 of an empty content", "bytes=0-", 0, "unsatisfiable"},
        {"no Content-Range for nothing", "bytes=-5", 0, "whole"},
        {"14.2 last before first", "bytes=5-4", 10000, "whole"},
        {"14.2 one of them invalid", "bytes=0-0, 5-4", 10000, "whole"},
        {"14.2 other unit", "lines=0-0", 10000, "whole"},
        {"14.1.1 no unit", "0-0", 10000, "whole"},
        {"14.1.1 nothing", "bytes=", 10000, "whole"},
        {"14.1.1 empty members only", "bytes=, ,", 10000, "whole"},
        {"14.1.1 only a dash", "bytes=-", 10000, "whole"},
        {"14.1.1 no dash", "bytes=5", 10000, "whole"},
        {"14.1.1 no digits", "bytes=a-b", 10000, "whole"},
        {"14.1.1 signs", "bytes=+1-2", 10000, "whole"},
        {"14.1.1 spaces inside", "bytes=0 - 5", 10000, "whole"},
        {"14.1.1 two dashes", "bytes=0-1-2", 10000, "whole"},
        {"5.6.1 empty members are ignored", "bytes=0-0 , , 200-200", 10000, "0+1 200+1"},
        {"14.2 several", "bytes=0-9, 1000-1009, -10", 10000, "0+10 1000+10 9990+10"},
        {"14.2 their order stays", "bytes=1000-1009, 0-9", 10000, "1000+10 0+10"},
        {"15.3.7.2 overlapping", "bytes=0-99, 50-149", 10000, "0+150"},
        {"15.3.7.2 one inside another", "bytes=0-99, 50-59", 10000, "0+100"},
        {"15.3.7.2 touching", "bytes=0-99, 100-199", 10000, "0+200"},
        {"15.3.7.2 a gap not worth framing", "bytes=0-99, 180-199", 10000, "0+200"},
        {"15.3.7.2 a gap worth it", "bytes=0-99, 181-199", 10000, "0+100 181+19"},
        {"17.15 overlapping out of order", "bytes=50-149, 0-99", 10000, "whole"},
        {"17.15 the same again and again", "bytes=0-,0-,0-,0-,0-,0-", 10000, "0+10000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str request = cg_arena_printf(&arena, "range: %s\n", rows[i].range);
        cr_expect_str_eq(show("GET", request.bytes, rows[i].length), rows[i].expected, "%s: %s",
                         rows[i].clause, rows[i].range);
    }
}

Test(range, only_one_range_field_of_a_get_counts)
{
    cr_expect_str_eq(show("HEAD", "range: bytes=0-0\n", 10), "whole", "14.2");
    cr_expect_str_eq(show("POST", "range: bytes=0-0\n", 10), "whole", "14.2");
    cr_expect_str_eq(show("GET", "", 10), "whole");
    cr_expect_str_eq(show("GET", "range: bytes=0-0\nrange: bytes=1-1\n", 10), "whole");
}

Test(range, more_ranges_than_are_worth_it_count_as_the_whole)
{
    struct cg_str request = cg_arena_printf(&arena, "range: bytes=0-0");
    for (unsigned i = 1; i < CG_RANGES_MAX; i++)
        request = cg_arena_printf(&arena, "%s,%u-%u", request.bytes, i * 1000, i * 1000);
    struct cg_str line = cg_arena_printf(&arena, "%s\n", request.bytes);
    cr_expect_neq(show("GET", line.bytes, 100000)[0], 'w', "17.15 as many as fit");
    line = cg_arena_printf(&arena, "%s,99999-\n", request.bytes);
    cr_expect_str_eq(show("GET", line.bytes, 100000), "whole", "17.15 one more");
    line = cg_arena_printf(&arena, "%s,200000-\n", request.bytes);
    cr_expect_str_eq(show("GET", line.bytes, 100000), "whole", "17.15 one more, unsatisfiable");
}

Test(range, if_range_holds_for_just_this_answer)
{
    static const struct {
        const char *clause, *request, *answer;
        bool holds;
    } rows[] = {
        {"none", "", "", true},
        {"13.1.5 same tag", "if-range: \"a\"\n", "etag: \"a\"\n", true},
        {"13.1.5 other tag", "if-range: \"b\"\n", "etag: \"a\"\n", false},
        {"13.1.5 weak", "if-range: W/\"a\"\n", "etag: W/\"a\"\n", false},
        {"13.1.5 weak here", "if-range: \"a\"\n", "etag: W/\"a\"\n", false},
        {"13.1.5 no tag here", "if-range: \"a\"\n", "", false},
        {"13.1.5 no list", "if-range: \"b\", \"a\"\n", "etag: \"a\"\n", false},
        {"13.1.5 two lines", "if-range: \"a\"\nif-range: \"a\"\n", "etag: \"a\"\n", false},
        {"13.1.5 same date, strong", "if-range: " MODIFIED "\n",
         "last-modified: " MODIFIED "\ndate: Sun, 06 Nov 1994 08:50:37 GMT\n", true},
        {"8.8.2.2 same date, weak", "if-range: " MODIFIED "\n",
         "last-modified: " MODIFIED "\ndate: Sun, 06 Nov 1994 08:50:36 GMT\n", false},
        {"8.8.2.2 no Date", "if-range: " MODIFIED "\n", "last-modified: " MODIFIED "\n", false},
        {"13.1.5 another date", "if-range: Sun, 06 Nov 1994 08:49:38 GMT\n",
         "last-modified: " MODIFIED "\ndate: Sun, 06 Nov 1994 09:49:37 GMT\n", false},
        {"13.1.5 exactly as sent", "if-range: Sun Nov  6 08:49:37 1994\n",
         "last-modified: " MODIFIED "\ndate: Sun, 06 Nov 1994 09:49:37 GMT\n", false},
        {"malformed", "if-range: x\n", "last-modified: x\ndate: " MODIFIED "\n", false},
        {"empty", "if-range:\n", "etag: \"a\"\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields request = fields_of(rows[i].request, &arena);
        struct cg_fields answer = fields_of(rows[i].answer, &arena);
        cr_expect_eq(cg_range_holds(&request, &answer, 0), rows[i].holds, "%s", rows[i].clause);
    }
}

static const char content[] = "0123456789abcdefghijklmnopqrstuvwxyz";

/* The fields, an empty line, and all pieces put together. */
static const char *send(unsigned status, const char *request, const char *answer,
                        unsigned *ret_status)
{
    struct cg_fields asked = fields_of(request, &arena), fields = fields_of(answer, &arena);
    struct cg_range_plan plan;
    cr_assert(cg_range_plan_make(CG_STR("GET"), &asked, status, &fields, sizeof content - 1, 0,
                                 CG_STR("B"), &arena, &plan));
    struct cg_str body = cg_arena_printf(&arena, "%s", "");
    for (size_t i = 0; i < plan.piece_count; i++)
        body = cg_arena_printf(&arena, "%s%.*s%.*s", body.bytes, CG_STR_ARG(plan.pieces[i].text),
                               (int)plan.pieces[i].content.length,
                               content + plan.pieces[i].content.first);
    cr_expect_eq(plan.content_length, body.length, "%s", request);
    *ret_status = plan.status;
    return cg_arena_printf(&arena, "%s\n%s", text_of(&plan.fields, &arena), body.bytes).bytes;
}

Test(range, answers_are_framed_as_their_kind_asks)
{
    static const struct {
        const char *clause, *request;
        unsigned status;
        const char *answer;
        unsigned sent;
        const char *expected;
    } rows[] = {
        {"15.3.1 whole", "", 200, "etag: \"a\"\ncontent-length: 36\n", 200,
         "etag: \"a\"\n\n0123456789abcdefghijklmnopqrstuvwxyz"},
        {"15.3.7.1 single", "range: bytes=2-4\n", 200, "content-type: a/b\netag: \"a\"\n", 206,
         "content-type: a/b\netag: \"a\"\ncontent-range: bytes 2-4/36\n\n234"},
        {"13.1.5 If-Range fails", "range: bytes=2-4\nif-range: \"b\"\n", 200, "etag: \"a\"\n", 200,
         "etag: \"a\"\n\n0123456789abcdefghijklmnopqrstuvwxyz"},
        {"15.5.17 unsatisfiable", "range: bytes=36-\n", 200,
         "content-type: a/b\ncontent-language: de\ncontent-security-policy: c\netag: \"a\"\n"
         "cache-control: max-age=9\nexpires: x\ncdn-cache-control: max-age=9\n",
         416,
         "content-security-policy: c\netag: \"a\"\ncache-control: no-store\n"
         "content-range: bytes */36\n\n"},
        {"14.2 only a 200 is cut", "range: bytes=2-4\n", 404, "", 404,
         "\n0123456789abcdefghijklmnopqrstuvwxyz"},
        {"14.6 several", "range: bytes=30-31,2-4\n", 200, "content-type: a/b\netag: \"a\"\n", 206,
         "etag: \"a\"\ncontent-type: multipart/byteranges; boundary=B\n\n"
         "--B\r\nContent-Type: a/b\r\nContent-Range: bytes 30-31/36\r\n\r\nuv"
         "\r\n--B\r\nContent-Type: a/b\r\nContent-Range: bytes 2-4/36\r\n\r\n234"
         "\r\n--B--\r\n"},
        {"14.6 without a type", "range: bytes=30-31,2-4\n", 200, "", 206,
         "content-type: multipart/byteranges; boundary=B\n\n"
         "--B\r\nContent-Range: bytes 30-31/36\r\n\r\nuv"
         "\r\n--B\r\nContent-Range: bytes 2-4/36\r\n\r\n234"
         "\r\n--B--\r\n"},
        {"15.3.7.2 no multipart for one", "range: bytes=2-4,3-5\n", 200, "", 206,
         "content-range: bytes 2-5/36\n\n2345"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned status;
        cr_expect_str_eq(send(rows[i].status, rows[i].request, rows[i].answer, &status),
                         rows[i].expected, "%s", rows[i].clause);
        cr_expect_eq(status, rows[i].sent, "%s", rows[i].clause);
    }
}

Test(range, more_fields_than_a_message_may_have_are_refused)
{
    static const char *const requests[] = {"range: bytes=2-4\n", "range: bytes=30-31,2-4\n",
                                           "range: bytes=99-\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct cg_fields request = fields_of(requests[i], &arena), answer = {0};
        struct cg_range_plan plan;
        for (size_t left = CG_FIELDS_MAX; left > 0; left--)
            cr_assert(cg_fields_add(&answer, &arena, CG_STR("x"), CG_STR("y")));
        cr_expect_not(cg_range_plan_make(CG_STR("GET"), &request, 200, &answer, 36, 0, CG_STR("B"),
                                         &arena, &plan),
                      "%s", requests[i]);
    }
}
