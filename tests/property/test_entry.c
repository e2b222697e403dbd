#include "cachegate/entry.h"

#include <criterion/criterion.h>

#include "property/seed.h"

enum { ROUNDS = 3000 };

static struct cg_str random_bytes(struct seed *seed, struct cg_arena *arena, size_t length_max)
{
    size_t length = seed_below(seed, length_max + 1);
    char *bytes = cg_arena_alloc(arena, length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)seed_next(seed);
    return cg_str_of(bytes, length);
}

static struct cg_str random_text(struct seed *seed, struct cg_arena *arena, size_t length_min,
                                 size_t length_max, const char *alphabet)
{
    size_t length = length_min + seed_below(seed, length_max - length_min + 1);
    char *bytes = cg_arena_alloc(arena, length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = alphabet[seed_below(seed, strlen(alphabet))];
    return cg_str_of(bytes, length);
}

static void generate(struct seed *seed, struct cg_arena *arena, struct cg_entry *ret_entry)
{
    *ret_entry = (struct cg_entry){
        .kind = seed_below(seed, 4) == 0 ? CG_ENTRY_VARY : CG_ENTRY_ANSWER,
        .canonical = random_bytes(seed, arena, 80),
        .variant = random_bytes(seed, arena, 8),
        .vary = random_bytes(seed, arena, 8),
        .stored_at_ms = (int64_t)seed_next(seed),
        .initial_age_ms = seed_next(seed),
        .lifetime_ms = seed_next(seed),
        .stale_while_revalidate_ms = seed_next(seed),
        .stale_if_error_ms = seed_next(seed),
        .must_revalidate = seed_below(seed, 2) == 1,
        .epoch = {seed_next(seed), seed_next(seed)},
        .instance_count = seed_below(seed, CG_INSTANCES_MAX + 1),
        .route = (uint32_t)seed_next(seed),
        .status = 200 + (unsigned)seed_below(seed, 400),
        .body = random_bytes(seed, arena, 300),
    };
    for (size_t i = 0; i < ret_entry->instance_count; i++) {
        memset(ret_entry->instances[i].id, (int)seed_below(seed, 256), CG_DIGEST_BYTES);
        memset(ret_entry->tokens[i].bytes, (int)seed_below(seed, 256), CG_DIGEST_BYTES);
    }
    for (size_t i = seed_below(seed, 40); i > 0; i--)
        cg_fields_add(&ret_entry->fields, arena, random_text(seed, arena, 1, 12, "abc-xyz_9!"),
                      random_text(seed, arena, 0, 30, "ABC abc\t\"\\,;=\xc3\xa4"));
}

static bool same(struct cg_str a, struct cg_str b)
{
    return cg_str_eq(a, b);
}

Test(entry, decoding_an_encoded_entry_and_encoding_it_again_changes_nothing)
{
    struct seed seed = seed_init();
    for (size_t round = 0; round < ROUNDS; round++) {
        struct cg_arena arena;
        struct cg_entry entry, back;
        cg_arena_init(&arena, 1 << 20);
        generate(&seed, &arena, &entry);
        struct cg_blob *blob = cg_entry_encode(&entry);
        cr_assert(cg_entry_decode(cg_blob_str(blob), &arena, &back), "CACHEGATE_SEED=%llu, %zu",
                  (unsigned long long)seed.start, round);
        struct cg_blob *again = cg_entry_encode(&back);
        cr_assert(same(cg_blob_str(blob), cg_blob_str(again)) &&
                      same(entry.canonical, back.canonical) && same(entry.body, back.body) &&
                      entry.stored_at_ms == back.stored_at_ms && entry.kind == back.kind &&
                      entry.status == back.status && entry.fields.count == back.fields.count,
                  "CACHEGATE_SEED=%llu, %zu", (unsigned long long)seed.start, round);
        cg_blob_unref(again);
        cg_blob_unref(blob);
        cg_arena_fini(&arena);
    }
}

/* Whatever is decoded from damaged bytes is an entry in its own right: it encodes to those bytes.
 */
Test(entry, damaged_bytes_are_refused_or_mean_exactly_what_they_say)
{
    struct seed seed = seed_init();
    size_t refused = 0, taken = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct cg_arena arena;
        struct cg_entry entry, back;
        cg_arena_init(&arena, 1 << 22);
        generate(&seed, &arena, &entry);
        struct cg_blob *blob = cg_entry_encode(&entry);
        for (size_t damages = 1 + seed_below(&seed, 3); damages > 0; damages--)
            blob->bytes[seed_below(&seed, blob->length)] = (char)seed_next(&seed);
        if (cg_entry_decode(cg_blob_str(blob), &arena, &back)) {
            struct cg_blob *again = cg_entry_encode(&back);
            cr_assert(same(cg_blob_str(blob), cg_blob_str(again)), "CACHEGATE_SEED=%llu, %zu",
                      (unsigned long long)seed.start, round);
            cg_blob_unref(again);
            taken++;
        } else {
            refused++;
        }
        cg_blob_unref(blob);
        cg_arena_fini(&arena);
    }
    cr_expect_gt(refused, ROUNDS / 20);
    cr_expect_gt(taken, ROUNDS / 20);
}
