#include "cachegate/seal.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdlib.h>

static struct cg_arena arena;
static struct cg_entry entry;
static struct cg_blob *encoded, *sealed;
static struct cg_sealer *sealer;
static struct cg_seal_claim claim;
static struct cg_version versions[2];
static struct cg_secret secret, older, foreign;
static uint8_t ann[32], bob[32], salt[CG_SEAL_SALT_BYTES];

static void setup(void)
{
    cg_arena_init(&arena, 1 << 24);
    memset(ann, 'a', sizeof ann);
    memset(bob, 'b', sizeof bob);
    memset(salt, 0x5a, sizeof salt);
    cg_secret_from_text(CG_STR("a secret of the deployment"), &secret);
    cg_secret_from_text(CG_STR("the one before it"), &older);
    cg_secret_from_text(CG_STR("of another deployment"), &foreign);
    entry = (struct cg_entry){
        .kind = CG_ENTRY_ANSWER,
        .canonical = CG_STR("https api.example /accounts/4711"),
        .variant = CG_STR("gzip"),
        .stored_at_ms = 1700000000000,
        .initial_age_ms = 1,
        .lifetime_ms = 60000,
        .epoch = {7, 9},
        .instance_count = 2,
        .route = 3,
        .status = 200,
        .body = CG_STR("{\"balance\": 12.50}"),
    };
    for (uint8_t i = 0; i < 2; i++) {
        memset(entry.instances[i].id, 10 + i, CG_DIGEST_BYTES);
        memset(entry.tokens[i].bytes, 20 + i, CG_DIGEST_BYTES);
        versions[i] = (struct cg_version){CG_VERSION_CURRENT, entry.tokens[i]};
    }
    cg_fields_add(&entry.fields, &arena, CG_STR("x-account"), CG_STR("savings"));
    claim = (struct cg_seal_claim){
        .identity = ann,
        .canonical = entry.canonical,
        .variant = entry.variant,
        .instances = entry.instances,
        .versions = versions,
        .count = 2,
    };
    encoded = cg_entry_encode(&entry);
    sealer = cg_sealer_create(&secret, NULL);
    sealed = cg_seal_close(sealer, cg_blob_str(encoded), ann, salt);
}

static void teardown(void)
{
    cg_blob_unref(encoded);
    cg_blob_unref(sealed);
    cg_sealer_destroy(sealer);
    cg_arena_fini(&arena);
}

TestSuite(seal, .init = setup, .fini = teardown);

enum { AT_LENGTH = 2, AT_SECRET_ID = 6, AT_KEY = 14, AT_SALT = 30, AT_CHECK = 62, AT_ENTRY = 78 };
enum { AT_HIDDEN = AT_ENTRY + 75 + 2 * 32 };

/* Opens a copy that is exactly as large, for the sanitizer to see a read behind its end. */
static enum cg_seal_result open_bytes(struct cg_sealer *by, const char *bytes, size_t length)
{
    char *copy = malloc(length == 0 ? 1 : length);
    struct cg_blob *opened;
    memcpy(copy, bytes, length);
    enum cg_seal_result result = cg_seal_open(by, cg_str_of(copy, length), &claim, &opened);
    bool is_open = result == CG_SEAL_OPENED || result == CG_SEAL_OPENED_BY_OTHER;
    cr_assert_eq(opened != NULL, is_open);
    if (is_open)
        cr_expect(cg_str_eq(cg_blob_str(opened), cg_blob_str(encoded)));
    cg_blob_unref(opened);
    free(copy);
    return result;
}

static enum cg_seal_result open_sealed(void)
{
    return open_bytes(sealer, sealed->bytes, sealed->length);
}

Test(seal, opening_gives_back_what_was_sealed)
{
    cr_expect_eq(sealed->length, encoded->length + CG_SEAL_OVERHEAD_BYTES);
    cr_expect_eq(open_sealed(), CG_SEAL_OPENED);
    cr_expect_eq(open_sealed(), CG_SEAL_OPENED, "a sealer can be used again");
}

