#include "cachegate/plan.h"

#include "property/seed.h"
#include "tests/make_request.h"
#include "tests/make_ruleset.h"

#include <criterion/criterion.h>

static const char rules[] = "defaults: {ttl: 5m}\n"
                            "routes:\n"
                            "  - match: GET /off/**\n"
                            "    key: {query: {sort: off}}\n"
                            "  - match: GET /**\n"
                            "    key: {headers: [x-a, x-b], cookies: [c]}\n";

static const char *const names[] = {"a", "b", "aa", "%61", "a%62", "x", "", "%20"};
static const char *const values[] = {"", "=", "=1", "=%31", "=a=b", "=%2f", "=%2F", "=+", "=%41"};

enum { PARAMS_MAX = 6 };

static struct cg_str pick(struct cg_arena *arena, struct seed *seed)
{
    return cg_arena_printf(arena, "%s%s", names[seed_below(seed, 8)], values[seed_below(seed, 9)]);
}

static struct cg_str join(struct cg_arena *arena, const char *path, const struct cg_str *params,
                          size_t count)
{
    struct cg_str target = cg_arena_printf(arena, "GET %s?", path);
    for (size_t i = 0; i < count; i++)
        target = cg_arena_printf(arena, "%.*s%.*s&", CG_STR_ARG(target), CG_STR_ARG(params[i]));
    return target;
}

static struct cg_plan plan_of(const struct cg_ruleset *ruleset, struct cg_arena *arena,
                              struct cg_str line, const char *fields)
{
    struct cg_request_facts *facts = CG_ARENA_NEW(arena, struct cg_request_facts);
    struct cg_plan plan;
    *facts = make_request(arena, line.bytes, fields);
    cg_plan_make(ruleset, facts, false, arena, &plan);
    return plan;
}

/* The decoded parameters in order, self-delimiting. */
static struct cg_str decoded(struct cg_arena *arena, struct cg_str target)
{
    struct cg_path path;
    struct cg_query query;
    struct cg_str text = CG_STR("");
    cr_assert_eq(cg_path_parse(target, arena, &path, &query), CG_PATH_OK);
    for (size_t i = 0; i < query.count; i++)
        text = cg_arena_printf(arena, "%.*s(%zu:%.*s,%d%zu:%.*s)", CG_STR_ARG(text),
                               query.params[i].name.length, CG_STR_ARG(query.params[i].name),
                               (int)query.params[i].has_value, query.params[i].value.length,
                               CG_STR_ARG(query.params[i].value));
    return text;
}

Test(canonical, the_canonical_target_means_the_same_and_is_its_own_canonical_form)
{
    struct seed seed = seed_init();
    struct cg_ruleset *ruleset = make_ruleset(rules, NULL);
    for (size_t round = 0; round < 3000; round++) {
        struct cg_arena arena;
        struct cg_str params[PARAMS_MAX];
        cg_arena_init(&arena, 4 << 20);
        size_t count = seed_below(&seed, PARAMS_MAX + 1);
        for (size_t i = 0; i < count; i++)
            params[i] = pick(&arena, &seed);
        struct cg_str line = join(&arena, "/off/%7e%c3", params, count);
        struct cg_plan plan = plan_of(ruleset, &arena, line, NULL);
        cr_assert_eq(plan.kind, CG_PLAN_LOOKUP, "%.*s", CG_STR_ARG(line));
        cr_assert(cg_str_eq(decoded(&arena, cg_str_skip(line, 4)), decoded(&arena, plan.target)),
                  "CACHEGATE_SEED=%llu: %.*s became %.*s", (unsigned long long)seed.start,
                  CG_STR_ARG(line), CG_STR_ARG(plan.target));
        struct cg_str again_line = cg_arena_printf(&arena, "GET %.*s", CG_STR_ARG(plan.target));
        struct cg_plan again = plan_of(ruleset, &arena, again_line, NULL);
        cr_assert(cg_str_eq(again.target, plan.target) &&
                      cg_str_eq(again.canonical, plan.canonical),
                  "CACHEGATE_SEED=%llu: %.*s became %.*s", (unsigned long long)seed.start,
                  CG_STR_ARG(plan.target), CG_STR_ARG(again.target));
        cg_arena_fini(&arena);
    }
}

