/*
 * plan_build: what the files that together make a plan share. Internal to rules/.
 *
 * One build per request, on the stack of cg_plan_make; everything it points to is in the arena or
 * borrowed from the request.
 */
#ifndef RULES_PLAN_BUILD_H
#define RULES_PLAN_BUILD_H

#include "cachegate/plan.h"

enum { CG_COOKIES_MAX = 256 };

struct cg_cookie {
    struct cg_str name; /* a cookie without `=` is all name */
    struct cg_str value;
    bool has_name; /* it had a `=`; else its text may be a secret and is never shown */
};

struct cg_cookies {
    struct cg_cookie *items;
    size_t count;
};

struct cg_plan_build {
    const struct cg_ruleset *ruleset;
    const struct cg_request_facts *facts;
    struct cg_arena *arena;
    struct cg_str *names; /* of the instances; NULL: nobody asks to have them explained */
    struct cg_plan *plan;
    struct cg_str target; /* as sent, in the arena */
    struct cg_cookies cookies;
};

/* A header, cookie or query parameter that identity or key depend on. */
struct cg_part {
    size_t count;        /* how often it was sent; for query parameters and cookies too */
    struct cg_str value; /* the first one's */
};

/* ---- identity.c ---- */

/* The cookies of all Cookie lines (RFC 6265 5.4). False: more than CG_COOKIES_MAX. */
bool cg_cookies_parse(const struct cg_fields *fields, struct cg_arena *arena,
                      struct cg_cookies *ret_cookies);
/* Looks the part up in the request. A field that Connection names counts as sent twice: it would
 * be keyed but not forwarded. */
struct cg_part cg_part_find(const struct cg_plan_build *build, enum cg_part_source source,
                            struct cg_str name);
/* Sets plan->identity. The name of the source that is present more than once, or empty. */
struct cg_str cg_identity_make(struct cg_plan_build *build);
/* Sets the digests of somebody who sends `value` as the only identity source. */
void cg_identity_of_value(const struct cg_ruleset *ruleset, struct cg_str value,
                          struct cg_arena *arena, struct cg_identity *identity);
/* The name of a key or scope part that is present more than once, or empty. */
struct cg_str cg_ambiguous_part(const struct cg_plan_build *build);
/* Sets plan->credentialed. The field or `cookie:name` that nothing covers, or empty. */
struct cg_str cg_uncovered_credential(struct cg_plan_build *build);
bool cg_names_have(const struct cg_names *names, struct cg_str name);
bool cg_globs_match(const struct cg_names *globs, struct cg_str name);
/* Equal but for which of the characters that are no letters or digits they use: CGI and its heirs
 * make one variable of both. */
bool cg_names_merge(struct cg_str a, struct cg_str b);

/* ---- canonical.c ---- */

/* Lower-case, without the scheme's default port. */
struct cg_str cg_canonical_host(struct cg_str authority, struct cg_str scheme,
                                struct cg_arena *arena);
/* Sets plan->query to what is forwarded, plan->target, plan->canonical and plan->key. */
void cg_canonical_make(struct cg_plan_build *build);

/* ---- instances.c ---- */

/* Fills plan->instances. False: more than CG_INSTANCES_MAX. */
bool cg_instances_make(struct cg_plan_build *build);

/* ---- instance_name.c: readable names, which are the spelling of bans too ---- */

/* The shape as a pattern with the values filled in; a NULL value (bytes == NULL) is left as `*`. */
struct cg_str cg_shape_spell(const struct cg_pattern *pattern,
                             const struct cg_str values[CG_HOLES_MAX], struct cg_arena *arena);
struct cg_str cg_path_spell(const struct cg_path *path, struct cg_arena *arena);
/* For explain. */
struct cg_str cg_shape_name(const struct cg_pattern *pattern,
                            const struct cg_str values[CG_HOLES_MAX], bool lacking,
                            struct cg_str user, struct cg_arena *arena);
struct cg_str cg_user_name(const struct cg_ruleset *ruleset, const struct cg_identity *identity,
                           struct cg_arena *arena);

/* ---- plan.c ---- */

/* RFC 9110 9.2.1, and the method registry. Unknown methods are unsafe. */
bool cg_method_is_safe(struct cg_str method);

#endif
