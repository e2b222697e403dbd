/*
 * entry: a stored answer, and its codec.
 *
 * The encoded form is one block: a format version, fixed numbers, the versions it was stored under,
 * then length-prefixed texts. Decoding trusts nothing, copies nothing but the field list, and
 * returns slices into the block. An unknown format version is "not an entry": a miss.
 */
#ifndef CACHEGATE_ENTRY_H
#define CACHEGATE_ENTRY_H

#include "cachegate/blob.h"
#include "cachegate/fields.h"
#include "cachegate/version.h"

enum { CG_ENTRY_FORMAT = 2 };

enum cg_entry_kind {
    CG_ENTRY_ANSWER,
    CG_ENTRY_VARY, /* no answer: `vary` names the fields whose values select among variants */
    CG_ENTRY_PASS, /* no answer: what the origin said could not be stored (hit-for-miss) */
};

struct cg_entry {
    enum cg_entry_kind kind;
    struct cg_str canonical; /* the canonical request it answers */
    struct cg_str variant;   /* the Vary signature it was selected by; empty without Vary */
    struct cg_str vary;      /* lower-case names, comma-separated, sorted; for VARY entries */
    int64_t stored_at_ms;    /* when its head arrived, Unix time */
    uint64_t initial_age_ms; /* RFC 9111 4.2.3 corrected_initial_age */
    uint64_t lifetime_ms;    /* freshness lifetime */
    uint64_t stale_while_revalidate_ms;
    uint64_t stale_if_error_ms;
    bool must_revalidate; /* never served stale */
    uint32_t cost_ms;     /* how long the fetch took */
    struct cg_epoch epoch;
    uint32_t route; /* index, for statistics only */
    unsigned status;
    struct cg_fields fields; /* what is replayed: no hop-by-hop, no Set-Cookie, no Age */
    struct cg_str body;
    size_t instance_count;
    /* Last, and beyond the count without a value: decoding leaves them alone. */
    struct cg_instance instances[CG_INSTANCES_MAX];
    struct cg_token tokens[CG_INSTANCES_MAX];
};

/* A blob with one reference. Asserts what decode checks. */
struct cg_blob *cg_entry_encode(const struct cg_entry *entry);
/* False: not an entry. The entry borrows from `bytes`; its field list is in `arena`. */
bool cg_entry_decode(struct cg_str bytes, struct cg_arena *arena, struct cg_entry *ret_entry);
/*
 * Only what stands before the texts: kind, times, epoch, instances, tokens, route and status. None
 * of it spells out a request or an answer. Returns its length, or 0 when no entry begins like that;
 * what follows is not looked at, and the texts of the result are empty.
 */
size_t cg_entry_decode_head(struct cg_str bytes, struct cg_entry *ret_entry);

#endif