/* Exchanges neighbours of different names only: equal names keep their order. */
static void shuffle(struct cg_arena *arena, struct seed *seed, struct cg_str *params, size_t count)
{
    for (size_t n = 0; count > 1 && n < 20; n++) {
        size_t i = seed_below(seed, count - 1);
        struct cg_path path;
        struct cg_query query;
        struct cg_str both =
            cg_arena_printf(arena, "/?%.*s&%.*s", CG_STR_ARG(params[i]), CG_STR_ARG(params[i + 1]));
        cr_assert_eq(cg_path_parse(both, arena, &path, &query), CG_PATH_OK);
        if (query.count == 2 && cg_str_eq(query.params[0].name, query.params[1].name))
            continue;
        struct cg_str kept = params[i];
        params[i] = params[i + 1];
        params[i + 1] = kept;
    }
}

Test(canonical, the_key_does_not_depend_on_the_order_of_parameters_and_fields)
{
    struct seed seed = seed_init();
    struct cg_ruleset *ruleset = make_ruleset(rules, NULL);
    for (size_t round = 0; round < 3000; round++) {
        struct cg_arena arena;
        struct cg_str params[PARAMS_MAX];
        cg_arena_init(&arena, 4 << 20);
        size_t count = seed_below(&seed, PARAMS_MAX + 1);
        for (size_t i = 0; i < count; i++)
            params[i] = pick(&arena, &seed);
        struct cg_str first = join(&arena, "/x", params, count);
        shuffle(&arena, &seed, params, count);
        struct cg_str second = join(&arena, "/x", params, count);
        struct cg_plan a = plan_of(ruleset, &arena, first, "X-A: 1\nX-B: 2\nCookie: c=3");
        struct cg_plan b = plan_of(ruleset, &arena, second, "Cookie: c=3\nX-B: 2\nX-A: 1");
        cr_assert(cg_str_eq(a.canonical, b.canonical) && memcmp(&a.key, &b.key, sizeof a.key) == 0,
                  "CACHEGATE_SEED=%llu: %.*s and %.*s", (unsigned long long)seed.start,
                  CG_STR_ARG(first), CG_STR_ARG(second));
        cg_arena_fini(&arena);
    }
}

/* A request is three texts that end up in different places of the key. */
Test(canonical, different_requests_have_different_canonical_forms)
{
    struct seed seed = seed_init();
    struct cg_ruleset *ruleset = make_ruleset(rules, NULL);
    static const char *const texts[] = {"", "a", "b", "ab", "ba", "a,b", "aab"};
    for (size_t round = 0; round < 3000; round++) {
        struct cg_arena arena;
        cg_arena_init(&arena, 4 << 20);
        const char *parts[2][3];
        struct cg_str canonical[2];
        for (size_t i = 0; i < 2; i++) {
            for (size_t j = 0; j < 3; j++)
                parts[i][j] = texts[seed_below(&seed, 7)];
            struct cg_str fields = cg_arena_printf(&arena, "X-A: %s\nX-B: %s\nCookie: c=%s",
                                                   parts[i][0], parts[i][1], parts[i][2]);
            canonical[i] = plan_of(ruleset, &arena, CG_STR("GET /x"), fields.bytes).canonical;
        }
        bool same = true;
        for (size_t j = 0; j < 3; j++)
            same = same && strcmp(parts[0][j], parts[1][j]) == 0;
        cr_assert_eq(cg_str_eq(canonical[0], canonical[1]), same, "CACHEGATE_SEED=%llu, round %zu",
                     (unsigned long long)seed.start, round);
        cg_arena_fini(&arena);
    }
}
