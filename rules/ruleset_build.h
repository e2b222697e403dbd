/*
 * ruleset_build: what the files of the rule compiler share. Internal to rules/ruleset*.c.
 *
 * One compilation, on the stack of cg_ruleset_compile. Its parts run in this order: groups of all
 * files, identity, routes of each file under that file's defaults, then reach, which needs all of
 * them. Every part reports all mistakes it can see and leaves something harmless behind, so that
 * one run shows everything. What they make lives in the ruleset's arena.
 */
#ifndef RULES_RULESET_BUILD_H
#define RULES_RULESET_BUILD_H

#include "cachegate/ruleset.h"

enum {
    CG_BUILD_ROUTES_MAX = 4096,
    CG_BUILD_SHAPES_MAX = 4096,
    CG_BUILD_GROUPS_MAX = 1024,
    CG_BUILD_MEMBERS_MAX = 256,  /* of one group */
    CG_BUILD_CLAUSES_MAX = 256,  /* of one route, groups unfolded */
    CG_BUILD_PURGES_ALL = 32768, /* of all groups and routes */
    CG_BUILD_LIST_MAX = 256,     /* names in one list */
    CG_BUILD_NAME_BYTES_MAX = 256,
    CG_BUILD_ARENA_BYTES = 256 << 20, /* what these limits can come to, with room */
};

static const uint64_t cg_build_ttl_max_ms = UINT64_C(365) * 86400 * 1000;

/* A route (or a file's defaults) while it is read. */
struct cg_draft {
    struct cg_route route;
    bool has_ttl;
    const struct cg_node *own_ttl; /* said by the route itself */
};

struct cg_build {
    struct cg_ruleset *ruleset;
    struct cg_arena *arena; /* the ruleset's */
    const struct cg_ruleset_options *options;
    struct cg_problems *problems;
    size_t shape_capacity;
    const struct cg_node **shape_wheres; /* where each shape was first written */
    const char **group_names;            /* in the order of ruleset->groups */
    size_t purge_total;
    size_t errors_before; /* in `problems`, that are not ours */
};

#define CG_BUILD_ERROR(build, where, ...)                                                          \
    cg_problem_add((build)->problems, CG_PROBLEM_ERROR, (where), __VA_ARGS__)
#define CG_BUILD_WARNING(build, where, ...)                                                        \
    cg_problem_add((build)->problems, CG_PROBLEM_WARNING, (where), __VA_ARGS__)

/* ---- ruleset_options.c ---- */

enum cg_build_name_kind {
    CG_BUILD_HEADER, /* lower-cased; not one that must never be stored in plain */
    CG_BUILD_HEADER_GLOB,
    CG_BUILD_IDENTITY_HEADER, /* lower-cased; `authorization` may be one */
    CG_BUILD_COOKIE,
    CG_BUILD_COOKIE_GLOB,
    CG_BUILD_QUERY,
    CG_BUILD_QUERY_GLOB,
};
/* One name; false and a problem when it cannot be one of that kind. */
bool cg_build_name(struct cg_build *build, const struct cg_node *node, struct cg_str text,
                   enum cg_build_name_kind kind, struct cg_str *ret_name);
/* A list of names (or one). */
void cg_build_names(struct cg_build *build, const struct cg_node *node,
                    enum cg_build_name_kind kind, struct cg_names *ret_names);
/* `never`, `yes`, on, off. */
bool cg_build_cache_mode(struct cg_build *build, const struct cg_node *node,
                         enum cg_cache_mode *ret_mode);
/* What defaults and routes may both say: each key that is there replaces what the draft has. */
void cg_build_options(struct cg_build *build, const struct cg_node *map, struct cg_draft *draft);
void cg_build_overrides(struct cg_build *build, const struct cg_node *node, struct cg_route *route);

/* ---- ruleset_group.c ---- */

/* The index of the shape with the pattern's normal form; false when there are too many. */
bool cg_build_shape(struct cg_build *build, const struct cg_pattern *pattern,
                    const struct cg_node *where, unsigned *ret_shape);
/*
 * To be asked before each purge pattern is read. True, and a problem, when there are too many; also
 * when there are more errors than anybody will read.
 */
bool cg_build_is_full(struct cg_build *build, const struct cg_node *where);
void cg_build_groups(struct cg_build *build, const struct cg_rule_source *sources,
                     size_t source_count);

/* ---- the others ---- */

void cg_build_identity(struct cg_build *build);
void cg_build_route(struct cg_build *build, const struct cg_node *node,
                    const struct cg_draft *defaults);
/* Reads `invalidate`. `route->pattern` may be NULL (it was wrong): captures are then not checked.
 */
void cg_build_invalidate(struct cg_build *build, const struct cg_node *node,
                         struct cg_route *route);
/* Audiences, shapes of routes, lifetime, warnings. Only where nothing was wrong so far. */
void cg_build_reach(struct cg_build *build);
/* Whether a request of that route may purge: an unsafe method, or a list. */
bool cg_build_may_purge(const struct cg_route *route);
/* ruleset_digest.c: when nothing else changes any more. */
void cg_build_digests(struct cg_build *build);

#endif
