/* Any bytes, as a sealed entry: opened only if they are, to the byte, what sealing makes. Any
 * bytes, as an encoded one: sealed they open, and not with a bit flipped. */
#include "cachegate/assert.h"
#include "cachegate/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t salt[CG_SEAL_SALT_BYTES] = "thirty-two bytes of fixed salt.";
static const uint8_t identity[32] = "somebody";

static void open_any(struct cg_sealer *sealer, struct cg_str bytes)
{
    struct cg_seal_claim claim = {.canonical = CG_STR("c"), .variant = CG_STR("")};
    struct cg_seal_clear clear;
    struct cg_blob *opened;
    bool whole = cg_seal_inspect(bytes, &clear);
    claim.identity = whole && clear.user_scope ? identity : NULL;
    enum cg_seal_result result = cg_seal_open(sealer, bytes, &claim, &opened);
    CG_ASSERT((opened != NULL) == (result == CG_SEAL_OPENED));
    if (opened == NULL)
        return;
    struct cg_blob *again = cg_seal_close(sealer, cg_blob_str(opened), claim.identity, salt);
    CG_ASSERT(whole && cg_str_eq(cg_blob_str(again), bytes));
    cg_blob_unref(again);
    cg_blob_unref(opened);
}

static void seal_any(struct cg_sealer *sealer, struct cg_str bytes, const struct cg_entry *entry)
{
    struct cg_seal_claim claim = {identity, entry->canonical, entry->variant, .count = 0};
    struct cg_blob *opened, *sealed = cg_seal_close(sealer, bytes, identity, salt);
    CG_ASSERT(cg_seal_open(sealer, cg_blob_str(sealed), &claim, &opened) == CG_SEAL_OPENED);
    CG_ASSERT(cg_str_eq(cg_blob_str(opened), bytes));
    cg_blob_unref(opened);
    size_t bit = (uint8_t)bytes.bytes[bytes.length - 1] * (size_t)2654435761u;
    bit %= sealed->length * 8;
    sealed->bytes[bit / 8] = (char)((uint8_t)sealed->bytes[bit / 8] ^ 1u << bit % 8);
    CG_ASSERT(cg_seal_open(sealer, cg_blob_str(sealed), &claim, &opened) != CG_SEAL_OPENED);
    CG_ASSERT(opened == NULL);
    cg_blob_unref(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_secret secret;
    struct cg_arena arena;
    struct cg_entry entry;
    struct cg_str bytes = cg_str_of((const char *)data, size);
    cg_secret_from_text(CG_STR("fuzz"), &secret);
    cg_arena_init(&arena, 1 << 20);
    struct cg_sealer *sealer = cg_sealer_create(&secret, NULL);
    open_any(sealer, bytes);
    if (cg_entry_decode(bytes, &arena, &entry))
        seal_any(sealer, bytes, &entry);
    cg_sealer_destroy(sealer);
    cg_arena_fini(&arena);
    return 0;
}