Test(seal, an_own_blob_is_opened_in_place_and_a_shared_one_is_left_alone)
{
    struct cg_blob *before = cg_blob_create(cg_blob_str(sealed)), *own = before;
    struct cg_blob *copy = cg_blob_ref(sealed);
    struct cg_str opened;
    cr_assert_eq(cg_seal_open_blob(sealer, &own, &claim, &opened), CG_SEAL_OPENED);
    cr_expect_eq(own, before);
    cr_expect(cg_str_eq(opened, cg_blob_str(encoded)));
    cr_expect(opened.bytes > own->bytes && opened.bytes < own->bytes + own->length);
    cr_assert_eq(cg_seal_open_blob(sealer, &copy, &claim, &opened), CG_SEAL_OPENED);
    cr_expect_neq(copy, sealed);
    cr_expect(cg_str_eq(opened, cg_blob_str(encoded)));
    cr_expect(cg_blob_is_own(sealed), "its reference was taken");
    cr_expect_eq(open_sealed(), CG_SEAL_OPENED, "it was not changed");
    cg_blob_unref(own);
    cg_blob_unref(copy);
}

Test(seal, a_blob_that_does_not_open_is_gone)
{
    struct cg_blob *own = cg_blob_create(cg_blob_str(sealed)), *shared = cg_blob_ref(sealed);
    struct cg_str opened;
    own->bytes[own->length - 1] ^= 1;
    cr_expect_eq(cg_seal_open_blob(sealer, &own, &claim, &opened), CG_SEAL_DAMAGED);
    cr_expect_null(own);
    cr_expect_eq(opened.length, 0);
    claim.identity = bob;
    cr_expect_eq(cg_seal_open_blob(sealer, &shared, &claim, &opened), CG_SEAL_OTHER_USER);
    cr_expect_null(shared);
    cr_expect(cg_blob_is_own(sealed));
}

Test(seal, what_is_covered_may_be_long)
{
    char text[5000];
    memset(text, 'c', sizeof text);
    for (size_t length = 700; length < sizeof text; length += 107) {
        entry.canonical = claim.canonical = cg_str_of(text, length);
        encoded = (cg_blob_unref(encoded), cg_entry_encode(&entry));
        sealed = (cg_blob_unref(sealed), cg_seal_close(sealer, cg_blob_str(encoded), ann, salt));
        cr_assert_eq(open_sealed(), CG_SEAL_OPENED);
        claim.canonical.length--;
        cr_assert_neq(open_sealed(), CG_SEAL_OPENED);
    }
}

Test(seal, shared_entries_open_for_everyone_of_the_deployment)
{
    sealed = (cg_blob_unref(sealed), cg_seal_close(sealer, cg_blob_str(encoded), NULL, salt));
    claim.identity = NULL;
    cr_expect_eq(open_sealed(), CG_SEAL_OPENED);
    struct cg_sealer *neighbour = cg_sealer_create(&secret, NULL);
    cr_expect_eq(open_bytes(neighbour, sealed->bytes, sealed->length), CG_SEAL_OPENED);
    cg_sealer_destroy(neighbour);
}

Test(seal, vary_marker_without_body_comes_back)
{
    struct cg_entry marker = {
        .kind = CG_ENTRY_VARY, .canonical = entry.canonical, .vary = CG_STR("accept-language")};
    encoded = (cg_blob_unref(encoded), cg_entry_encode(&marker));
    sealed = (cg_blob_unref(sealed), cg_seal_close(sealer, cg_blob_str(encoded), ann, salt));
    claim.variant = CG_STR("");
    claim.count = 0;
    cr_expect_eq(open_sealed(), CG_SEAL_OPENED);
}

