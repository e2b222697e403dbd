/* Three lines: two patterns and a request target. A path that matches both means that they overlap;
 * the order of the two makes no difference; holes are numbered without gaps. */
#include "cachegate/assert.h"
#include "cachegate/ruleset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pattern(const struct cg_pattern *pattern)
{
    bool seen[CG_HOLES_MAX] = {false};
    size_t count = 0;
    CG_ASSERT(pattern->segment_count <= CG_PATTERN_SEGMENTS_MAX);
    CG_ASSERT(pattern->term_count <= CG_PATTERN_TERMS_MAX);
    for (size_t i = 0; i < pattern->segment_count; i++) {
        CG_ASSERT(pattern->segments[i].kind != CG_SEGMENT_REST || i + 1 == pattern->segment_count);
        if (pattern->segments[i].kind == CG_SEGMENT_HOLE)
            seen[pattern->segments[i].hole] = true;
    }
    for (size_t i = 0; i < pattern->term_count; i++) {
        CG_ASSERT(i == 0 || cg_str_cmp(pattern->terms[i - 1].name, pattern->terms[i].name) < 0);
        if (pattern->terms[i].is_hole)
            seen[pattern->terms[i].hole] = true;
    }
    for (unsigned i = 0; i < CG_HOLES_MAX; i++)
        count += seen[i] && i < pattern->hole_count;
    CG_ASSERT(count == pattern->hole_count);
}

static void check_types(struct cg_str value, struct cg_arena *arena)
{
    static const enum cg_hole_type types[] = {CG_HOLE_TEXT, CG_HOLE_INT, CG_HOLE_UUID,
                                              CG_HOLE_NOCASE};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct cg_str once = cg_hole_normalise(types[i], value, arena);
        CG_ASSERT(cg_str_eq(once, cg_hole_normalise(types[i], once, arena)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_arena arena;
    cg_arena_init(&arena, 64 << 20);
    struct cg_problems problems = {.arena = &arena};
    struct cg_str lines[3] = {{"", 0}, {"", 0}, {"", 0}};
    struct cg_str rest = cg_str_of((const char *)data, size < 65536 ? size : 65536);
    for (size_t i = 0; i < 3 && cg_str_split(&rest, '\n', &lines[i]); i++)
        ;
    const struct cg_pattern *a = cg_pattern_compile(lines[0], true, &arena, &problems, NULL);
    const struct cg_pattern *b = cg_pattern_compile(lines[1], false, &arena, &problems, NULL);
    CG_ASSERT(problems.count == (size_t)(a == NULL) + (size_t)(b == NULL));
    if (a != NULL)
        check_pattern(a);
    if (b != NULL)
        check_pattern(b);
    struct cg_path path;
    struct cg_query query;
    struct cg_str captures[CG_HOLES_MAX];
    bool parsed = cg_path_parse(lines[2], &arena, &path, &query) == CG_PATH_OK;
    if (a != NULL && b != NULL) {
        CG_ASSERT(cg_patterns_overlap(a, b) == cg_patterns_overlap(b, a));
        if (parsed && cg_pattern_match_path(a, &path, captures) &&
            cg_pattern_match_path(b, &path, captures))
            CG_ASSERT(cg_patterns_overlap(a, b));
    }
    check_types(lines[2], &arena);
    cg_arena_fini(&arena);
    return 0;
}
