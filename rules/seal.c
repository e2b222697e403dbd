#include "cachegate/seal.h"

#include "cachegate/assert.h"
#include "cachegate/buf.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <stdlib.h>

/*
 * The block, integers little-endian:
 *
 *   u8 format, u8 scope (1: one user), u32 length of the whole
 *   8 bytes secret id, 16 bytes key, 32 bytes salt, 16 bytes check
 *   the encoded entry's head (cg_entry_decode_head), in clear
 *   the rest of the encoded entry, encrypted
 *   16 bytes tag, over the rest and, as associated data: all that stands in clear before it, then
 *   text canonical, text variant (u32 length and bytes)
 *
 * Key, nonce and check are one output of HKDF-Expand under the secret's pseudorandom key. The check
 * tells another user's entry from a damaged one, and ties the bytes to one key: nothing can be made
 * that opens under two.
 */
enum {
    AT_SCOPE = 1,
    AT_LENGTH = 2,
    AT_SECRET_ID = 6,
    AT_KEY = AT_SECRET_ID + CG_SEAL_SECRET_ID_BYTES,
    AT_SALT = AT_KEY + CG_DIGEST_BYTES,
    AT_CHECK = AT_SALT + CG_SEAL_SALT_BYTES,
    CHECK_BYTES = 16,
    HEAD_BYTES = AT_CHECK + CHECK_BYTES,
    TAG_BYTES = 16,
    IDENTITY_BYTES = 32,
    ASSOCIATED_BYTES = 1024, /* given to the cipher at once */
    BYTES_MAX = 0x7fff0000,  /* libcrypto counts in int */
};
_Static_assert(HEAD_BYTES + TAG_BYTES == CG_SEAL_OVERHEAD_BYTES, "seal.h says so");
_Static_assert((int)CG_SEAL_FORMAT != (int)CG_ENTRY_FORMAT, "one of them must refuse");

struct keyed {
    uint8_t id[CG_SEAL_SECRET_ID_BYTES];
    struct cg_keys keys;
    struct cg_hmac pseudorandom; /* HKDF's, for its expansions */
};

struct cg_sealer {
    struct keyed secrets[2]; /* the writing one first */
    size_t secret_count;
    EVP_CIPHER_CTX *cipher; /* owned; keeps the cipher between calls */
};

struct material {
    uint8_t key[32];
    uint8_t nonce[12];
    uint8_t check[CHECK_BYTES];
};
_Static_assert(sizeof(struct material) == 60, "derived as one run of bytes");

/* ---- keys ---- */

/* HKDF-Extract (RFC 5869 2.2) is one HMAC, under the salt. */
static void derive_secret(struct keyed *keyed, const struct cg_secret *secret)
{
    static const char salt[] = "cachegate seal", label[] = "cachegate seal secret id";
    uint8_t pseudorandom[CG_HMAC_BYTES];
    unsigned length = 0;
    CG_ASSERT(HMAC(EVP_sha256(), salt, sizeof salt - 1, secret->bytes, sizeof secret->bytes,
                   pseudorandom, &length) != NULL &&
              length == sizeof pseudorandom);
    cg_hmac_init(&keyed->pseudorandom, pseudorandom);
    OPENSSL_cleanse(pseudorandom, sizeof pseudorandom);
    cg_hkdf_expand(&keyed->pseudorandom, CG_STR(label), keyed->id, sizeof keyed->id);
    cg_keys_derive(secret, &keyed->keys);
}

/* Anybody who differs in scope, identity or salt gets other material. */
static void derive_material(const struct keyed *keyed, const uint8_t *identity, const void *salt,
                            struct material *ret_material)
{
    static const char label[16] = "cachegate entry";
    char info[sizeof label + 1 + IDENTITY_BYTES + CG_SEAL_SALT_BYTES] = {0};
    memcpy(info, label, sizeof label);
    info[sizeof label] = identity != NULL;
    if (identity != NULL)
        memcpy(info + sizeof label + 1, identity, IDENTITY_BYTES);
    memcpy(info + sizeof label + 1 + IDENTITY_BYTES, salt, CG_SEAL_SALT_BYTES);
    cg_hkdf_expand(&keyed->pseudorandom, cg_str_of(info, sizeof info), ret_material,
                   sizeof *ret_material);
}