Test(seal, whoever_asks_for_something_else_gets_nothing_and_a_reason)
{
    static const char other[] = "https api.example /accounts/4712";
    struct cg_instance one_other[2], swapped[2];
    struct cg_version busy[2], absent[2], renewed[2];
    memcpy(one_other, entry.instances, sizeof one_other);
    one_other[1].id[15] ^= 1;
    swapped[0] = entry.instances[1];
    swapped[1] = entry.instances[0];
    memcpy(busy, versions, sizeof busy);
    busy[1].state = CG_VERSION_BUSY;
    memcpy(absent, versions, sizeof absent);
    absent[0].state = CG_VERSION_ABSENT;
    memcpy(renewed, versions, sizeof renewed);
    renewed[1].token.bytes[0] ^= 0x80;
    struct cg_seal_claim c = claim;
    const struct {
        const char *name;
        const uint8_t *identity;
        struct cg_str canonical, variant;
        const struct cg_instance *instances;
        const struct cg_version *versions;
        size_t count;
        enum cg_seal_result result;
    } rows[] = {
        {"herself", ann, c.canonical, c.variant, c.instances, c.versions, 2, CG_SEAL_OPENED},
        {"versions not compared", ann, c.canonical, c.variant, NULL, NULL, 0, CG_SEAL_OPENED},
        {"another user", bob, c.canonical, c.variant, c.instances, versions, 2, CG_SEAL_OTHER_USER},
        {"a shared route", NULL, c.canonical, c.variant, c.instances, versions, 2,
         CG_SEAL_OTHER_USER},
        {"another request", ann, CG_STR(other), c.variant, c.instances, versions, 2,
         CG_SEAL_OTHER_REQUEST},
        {"no request", ann, CG_STR(""), c.variant, c.instances, versions, 2, CG_SEAL_OTHER_REQUEST},
        {"another variant", ann, c.canonical, CG_STR("br"), c.instances, versions, 2,
         CG_SEAL_OTHER_REQUEST},
        {"no variant", ann, c.canonical, CG_STR(""), c.instances, versions, 2,
         CG_SEAL_OTHER_REQUEST},
        {"another instance", ann, c.canonical, c.variant, one_other, versions, 2,
         CG_SEAL_OTHER_VERSIONS},
        {"instances in another order", ann, c.canonical, c.variant, swapped, versions, 2,
         CG_SEAL_OTHER_VERSIONS},
        {"fewer instances", ann, c.canonical, c.variant, c.instances, versions, 1,
         CG_SEAL_OTHER_VERSIONS},
        {"a purged instance", ann, c.canonical, c.variant, c.instances, renewed, 2,
         CG_SEAL_OTHER_VERSIONS},
        {"a busy instance", ann, c.canonical, c.variant, c.instances, busy, 2,
         CG_SEAL_OTHER_VERSIONS},
        {"a lost version", ann, c.canonical, c.variant, c.instances, absent, 2,
         CG_SEAL_OTHER_VERSIONS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        claim = (struct cg_seal_claim){rows[i].identity,  rows[i].canonical, rows[i].variant,
                                       rows[i].instances, rows[i].versions,  rows[i].count};
        cr_expect_eq(open_sealed(), rows[i].result, "%s", rows[i].name);
    }
}

Test(seal, a_shared_entry_is_no_users_entry)
{
    uint8_t nobody[32] = {0};
    sealed = (cg_blob_unref(sealed), cg_seal_close(sealer, cg_blob_str(encoded), NULL, salt));
    claim.identity = nobody;
    cr_expect_eq(open_sealed(), CG_SEAL_OTHER_USER);
    sealed->bytes[1] = 1; /* nor by saying so */
    cr_expect_eq(open_sealed(), CG_SEAL_OTHER_USER);
    claim.identity = NULL;
    cr_expect_eq(open_sealed(), CG_SEAL_OTHER_USER);
}

/* What each part of the block answers for; the reason is what a reader of logs will see. */
Test(seal, every_flipped_bit_is_a_miss_with_a_reason)
{
    const struct {
        const char *name;
        size_t from, to;
        unsigned results; /* those that may come, as bits */
    } rows[] = {
        {"format", 0, 1, 1u << CG_SEAL_OTHER_FORMAT},
        {"scope", 1, 2, 1u << CG_SEAL_OTHER_USER | 1u << CG_SEAL_DAMAGED},
        {"length", AT_LENGTH, AT_SECRET_ID, 1u << CG_SEAL_CUT},
        {"secret id", AT_SECRET_ID, AT_KEY, 1u << CG_SEAL_OTHER_SECRET},
        {"key", AT_KEY, AT_SALT, 1u << CG_SEAL_OTHER_REQUEST},
        {"salt", AT_SALT, AT_CHECK, 1u << CG_SEAL_OTHER_USER},
        {"check", AT_CHECK, AT_ENTRY, 1u << CG_SEAL_OTHER_USER},
        {"entry's format", AT_ENTRY, AT_ENTRY + 1, 1u << CG_SEAL_OTHER_FORMAT},
        {"numbers", AT_ENTRY + 1, AT_ENTRY + 71, 1u << CG_SEAL_DAMAGED},
        {"instance count", AT_ENTRY + 71, AT_ENTRY + 75,
         1u << CG_SEAL_DAMAGED | 1u << CG_SEAL_OTHER_VERSIONS},
        {"instances and tokens", AT_ENTRY + 75, AT_HIDDEN, 1u << CG_SEAL_OTHER_VERSIONS},
        {"what is hidden, and the tag", AT_HIDDEN, sealed->length, 1u << CG_SEAL_DAMAGED},
    };
    size_t covered = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(rows[i].from, covered, "%s begins where the one before ends", rows[i].name);
        covered = rows[i].to;
        for (size_t bit = rows[i].from * 8; bit < rows[i].to * 8; bit++) {
            sealed->bytes[bit / 8] ^= (char)(1 << bit % 8);
            enum cg_seal_result result = open_sealed();
            cr_expect(1u << result & rows[i].results, "%s, bit %zu: %d", rows[i].name, bit,
                      (int)result);
            sealed->bytes[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
    cr_expect_eq(covered, sealed->length);
    cr_expect_eq(open_sealed(), CG_SEAL_OPENED);
}

/* CONSISTENCY row 24: old ciphertext under a new head. */
Test(seal, old_ciphertext_does_not_pass_under_current_versions)
{
    memset(versions[1].token.bytes, 99, CG_DIGEST_BYTES);
    cr_expect_eq(open_sealed(), CG_SEAL_OTHER_VERSIONS);
    memset(sealed->bytes + AT_HIDDEN - CG_DIGEST_BYTES, 99, CG_DIGEST_BYTES);
    cr_expect_eq(open_sealed(), CG_SEAL_DAMAGED);
}

Test(seal, a_longer_lifetime_cannot_be_written_over)
{
    memset(sealed->bytes + AT_ENTRY + 3 + 16, 0x7f, 8);
    cr_expect_eq(open_sealed(), CG_SEAL_DAMAGED);
}

Test(seal, head_and_rest_of_two_entries_do_not_fit_together)
{
    struct cg_blob *newer;
    entry.body = CG_STR("{\"balance\": 99.99}");
    struct cg_blob *other = cg_entry_encode(&entry);
    salt[0]++;
    newer = cg_seal_close(sealer, cg_blob_str(other), ann, salt);
    cr_assert_eq(newer->length, sealed->length);
    memcpy(newer->bytes + AT_HIDDEN, sealed->bytes + AT_HIDDEN, sealed->length - AT_HIDDEN);
    cr_expect_eq(open_bytes(sealer, newer->bytes, newer->length), CG_SEAL_DAMAGED);
    cg_blob_unref(newer);
    cg_blob_unref(other);
}

Test(seal, cut_or_lengthened_it_is_a_miss)
{
    char longer[1024] = {0};
    for (size_t length = 0; length < sealed->length; length++)
        cr_expect_eq(open_bytes(sealer, sealed->bytes, length), CG_SEAL_CUT, "%zu bytes", length);
    memcpy(longer, sealed->bytes, sealed->length);
    cr_expect_eq(open_bytes(sealer, longer, sealed->length + 1), CG_SEAL_CUT);
}

Test(seal, a_cut_that_corrects_the_length_is_a_miss_too)
{
    for (size_t length = AT_LENGTH + 4; length < sealed->length; length++) {
        for (size_t i = 0; i < 4; i++)
            sealed->bytes[AT_LENGTH + i] = (char)(length >> (8 * i));
        enum cg_seal_result result = open_bytes(sealer, sealed->bytes, length);
        if (length < CG_SEAL_OVERHEAD_BYTES)
            cr_expect_eq(result, CG_SEAL_CUT, "%zu bytes", length);
        else
            cr_expect_eq(result, CG_SEAL_DAMAGED, "%zu bytes: %d", length, (int)result);
    }
}

Test(seal, plain_and_sealed_entries_are_not_taken_for_each_other)
{
    struct cg_entry decoded;
    cr_expect_eq(open_bytes(sealer, encoded->bytes, encoded->length), CG_SEAL_OTHER_FORMAT);
    cr_expect_not(cg_entry_decode(cg_blob_str(sealed), &arena, &decoded));
}

Test(seal, the_other_secret_opens_but_does_not_seal)
{
    struct cg_sealer *rotating = cg_sealer_create(&foreign, &secret);
    struct cg_sealer *rotated = cg_sealer_create(&foreign, &older);
    cr_expect_eq(open_bytes(rotating, sealed->bytes, sealed->length), CG_SEAL_OPENED_BY_OTHER);
    cr_expect_eq(open_bytes(rotated, sealed->bytes, sealed->length), CG_SEAL_OTHER_SECRET);
    struct cg_blob *newer = cg_seal_close(rotating, cg_blob_str(encoded), ann, salt);
    cr_expect_eq(open_bytes(rotating, newer->bytes, newer->length), CG_SEAL_OPENED);
    cr_expect_eq(open_bytes(rotated, newer->bytes, newer->length), CG_SEAL_OPENED);
    cr_expect_eq(open_bytes(sealer, newer->bytes, newer->length), CG_SEAL_OTHER_SECRET);
    memcpy(newer->bytes + AT_SECRET_ID, sealed->bytes + AT_SECRET_ID, 8);
    cr_expect_eq(open_bytes(sealer, newer->bytes, newer->length), CG_SEAL_OTHER_USER);
    cg_blob_unref(newer);
    cg_sealer_destroy(rotating);
    cg_sealer_destroy(rotated);
}

Test(seal, one_secret_given_twice_is_one)
{
    struct cg_sealer *twice = cg_sealer_create(&secret, &secret);
    cr_expect_eq(open_bytes(twice, sealed->bytes, sealed->length), CG_SEAL_OPENED);
    cg_sealer_destroy(twice);
    cr_expect_null(cg_sealer_destroy(NULL));
}

static bool contains(const struct cg_blob *blob, struct cg_str text)
{
    return memmem(blob->bytes, blob->length, text.bytes, text.length) != NULL;
}

/* CONSISTENCY row 35. */
Test(seal, nothing_of_request_and_answer_can_be_read)
{
    static const char *const texts[] = {"example", "4711", "gzip", "balance", "account", "saving"};
    uint8_t digest[8];
    memset(digest, 'a', sizeof digest);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_expect_not(contains(sealed, cg_str_from(texts[i])), "%s", texts[i]);
    cr_expect_not(contains(sealed, cg_str_of((const char *)digest, sizeof digest)));
    struct cg_blob *shared = cg_seal_close(sealer, cg_blob_str(encoded), NULL, salt);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_expect_not(contains(shared, cg_str_from(texts[i])), "%s", texts[i]);
    cg_blob_unref(shared);
}

Test(seal, with_another_salt_all_that_is_hidden_changes)
{
    salt[31] ^= 1;
    struct cg_blob *again = cg_seal_close(sealer, cg_blob_str(encoded), ann, salt);
    size_t same = 0;
    for (size_t i = AT_HIDDEN; i < sealed->length; i++)
        same += again->bytes[i] == sealed->bytes[i];
    cr_expect_lt(same, 12, "%zu bytes", same);
    cg_blob_unref(again);
}

Test(seal, inspect_tells_what_needs_no_secret)
{
    struct cg_seal_clear clear;
    struct cg_keys keys;
    struct cg_key key;
    cg_keys_derive(&secret, &keys);
    cg_key_of(&keys, entry.canonical, entry.variant, &key);
    cr_assert(cg_seal_inspect(cg_blob_str(sealed), &clear));
    cr_expect(clear.user_scope);
    cr_expect_arr_eq(clear.key.id, key.id, sizeof key.id);
    cr_expect_eq(clear.entry.kind, CG_ENTRY_ANSWER);
    cr_expect_eq(clear.entry.stored_at_ms, 1700000000000);
    cr_expect_eq(clear.entry.lifetime_ms, 60000);
    cr_expect_eq(clear.entry.route, 3);
    cr_expect_eq(clear.entry.status, 200);
    cr_expect_eq(clear.entry.instance_count, 2);
    cr_expect(cg_epoch_eq(clear.entry.epoch, entry.epoch));
    cr_expect(cg_str_empty(clear.entry.canonical) && cg_str_empty(clear.entry.body));
    cr_expect_eq(clear.entry.fields.count, 0);
    cr_expect_eq(clear.hidden_bytes, sealed->length - AT_HIDDEN - 16);
    cr_expect_not(cg_seal_inspect(cg_blob_str(encoded), &clear));
    sealed->bytes[1] = 2;
    cr_expect_not(cg_seal_inspect(cg_blob_str(sealed), &clear), "a scope that does not exist");
    sealed->bytes[1] = 1;
    cr_expect_not(cg_seal_inspect(cg_str_of(sealed->bytes, sealed->length - 1), &clear));
}

Test(seal, every_miss_has_the_reason_that_a_client_is_told)
{
    static const struct {
        enum cg_seal_result result;
        enum cg_reason reason;
    } rows[] = {
        {CG_SEAL_OTHER_FORMAT, CG_REASON_UNREADABLE},
        {CG_SEAL_CUT, CG_REASON_UNREADABLE},
        {CG_SEAL_OTHER_SECRET, CG_REASON_SEAL_SECRET},
        {CG_SEAL_OTHER_VERSIONS, CG_REASON_PURGED},
        {CG_SEAL_OTHER_USER, CG_REASON_MISMATCH},
        {CG_SEAL_OTHER_REQUEST, CG_REASON_MISMATCH},
        {CG_SEAL_DAMAGED, CG_REASON_SEAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(cg_seal_reason(rows[i].result), rows[i].reason, "row %zu", i);
}

Test(seal, success_has_no_reason_to_miss, .signal = SIGABRT)
{
    cg_seal_reason(CG_SEAL_OPENED);
}

Test(seal, sealing_what_is_no_entry_is_a_bug, .signal = SIGABRT)
{
    cg_seal_close(sealer, CG_STR("no entry"), ann, salt);
}

/* ---- the format, spelled out a second time ---- */

static void mac(const void *key, size_t key_length, const void *bytes, size_t length,
                uint8_t ret_digest[32])
{
    unsigned done = 0;
    HMAC(EVP_sha256(), key, (int)key_length, bytes, length, ret_digest, &done);
    cr_assert_eq(done, 32);
}

static size_t add(uint8_t *bytes, size_t at, const void *more, size_t length)
{
    memcpy(bytes + at, more, length);
    return at + length;
}

/* RFC 5869 2.3, two rounds: key, nonce, check. */
static void expand_by_hand(const uint8_t *identity, uint8_t ret_material[64])
{
    uint8_t pseudorandom[32], text[256];
    mac("cachegate seal", 14, secret.bytes, 32, pseudorandom);
    size_t length = add(text, 0, "cachegate entry\0\1", 17);
    length = add(text, length, identity, 32);
    length = add(text, length, salt, sizeof salt);
    text[length] = 1;
    mac(pseudorandom, 32, text, length + 1, ret_material);
    memmove(text + 32, text, length);
    memcpy(text, ret_material, 32);
    text[32 + length] = 2;
    mac(pseudorandom, 32, text, 32 + length + 1, ret_material + 32);
}

/* Entries outlive the gateway that sealed them: what this test pins changes with CG_SEAL_FORMAT. */
Test(seal, the_bytes_are_those_that_the_rfcs_give)
{
    uint8_t material[64], ad[512], plain[512], *bytes = (uint8_t *)sealed->bytes;
    int done = 0;
    expand_by_hand(ann, material);
    cr_expect_eq(bytes[0], 0x81);
    cr_expect_eq(bytes[1], 1);
    cr_expect_arr_eq(bytes + AT_SALT, salt, sizeof salt);
    cr_expect_arr_eq(bytes + AT_CHECK, material + 44, 16);
    cr_expect_arr_eq(bytes + AT_ENTRY, encoded->bytes, AT_HIDDEN - AT_ENTRY);
    size_t length = add(ad, 0, bytes, AT_HIDDEN);
    length = add(ad, length, "\x20\0\0\0", 4);
    length = add(ad, length, entry.canonical.bytes, 32);
    length = add(ad, length, "\4\0\0\0gzip", 8);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, material, material + 32);
    EVP_DecryptUpdate(cipher, NULL, &done, ad, (int)length);
    int hidden = (int)(sealed->length - AT_HIDDEN - 16);
    EVP_DecryptUpdate(cipher, plain, &done, bytes + AT_HIDDEN, hidden);
    cr_assert_eq(done, hidden);
    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, 16, bytes + sealed->length - 16);
    cr_expect_eq(EVP_DecryptFinal_ex(cipher, plain + done, &done), 1);
    cr_expect_arr_eq(plain, encoded->bytes + (AT_HIDDEN - AT_ENTRY), (size_t)hidden);
    EVP_CIPHER_CTX_free(cipher);
}
