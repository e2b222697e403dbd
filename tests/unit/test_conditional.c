/* Rows name the section of RFC 9110, or of RFC 9111 where they say so. */
#include "cachegate/conditional.h"

#include <criterion/criterion.h>
#include <signal.h>

#include "unit/fields_of.h"

#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"
#define THEN    "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER   "Sun, 06 Nov 1994 08:49:38 GMT"

enum { THEN_MS = 784111777 };

static struct cg_arena arena;
static struct cg_entry entry;
static struct cg_verdict verdict;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 22);
    entry = (struct cg_entry){
        .kind = CG_ENTRY_ANSWER, .status = 200, .stored_at_ms = INT64_C(1000) * THEN_MS};
    verdict = (struct cg_verdict){
        .kind = CG_VERDICT_MISS, .reason = CG_REASON_EXPIRED, .alive = true, .may_validate = true};
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(conditional, .init = setup, .fini = teardown);

static bool not_modified(unsigned status, const char *request, const char *answer)
{
    struct cg_fields asked = fields_of(request, &arena), at_hand = fields_of(answer, &arena);
    return cg_is_not_modified(&asked, status, &at_hand, entry.stored_at_ms);
}

Test(conditional, client_is_told_not_modified_exactly_when_it_has_the_answer)
{
    static const struct {
        const char *clause, *request, *answer;
        bool expected;
    } rows[] = {
        {"no condition", "", "etag: \"a\"\n", false},
        {"13.1.2 same", "if-none-match: \"a\"\n", "etag: \"a\"\n", true},
        {"13.1.2 other", "if-none-match: \"b\"\n", "etag: \"a\"\n", false},
        {"13.1.2 compares weakly", "if-none-match: W/\"a\"\n", "etag: \"a\"\n", true},
        {"13.1.2 compares weakly", "if-none-match: \"a\"\n", "etag: W/\"a\"\n", true},
        {"13.1.2 a list", "if-none-match: \"b\" , ,W/\"c\",\"a\"\n", "etag: \"a\"\n", true},
        {"13.1.2 two lines", "if-none-match: \"b\"\nif-none-match: \"a\"\n", "etag: \"a\"\n", true},
        {"13.1.2 a comma inside", "if-none-match: \"b,a\"\n", "etag: \"b,a\"\n", true},
        {"13.1.2 no member of it", "if-none-match: \"b,\"a\",c\"\n", "etag: \"a\"\n", false},
        {"13.1.2 star", "if-none-match: *\n", "etag: \"a\"\n", true},
        {"13.1.2 star without a tag", "if-none-match: *\n", "", true},
        {"13.1.2 star in a list is none", "if-none-match: \"b\", *\n", "etag: \"a\"\n", false},
        {"13.1.2 no tag to compare", "if-none-match: \"a\"\n", "", false},
        {"13.1.2 malformed", "if-none-match: a\n", "etag: \"a\"\n", false},
        {"malformed on both sides", "if-none-match: a\n", "etag: a\n", false},
        {"13.1.2 behind something malformed", "if-none-match: a, \"a\"\n", "etag: \"a\"\n", false},
        {"13.1.2 nothing between", "if-none-match: \"b\"\"a\"\n", "etag: \"a\"\n", false},
        {"13.1.2 empty", "if-none-match:\n", "etag: \"a\"\n", false},
        {"13.1.3 same date", "if-modified-since: " THEN "\n", "last-modified: " THEN "\n", true},
        {"13.1.3 later", "if-modified-since: " LATER "\n", "last-modified: " THEN "\n", true},
        {"13.1.3 earlier", "if-modified-since: " EARLIER "\n", "last-modified: " THEN "\n", false},
        {"5.6.7 other forms of dates", "if-modified-since: Sunday, 06-Nov-94 08:49:37 GMT\n",
         "last-modified: Sun Nov  6 08:49:37 1994\n", true},
        {"13.1.3 no date", "if-modified-since: 0\n", "last-modified: " THEN "\n", false},
        {"13.1.3 two dates", "if-modified-since: " LATER "\nif-modified-since: " LATER "\n",
         "last-modified: " THEN "\n", false},
        {"9111 4.3.2 Date stands in", "if-modified-since: " THEN "\n", "date: " THEN "\n", true},
        {"9111 4.3.2 Date stands in", "if-modified-since: " THEN "\n", "date: " LATER "\n", false},
        {"9111 4.3.2 arrival stands in", "if-modified-since: " THEN "\n", "", true},
        {"9111 4.3.2 arrival stands in", "if-modified-since: " EARLIER "\n", "", false},
        {"a broken Last-Modified is no date", "if-modified-since: " LATER "\n",
         "last-modified: x\ndate: " THEN "\n", false},
        {"13.2.2 the tag decides alone", "if-none-match: \"b\"\nif-modified-since: " THEN "\n",
         "etag: \"a\"\nlast-modified: " THEN "\n", false},
        {"13.2.2 the tag decides alone", "if-none-match: \"a\"\nif-modified-since: " EARLIER "\n",
         "etag: \"a\"\nlast-modified: " THEN "\n", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(not_modified(200, rows[i].request, rows[i].answer), rows[i].expected,
                     "%s (%zu)", rows[i].clause, i);
}

Test(conditional, only_what_is_200_is_ever_not_modified)
{
    static const unsigned statuses[] = {203, 204, 206, 301, 404, 500};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        cr_expect_not(not_modified(statuses[i], "if-none-match: *\n", "etag: \"a\"\n"), "13.2.1 %u",
                      statuses[i]);
}

Test(conditional, some_conditions_are_the_origins)
{
    static const struct {
        const char *clause, *request;
        enum cg_precondition expected;
        const char *field;
    } rows[] = {
        {"none", "accept: a\n", CG_PRECONDITION_NONE, ""},
        {"13.1.1", "if-match: *\n", CG_PRECONDITION_ORIGIN, "if-match"},
        {"13.1.4", "if-unmodified-since: x\n", CG_PRECONDITION_ORIGIN, "if-unmodified-since"},
        {"13.1.2", "if-none-match: x\n", CG_PRECONDITION_CACHE, "if-none-match"},
        {"13.1.3", "if-modified-since: x\n", CG_PRECONDITION_CACHE, "if-modified-since"},
        {"13.2.2 the origin's come first", "if-none-match: x\nif-match: \"a\"\n",
         CG_PRECONDITION_ORIGIN, "if-match"},
        {"13.1.5 If-Range is the range's", "if-range: \"a\"\n", CG_PRECONDITION_NONE, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields fields = fields_of(rows[i].request, &arena);
        struct cg_str field;
        cr_expect_eq(cg_precondition_of(&fields, &field), rows[i].expected, "%s", rows[i].clause);
        cr_expect(cg_str_eq(field, cg_str_from(rows[i].field)), "%s", rows[i].clause);
    }
}

Test(conditional, not_modified_carries_no_description_of_content)
{
    struct cg_fields fields = fields_of(
        "content-type: a/b\ncontent-encoding: gzip\ncontent-language: de\ncontent-length: 5\n"
        "content-location: /a\ncache-control: max-age=1\ndate: d\netag: \"a\"\nexpires: e\n"
        "vary: accept\nlast-modified: l\naccess-control-allow-origin: *\n"
        "content-security-policy: c\ncdn-cache-control: max-age=1\n",
        &arena);
    struct cg_fields left;
    cr_assert(cg_not_modified_fields(&fields, &arena, &left));
    cr_expect_str_eq(text_of(&left, &arena),
                     "content-location: /a\ncache-control: max-age=1\ndate: d\netag: \"a\"\n"
                     "expires: e\nvary: accept\nlast-modified: l\naccess-control-allow-origin: *\n"
                     "content-security-policy: c\ncdn-cache-control: max-age=1\n",
                     "15.4.5");
}

/* ---- what we ask the origin ---- */

Test(conditional, expired_answer_is_asked_about_by_all_that_it_has)
{
    static const struct {
        const char *clause, *stored, *asked;
    } rows[] = {
        {"9111 4.3.1 both", "etag: \"a\"\nlast-modified: " THEN "\n",
         "if-none-match: \"a\"\nif-modified-since: " THEN "\n"},
        {"9111 4.3.1 weak too", "etag: W/\"a\"\n", "if-none-match: W/\"a\"\n"},
        {"9111 4.3.1 date", "last-modified: " THEN "\n", "if-modified-since: " THEN "\n"},
        {"malformed is not sent on", "etag: a\nlast-modified: " THEN "\n",
         "if-modified-since: " THEN "\n"},
        {"malformed date", "etag: \"a\"\nlast-modified: x\n", "if-none-match: \"a\"\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields asked = {0};
        entry.fields = fields_of(rows[i].stored, &arena);
        cr_assert(cg_validation_fields(&verdict, &entry, &arena, &asked));
        cr_expect_str_eq(text_of(&asked, &arena), rows[i].asked, "%s", rows[i].clause);
    }
}

Test(conditional, only_the_answer_that_was_meant_is_confirmed)
{
    static const struct {
        const char *clause, *stored;
        unsigned status;
        const char *answer;
        enum cg_validation expected;
    } rows[] = {
        {"9111 4.3.3 whole answer", "etag: \"a\"\n", 200, "etag: \"a\"\n", CG_VALIDATION_REPLACED},
        {"9111 4.3.3 an error", "etag: \"a\"\n", 503, "", CG_VALIDATION_REPLACED},
        {"9111 4.3.4 strong", "etag: \"a\"\n", 304, "etag: \"a\"\n", CG_VALIDATION_CONFIRMED},
        {"9111 4.3.4 other", "etag: \"a\"\n", 304, "etag: \"b\"\n", CG_VALIDATION_OTHER},
        {"9111 4.3.4 strong selects strong only", "etag: W/\"a\"\n", 304, "etag: \"a\"\n",
         CG_VALIDATION_OTHER},
        {"9111 4.3.4 weak", "etag: \"a\"\n", 304, "etag: W/\"a\"\n", CG_VALIDATION_CONFIRMED},
        {"9111 4.3.4 weak and other", "etag: W/\"a\"\n", 304, "etag: W/\"b\"\n",
         CG_VALIDATION_OTHER},
        {"a tag where there was none", "last-modified: " THEN "\n", 304, "etag: \"a\"\n",
         CG_VALIDATION_OTHER},
        {"9111 4.3.4 date", "last-modified: " THEN "\n", 304, "last-modified: " THEN "\n",
         CG_VALIDATION_CONFIRMED},
        {"9111 4.3.4 other date", "last-modified: " THEN "\n", 304, "last-modified: " LATER "\n",
         CG_VALIDATION_OTHER},
        {"the tag decides, the date may change", "etag: \"a\"\nlast-modified: " THEN "\n", 304,
         "etag: \"a\"\nlast-modified: " LATER "\n", CG_VALIDATION_CONFIRMED},
        {"no validator: only one was asked about", "etag: \"a\"\n", 304, "date: " LATER "\n",
         CG_VALIDATION_CONFIRMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields answer = fields_of(rows[i].answer, &arena);
        entry.fields = fields_of(rows[i].stored, &arena);
        cr_expect_eq(cg_validation_of(&verdict, &entry, rows[i].status, &answer), rows[i].expected,
                     "%s", rows[i].clause);
    }
}

Test(conditional, fields_of_a_304_replace_the_stored_ones)
{
    static const struct {
        const char *clause, *stored, *answer, *merged;
    } rows[] = {
        {"9111 3.2 what is new comes, what is not sent stays", "a: 1\nb: 1\n", "b: 2\nc: 2\n",
         "a: 1\nb: 2\nc: 2\n"},
        {"9111 3.2 all lines of a name", "a: 1\na: 2\n", "a: 3\na: 4\n", "a: 3\na: 4\n"},
        {"9111 3.2 not Content-Length", "etag: \"a\"\n", "content-length: 0\n", "etag: \"a\"\n"},
        {"9111 3.2 nor how the bytes are read", "content-encoding: gzip\ncontent-type: a/b\n",
         "content-encoding: br\ncontent-type: c/d\n",
         "content-encoding: gzip\ncontent-type: c/d\n"},
        {"9110 7.6.1 hop by hop", "x: 1\n", "connection: x\nx: 2\nkeep-alive: 1\n", "x: 1\n"},
        {"age and date are the new ones", "date: " EARLIER "\n", "date: " THEN "\nage: 5\n",
         "date: " THEN "\nage: 5\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields answer = fields_of(rows[i].answer, &arena), merged;
        entry.fields = fields_of(rows[i].stored, &arena);
        cr_assert(cg_merged_fields(&verdict, &entry, &answer, &arena, &merged));
        cr_expect_str_eq(text_of(&merged, &arena), rows[i].merged, "%s", rows[i].clause);
    }
}

Test(conditional, head_updates_what_it_saw_and_invalidates_what_it_did_not)
{
    static const struct {
        const char *clause, *stored;
        unsigned status;
        const char *answer;
        enum cg_head_effect expected;
    } rows[] = {
        {"9111 4.3.5 same tag", "etag: \"a\"\n", 200, "etag: \"a\"\n", CG_HEAD_UPDATE},
        {"9111 4.3.5 and length", "etag: \"a\"\n", 200, "etag: \"a\"\ncontent-length: 5\n",
         CG_HEAD_UPDATE},
        {"9111 4.3.5 other length", "etag: \"a\"\n", 200, "etag: \"a\"\ncontent-length: 6\n",
         CG_HEAD_INVALIDATE},
        {"9111 4.3.5 other tag", "etag: \"a\"\n", 200, "etag: \"b\"\n", CG_HEAD_INVALIDATE},
        {"9111 4.3.5 all received validators", "etag: \"a\"\nlast-modified: " THEN "\n", 200,
         "etag: \"a\"\nlast-modified: " LATER "\n", CG_HEAD_INVALIDATE},
        {"9111 4.3.5 date", "last-modified: " THEN "\n", 200, "last-modified: " THEN "\n",
         CG_HEAD_UPDATE},
        {"9111 4.3.5 a validator it did not have", "x: 1\n", 200, "etag: \"a\"\n",
         CG_HEAD_INVALIDATE},
        {"no validators: nothing learnt", "etag: \"a\"\n", 200, "content-length: 5\n",
         CG_HEAD_NOTHING},
        {"no validators, other length", "etag: \"a\"\n", 200, "content-length: 6\n",
         CG_HEAD_INVALIDATE},
        {"not 200", "etag: \"a\"\n", 404, "etag: \"a\"\n", CG_HEAD_NOTHING},
        {"not 200", "etag: \"a\"\n", 304, "etag: \"b\"\n", CG_HEAD_NOTHING},
    };
    entry.body = CG_STR("12345");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields answer = fields_of(rows[i].answer, &arena);
        entry.fields = fields_of(rows[i].stored, &arena);
        cr_expect_eq(cg_head_effect_of(&verdict, &entry, rows[i].status, &answer), rows[i].expected,
                     "%s", rows[i].clause);
    }
}

static struct cg_fields many_fields(size_t count, const char *first)
{
    struct cg_fields fields = fields_of(first, &arena);
    while (fields.count < count)
        cr_assert(cg_fields_add(&fields, &arena, CG_STR("x"), CG_STR("y")));
    return fields;
}

Test(conditional, more_fields_than_a_message_may_have_are_refused)
{
    struct cg_fields full = many_fields(CG_FIELDS_MAX, ""), none = {0}, result;
    entry.fields = fields_of("etag: \"a\"\nlast-modified: " THEN "\n", &arena);
    struct cg_fields asked = many_fields(CG_FIELDS_MAX, "");
    cr_expect_not(cg_validation_fields(&verdict, &entry, &arena, &asked));
    asked = many_fields(CG_FIELDS_MAX - 1, "");
    cr_expect_not(cg_validation_fields(&verdict, &entry, &arena, &asked));
    asked = many_fields(CG_FIELDS_MAX - 2, "");
    cr_expect(cg_validation_fields(&verdict, &entry, &arena, &asked));
    entry.fields = full;
    cr_expect(cg_not_modified_fields(&full, &arena, &result));
    cr_expect(cg_merged_fields(&verdict, &entry, &none, &arena, &result));
    struct cg_fields more = fields_of("y: 1\n", &arena);
    cr_expect_not(cg_merged_fields(&verdict, &entry, &more, &arena, &result));
}

/* ---- CONSISTENCY row 4: a dead answer is no base, whatever the caller forgot to ask ---- */

static void use_what_is_dead(unsigned which)
{
    struct cg_fields fields = {0};
    entry.fields = fields_of("etag: \"a\"\n", &arena);
    verdict = (struct cg_verdict){.kind = CG_VERDICT_MISS, .reason = CG_REASON_PURGED};
    if (which == 0)
        (void)cg_validation_fields(&verdict, &entry, &arena, &fields);
    else if (which == 1)
        (void)cg_validation_of(&verdict, &entry, 304, &fields);
    else if (which == 2)
        (void)cg_merged_fields(&verdict, &entry, &fields, &arena, &fields);
    else
        (void)cg_head_effect_of(&verdict, &entry, 200, &fields);
}

Test(conditional, asking_about_a_dead_answer_is_a_bug, .signal = SIGABRT)
{
    use_what_is_dead(0);
}

Test(conditional, confirming_a_dead_answer_is_a_bug, .signal = SIGABRT)
{
    use_what_is_dead(1);
}

Test(conditional, merging_into_a_dead_answer_is_a_bug, .signal = SIGABRT)
{
    use_what_is_dead(2);
}

Test(conditional, head_of_a_dead_answer_is_a_bug, .signal = SIGABRT)
{
    use_what_is_dead(3);
}
