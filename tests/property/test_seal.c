#include "cachegate/seal.h"

#include <criterion/criterion.h>

#include "property/seed.h"

enum { ROUNDS = 400, OTHERS = 20 };

/* One entry, sealed for one user or for all, and the claim under which it opens. */
struct world {
    struct cg_arena arena;
    struct cg_entry entry;
    struct cg_version versions[CG_INSTANCES_MAX];
    struct cg_seal_claim claim;
    uint8_t identity[32];
    uint8_t salt[CG_SEAL_SALT_BYTES];
    struct cg_blob *encoded, *sealed;
};

static void fill(struct seed *seed, void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)seed_next(seed);
}

static struct cg_str random_bytes(struct seed *seed, struct cg_arena *arena, size_t length_max)
{
    size_t length = seed_below(seed, length_max + 1);
    char *bytes = cg_arena_alloc(arena, length);
    fill(seed, bytes, length);
    return cg_str_of(bytes, length);
}

static void generate(struct seed *seed, struct cg_sealer *sealer, struct world *world)
{
    struct cg_arena *arena = &world->arena;
    cg_arena_init(arena, 1 << 22);
    world->entry = (struct cg_entry){
        .kind = seed_below(seed, 4) == 0 ? CG_ENTRY_VARY : CG_ENTRY_ANSWER,
        .canonical = random_bytes(seed, arena, 80),
        .variant = random_bytes(seed, arena, 8),
        .vary = random_bytes(seed, arena, 8),
        .stored_at_ms = (int64_t)seed_next(seed),
        .lifetime_ms = seed_next(seed),
        .epoch = {seed_next(seed), seed_next(seed)},
        .instance_count = seed_below(seed, 4) == 0 ? CG_INSTANCES_MAX : seed_below(seed, 6),
        .route = (uint32_t)seed_next(seed),
        .status = 200 + (unsigned)seed_below(seed, 400),
        .body = random_bytes(seed, arena, 400),
    };
    fill(seed, world->entry.instances, sizeof world->entry.instances);
    fill(seed, world->entry.tokens, sizeof world->entry.tokens);
    fill(seed, world->identity, sizeof world->identity);
    fill(seed, world->salt, sizeof world->salt);
    for (size_t i = 0; i < world->entry.instance_count; i++)
        world->versions[i] = (struct cg_version){CG_VERSION_CURRENT, world->entry.tokens[i]};
    world->claim = (struct cg_seal_claim){
        .identity = seed_below(seed, 3) == 0 ? NULL : world->identity,
        .canonical = world->entry.canonical,
        .variant = world->entry.variant,
        .instances = world->entry.instances,
        .versions = world->versions,
        .count = world->entry.instance_count,
    };
    world->encoded = cg_entry_encode(&world->entry);
    world->sealed =
        cg_seal_close(sealer, cg_blob_str(world->encoded), world->claim.identity, world->salt);
}

static void finish(struct world *world)
{
    cg_blob_unref(world->encoded);
    cg_blob_unref(world->sealed);
    cg_arena_fini(&world->arena);
}

static bool opens(struct cg_sealer *sealer, const struct world *world,
                  const struct cg_seal_claim *claim)
{
    struct cg_blob *opened;
    enum cg_seal_result result = cg_seal_open(sealer, cg_blob_str(world->sealed), claim, &opened);
    bool same = opened != NULL && cg_str_eq(cg_blob_str(opened), cg_blob_str(world->encoded));
    cr_assert_eq(same, result == CG_SEAL_OPENED);
    cg_blob_unref(opened);
    return same;
}

static struct cg_sealer *make_sealer(void)
{
    struct cg_secret secret;
    cg_secret_from_text(CG_STR("property"), &secret);
    return cg_sealer_create(&secret, NULL);
}

Test(seal, opening_undoes_sealing)
{
    struct seed seed = seed_init();
    struct cg_sealer *sealer = make_sealer();
    for (size_t round = 0; round < ROUNDS; round++) {
        struct world world;
        generate(&seed, sealer, &world);
        cr_assert(opens(sealer, &world, &world.claim), "CACHEGATE_SEED=%llu, %zu",
                  (unsigned long long)seed.start, round);
        finish(&world);
    }
    cg_sealer_destroy(sealer);
}

