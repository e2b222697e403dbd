/*
 * The promise behind instances, tried on random rules' shapes, reads and purges: whatever an oracle
 * that looks at decoded text says must be purged is purged, by instance or by ban.
 */
#include "cachegate/purge.h"

#include "property/seed.h"
#include "tests/make_request.h"
#include "tests/make_ruleset.h"

#include <criterion/criterion.h>

static const char rules[] = "defaults: {ttl: 5m}\n"
                            "groups:\n"
                            "  one: ['/a/{x}?q={y}']\n"
                            "  two: ['/a/*?q={y}&r=1']\n"
                            "  rest: ['/b/{x:int}/**']\n"
                            "  fold: ['/c?q={y:nocase}&r={x}']\n"
                            "routes:\n"
                            "  - match: GET /**\n"
                            "    key: {query: {ignore: [utm]}}\n"
                            "  - match: POST /w/**\n"
                            "    invalidate: []\n";

static const char *const texts[] = {"x", "X",   "7",     "07", "x y", "a/b",
                                    "*", "{x}", "x&r=1", ".",  ""};
enum { TEXTS = sizeof texts / sizeof texts[0] };
static const char *const groups[] = {"one", "two", "rest", "fold"};

struct read {
    const char *path[3];
    size_t path_count;
    const char *names[3];
    const char *values[3];
    size_t query_count;
};

static bool is_segment(const char *text)
{
    return strcmp(text, ".") != 0 && text[0] != '\0';
}

static void generate(struct seed *seed, struct read *read)
{
    static const char *const roots[] = {"a", "b", "c"}, *const names[] = {"q", "r", "utm"};
    *read = (struct read){.path = {roots[seed_below(seed, 3)]}, .path_count = 1};
    for (size_t i = seed_below(seed, 3); i > 0; i--) {
        const char *text = texts[seed_below(seed, TEXTS)];
        if (is_segment(text))
            read->path[read->path_count++] = text;
    }
    read->query_count = seed_below(seed, 4);
    for (size_t i = 0; i < read->query_count; i++) {
        read->names[i] = names[seed_below(seed, 3)];
        read->values[i] = seed_below(seed, 4) == 0 ? "1" : texts[seed_below(seed, TEXTS)];
    }
}

static struct cg_str spell(struct cg_arena *arena, const struct read *read)
{
    struct cg_str line = CG_STR("GET ");
    for (size_t i = 0; i < read->path_count; i++)
        line = cg_arena_printf(arena, "%.*s/%.*s", CG_STR_ARG(line),
                               CG_STR_ARG(cg_percent_encode(arena, cg_str_from(read->path[i]))));
    for (size_t i = 0; i < read->query_count; i++)
        line = cg_arena_printf(arena, "%.*s%c%s=%.*s", CG_STR_ARG(line), i == 0 ? '?' : '&',
                               read->names[i],
                               CG_STR_ARG(cg_percent_encode(arena, cg_str_from(read->values[i]))));
    return line;
}

/* ---- the oracle: strings only ---- */

static bool is_number(const char *text, unsigned long *ret_value)
{
    uint64_t value;
    bool is = cg_str_to_u64(cg_str_from(text), 1000, &value);
    *ret_value = is ? (unsigned long)value : 0;
    return is;
}

