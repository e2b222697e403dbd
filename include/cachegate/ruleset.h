/*
 * ruleset: the rule files, compiled.
 *
 * Immutable after cg_ruleset_compile; everything lives in its arena; shared by all threads. The
 * first route whose methods, host and path match decides (DESIGN.md, rule language; rules/README.md
 * has it whole).
 *
 * A *shape* is a purge pattern with anonymous holes: `/transactions?session_id={}`. All patterns of
 * all `invalidate` lists and groups are folded into one table of shapes, and every cached route
 * knows which of them can match it. That is what makes the versions a request depends on a function
 * of the request alone.
 */
#ifndef CACHEGATE_RULESET_H
#define CACHEGATE_RULESET_H

#include "cachegate/arena.h"
#include "cachegate/key.h"
#include "cachegate/path.h"
#include "cachegate/tree.h"

enum {
    CG_HOLES_MAX = 8, /* placeholders in one pattern */
    CG_PATTERN_BYTES_MAX = 4096,
    CG_PATTERN_SEGMENTS_MAX = 32,
    CG_PATTERN_TERMS_MAX = 8, /* query constraints in one pattern */
    CG_ROUTE_SHAPES_MAX = 24, /* shapes that can match one cached route */
};

/*
 * What an origin may say at most: its lifetime under `ttl: origin`, and its stale windows where the
 * rule names none. Whoever stores cuts them to this, because lifetime_max_ms, and with it the time
 * that bans and versions are kept, counts on it.
 */
#define CG_ORIGIN_LIFETIME_MAX_MS (UINT64_C(31) * 86400 * 1000)
#define CG_ORIGIN_WINDOW_MAX_MS   (UINT64_C(86400) * 1000)

/* ---- patterns ---- */

enum cg_segment_kind {
    CG_SEGMENT_LITERAL,
    CG_SEGMENT_HOLE, /* {name}: one segment, captured */
    CG_SEGMENT_ANY,  /* *: one segment */
    CG_SEGMENT_REST, /* **: zero or more; the last segment only */
};

/* How a hole's text is normalised before it is compared (CONSISTENCY row 16). */
enum cg_hole_type { CG_HOLE_TEXT, CG_HOLE_INT, CG_HOLE_UUID, CG_HOLE_NOCASE };

struct cg_segment {
    enum cg_segment_kind kind;
    struct cg_str text; /* decoded literal */
    unsigned hole;      /* index, for HOLE */
};

struct cg_term {
    struct cg_str name; /* decoded */
    bool is_hole;
    struct cg_str text; /* decoded literal value */
    unsigned hole;
};

struct cg_pattern {
    struct cg_str text; /* as written */
    struct cg_segment *segments;
    size_t segment_count;
    struct cg_term *terms; /* query constraints */
    size_t term_count;
    struct cg_str hole_names[CG_HOLES_MAX]; /* what stands between the braces, without the type */
    enum cg_hole_type hole_types[CG_HOLES_MAX];
    unsigned hole_count;
};

/*
 * Compiles one pattern. With `names_are_expressions` a hole may hold an expression
 * (`response.items[*].id`); else only a plain name. NULL and a problem at `where` otherwise.
 */
struct cg_pattern *cg_pattern_compile(struct cg_str text, bool names_are_expressions,
                                      struct cg_arena *arena, struct cg_problems *problems,
                                      const struct cg_node *where);
/* Path part only; captures[hole] is set for every path hole. */
bool cg_pattern_match_path(const struct cg_pattern *pattern, const struct cg_path *path,
                           struct cg_str captures[CG_HOLES_MAX]);
/* Whether some path could match both (holes and wildcards match anything). */
bool cg_patterns_overlap(const struct cg_pattern *a, const struct cg_pattern *b);
/* The normal spelling of a hole's value; text that does not fit its type is returned as it is. */
struct cg_str cg_hole_normalise(enum cg_hole_type type, struct cg_str value,
                                struct cg_arena *arena);

struct cg_shape {
    const struct cg_pattern *pattern;
    struct cg_str text; /* normal form with anonymous holes and their types: the shape's identity */
    bool for_everyone;  /* something may purge it for everyone: every shape, because a clause for
                         * one user does so too when nobody knows who that is */
    bool for_self;      /* some clause purges it for one user */
};

/* ---- values ---- */

enum cg_value_source {
    CG_VALUE_LITERAL,
    CG_VALUE_PATH,     /* {path.name} or {name}: a capture of the route's match */
    CG_VALUE_QUERY,    /* {query.name}: every value sent */
    CG_VALUE_HEADER,   /* {header.name} */
    CG_VALUE_REQUEST,  /* {request.a.b}: JSON body */
    CG_VALUE_RESPONSE, /* {response.a.b}: JSON body of the answer */
    CG_VALUE_USER,     /* {user}: the plain value of the identity source named `user` */
    CG_VALUE_STATUS,   /* in `when` only */
};

struct cg_value {
    enum cg_value_source source;
    struct cg_str name; /* parameter, field, JSON path, capture, or the literal */
    unsigned capture;   /* index into the route match's holes, for PATH */
};

