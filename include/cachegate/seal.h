/*
 * seal: encoded entries (entry.h) as they stand in a store that others can read and write.
 *
 * Every sealed entry is encrypted and authenticated with AES-256-GCM, under a key of its own: HKDF
 * (SHA-256, RFC 5869) of the deployment's secret, the scope, the identity's digest for entries of
 * one user, and a random salt. The key's nonce comes out of the same derivation, so one key never
 * meets two nonces or two texts unless a salt repeats.
 *
 * In clear stand, because opening or an operator's `inspect` needs them: format, scope, which
 * secret, salt, length, the name it was stored under (a keyed digest, the store's key shows it
 * too), and the entry's head: kind, times, epoch, instances and tokens (keyed digests and random
 * tokens, the version keys show them too), route and status. The request and the answer's fields
 * and body never do; their length can be told from the whole. All that is in clear is covered by
 * the tag, and so are the canonical request and the variant, which the reader brings along.
 *
 * It is not a judge of freshness, and it does not hide that two entries have one length. An older
 * sealed entry put back under its own name opens: its versions, which a purge changed, are what
 * kills it. Bytes that do not open are a miss with a reason, never an error.
 *
 * Pure: the randomness of a salt is the caller's. A sealer belongs to one thread.
 */
#ifndef CACHEGATE_SEAL_H
#define CACHEGATE_SEAL_H

#include "cachegate/entry.h"
#include "cachegate/key.h"
#include "cachegate/reason.h"

enum {
    CG_SEAL_FORMAT = 0x81, /* never a CG_ENTRY_FORMAT: neither codec takes the other's bytes */
    CG_SEAL_SALT_BYTES = 32,
    CG_SEAL_SECRET_ID_BYTES = 8,
    CG_SEAL_OVERHEAD_BYTES = 94, /* by which a sealed entry is longer than an encoded one */
};

enum cg_seal_result {
    CG_SEAL_OPENED,
    CG_SEAL_OPENED_BY_OTHER, /* opened, not by the writing secret but by the accepted one */
    CG_SEAL_OTHER_FORMAT,    /* not a sealed entry of this format */
    CG_SEAL_CUT,             /* shorter or longer than it says it is */
    CG_SEAL_OTHER_SECRET,    /* sealed under a secret that is not ours */
    CG_SEAL_OTHER_VERSIONS,  /* names other instances, or other tokens than are current */
    CG_SEAL_OTHER_USER,      /* sealed for another identity, or for the other scope */
    CG_SEAL_OTHER_REQUEST,   /* another canonical request or variant */
    CG_SEAL_DAMAGED,         /* all that agrees, and yet some byte is not what was sealed */
};

/* Who asks, and for what. All borrowed during the call. */
struct cg_seal_claim {
    const uint8_t *identity; /* digest of 32 bytes; NULL on routes that are not per user */
    struct cg_str canonical;
    struct cg_str variant;
    const struct cg_instance *instances;
    const struct cg_version *versions; /* just read; NULL: versions are not compared */
    size_t count;
};

/* What can be told without a secret, and without knowing whether it is true. */
struct cg_seal_clear {
    bool user_scope;
    uint8_t secret_id[CG_SEAL_SECRET_ID_BYTES];
    struct cg_key key;     /* the name that its maker stored it under */
    struct cg_entry entry; /* as cg_entry_decode_head fills it: no texts */
    size_t hidden_bytes;   /* of the encoded texts */
};

struct cg_sealer;

/*
 * Seals under `writing`, opens under that and under `accepted`: NULL, or during a rotation the
 * secret before or after it.
 */
struct cg_sealer *cg_sealer_create(const struct cg_secret *writing,
                                   const struct cg_secret *accepted);
/* Takes NULL; returns NULL. */
struct cg_sealer *cg_sealer_destroy(struct cg_sealer *sealer);

/*
 * Seals what cg_entry_encode made, for one identity (NULL: for the deployment). The salt is fresh
 * from a random generator at each call; two entries under one salt can be read by comparing them.
 */
struct cg_blob *cg_seal_close(struct cg_sealer *sealer, struct cg_str encoded,
                              const uint8_t *identity, const uint8_t salt[CG_SEAL_SALT_BYTES]);
/*
 * What was sealed, byte for byte, with one reference; NULL unless OPENED or OPENED_BY_OTHER. Dead
 * versions are found before anything is decrypted. The reasons between OTHER_SECRET and
 * DAMAGED are for people: a forger may choose among them, but not get anything opened.
 */
enum cg_seal_result cg_seal_open(struct cg_sealer *sealer, struct cg_str sealed,
                                 const struct cg_seal_claim *claim, struct cg_blob **ret_encoded);
/*
 * The same for a blob, in whose place `*blob` then has what was opened, or NULL; `*ret_encoded` is
 * what was sealed, in it. A blob that nobody else holds is decrypted where it is.
 */
enum cg_seal_result cg_seal_open_blob(struct cg_sealer *sealer, struct cg_blob **blob,
                                      const struct cg_seal_claim *claim,
                                      struct cg_str *ret_encoded);
/* The miss's reason; not for the two that opened. */
enum cg_reason cg_seal_reason(enum cg_seal_result result);

/* False: not a whole sealed entry of this format. */
bool cg_seal_inspect(struct cg_str sealed, struct cg_seal_clear *ret_clear);
/* What names the secret in the head of what it sealed. */
void cg_seal_secret_id(const struct cg_secret *secret, uint8_t ret_id[CG_SEAL_SECRET_ID_BYTES]);

#endif