static bool same_number(const char *a, const char *b)
{
    unsigned long x, y;
    return (is_number(a, &x) && is_number(b, &y) && x == y) || strcmp(a, b) == 0;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static bool same_folded(const char *a, const char *b)
{
    return cg_str_eq_ci(cg_str_from(a), cg_str_from(b));
}

/* Sends it, or sends the parameter empty or not at all. */
static bool may_be_about(const struct read *read, const char *name, const char *value,
                         bool (*same)(const char *, const char *))
{
    bool sent = false;
    for (size_t i = 0; i < read->query_count; i++) {
        if (strcmp(read->names[i], name) != 0)
            continue;
        sent = true;
        if (read->values[i][0] == '\0' || same(read->values[i], value))
            return true;
    }
    return !sent;
}

static bool is_purged(const struct read *read, size_t group, const char *x, const char *y)
{
    const char *root = read->path[0];
    switch (group) {
    case 0:
        return root[0] == 'a' && read->path_count == 2 && same_text(read->path[1], x) &&
               may_be_about(read, "q", y, same_text);
    case 1:
        return root[0] == 'a' && read->path_count == 2 && may_be_about(read, "q", y, same_text) &&
               may_be_about(read, "r", "1", same_text);
    case 2:
        return root[0] == 'b' && read->path_count >= 2 && same_number(read->path[1], x);
    default:
        return root[0] == 'c' && read->path_count == 1 && may_be_about(read, "q", y, same_folded) &&
               may_be_about(read, "r", x, same_text);
    }
}

/* Where nothing is missing, and no literal is mixed with a missing one, also not too much. */
static bool is_spared(const struct read *read, size_t group, const char *x, const char *y)
{
    bool has_q = false, has_r = false;
    for (size_t i = 0; i < read->query_count; i++) {
        has_q = has_q || strcmp(read->names[i], "q") == 0;
        has_r = has_r || strcmp(read->names[i], "r") == 0;
        if (read->values[i][0] == '\0')
            return false;
    }
    return !is_purged(read, group, x, y) && (has_q || group == 2) &&
           (has_r || group == 0 || group == 2);
}

/* ---- the tests ---- */

static bool meets(const struct cg_plan *plan, const struct cg_purge_set *set)
{
    for (size_t i = 0; i < plan->instance_count; i++)
        for (size_t j = 0; j < set->instance_count; j++)
            if (cg_instance_eq(&plan->instances[i], &set->instances[j]))
                return true;
    return false;
}

Test(purge, what_an_oracle_purges_is_purged_and_what_it_spares_is_not)
{
    struct seed seed = seed_init();
    struct cg_ruleset *ruleset = make_ruleset(rules, NULL);
    size_t purged = 0, spared = 0;
    for (size_t round = 0; round < 20000; round++) {
        struct cg_arena arena;
        struct read read;
        struct cg_plan plan;
        struct cg_purge_set set = {0};
        size_t group = seed_below(&seed, 4);
        const char *x = texts[seed_below(&seed, TEXTS)], *y = texts[seed_below(&seed, TEXTS)];
        const struct cg_group *row = cg_ruleset_group(ruleset, cg_str_from(groups[group]));
        struct cg_str values[2];
        cg_arena_init(&arena, 4 << 20);
        generate(&seed, &read);
        struct cg_str line = spell(&arena, &read);
        struct cg_request_facts facts = make_request(&arena, line.bytes, NULL);
        cg_plan_make(ruleset, &facts, false, &arena, &plan);
        cr_assert_eq(plan.kind, CG_PLAN_LOOKUP, "%.*s", CG_STR_ARG(line));
        for (size_t i = 0; i < row->param_count; i++)
            values[i] = cg_str_from(cg_str_eq(row->params[i], CG_STR("x")) ? x : y);
        cg_purge_of_group(ruleset, row, values, &arena, &set);
        bool must = is_purged(&read, group, x, y), may_not = is_spared(&read, group, x, y);
        purged += must;
        spared += may_not;
        cr_assert(meets(&plan, &set) ? !may_not : !must,
                  "CACHEGATE_SEED=%llu, round %zu: %.*s and %s (%s, %s)",
                  (unsigned long long)seed.start, round, CG_STR_ARG(line), groups[group], x, y);
        cg_arena_fini(&arena);
    }
    cr_expect(purged > 500 && spared > 500, "the generator is lopsided: %zu, %zu", purged, spared);
}

/* The same purges as bans: where nothing depends on an instance, or a value was missing. */
Test(purge, what_an_oracle_purges_is_covered_by_the_ban)
{
    struct seed seed = seed_init();
    struct cg_ruleset *ruleset = make_ruleset(rules, NULL);
    size_t purged = 0, free = 0;
    for (size_t i = 0; i < ruleset->shape_count; i++)
        ruleset->shapes[i].for_everyone = false; /* so that all of them become bans */
    for (size_t round = 0; round < 20000; round++) {
        struct cg_arena arena;
        struct read read;
        struct cg_plan plan;
        struct cg_purge_set set = {0};
        size_t group = seed_below(&seed, 4);
        const char *x = texts[seed_below(&seed, TEXTS)], *y = texts[seed_below(&seed, TEXTS)];
        const struct cg_group *row = cg_ruleset_group(ruleset, cg_str_from(groups[group]));
        struct cg_str values[2];
        cg_arena_init(&arena, 4 << 20);
        generate(&seed, &read);
        struct cg_str line = spell(&arena, &read);
        struct cg_request_facts facts = make_request(&arena, line.bytes, NULL);
        cg_plan_make(ruleset, &facts, false, &arena, &plan);
        for (size_t i = 0; i < row->param_count; i++)
            values[i] = cg_str_from(cg_str_eq(row->params[i], CG_STR("x")) ? x : y);
        cg_purge_of_group(ruleset, row, values, &arena, &set);
        cr_assert(set.instance_count == 0 && set.ban_count == 1);
        struct cg_bans *before = cg_bans_create(1);
        struct cg_bans *after = cg_bans_append(before, set.bans, set.ban_count, 0, 1000);
        bool covered = cg_bans_cover(after, cg_bans_epoch(before), &plan.path, &plan.query,
                                     plan.identity.user);
        bool must = is_purged(&read, group, x, y);
        cg_bans_unref(before);
        cg_bans_unref(after);
        purged += must;
        free += !covered;
        cr_assert(covered || !must, "CACHEGATE_SEED=%llu, round %zu: %.*s and %.*s",
                  (unsigned long long)seed.start, round, CG_STR_ARG(line),
                  CG_STR_ARG(set.bans[0].pattern));
        cg_arena_fini(&arena);
    }
    cr_expect(purged > 500 && free > 500, "the generator is lopsided: %zu, %zu", purged, free);
}
