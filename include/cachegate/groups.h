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
#include "cachegate/version.h"

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
#define CG_GROUP_NOTE "cachegate-entry-groups"
/*
 * What an entry says of its groups: their instances, and the tokens that were current when it was
 * stored, as a field that only entries have: an origin's or a client's of that name goes no further
 * than us. It tells all that a reader needs, whatever has become
 * of the rules since. `count` at most CG_INSTANCES_MAX.
 */
bool cg_group_note_add(const struct cg_instance *instances, const struct cg_version *versions,
                       size_t count, struct cg_arena *arena, struct cg_fields *fields);
/* 0: it depends on no group. */
size_t cg_group_note_read(const struct cg_fields *fields,
                          struct cg_instance ret_instances[CG_INSTANCES_MAX],
                          struct cg_token ret_tokens[CG_INSTANCES_MAX]);

/* The groups that the answer to a request of that method invalidates: none for safe methods
 * (RFC 9875 3). */
void cg_groups_invalidated(struct cg_str method, const struct cg_fields *answer,
                           struct cg_arena *arena, struct cg_groups *ret_groups);

#endif
