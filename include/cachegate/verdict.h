/*
 * verdict: may this stored answer be used; may this new answer be stored. Pure policy
 * (RFC 9111 3, 4; DESIGN.md sections 2 and 5): facts in, a verdict and its reason out.
 */
#ifndef CACHEGATE_VERDICT_H
#define CACHEGATE_VERDICT_H

#include "cachegate/ban.h"
#include "cachegate/entry.h"
#include "cachegate/plan.h"

/* ---- on reading ---- */

enum cg_verdict_kind {
    CG_VERDICT_HIT,
    CG_VERDICT_STALE,  /* serve it and refresh it: inside stale-while-revalidate */
    CG_VERDICT_SELECT, /* a Vary marker: look again under key(canonical, signature) */
    CG_VERDICT_MISS,   /* fetch and store */
    CG_VERDICT_PASS,   /* a version is busy: fetch, do not store, do not join */
};

struct cg_verdict {
    enum cg_verdict_kind kind;
    enum cg_reason reason;
    uint64_t age_s;       /* current age (RFC 9111 4.2.3), for HIT and STALE */
    int64_t ttl_s;        /* seconds left, negative when stale */
    bool usable_if_error; /* MISS: expired by time but valid by version, and inside
                             stale-if-error: keep it in case the upstream fails */
    bool alive;           /* an answer against which only time, or its client's wish, counts */
    bool may_validate;    /* alive, not usable as it is, and the origin can be asked about it:
                             conditional.h takes nothing else for a base */
    bool refused;         /* MISS or PASS, and the client wants nothing from the origin: 504 */
};

/*
 * `entry` may be NULL. `versions` are those of plan->instances, just read. `variant` is what was
 * looked up ("" the first time). An entry must name exactly the plan's instances with exactly these
 * tokens, the plan's canonical request and this variant; version-dead entries are good for nothing.
 */
struct cg_verdict cg_verdict_of(const struct cg_entry *entry, const struct cg_plan *plan,
                                struct cg_str variant, const struct cg_version *versions,
                                struct cg_epoch epoch, const struct cg_bans *bans, int64_t now_ms);

/*
 * What the verdict becomes for a client with these wishes (wishes.h): a fresh answer that is too
 * old for it is a miss, an expired one that it accepts is a hit. `entry` is the one that the
 * verdict is about. What a write made wrong stays wrong, whatever the client asks for.
 */
struct cg_wishes;
struct cg_verdict cg_verdict_for(struct cg_verdict verdict, const struct cg_entry *entry,
                                 const struct cg_wishes *wishes);

/* ---- on storing ---- */

struct cg_storable {
    bool store;
    enum cg_reason reason; /* STORED, or why not */
    uint64_t initial_age_ms;
    uint64_t lifetime_ms;
    uint64_t stale_while_revalidate_ms;
    uint64_t stale_if_error_ms;
    uint64_t keep_ms;   /* after its lifetime, to be validated; 0 without a validator */
    bool store_expired; /* not `store`, because it is not fresh for a moment (NO_CACHE,
                           NO_LIFETIME): it may be stored all the same for what an expired answer
                           is good for; everything here is filled in as for `store` */
    bool must_revalidate;
    struct cg_str vary; /* normalised list, empty without Vary; an encoded answer without Vary is
                           treated as if it said Vary: Accept-Encoding */
};

/* `request_at_ms` and `response_at_ms`: when the request left and the head arrived. */
void cg_storable_of(const struct cg_plan *plan, const struct cg_request_facts *facts,
                    unsigned status, const struct cg_fields *fields, int64_t request_at_ms,
                    int64_t response_at_ms, struct cg_arena *arena,
                    struct cg_storable *ret_storable);
/* For how long after its lifetime a stored answer is good for something. */
uint64_t cg_storable_after_ms(const struct cg_storable *storable);
/*
 * The fields that are stored (RFC 9111 3.1): without hop-by-hop, Set-Cookie, Age, framing and our
 * own ones, and without those that the origin names in a qualified no-cache or private. Fit for
 * anybody who may have the answer.
 */
bool cg_stored_fields(const struct cg_fields *fields, struct cg_arena *arena,
                      struct cg_fields *ret_fields);
/* The same where a route keeps them: what is private stays in a partition by user, and what the
 * route overrides stays too. */
bool cg_stored_fields_on(const struct cg_route *route, const struct cg_fields *fields,
                         struct cg_arena *arena, struct cg_fields *ret_fields);

/* ---- what the client is told ---- */

struct cg_reply_facts {
    bool hit;                  /* answered from the store */
    enum cg_reason reason;     /* of the verdict or plan */
    enum cg_reason not_stored; /* forwarded: STORED, or why not; NOT_STORABLE for passes */
    bool stored_expired;       /* … and yet stored, to be asked about */
    struct cg_str detail;      /* of the plan, may be empty */
    int64_t ttl_s;
    bool has_ttl; /* forwarded: ttl_s is known, because the answer was stored or validated */
    uint64_t age_s;
    int64_t received_at_ms;  /* when the answer arrived; 0: not known */
    bool collapsed;          /* waited for another request's fetch */
    unsigned forward_status; /* upstream's status when it differs from what is sent; 0: none */
    struct cg_str key;       /* shown where the operator wants it (RFC 9211 2.7); else empty */
    struct cg_str via;       /* our pseudonym, also the name in Cache-Status */
    bool removes_groups;     /* the fields that name groups are between us and the origin */
};

/*
 * The reply's fields: `fields` without hop-by-hop and framing ones, then Age (hits), Date where the
 * origin sent none (RFC 9110 6.6.1), Via and Cache-Status (RFC 9211), appended behind those of
 * caches before us. False: too many fields.
 */
bool cg_reply_fields(const struct cg_fields *fields, const struct cg_reply_facts *facts,
                     struct cg_arena *arena, struct cg_fields *ret_fields);

#endif
