#include "cachegate/conditional.h"

#include <criterion/criterion.h>

#include "property/seed.h"

enum { ROUNDS = 5000, NAMES = 12, FIELDS_MAX = 12 };

static const struct cg_str names[NAMES] = {
    {"a", 1},
    {"b", 1},
    {"etag", 4},
    {"date", 4},
    {"age", 3},
    {"cache-control", 13},
    {"content-type", 12},
    {"content-encoding", 16},
    {"content-length", 14},
    {"connection", 10},
    {"keep-alive", 10},
    {"set-cookie", 10},
};
static const struct cg_str values[] = {{"1", 1}, {"2", 1}, {"a", 1}, {"b", 1}, {"\"x\"", 3}};

static struct cg_fields generate(struct seed *seed, struct cg_arena *arena)
{
    struct cg_fields fields = {0};
    size_t count = seed_below(seed, FIELDS_MAX);
    for (size_t i = 0; i < count; i++)
        cg_fields_add(&fields, arena, names[seed_below(seed, NAMES)],
                      values[seed_below(seed, sizeof values / sizeof values[0])]);
    return fields;
}

/* All lines of one name are those of one message, in its order. */
static bool lines_are(const struct cg_fields *merged, const struct cg_fields *source,
                      struct cg_str name)
{
    size_t at = 0;
    for (size_t i = 0; i < source->count; i++) {
        if (!cg_str_eq(source->items[i].name, name))
            continue;
        while (at < merged->count && !cg_str_eq(merged->items[at].name, name))
            at++;
        if (at == merged->count || !cg_str_eq(merged->items[at++].value, source->items[i].value))
            return false;
    }
    return cg_fields_count(merged, name) == cg_fields_count(source, name);
}

/* Every name is wholly the stored answer's or wholly the new one's, and which one follows from the
 * name alone. Merging the same answer again changes nothing. */
Test(conditional, merged_fields_come_from_one_side_each)
{
    struct seed seed = seed_init();
    struct cg_verdict verdict = {.kind = CG_VERDICT_MISS, .alive = true, .may_validate = true};
    for (size_t round = 0; round < ROUNDS; round++) {
        struct cg_arena arena;
        struct cg_entry entry = {.kind = CG_ENTRY_ANSWER, .status = 200};
        struct cg_fields merged, again;
        cg_arena_init(&arena, 1 << 20);
        entry.fields = generate(&seed, &arena);
        struct cg_fields answer = generate(&seed, &arena);
        cr_assert(cg_merged_fields(&verdict, &entry, &answer, &arena, &merged));
        for (size_t i = 0; i < NAMES; i++) {
            bool of_bytes = cg_str_eq(names[i], CG_STR("content-encoding")) ||
                            cg_str_eq(names[i], CG_STR("content-length"));
            bool is_new = !of_bytes && !cg_field_is_hop_by_hop(&answer, names[i]) &&
                          cg_fields_find(&answer, names[i]) != NULL;
            cr_assert(lines_are(&merged, is_new ? &answer : &entry.fields, names[i]),
                      "CACHEGATE_SEED=%llu, %zu: %.*s", (unsigned long long)seed.start, round,
                      CG_STR_ARG(names[i]));
        }
        entry.fields = merged;
        cr_assert(cg_merged_fields(&verdict, &entry, &answer, &arena, &again));
        cr_assert_eq(again.count, merged.count);
        cg_arena_fini(&arena);
    }
}

/* A client that asks with what it was given is told that nothing changed, and never otherwise. */
Test(conditional, the_same_tag_is_not_modified_and_another_one_is)
{
    struct seed seed = seed_init();
    static const char alphabet[] = "ab,\\ W/*";
    for (size_t round = 0; round < ROUNDS; round++) {
        char texts[2][8];
        struct cg_field had = {CG_STR("etag"), {NULL, 0}},
                        asked = {CG_STR("if-none-match"), {NULL, 0}};
        for (int i = 0; i < 2; i++) {
            size_t length = seed_below(&seed, 5);
            texts[i][0] = texts[i][length + 1] = '"';
            for (size_t j = 1; j <= length; j++)
                texts[i][j] = alphabet[seed_below(&seed, sizeof alphabet - 1)];
            *(i == 0 ? &had.value : &asked.value) = cg_str_of(texts[i], length + 2);
        }
        struct cg_fields answer = {.items = &had, .count = 1, .capacity = 1};
        struct cg_fields request = {.items = &asked, .count = 1, .capacity = 1};
        struct cg_etag etag;
        bool same = cg_etag_of(&answer, &etag) && cg_str_eq(had.value, asked.value);
        cr_assert_eq(cg_is_not_modified(&request, 200, &answer, 0), same,
                     "CACHEGATE_SEED=%llu: %.*s %.*s", (unsigned long long)seed.start,
                     CG_STR_ARG(had.value), CG_STR_ARG(asked.value));
    }
}
