/*
 * mask: a URL as it may be shown, with the values of secret parameters replaced by `***`.
 *
 * For logs: targets and referers as they came, valid or not. Which values are secret follows from
 * their names, by globs: the built-in list (mask.c, CG_MASK_NAMES) and the operator's. A name
 * counts in every spelling that some upstream might take for it: whatever case, percent-encoded any
 * number of times, with `-`, `.`, space, brackets or a capital (`appKey`) for `_`, part of
 * `user[token]`; behind `&`, `;`, `?` or `#`; in a path (`/a;jsessionid=…`); inside another value
 * (`next=%2Fcb%3Ftoken%3D…`, JSON). A value ends at the next `&` (in a path at the next slash),
 * since who reads `;` as a separator and who does not must not make a difference. Masked as well:
 * user information, what looks like a JSON Web Token under whatever name, and parts too long or too
 * often encoded to be judged.
 *
 * Masks too much rather than too little; what stands in a path under no name it cannot know.
 */
#ifndef CACHEGATE_MASK_H
#define CACHEGATE_MASK_H

#include "cachegate/arena.h"
#include "cachegate/buf.h"

enum {
    CG_MASK_NAME_MAX = 128,  /* of a glob */
    CG_MASK_PART_MAX = 1024, /* `name=value`; a longer one is masked whole */
};

/* All globs, the built-in ones and the operator's. */
struct cg_mask {
    const struct cg_str *names; /* as cg_mask_name makes them */
    const uint32_t *letters;    /* that a name must have for each of them to match */
    size_t count;
};

/* `names` are the operator's, made by cg_mask_name, and borrowed as the arena is. */
void cg_mask_make(const struct cg_str *names, size_t count, struct cg_arena *arena,
                  struct cg_mask *ret_mask);

/* A glob as names are compared: lower case, `_` for what is neither letter, digit nor `*`. Empty
 * when nothing is left to compare. */
struct cg_str cg_mask_name(struct cg_str glob, struct cg_arena *arena);
/* Whether values under that name, which is not encoded any more, are masked. */
bool cg_mask_covers(const struct cg_mask *mask, struct cg_str name);
/* Appends `url`, masked. Never longer than the URL and 3 bytes for each of its parts. */
void cg_mask_url(const struct cg_mask *mask, struct cg_str url, struct cg_buf *out);

/* The built-in globs, for the reference page. */
extern const struct cg_str cg_mask_builtin[];
extern const size_t cg_mask_builtin_count;

#endif