Test(seal, no_single_flipped_bit_goes_unnoticed)
{
    struct seed seed = seed_init();
    struct cg_sealer *sealer = make_sealer();
    for (size_t round = 0; round < 6; round++) {
        struct world world;
        generate(&seed, sealer, &world);
        if (seed_below(&seed, 2) == 0)
            world.claim.versions = NULL; /* then the tag alone stands for the versions */
        for (size_t bit = 0; bit < world.sealed->length * 8; bit++) {
            world.sealed->bytes[bit / 8] ^= (char)(1 << bit % 8);
            cr_assert_not(opens(sealer, &world, &world.claim), "CACHEGATE_SEED=%llu, %zu, bit %zu",
                          (unsigned long long)seed.start, round, bit);
            world.sealed->bytes[bit / 8] ^= (char)(1 << bit % 8);
        }
        cr_assert(opens(sealer, &world, &world.claim));
        finish(&world);
    }
    cg_sealer_destroy(sealer);
}

/* A byte changed, added or dropped, or moved over the border between the two. */
static void change_texts(struct seed *seed, struct world *world, struct cg_seal_claim *claim)
{
    struct cg_str *texts[] = {&claim->canonical, &claim->variant};
    struct cg_str *text = texts[seed_below(seed, 2)];
    char *bytes = cg_arena_alloc(&world->arena, text->length + 1);
    if (text->length > 0)
        memcpy(bytes, text->bytes, text->length);
    size_t length = text->length;
    switch (seed_below(seed, 3)) {
    case 0:
        bytes[length++] = (char)seed_next(seed);
        break;
    case 1:
        if (length > 0)
            bytes[seed_below(seed, length)] ^= (char)(1 << seed_below(seed, 8));
        break;
    case 2:
        length -= length > 0;
        break;
    }
    *text = cg_str_of(bytes, length);
}

Test(seal, no_other_identity_and_no_other_request_opens_it)
{
    struct seed seed = seed_init();
    struct cg_sealer *sealer = make_sealer();
    size_t tried = 0;
    for (size_t round = 0; round < ROUNDS / 4; round++) {
        struct world world;
        generate(&seed, sealer, &world);
        for (size_t i = 0; i < OTHERS; i++) {
            struct cg_seal_claim claim = world.claim;
            uint8_t other[32];
            memcpy(other, world.identity, sizeof other);
            other[seed_below(&seed, 32)] ^= (uint8_t)(1 << seed_below(&seed, 8));
            if (seed_below(&seed, 2) == 0)
                claim.identity = other;
            else
                change_texts(&seed, &world, &claim);
            if (claim.identity == world.claim.identity &&
                cg_str_eq(claim.canonical, world.claim.canonical) &&
                cg_str_eq(claim.variant, world.claim.variant))
                continue;
            tried++;
            cr_assert_not(opens(sealer, &world, &claim), "CACHEGATE_SEED=%llu, %zu",
                          (unsigned long long)seed.start, round);
        }
        finish(&world);
    }
    cr_expect_gt(tried, ROUNDS * OTHERS / 8);
    cg_sealer_destroy(sealer);
}

Test(seal, no_other_versions_open_it)
{
    struct seed seed = seed_init();
    struct cg_sealer *sealer = make_sealer();
    for (size_t round = 0; round < ROUNDS; round++) {
        struct world world;
        generate(&seed, sealer, &world);
        size_t count = world.entry.instance_count;
        if (count > 0) {
            struct cg_version *version = &world.versions[seed_below(&seed, count)];
            version->token.bytes[seed_below(&seed, CG_DIGEST_BYTES)] ^=
                (uint8_t)(1 << seed_below(&seed, 8));
            cr_assert_not(opens(sealer, &world, &world.claim), "CACHEGATE_SEED=%llu, %zu",
                          (unsigned long long)seed.start, round);
        }
        finish(&world);
    }
    cg_sealer_destroy(sealer);
}