struct cg_sealer *cg_sealer_create(const struct cg_secret *writing,
                                   const struct cg_secret *accepted)
{
    struct cg_sealer *sealer = calloc(1, sizeof *sealer);
    CG_ASSERT(sealer != NULL);
    derive_secret(&sealer->secrets[sealer->secret_count++], writing);
    if (accepted != NULL && memcmp(accepted, writing, sizeof *writing) != 0)
        derive_secret(&sealer->secrets[sealer->secret_count++], accepted);
    sealer->cipher = EVP_CIPHER_CTX_new();
    CG_ASSERT(sealer->cipher != NULL);
    CG_ASSERT(EVP_CipherInit_ex2(sealer->cipher, EVP_aes_256_gcm(), NULL, NULL, 1, NULL) == 1);
    return sealer;
}

struct cg_sealer *cg_sealer_destroy(struct cg_sealer *sealer)
{
    if (sealer == NULL)
        return NULL;
    EVP_CIPHER_CTX_free(sealer->cipher);
    OPENSSL_cleanse(sealer, sizeof *sealer);
    free(sealer);
    return NULL;
}

/* ---- the cipher ---- */

static void put_u32(uint8_t *bytes, size_t value)
{
    for (size_t i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* Associated data on its way to the cipher, collected: a call costs as much as a kilobyte. */
struct cover {
    EVP_CIPHER_CTX *cipher;
    size_t length;
    uint8_t bytes[ASSOCIATED_BYTES];
};

static void cover_flush(struct cover *cover)
{
    int done;
    CG_ASSERT(EVP_CipherUpdate(cover->cipher, NULL, &done, cover->bytes, (int)cover->length) == 1);
    cover->length = 0;
}

static void cover_add(struct cover *cover, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    while (length > 0) {
        if (cover->length == sizeof cover->bytes)
            cover_flush(cover);
        size_t room = sizeof cover->bytes - cover->length;
        size_t part = length < room ? length : room;
        memcpy(cover->bytes + cover->length, from, part);
        cover->length += part;
        from += part;
        length -= part;
    }
}

static void cover_text(struct cover *cover, struct cg_str text)
{
    uint8_t length[4];
    put_u32(length, text.length);
    cover_add(cover, length, sizeof length);
    cover_add(cover, text.bytes, text.length);
}

/* `tag`: to open under; NULL to seal. */
static void start_cipher(struct cg_sealer *sealer, const struct material *material, uint8_t *tag,
                         struct cg_str clear, struct cg_str canonical, struct cg_str variant)
{
    struct cover cover; /* large: not zeroed for each entry */
    OSSL_PARAM expected[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, TAG_BYTES),
        OSSL_PARAM_construct_end(),
    };
    CG_ASSERT(EVP_CipherInit_ex2(sealer->cipher, NULL, material->key, material->nonce, tag == NULL,
                                 tag == NULL ? NULL : expected) == 1);
    cover.cipher = sealer->cipher;
    cover.length = 0;
    cover_add(&cover, clear.bytes, clear.length);
    cover_text(&cover, canonical);
    cover_text(&cover, variant);
    cover_flush(&cover);
}

/* The two may be one place. */
static void run_cipher(struct cg_sealer *sealer, struct cg_str from, char *to)
{
    int done = 0;
    CG_ASSERT(from.length <= BYTES_MAX);
    CG_ASSERT(EVP_CipherUpdate(sealer->cipher, (uint8_t *)to, &done, (const uint8_t *)from.bytes,
                               (int)from.length) == 1);
    CG_ASSERT((size_t)done == from.length);
}

/* ---- seal ---- */

struct cg_blob *cg_seal_close(struct cg_sealer *sealer, struct cg_str encoded,
                              const uint8_t *identity, const uint8_t salt[CG_SEAL_SALT_BYTES])
{
    const struct keyed *keyed = &sealer->secrets[0];
    struct cg_entry entry;
    struct material material;
    size_t entry_head = cg_entry_decode_head(encoded, &entry);
    CG_ASSERT(entry_head > 0 && encoded.length <= BYTES_MAX);
    struct cg_str rest = cg_str_skip(encoded, entry_head);
    struct cg_reader reader = {.rest = rest};
    struct cg_str canonical = cg_read_prefixed(&reader);
    struct cg_str variant = cg_read_prefixed(&reader);
    CG_ASSERT(!reader.failed);
    derive_material(keyed, identity, salt, &material);

    struct cg_blob *blob = cg_blob_alloc(encoded.length + CG_SEAL_OVERHEAD_BYTES);
    uint8_t *head = (uint8_t *)blob->bytes;
    struct cg_key key;
    cg_key_of(&keyed->keys, canonical, variant, &key);
    head[0] = CG_SEAL_FORMAT;
    head[AT_SCOPE] = identity != NULL;
    put_u32(head + AT_LENGTH, blob->length);
    memcpy(head + AT_SECRET_ID, keyed->id, sizeof keyed->id);
    memcpy(head + AT_KEY, key.id, sizeof key.id);
    memcpy(head + AT_SALT, salt, CG_SEAL_SALT_BYTES);
    memcpy(head + AT_CHECK, material.check, CHECK_BYTES);
    memcpy(head + HEAD_BYTES, encoded.bytes, entry_head);

    struct cg_str clear = cg_str_of(blob->bytes, HEAD_BYTES + entry_head);
    char *hidden = blob->bytes + clear.length;
    uint8_t *tag = (uint8_t *)hidden + rest.length;
    int done = 0;
    start_cipher(sealer, &material, NULL, clear, canonical, variant);
    run_cipher(sealer, rest, hidden);
    CG_ASSERT(EVP_CipherFinal_ex(sealer->cipher, tag, &done) == 1 && done == 0);
    CG_ASSERT(EVP_CIPHER_CTX_ctrl(sealer->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1);
    OPENSSL_cleanse(&material, sizeof material);
    return blob;
}

/* ---- open ---- */

/* OPENED: the head can be read, no more than that. */
static enum cg_seal_result read_clear(struct cg_str sealed, struct cg_seal_clear *clear)
{
    struct cg_reader reader = {.rest = sealed};
    uint8_t format = cg_read_u8(&reader);
    uint8_t scope = cg_read_u8(&reader);
    if (sealed.length > 0 && format != CG_SEAL_FORMAT)
        return CG_SEAL_OTHER_FORMAT;
    if (cg_read_u32(&reader) != sealed.length || sealed.length > BYTES_MAX ||
        sealed.length < CG_SEAL_OVERHEAD_BYTES)
        return CG_SEAL_CUT;
    if (scope > 1)
        return CG_SEAL_DAMAGED;
    clear->user_scope = scope == 1;
    memcpy(clear->secret_id, sealed.bytes + AT_SECRET_ID, sizeof clear->secret_id);
    memcpy(clear->key.id, sealed.bytes + AT_KEY, sizeof clear->key.id);
    struct cg_str inner = cg_str_sub(sealed, HEAD_BYTES, sealed.length - CG_SEAL_OVERHEAD_BYTES);
    size_t entry_head = cg_entry_decode_head(inner, &clear->entry);
    if (entry_head == 0) {
        bool other = inner.length > 0 && (uint8_t)inner.bytes[0] != CG_ENTRY_FORMAT;
        return other ? CG_SEAL_OTHER_FORMAT : CG_SEAL_DAMAGED;
    }
    clear->hidden_bytes = inner.length - entry_head;
    return CG_SEAL_OPENED;
}

bool cg_seal_inspect(struct cg_str sealed, struct cg_seal_clear *ret_clear)
{
    return read_clear(sealed, ret_clear) == CG_SEAL_OPENED;
}

void cg_seal_secret_id(const struct cg_secret *secret, uint8_t ret_id[CG_SEAL_SECRET_ID_BYTES])
{
    struct keyed keyed;
    derive_secret(&keyed, secret);
    memcpy(ret_id, keyed.id, sizeof keyed.id);
    OPENSSL_cleanse(&keyed, sizeof keyed);
}

static const struct keyed *find_secret(const struct cg_sealer *sealer, const uint8_t *id)
{
    for (size_t i = 0; i < sealer->secret_count; i++)
        if (memcmp(sealer->secrets[i].id, id, CG_SEAL_SECRET_ID_BYTES) == 0)
            return &sealer->secrets[i];
    return NULL;
}

static bool versions_hold(const struct cg_entry *entry, const struct cg_seal_claim *claim)
{
    if (claim->versions == NULL)
        return true;
    if (entry->instance_count != claim->count)
        return false;
    for (size_t i = 0; i < claim->count; i++)
        if (claim->versions[i].state != CG_VERSION_CURRENT ||
            !cg_instance_eq(&entry->instances[i], &claim->instances[i]) ||
            !cg_token_eq(&entry->tokens[i], &claim->versions[i].token))
            return false;
    return true;
}

/* DAMAGED, and what was decrypted is wiped, when the tag is not the one of these bytes. */
static enum cg_seal_result decrypt(struct cg_sealer *sealer, struct cg_str sealed,
                                   struct cg_blob *own, size_t hidden_bytes,
                                   const struct cg_seal_claim *claim,
                                   const struct material *material, struct cg_blob **ret_blob)
{
    struct cg_str clear = cg_str_sub(sealed, 0, sealed.length - TAG_BYTES - hidden_bytes);
    size_t entry_head = clear.length - HEAD_BYTES;
    struct cg_blob *blob = own != NULL ? own : cg_blob_alloc(entry_head + hidden_bytes);
    char *to = blob->bytes + (own != NULL ? clear.length : entry_head);
    uint8_t tag[TAG_BYTES], nothing[TAG_BYTES];
    int done = 0;
    if (own == NULL)
        memcpy(blob->bytes, sealed.bytes + HEAD_BYTES, entry_head);
    memcpy(tag, sealed.bytes + sealed.length - TAG_BYTES, TAG_BYTES);
    start_cipher(sealer, material, tag, clear, claim->canonical, claim->variant);
    run_cipher(sealer, cg_str_sub(sealed, clear.length, hidden_bytes), to);
    if (EVP_CipherFinal_ex(sealer->cipher, nothing, &done) == 1) {
        *ret_blob = blob;
        return CG_SEAL_OPENED;
    }
    OPENSSL_cleanse(to, hidden_bytes);
    if (own == NULL)
        cg_blob_unref(blob);
    return CG_SEAL_DAMAGED;
}

/* `own`: the blob of `sealed`, when it may become what is opened; NULL: another is made. */
static enum cg_seal_result open_sealed(struct cg_sealer *sealer, struct cg_str sealed,
                                       struct cg_blob *own, const struct cg_seal_claim *claim,
                                       struct cg_blob **ret_blob, struct cg_str *ret_encoded)
{
    struct cg_seal_clear clear;
    struct material material;
    struct cg_key key;
    *ret_blob = NULL;
    *ret_encoded = CG_STR("");
    enum cg_seal_result result = read_clear(sealed, &clear);
    if (result != CG_SEAL_OPENED)
        return result;
    const struct keyed *keyed = find_secret(sealer, clear.secret_id);
    if (keyed == NULL)
        return CG_SEAL_OTHER_SECRET;
    if (!versions_hold(&clear.entry, claim))
        return CG_SEAL_OTHER_VERSIONS;
    derive_material(keyed, claim->identity, sealed.bytes + AT_SALT, &material);
    cg_key_of(&keyed->keys, claim->canonical, claim->variant, &key);
    if (clear.user_scope != (claim->identity != NULL) ||
        CRYPTO_memcmp(material.check, sealed.bytes + AT_CHECK, CHECK_BYTES) != 0)
        result = CG_SEAL_OTHER_USER;
    else if (memcmp(key.id, clear.key.id, sizeof key.id) != 0)
        result = CG_SEAL_OTHER_REQUEST;
    else
        result = decrypt(sealer, sealed, own, clear.hidden_bytes, claim, &material, ret_blob);
    OPENSSL_cleanse(&material, sizeof material);
    if (result != CG_SEAL_OPENED)
        return result;
    *ret_encoded = cg_str_sub(cg_blob_str(*ret_blob), own == NULL ? 0 : HEAD_BYTES,
                              sealed.length - CG_SEAL_OVERHEAD_BYTES);
    return keyed == &sealer->secrets[0] ? CG_SEAL_OPENED : CG_SEAL_OPENED_BY_OTHER;
}

enum cg_seal_result cg_seal_open(struct cg_sealer *sealer, struct cg_str sealed,
                                 const struct cg_seal_claim *claim, struct cg_blob **ret_encoded)
{
    struct cg_str encoded;
    return open_sealed(sealer, sealed, NULL, claim, ret_encoded, &encoded);
}

enum cg_seal_result cg_seal_open_blob(struct cg_sealer *sealer, struct cg_blob **blob,
                                      const struct cg_seal_claim *claim, struct cg_str *ret_encoded)
{
    struct cg_blob *sealed = *blob, *opened;
    enum cg_seal_result result =
        open_sealed(sealer, cg_blob_str(sealed), cg_blob_is_own(sealed) ? sealed : NULL, claim,
                    &opened, ret_encoded);
    if (opened != sealed)
        cg_blob_unref(sealed);
    *blob = opened;
    return result;
}

enum cg_reason cg_seal_reason(enum cg_seal_result result)
{
    switch (result) {
    case CG_SEAL_OPENED:
    case CG_SEAL_OPENED_BY_OTHER:
        break;
    case CG_SEAL_OTHER_FORMAT:
    case CG_SEAL_CUT:
        return CG_REASON_UNREADABLE;
    case CG_SEAL_OTHER_SECRET:
        return CG_REASON_SEAL_SECRET;
    case CG_SEAL_OTHER_VERSIONS:
        return CG_REASON_PURGED;
    case CG_SEAL_OTHER_USER:
    case CG_SEAL_OTHER_REQUEST:
        return CG_REASON_MISMATCH;
    case CG_SEAL_DAMAGED:
        return CG_REASON_SEAL;
    }
    CG_UNREACHABLE();
}