/* One condition of a `when`: true when the value is one of the texts ("2xx" style for STATUS). */
struct cg_condition {
    struct cg_value value;
    struct cg_str *texts;
    size_t text_count;
};

/* One line of an `invalidate` list after groups were unfolded: a shape and its holes' values. */
struct cg_clause {
    unsigned shape; /* index into ruleset.shapes */
    struct cg_value values[CG_HOLES_MAX];
    bool self; /* audience: self (already widened where it must be) */
    struct cg_condition *conditions;
    size_t condition_count;
    const struct cg_node *where;
};

/* ---- routes ---- */

enum cg_cache_mode { CG_CACHE_YES, CG_CACHE_NEVER };
enum cg_invalidate_mode { CG_INVALIDATE_DEFAULTS, CG_INVALIDATE_NONE, CG_INVALIDATE_LIST };
enum cg_query_mode { CG_QUERY_ALL, CG_QUERY_ONLY, CG_QUERY_IGNORE };

/* What a route's `override` switches off, by name. */
enum cg_override {
    CG_OVERRIDE_NO_STORE = 1u << 0,
    CG_OVERRIDE_PRIVATE = 1u << 1,
    CG_OVERRIDE_NO_CACHE = 1u << 2,
    CG_OVERRIDE_SET_COOKIE = 1u << 3,    /* stored without the cookie */
    CG_OVERRIDE_VARY = 1u << 4,          /* Vary: * is ignored */
    CG_OVERRIDE_AUTHORIZATION = 1u << 5, /* shared although fetched with a credential */
};

/* What becomes of the groups that answers name (groups.h). */
enum cg_groups_mode {
    CG_GROUPS_IGNORE, /* they are fields like any other */
    CG_GROUPS_KEEP,   /* answers depend on them, and clients see them */
    CG_GROUPS_REMOVE, /* … and do not */
};

/* Directives of requests that a route honours (`client`). RFC 9111 5.2.1 leaves them to the cache,
 * but for no-store, which is a MUST NOT. */
enum cg_wish {
    CG_WISH_NO_STORE = 1u << 0,
    CG_WISH_ONLY_IF_CACHED = 1u << 1,
    CG_WISH_NO_CACHE = 1u << 2,
    CG_WISH_PRAGMA = 1u << 3, /* Pragma: no-cache where there is no Cache-Control (5.4) */
    CG_WISH_MAX_AGE = 1u << 4,
    CG_WISH_MIN_FRESH = 1u << 5,
    CG_WISH_MAX_STALE = 1u << 6,
};
enum { CG_WISHES_DEFAULT = CG_WISH_NO_STORE | CG_WISH_ONLY_IF_CACHED };
/* For how long after its lifetime an answer is kept to be validated, where no rule says so. */
#define CG_KEEP_DEFAULT_MS         (UINT64_C(600) * 1000)
#define CG_HIT_FOR_MISS_DEFAULT_MS (UINT64_C(10) * 1000)
#define CG_HIT_FOR_MISS_MAX_MS     (UINT64_C(3600) * 1000)

enum cg_part_source { CG_PART_HEADER, CG_PART_COOKIE, CG_PART_QUERY };

/* A named part of the scope: `tenant: header X-Tenant`. */
struct cg_scope_part {
    struct cg_str name;
    enum cg_part_source source;
    struct cg_str field; /* lower-case for headers */
};

struct cg_names {
    struct cg_str *items;
    size_t count;
};

struct cg_route {
    struct cg_str name; /* the `name` key, else the match as written: in metrics and logs */
    unsigned index;
    /* What keys of its answers bear (cg_key). The index, unless the shell numbers the routes of
     * several generations by their names: to be set before others see the ruleset. */
    uint32_t key_route;
    struct cg_str *methods; /* tokens; GET implies HEAD (added) */
    size_t method_count;    /* 0: any */
    const struct cg_pattern *pattern;
    struct cg_str host; /* lower-case; empty: any; may start with "*." */
    unsigned upstream;
    struct cg_str upstream_name;

    enum cg_cache_mode cache; /* NEVER too for routes that can only see unsafe methods */
    bool scope_user;          /* partitioned by identity */
    struct cg_scope_part *scope_parts;
    size_t scope_part_count;
    bool ttl_origin;
    uint64_t ttl_ms;       /* when not ttl_origin */
    bool has_swr, has_sie; /* the rule's own windows; else the origin's */
    uint64_t swr_ms, sie_ms;
    enum cg_query_mode query_mode;
    struct cg_names query_names; /* globs */
    bool query_sorted;
    struct cg_names key_headers; /* lower-case */
    struct cg_names key_cookies;
    struct cg_names inert_headers; /* lower-case globs */
    struct cg_names inert_cookies; /* globs */
    bool forward_keyed;
    bool pushed;        /* near copies may be up to store.tracking_timeout behind (near.h) */
    unsigned overrides; /* enum cg_override */
    unsigned wishes;    /* enum cg_wish */
    enum cg_groups_mode groups;
    uint64_t keep_ms;
    uint64_t heuristic_ms;          /* the longest lifetime that may be guessed; 0: none is */
    bool coalesces;                 /* a fetch is shared with other threads and gateways */
    uint64_t hit_for_miss_ms;       /* how long an answer that cannot be stored is remembered */
    uint32_t early_refresh_percent; /* strength of early refreshes; 0: none */

