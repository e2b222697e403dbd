/*
 * plan: one request, classified. A pure function of the ruleset and the request's bytes: what
 * `explain` prints and what the request machine acts on.
 *
 * The canonical request is: scheme, host, path (unreserved characters decoded, other escapes
 * upper-cased,
 * `%2F` kept), query (sorted by name unless the route says otherwise, filtered as `key.query`
 * says), key headers, key cookies, scope parts, identity digest: all length-prefixed, so no two
 * different requests spell the same. A cacheable miss forwards exactly that target, so what is
 * keyed is what is forwarded (DESIGN.md section 4).
 */
#ifndef CACHEGATE_PLAN_H
#define CACHEGATE_PLAN_H

#include "cachegate/fields.h"
#include "cachegate/reason.h"
#include "cachegate/ruleset.h"
#include "cachegate/version.h"

/* A request as it arrived, already past the syntax checks of http1_request.h. All borrowed. */
struct cg_request_facts {
    struct cg_str method;
    struct cg_str scheme;    /* of the client's connection: "http" or "https" */
    struct cg_str authority; /* Host or :authority */
    struct cg_str target;    /* path and query as sent */
    const struct cg_fields *fields;
    struct cg_str body;
    bool has_body;
    struct cg_str peer_address; /* text, for X-Forwarded-For */
    bool http2;
};

enum cg_plan_kind {
    CG_PLAN_LOOKUP, /* look up, on a miss fetch and store */
    CG_PLAN_PASS,   /* forward */
    CG_PLAN_WRITE,  /* forward, then purge (cg_purge_*) */
    CG_PLAN_REFUSE, /* answer `refuse_status` */
};

struct cg_identity {
    bool present;                /* some source was sent */
    uint8_t digest[32];          /* of the joined sources; of nothing for the anonymous partition */
    uint8_t previous_digest[32]; /* the same under ruleset->previous, where there is one */
    struct cg_str user;          /* plain value of the source named `user`; empty when not sent */
};

struct cg_plan {
    enum cg_plan_kind kind;
    enum cg_reason reason;
    struct cg_str detail; /* the field or part that the reason is about; may be empty */
    unsigned refuse_status;
    const struct cg_route *route;                   /* NULL: none matched */
    const struct cg_identity_rules *identity_rules; /* the ruleset's */
    struct cg_str captures[CG_HOLES_MAX];
    unsigned upstream;
    struct cg_path path;
    struct cg_query query; /* of `target`: filtered and sorted for LOOKUP, as sent otherwise */
    struct cg_identity identity;
    bool head; /* the method is HEAD */
    bool has_range;
    bool credentialed; /* carries a credential (identity sources included): matters for shared scope
                        */
    struct cg_str target; /* to forward: canonical for LOOKUP, as sent otherwise */
    /* For LOOKUP only. */
    struct cg_str canonical;
    struct cg_key key;
    const struct cg_str *instance_names; /* readable, in the arena; NULL without `explain` */
    size_t instance_count;
    /* How many to read: behind the instances, and no part of any entry, the counter of groups where
     * the route knows them (cg_instance_of_group_counter). */
    size_t watched_count;
    struct cg_instance instances[CG_INSTANCES_MAX]; /* those beyond have no value */
};

/* `explain` also fills the readable names. Everything it points to is in `arena` or the ruleset's,
 * so that the plan outlives the request's bytes. */
void cg_plan_make(const struct cg_ruleset *ruleset, const struct cg_request_facts *facts,
                  bool explain, struct cg_arena *arena, struct cg_plan *ret_plan);

/*
 * Instances by kind. Own path: of an upstream, for every user and query. User: everything that is
 * partitioned by that identity (plain user value where the rules name one, else the digest);
 * answers of shared routes do not depend on it.
 */
void cg_instance_of_path(const struct cg_ruleset *ruleset, unsigned upstream,
                         const struct cg_path *path, struct cg_arena *arena,
                         struct cg_instance *ret_instance);
void cg_instance_of_user(const struct cg_ruleset *ruleset, const struct cg_identity *identity,
                         struct cg_arena *arena, struct cg_instance *ret_instance);
/*
 * A shape with its holes filled in. `lacking` names the twin that stands for requests which do not
 * send some query parameter of the shape: every purge of an instance purges its twin as well
 * (CONSISTENCY row 16). `user` non-empty: audience self.
 */
void cg_instance_of_shape(const struct cg_ruleset *ruleset, unsigned shape,
                          const struct cg_str values[CG_HOLES_MAX], bool lacking,
                          struct cg_str user, struct cg_arena *arena,
                          struct cg_instance *ret_instance);

/*
 * Groups that answers name (groups.h), by upstream. Their versions cannot be read before the fetch,
 * because nobody knows them yet: a counter, which every purge of a group moves first, stands in for
 * all of them (CONSISTENCY row 1).
 */
void cg_instance_of_group(const struct cg_ruleset *ruleset, unsigned upstream, struct cg_str name,
                          struct cg_arena *arena, struct cg_instance *ret_instance);
void cg_instance_of_group_counter(const struct cg_ruleset *ruleset, unsigned upstream,
                                  struct cg_arena *arena, struct cg_instance *ret_instance);

/*
 * The signature of the request's values for the names in a Vary list (comma-separated, lower-case):
 * trimmed, lines joined, Accept-Encoding folded to the codings that matter (RFC 9110 12.5.5).
 */
struct cg_str cg_vary_signature(struct cg_str names, const struct cg_fields *fields,
                                struct cg_arena *arena);

/* The host to name upstream: for LOOKUP as it is keyed, lower-case and without a default port. */
struct cg_str cg_forward_authority(const struct cg_plan *plan, const struct cg_request_facts *facts,
                                   struct cg_arena *arena);

/*
 * The fields to send upstream: end-to-end ones; X-Forwarded-For/-Proto/-Host, Via and, unless it is
 * empty, traceparent set (client ones replaced; tracestate stays with a valid traceparent only);
 * X-Original-URL and its like dropped, method overrides for safe methods; for
 * LOOKUP also conditional fields, Range, claims of a client address and, with `forward: keyed`, all
 * that is neither keyed nor well known. Host and framing fields are not among them. False when
 * there are too many fields.
 */
bool cg_forward_fields(const struct cg_plan *plan, const struct cg_request_facts *facts,
                       struct cg_str via, struct cg_str traceparent, struct cg_arena *arena,
                       struct cg_fields *ret_fields);

#endif
