/*
 * path: a request target taken apart the way rules and instances see it.
 *
 * Segments are percent-decoded whole (`%2F` included: a segment may hold a slash, the list keeps
 * the boundaries) and empty segments are dropped, so `/a//b/` and `/a/b` are one path here: rules
 * and purges may then touch too much, never too little. What is forwarded and keyed keeps its
 * spelling (plan.h). `.` and `..`, encoded or not, are refused: two parsers would disagree.
 */
#ifndef CACHEGATE_PATH_H
#define CACHEGATE_PATH_H

#include "cachegate/arena.h"
#include "cachegate/str.h"

enum { CG_PATH_SEGMENTS_MAX = 64, CG_QUERY_PARAMS_MAX = 128 };

struct cg_path {
    struct cg_str *segments; /* in the arena */
    size_t count;
};

/* One name=value pair, decoded (`+` is a space) and as it was spelled. */
struct cg_query_param {
    struct cg_str name;
    struct cg_str value;
    struct cg_str raw_name;
    struct cg_str raw_value;
    bool has_value; /* "a=" has one, "a" has none */
};

struct cg_query {
    struct cg_query_param *params; /* in the arena, in the order sent */
    size_t count;
};

enum cg_path_error { CG_PATH_OK, CG_PATH_DOT_SEGMENT, CG_PATH_BAD_ENCODING, CG_PATH_TOO_COMPLEX };

/*
 * `target` is path and query; the path begins with a slash. BAD_ENCODING covers a broken %-escape,
 * NUL, `#`, unencoded white space and control bytes, and in the path a backslash, encoded or not.
 */
enum cg_path_error cg_path_parse(struct cg_str target, struct cg_arena *arena,
                                 struct cg_path *ret_path, struct cg_query *ret_query);
/* The same for a query alone, without its `?`. */
enum cg_path_error cg_query_parse(struct cg_str query, struct cg_arena *arena,
                                  struct cg_query *ret_query);
/* Splits at the first `?`. */
void cg_target_split(struct cg_str target, struct cg_str *ret_path, struct cg_str *ret_query,
                     bool *ret_has_query);
/* `s` with everything but unreserved characters percent-encoded. */
struct cg_str cg_percent_encode(struct cg_arena *arena, struct cg_str s);

#endif
