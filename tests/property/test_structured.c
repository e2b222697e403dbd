#include "cachegate/structured.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "property/seed.h"

enum { ROUNDS = 20000, MEMBERS_MAX = 6, TEXT_MAX = 2048 };

struct member {
    char key[8];
    enum cg_sf_type type;
    int64_t integer;
    char text[16]; /* as it is to be read */
};

static void append(char *text, const char *piece)
{
    strncat(text, piece, TEXT_MAX - strlen(text) - 1);
}

static void generate_text(struct seed *seed, const char *alphabet, char *text)
{
    size_t length = 1 + seed_below(seed, 6), letters = strlen(alphabet);
    for (size_t i = 0; i < length; i++)
        text[i] = alphabet[seed_below(seed, letters)];
    text[length] = '\0';
}

static void append_string(char *text, const char *plain)
{
    append(text, "\"");
    for (; *plain != '\0'; plain++) {
        char piece[3] = {'\\', *plain, '\0'};
        append(text, *plain == '"' || *plain == '\\' ? piece : piece + 1);
    }
    append(text, "\"");
}

static void append_value(struct seed *seed, struct member *member, char *text)
{
    static const enum cg_sf_type types[] = {CG_SF_BOOLEAN, CG_SF_INTEGER, CG_SF_STRING,
                                            CG_SF_TOKEN};
    char number[32];
    member->type = types[seed_below(seed, 4)];
    switch (member->type) {
    case CG_SF_BOOLEAN:
        member->integer = (int64_t)seed_below(seed, 2);
        append(text, member->integer == 1 ? "?1" : "?0");
        break;
    case CG_SF_INTEGER:
        member->integer = (int64_t)seed_below(seed, 2000000000) - 1000000000;
        snprintf(number, sizeof number, "%lld", (long long)member->integer);
        append(text, number);
        break;
    case CG_SF_STRING:
        generate_text(seed, "ab,;=\"\\ ()", member->text);
        append_string(text, member->text);
        break;
    case CG_SF_TOKEN:
        generate_text(seed, "abZ*", member->text);
        append(text, member->text);
        break;
    case CG_SF_DECIMAL:
    case CG_SF_BYTES:
    case CG_SF_INNER_LIST:
        break;
    }
    if (seed_below(seed, 3) == 0)
        append(text, seed_below(seed, 2) == 0 ? "; p=\"x,\\\"y\"" : ";p;q=1.5");
}

static size_t generate(struct seed *seed, struct member *members, char *text)
{
    size_t count = seed_below(seed, MEMBERS_MAX + 1);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        static const char *const commas[] = {",", ", ", " ,\t"};
        if (i > 0)
            append(text, commas[seed_below(seed, 3)]);
        generate_text(seed, "abc*", members[i].key);
        append(text, members[i].key);
        append(text, "=");
        append_value(seed, &members[i], text);
    }
    return count;
}

static bool is_as_written(const struct member *member, struct cg_str key,
                          const struct cg_sf_value *value, struct cg_arena *arena)
{
    if (value->type != member->type || !cg_str_eq(key, cg_str_from(member->key)))
        return false;
    if (value->type == CG_SF_BOOLEAN)
        return value->boolean == (member->integer == 1);
    if (value->type == CG_SF_INTEGER)
        return value->integer == member->integer;
    return cg_str_eq(cg_sf_unescape(value->text, arena), cg_str_from(member->text));
}

/* What was written is read; and what is cut short anywhere is read as far as it goes, or refused,
 * but never as something else. */
Test(structured, what_was_written_is_read_and_nothing_else)
{
    struct seed seed = seed_init();
    size_t refused = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct member members[MEMBERS_MAX];
        char text[TEXT_MAX];
        struct cg_arena arena;
        struct cg_str key;
        struct cg_sf_value value;
        cg_arena_init(&arena, 1 << 20);
        size_t count = generate(&seed, members, text), read = 0;
        struct cg_sf_walk walk = {.rest = cg_str_from(text)};
        while (cg_sf_next_in_dictionary(&walk, &key, &value) == CG_SF_MEMBER) {
            cr_assert(read < count && is_as_written(&members[read], key, &value, &arena),
                      "CACHEGATE_SEED=%llu: %s", (unsigned long long)seed.start, text);
            read++;
        }
        cr_assert_eq(read, count, "CACHEGATE_SEED=%llu: %s", (unsigned long long)seed.start, text);
        size_t cut = seed_below(&seed, strlen(text) + 1);
        walk = (struct cg_sf_walk){.rest = cg_str_of(text, cut)};
        enum cg_sf_step step;
        for (read = 0; (step = cg_sf_next_in_dictionary(&walk, &key, &value)) == CG_SF_MEMBER;)
            read++;
        cr_assert(read <= count, "CACHEGATE_SEED=%llu: %s", (unsigned long long)seed.start, text);
        refused += step == CG_SF_MALFORMED;
        cg_arena_fini(&arena);
    }
    cr_expect_gt(refused, ROUNDS / 10, "%zu", refused);
}
