/*
 * fields: the header section of a message as an ordered list (RFC 9110 5).
 *
 * Names are lower-case tokens, values have no surrounding white space; both are borrowed slices.
 * Field lines of one name stay separate and in order. The list itself lives in an arena and grows
 * by doubling up to CG_FIELDS_MAX.
 */
#ifndef CACHEGATE_FIELDS_H
#define CACHEGATE_FIELDS_H

#include "cachegate/arena.h"
#include "cachegate/str.h"

enum {
    CG_FIELDS_MAX = 1024,
    CG_FIELDS_OWN = 16, /* of them left free in a received message, for what we add */
};

struct cg_field {
    struct cg_str name;
    struct cg_str value;
};

struct cg_fields {
    struct cg_field *items; /* in the arena the list was grown with */
    size_t count;
    size_t capacity;
};

/* False when the list is full (CG_FIELDS_MAX); nothing is added then. */
bool cg_fields_add(struct cg_fields *fields, struct cg_arena *arena, struct cg_str name,
                   struct cg_str value);
/* A copy that borrows nothing from `from`, with place for CG_FIELDS_OWN more. */
void cg_fields_copy(const struct cg_fields *from, struct cg_arena *arena, struct cg_fields *ret_to);
/* The first line of that (lower-case) name, or NULL. */
const struct cg_field *cg_fields_find(const struct cg_fields *fields, struct cg_str name);
/* How many lines of that name there are. */
size_t cg_fields_count(const struct cg_fields *fields, struct cg_str name);
/* The first line's value, or the empty slice. */
struct cg_str cg_fields_value(const struct cg_fields *fields, struct cg_str name);

/*
 * Walks the members of a list-valued field over all its lines (RFC 9110 5.6.1): trimmed, empty
 * members skipped, commas in quoted strings respected. Start with a zeroed walk.
 */
struct cg_list_walk {
    size_t line;
    struct cg_str rest;
    bool started;
};
bool cg_fields_next_member(const struct cg_fields *fields, struct cg_str name,
                           struct cg_list_walk *walk, struct cg_str *ret_member);
/* The same over one value. Start with `*rest` = value. */
bool cg_list_next(struct cg_str *rest, struct cg_str *ret_member);
/* Whether a list field has that member, compared without case. */
bool cg_fields_has_member(const struct cg_fields *fields, struct cg_str name, struct cg_str member);

/*
 * Hop-by-hop: Connection, Keep-Alive, Proxy-Connection, TE, Trailer,
 * Transfer-Encoding, Upgrade, HTTP2-Settings, and whatever this message's Connection names
 * (RFC 9110 7.6.1). Proxy-Authorization and Proxy-Authenticate are end-to-end for us and stay.
 */
bool cg_field_is_hop_by_hop(const struct cg_fields *fields, struct cg_str name);
/* The same for a message without Connection. */
bool cg_field_is_always_hop_by_hop(struct cg_str name);

#endif
