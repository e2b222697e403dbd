#include "cachegate/ruleset.h"
#include "property/seed.h"

#include <criterion/criterion.h>

enum { ROUNDS = 20000, SEGMENTS_MAX = 5 };

static struct cg_arena arena;
static struct cg_problems problems;
static struct seed seed;

static void setup(void)
{
    cg_arena_init(&arena, 512 << 20);
    problems = (struct cg_problems){.arena = &arena};
    seed = seed_init();
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(pattern_property, .init = setup, .fini = teardown);

/* Few names, so that patterns and paths meet often; one of them needs encoding. */
static struct cg_str random_segment(void)
{
    static const char *const names[] = {"a", "b", "c", "a b/%*{}"};
    return cg_str_from(names[seed_below(&seed, sizeof names / sizeof *names)]);
}

static const struct cg_pattern *random_pattern(void)
{
    struct cg_str text = CG_STR("");
    size_t count = seed_below(&seed, SEGMENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct cg_str part = cg_percent_encode(&arena, random_segment());
        size_t kind = seed_below(&seed, 6);
        if (kind == 0)
            part = CG_STR("*");
        else if (kind == 1)
            part = cg_arena_printf(&arena, "{h%zu}", i);
        else if (kind == 2 && i + 1 == count)
            part = CG_STR("**");
        text = cg_arena_printf(&arena, "%.*s/%.*s", CG_STR_ARG(text), CG_STR_ARG(part));
    }
    if (count == 0)
        text = CG_STR("/");
    const struct cg_pattern *pattern = cg_pattern_compile(text, false, &arena, &problems, NULL);
    cr_assert_not_null(pattern, "seed %llu: %.*s", (unsigned long long)seed.start,
                       CG_STR_ARG(text));
    return pattern;
}

static struct cg_path random_path(void)
{
    struct cg_path path = {.segments = CG_ARENA_ARRAY(&arena, struct cg_str, SEGMENTS_MAX + 1),
                           .count = seed_below(&seed, SEGMENTS_MAX + 1)};
    for (size_t i = 0; i < path.count; i++)
        path.segments[i] = random_segment();
    return path;
}

/* A path that matches both, if there is any: literals where one has them, anything elsewhere, as
 * long as the longer one is without its `**`. */
static struct cg_path witness(const struct cg_pattern *a, const struct cg_pattern *b)
{
    struct cg_path path = {.segments = CG_ARENA_ARRAY(&arena, struct cg_str, SEGMENTS_MAX + 1)};
    for (size_t i = 0; i < SEGMENTS_MAX; i++) {
        const struct cg_pattern *both[] = {a, b};
        struct cg_str text = CG_STR("anything");
        bool there = false;
        for (size_t j = 0; j < 2; j++) {
            if (i >= both[j]->segment_count || both[j]->segments[i].kind == CG_SEGMENT_REST)
                continue;
            there = true;
            if (both[j]->segments[i].kind == CG_SEGMENT_LITERAL)
                text = both[j]->segments[i].text;
        }
        if (there)
            path.segments[path.count++] = text;
    }
    return path;
}

Test(pattern_property, overlap_is_symmetric_and_has_a_witness)
{
    struct cg_str captures[CG_HOLES_MAX];
    size_t overlaps = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const struct cg_pattern *a = random_pattern(), *b = random_pattern();
        struct cg_path path = witness(a, b);
        bool overlap = cg_patterns_overlap(a, b);
        overlaps += overlap;
        cr_assert_eq(overlap, cg_patterns_overlap(b, a), "seed %llu: %.*s %.*s",
                     (unsigned long long)seed.start, CG_STR_ARG(a->text), CG_STR_ARG(b->text));
        cr_assert_eq(overlap,
                     cg_pattern_match_path(a, &path, captures) &&
                         cg_pattern_match_path(b, &path, captures),
                     "seed %llu: %.*s %.*s", (unsigned long long)seed.start, CG_STR_ARG(a->text),
                     CG_STR_ARG(b->text));
    }
    cr_expect_gt(overlaps, ROUNDS / 20);
    cr_expect_lt(overlaps, ROUNDS - ROUNDS / 20);
}

Test(pattern_property, what_matches_both_makes_them_overlap)
{
    struct cg_str captures[CG_HOLES_MAX];
    size_t matched = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const struct cg_pattern *a = random_pattern(), *b = random_pattern();
        struct cg_path path = random_path();
        if (!cg_pattern_match_path(a, &path, captures) ||
            !cg_pattern_match_path(b, &path, captures))
            continue;
        matched++;
        cr_assert(cg_patterns_overlap(a, b), "seed %llu: %.*s %.*s", (unsigned long long)seed.start,
                  CG_STR_ARG(a->text), CG_STR_ARG(b->text));
    }
    cr_expect_gt(matched, ROUNDS / 200);
}

Test(pattern_property, captures_are_the_segments_at_their_holes)
{
    for (int round = 0; round < ROUNDS; round++) {
        const struct cg_pattern *pattern = random_pattern();
        struct cg_path path = random_path();
        struct cg_str captures[CG_HOLES_MAX] = {0};
        if (!cg_pattern_match_path(pattern, &path, captures))
            continue;
        for (size_t i = 0; i < pattern->segment_count; i++) {
            const struct cg_segment *segment = &pattern->segments[i];
            cr_assert(segment->kind != CG_SEGMENT_HOLE ||
                          cg_str_eq(captures[segment->hole], path.segments[i]),
                      "seed %llu", (unsigned long long)seed.start);
            cr_assert(segment->kind != CG_SEGMENT_LITERAL ||
                          cg_str_eq(segment->text, path.segments[i]),
                      "seed %llu", (unsigned long long)seed.start);
        }
    }
}

Test(pattern_property, normal_spelling_is_its_own_normal_spelling)
{
    static const char alphabet[] = "0123456789abcdefABCDEF-+ {}xX";
    static const enum cg_hole_type types[] = {CG_HOLE_TEXT, CG_HOLE_INT, CG_HOLE_UUID,
                                              CG_HOLE_NOCASE};
    for (int round = 0; round < ROUNDS; round++) {
        char bytes[40];
        size_t length = seed_below(&seed, sizeof bytes);
        /* Mostly digits of one kind, or hardly anything would be an integer or a UUID. */
        size_t letters = seed_below(&seed, 2) == 0 ? 10 : seed_below(&seed, 2) == 0 ? 22 : 29;
        for (size_t i = 0; i < length; i++)
            bytes[i] = alphabet[seed_below(&seed, letters)];
        struct cg_str value = cg_str_of(bytes, length);
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            struct cg_str once = cg_hole_normalise(types[i], value, &arena);
            struct cg_str twice = cg_hole_normalise(types[i], once, &arena);
            cr_assert(cg_str_eq(once, twice), "seed %llu: %.*s", (unsigned long long)seed.start,
                      CG_STR_ARG(value));
        }
    }
}
