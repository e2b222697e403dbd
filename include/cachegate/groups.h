/*
 * groups: the names under which an origin groups its answers: Cache-Groups and
 * Cache-Group-Invalidation (RFC 9875), Surrogate-Key and Cache-Tag (customs of CDNs).
 *
 * Only reads, and bounds. Names of the four fields share one space, so that whoever purges `a` need
 * not know by which field an answer named it; names are compared byte by byte (RFC 9875 2.1). Which
 * versions groups get, and that they belong to one origin, is for others. A list over the bound is
 * `overflowed`: an answer in more groups than can be watched must not be stored, and a write that
 * names more than can be purged must purge everything of its origin.
 */
#ifndef CACHEGATE_GROUPS_H
#define CACHEGATE_GROUPS_H

#include "cachegate/fields.h"

enum {
    CG_GROUPS_MAX = 64,            /* distinct names of one answer; RFC 9875 2 asks for 32 */
    CG_GROUP_NAME_BYTES_MAX = 256, /* RFC 9875 2 asks for 32 */
};

struct cg_groups {
    struct cg_str names[CG_GROUPS_MAX]; /* distinct, sorted; in the arena or borrowed */
    size_t count;
    bool overflowed; /* there were more, or one was too long */
    bool malformed;  /* a field of RFC 9875 was ignored: worth a line in the log */
};

/* The groups that an answer belongs to: all of Cache-Groups, Surrogate-Key and Cache-Tag. A
 * Cache-Groups that is no list of strings is ignored as a whole (RFC 9875 2, RFC 8941 4.2). */
void cg_groups_of(const struct cg_fields *answer, struct cg_arena *arena,
                  struct cg_groups *ret_groups);
/* The groups that the answer to a request of that method invalidates: none for safe methods
 * (RFC 9875 3). */
void cg_groups_invalidated(struct cg_str method, const struct cg_fields *answer,
                           struct cg_arena *arena, struct cg_groups *ret_groups);

#endif
