/*
 * tree: a parsed YAML or JSON document in which every node knows where it stands, and the list of
 * what was found wrong with it. Made by gateway/config/tree.c, read by the settings and rule
 * compilers. Everything lives in one arena.
 */
#ifndef CACHEGATE_TREE_H
#define CACHEGATE_TREE_H

#include "cachegate/arena.h"
#include "cachegate/str.h"

enum cg_node_kind { CG_NODE_NULL, CG_NODE_SCALAR, CG_NODE_LIST, CG_NODE_MAP };

struct cg_node {
    enum cg_node_kind kind;
    struct cg_str text;     /* of a scalar, interpolated; not typed: "5m", "true", "42" */
    bool quoted;            /* the scalar stood in quotes: "off" in quotes is text */
    struct cg_node **items; /* of a list, and the values of a map */
    struct cg_node **keys;  /* of a map: scalars, same order as items */
    size_t count;
    const char *file;   /* NUL-terminated; "environment" or "--flag" where it came from there */
    unsigned line;      /* from 1; 0 where there is none */
    struct cg_str path; /* "routes[2].ttl" */
};

/* NULL when absent or not a map. */
const struct cg_node *cg_node_get(const struct cg_node *map, const char *name);

enum cg_severity { CG_PROBLEM_ERROR, CG_PROBLEM_WARNING };

/* One finding: `file:line: path: message`. Texts in the arena. */
struct cg_problem {
    enum cg_severity severity;
    const char *file;
    unsigned line;
    struct cg_str path;
    struct cg_str message; /* what was found, what was expected, the nearest valid name */
};

enum { CG_PROBLEMS_MAX = 1000, CG_PROBLEM_BYTES_MAX = 1000 };

struct cg_problems {
    struct cg_arena *arena; /* borrowed */
    struct cg_problem *items;
    size_t count;
    size_t capacity;
    size_t error_count;
};

/* For messages: as CG_STR_ARG, but only the beginning of a long text. */
#define CG_STR_SHOWN(s) CG_STR_ARG(cg_str_sub((s), 0, 80))
/*
 * `where` may be NULL: then file is "" and line 0. Control bytes of the message become `?`, and a
 * message over CG_PROBLEM_BYTES_MAX is cut. When the list is full an error takes the place of a
 * warning, and errors are counted even when there is no room to keep them.
 */
void cg_problem_add(struct cg_problems *problems, enum cg_severity severity,
                    const struct cg_node *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The candidate that is nearest to `name` (edit distance up to 2 or a third of it), or NULL. */
const char *cg_nearest_name(struct cg_str name, const char *const *candidates, size_t count);

/* Scalar readers shared by both compilers: false (and a problem, when not NULL) on anything else.
 */
bool cg_node_duration_ms(const struct cg_node *node, uint64_t max_ms, struct cg_problems *problems,
                         uint64_t *ret_ms); /* 250ms 30s 5m 1h 1d; a bare number is seconds */
bool cg_node_size(
    const struct cg_node *node, uint64_t max_bytes, struct cg_problems *problems,
    uint64_t *ret_bytes); /* 64KB 256MB 1GB (powers of 1024); a bare number is bytes */
/* on off, true false, yes no, in any case, unless quoted; 1 and 0. */
bool cg_node_bool(const struct cg_node *node, struct cg_problems *problems, bool *ret_value);
/* Which of the names the scalar is. */
bool cg_node_choice(const struct cg_node *node, const char *const *names, size_t count,
                    struct cg_problems *problems, size_t *ret_index);
/* A problem for every key of the map that is not among the names. False when there was one. */
bool cg_node_known_keys(const struct cg_node *map, const char *const *names, size_t count,
                        struct cg_problems *problems);
/* False and a problem unless it is of that kind (NULL stands for "nothing was given here"). */
bool cg_node_expect(const struct cg_node *node, enum cg_node_kind kind,
                    struct cg_problems *problems);
/* "a map", "a list", "text", "nothing": for messages. */
const char *cg_node_kind_text(enum cg_node_kind kind);

#endif