    enum cg_invalidate_mode invalidate;
    struct cg_clause *clauses;
    size_t clause_count;
    bool needs_request_body;  /* some clause or condition reads {request.…} */
    bool needs_response_body; /* … or {response.…} */

    unsigned *shapes; /* for cached routes: those that can match it */
    size_t shape_count;
    uint8_t digest[CG_DIGEST_BYTES]; /* cg_route_digest */
    const struct cg_node *where;
};

struct cg_group {
    struct cg_str name;
    struct cg_str *params; /* distinct placeholder names, in order of appearance */
    size_t param_count;
    unsigned *shapes;                /* one per member pattern */
    unsigned (*holes)[CG_HOLES_MAX]; /* for each member, hole → index into params */
    size_t member_count;
};

/* ---- identity ---- */

enum cg_identity_kind { CG_IDENTITY_HEADER, CG_IDENTITY_COOKIE };

struct cg_identity_source {
    enum cg_identity_kind kind;
    struct cg_str field; /* lower-case header name, or cookie name */
    bool is_user;        /* `name: user`: its plain value is {user} */
};

struct cg_identity_rules {
    struct cg_identity_source *sources; /* never empty: `authorization` by default */
    size_t source_count;
    bool has_user;
    struct cg_names credential_names; /* lower-case globs, the built-in table and the operator's */
    uint32_t *credential_letters;     /* cg_name_letters of each */
};

struct cg_ruleset {
    struct cg_arena arena;
    struct cg_keys keys;
    /*
     * These rules under the other accepted secret, or NULL outside of a rotation. It shares all but
     * `keys`: planning with it gives the names that gateways use which write under that secret.
     * Purges need no such care: what they make names the instances of both.
     */
    const struct cg_ruleset *previous;
    struct cg_identity_rules identity;
    struct cg_route *routes;
    size_t route_count;
    struct cg_shape *shapes;
    size_t shape_count;
    struct cg_group *groups;
    size_t group_count;
    bool cache_enabled;
    uint64_t lifetime_max_ms; /* the longest a stored answer can matter, stale windows included */
};

struct cg_rule_source {
    const struct cg_node *root; /* of one rule file; files are read in order, as one */
};

struct cg_ruleset_options {
    const struct cg_node *identity; /* the configuration's `identity`, or NULL */
    const char *const *upstream_names;
    size_t upstream_count;
    struct cg_secret secret;
    const struct cg_secret *secret_previous; /* NULL: none */
    bool cache_enabled;
};

/*
 * Compiles the files. All mistakes are added to `problems`; NULL when any is an error. The nodes
 * must outlive the ruleset (it keeps borrowed `where`s and texts are copied).
 */
struct cg_ruleset *cg_ruleset_compile(const struct cg_rule_source *sources, size_t source_count,
                                      const struct cg_ruleset_options *options,
                                      struct cg_problems *problems);
/* Takes NULL; returns NULL. */
struct cg_ruleset *cg_ruleset_destroy(struct cg_ruleset *ruleset);

/* The first route that matches, or NULL; captures of its pattern in `captures`. */
const struct cg_route *cg_ruleset_route(const struct cg_ruleset *ruleset, struct cg_str method,
                                        struct cg_str host, const struct cg_path *path,
                                        struct cg_str captures[CG_HOLES_MAX]);
const struct cg_group *cg_ruleset_group(const struct cg_ruleset *ruleset, struct cg_str name);

/*
 * What an answer of the route is made of, for whom and for how long it is kept, and every write
 * whose purges can reach it, in order: its own definition, the identity rules, its shapes, the
 * clauses that name them, and the matches of those who come first. It is part of the canonical
 * request, so that what was stored under one definition is not found under another, be it in
 * another generation of rules or in another gateway. It does not depend on the secret.
 */
static inline const uint8_t *cg_route_digest(const struct cg_route *route)
{
    return route->digest;
}
/* Equal where all routes in their order, all groups and `cache` are. */
void cg_ruleset_digest(const struct cg_ruleset *ruleset, uint8_t ret_digest[CG_DIGEST_BYTES]);
/* The route of that digest, or NULL. */
const struct cg_route *cg_ruleset_route_like(const struct cg_ruleset *ruleset,
                                             const struct cg_route *route);
/*
 * Whether a request field of that (lower-case) name looks like identity or credential: it matches
 * one of credential_names and is not in the built-in table of exemptions. Ask here rather than
 * matching the globs directly. `cookie` is not among them: cookies count one by one.
 */
bool cg_identity_is_credential(const struct cg_identity_rules *identity, struct cg_str name);
/*
 * The set of letters in a lower-case name, a bit each. A glob can only match a name that has all of
 * its own letters, and that is a single test: most fields are ruled out by it for every glob.
 */
uint32_t cg_name_letters(struct cg_str name);

#endif
