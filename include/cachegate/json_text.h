/*
 * json_text: single values out of JSON bodies (RFC 8259), as the text that a URL would carry.
 *
 * For the placeholders of rule files, `{response.items[*].id}`: a path selects scalars, which come
 * out as text. Whatever is not there, not a scalar or not readable is an outcome that the caller
 * answers by purging more; nothing is guessed. Repeated member names are not readable: two parsers
 * would take different ones. Not a JSON library: jansson parses, here is only bounded what is given
 * to it. The caller bounds the size of the body.
 *
 * Paths: `session_id`, `a.b.c`, `items[0].id`, `items[*].id`, `[*].id`. A name is any run of bytes
 * but white space, control bytes and `.[]{}"\`.
 */
#ifndef CACHEGATE_JSON_TEXT_H
#define CACHEGATE_JSON_TEXT_H

#include "cachegate/arena.h"
#include "cachegate/str.h"

enum { CG_JSON_PATH_STEPS_MAX = 16 };

enum cg_json_outcome {
    CG_JSON_FOUND,
    CG_JSON_NOT_JSON,
    CG_JSON_TOO_DEEP,
    CG_JSON_NOT_FOUND,
    CG_JSON_UNCLEAR,
    CG_JSON_TOO_MANY,
};
const char *cg_json_outcome_text(enum cg_json_outcome outcome);

struct json_t;
struct cg_json {
    struct json_t *root; /* owned; NULL when nothing was parsed */
};

/*
 * FOUND when `body` is one JSON value in which arrays and objects are nested at most `depth_max`
 * deep, else NOT_JSON or TOO_DEEP with `ret_json->root` NULL. Integers beyond 64 bits are NOT_JSON.
 */
enum cg_json_outcome cg_json_parse(struct cg_str body, size_t depth_max, struct cg_json *ret_json);
/* Takes a zeroed one, or one whose parse failed. */
void cg_json_free(struct cg_json *json);

bool cg_json_path_valid(struct cg_str path);

/*
 * The texts of what `path` (valid) selects, in document order, copied into the arena: at most the
 * body's length and 48 bytes for each value. Strings give their text, integers decimal digits,
 * booleans `true` or `false`; `[*]` of an empty array is FOUND with no value. NOT_FOUND when the
 * place is missing or null. UNCLEAR when something is there that has no one text: an array, an
 * object, a real (whose spelling in URLs nobody knows), or a list that not every element of has the
 * place. TOO_MANY beyond `values_max`. `*ret_count` is 0 unless FOUND.
 */
enum cg_json_outcome cg_json_select(const struct cg_json *json, struct cg_str path,
                                    struct cg_arena *arena, struct cg_str *values,
                                    size_t values_max, size_t *ret_count);

#endif
