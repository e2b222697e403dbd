/*
 * cache_control: the directives of Cache-Control and of the targeted fields that share its syntax
 * (RFC 9111 5.2, RFC 5861, RFC 8246), as flags and seconds.
 *
 * Only reads; what follows from a directive is decided in freshness and verdict. Where a value
 * leaves room, the reading that keeps less wins: the smallest of repeated lifetimes, 0 for a
 * lifetime that is malformed (RFC 9111 4.2.1), the unqualified form of a qualified directive that
 * is malformed, and no-store for a value whose quotes do not close. Unknown directives are ignored.
 *
 * A targeted field (RFC 9213) is a dictionary of structured fields. The first of our list that
 * parses and is not empty takes the place of Cache-Control and Expires; one that does not parse, or
 * has a value of a type that its directive does not take, is as good as not sent (2.1).
 */
#ifndef CACHEGATE_CACHE_CONTROL_H
#define CACHEGATE_CACHE_CONTROL_H

#include "cachegate/fields.h"

/* RFC 9111 1.2.2: what larger numbers of seconds become. */
#define CG_DELTA_SECONDS_MAX INT64_C(2147483648)

/* Lists of field names that one message may have for no-cache, and for private. More of them count
 * as the unqualified directive. */
enum { CG_NAME_LISTS_MAX = 4 };

/* The fields that a qualified directive names, as lists; borrowed from the message. */
struct cg_name_lists {
    struct cg_str items[CG_NAME_LISTS_MAX];
    size_t count;
};

struct cg_cache_control {
    bool no_store;
    bool no_cache;
    bool no_cache_names_fields; /* only for the fields it names: `no-cache="set-cookie"` */
    bool is_private;
    bool private_names_fields; /* only for the fields it names */
    struct cg_name_lists no_cache_names;
    struct cg_name_lists private_names;
    bool targeted; /* of a targeted field: Expires does not count */
    bool is_public;
    bool must_revalidate;
    bool proxy_revalidate;
    bool must_understand;
    bool immutable;
    bool no_transform;
    bool only_if_cached;
    bool has_max_age;
    bool has_s_maxage;
    bool has_swr;
    bool has_sie;
    bool has_max_stale; /* without a value: CG_DELTA_SECONDS_MAX */
    bool has_min_fresh;
    int64_t max_age_s;
    int64_t s_maxage_s;
    int64_t stale_while_revalidate_s;
    int64_t stale_if_error_s;
    int64_t max_stale_s;
    int64_t min_fresh_s;
};

/* All lines of the field `name` (lower case), together. */
void cg_cache_control_parse(const struct cg_fields *fields, struct cg_str name,
                            struct cg_cache_control *ret_control);
/* One field value. */
void cg_cache_control_parse_value(struct cg_str value, struct cg_cache_control *ret_control);
/*
 * What an answer says to us: the first usable one of Cachegate-Cache-Control, CDN-Cache-Control and
 * Surrogate-Control, else Cache-Control. All of them go on to the client.
 */
void cg_cache_control_of_answer(const struct cg_fields *fields, struct cg_arena *arena,
                                struct cg_cache_control *ret_control);
/* Whether the lists have that (lower-case) field name. */
bool cg_name_lists_have(const struct cg_name_lists *lists, struct cg_str name);

#endif
