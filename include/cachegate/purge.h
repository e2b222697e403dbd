/*
 * purge: what a write makes wrong (DESIGN.md section 2 "invalidate", CONSISTENCY rows 16 to 25).
 *
 * Before the write is forwarded: the instances that are known from the request, to be marked busy.
 * After its answer: what to purge for good. A value that cannot be had widens its pattern to an
 * open purge: too much, never too little. Pure; duplicates removed; order is stable. Where the
 * ruleset has a previous secret, every instance is there under both secrets.
 */
#ifndef CACHEGATE_PURGE_H
#define CACHEGATE_PURGE_H

#include "cachegate/ban.h"
#include "cachegate/plan.h"

enum cg_purge_cause {
#define CG_PURGE_CAUSE(name, word, sentence) CG_PURGE_##name,
#include "cachegate/tables/purge_causes.def"
#undef CG_PURGE_CAUSE
    CG_PURGE_CAUSE_COUNT
};
const char *cg_purge_cause_word(enum cg_purge_cause cause);

struct cg_purge_limits {
    size_t json_body_max;
    size_t json_depth_max;
    size_t instances_max; /* more: one open purge instead, per clause */
};

struct cg_purge_set {
    struct cg_instance *instances; /* in the arena */
    struct cg_str *names;          /* readable; of requests only with `explain` */
    size_t instance_count;
    /* Some of the instances are groups: these are purged first, and acknowledged, whenever they are
     * (CONSISTENCY row 1). */
    struct cg_instance *counters;
    size_t counter_count;
    struct cg_ban *bans;
    size_t ban_count;
    unsigned widened;             /* clauses that became open because a value was missing */
    struct cg_str widened_detail; /* the first one: which value, and why */
    /* For whoever watches. `cause` is of what is added next: set it for a zeroed set of the admin
     * API where it is another one. */
    enum cg_purge_cause cause;
    size_t causes[CG_PURGE_CAUSE_COUNT]; /* how many instances and bans are there for each */
    struct cg_str *shapes;               /* patterns of the rules, nothing filled in; distinct */
    size_t shape_count;
};

/* What the upstream answered, as far as it is known. */
struct cg_write_answer {
    bool known;                     /* false: timeout, cut before the head, nobody knows */
    unsigned status;                /* when known */
    const struct cg_fields *fields; /* NULL when not known */
    struct cg_str body;
    bool body_complete; /* false: larger than the capture limit, or cut */
};

/* Whether {response.…} values or conditions need the answer's body before purging can be decided.
 */
bool cg_purge_needs_answer_body(const struct cg_plan *plan);
/* 2xx, 3xx, 5xx and unknown outcomes purge; 4xx and 1xx do not. */
bool cg_purge_applies(const struct cg_write_answer *answer);

/*
 * Instances to mark: conditions count as true, clauses with {response.…} values are left out. Bans
 * only with `explain`: they cannot be marked.
 */
void cg_purge_before(const struct cg_ruleset *ruleset, const struct cg_plan *plan,
                     const struct cg_request_facts *facts, const struct cg_purge_limits *limits,
                     bool explain, struct cg_arena *arena, struct cg_purge_set *ret_set);
/* What the write purges, given its answer; empty unless cg_purge_applies. */
void cg_purge_after(const struct cg_ruleset *ruleset, const struct cg_plan *plan,
                    const struct cg_request_facts *facts, const struct cg_write_answer *answer,
                    const struct cg_purge_limits *limits, bool explain, struct cg_arena *arena,
                    struct cg_purge_set *ret_set);

/*
 * What an answer to any request, read or write, purges because it refuses the client: 401 the
 * answers of that identity (when one was sent), 403 those of that path (CONSISTENCY row 24).
 */
void cg_purge_on_refusal(const struct cg_ruleset *ruleset, const struct cg_plan *plan,
                         unsigned status, bool explain, struct cg_arena *arena,
                         struct cg_purge_set *ret_set);

/* Adds what is in `more`; both of one kind (names or none), and in the same arena. */
void cg_purge_set_join(struct cg_purge_set *set, const struct cg_purge_set *more,
                       struct cg_arena *arena);

/* For the admin API: these add to a set, zeroed before the first use. */
/*
 * What must be purged before `next` takes the place of `before`: every cached route that is not as
 * it was. Its answers stand under a digest of their own, but may be there already, from a time when
 * the rules were these before; what was written since then was not purged by them. Everything, when
 * there are too many.
 */
void cg_purge_of_changes(const struct cg_ruleset *before, const struct cg_ruleset *next,
                         struct cg_arena *arena, struct cg_purge_set *set);
/* Everything that is stored. */
void cg_purge_of_everything(struct cg_arena *arena, struct cg_purge_set *set);
/* False when the text is no pattern (then `problems` says why). */
bool cg_purge_of_pattern(const struct cg_ruleset *ruleset, struct cg_str pattern,
                         struct cg_arena *arena, struct cg_problems *problems,
                         struct cg_purge_set *set);
/* One path, for every query, whichever upstream its stored answers came from. */
void cg_purge_of_path(const struct cg_ruleset *ruleset, const struct cg_path *path,
                      struct cg_arena *arena, struct cg_purge_set *set);
/* `values` in the order of group->params. */
void cg_purge_of_group(const struct cg_ruleset *ruleset, const struct cg_group *group,
                       const struct cg_str *values, struct cg_arena *arena,
                       struct cg_purge_set *set);
/* A group that answers name in Cache-Groups, Surrogate-Key or Cache-Tag, whichever upstream they
 * came from. */
void cg_purge_of_tag(const struct cg_ruleset *ruleset, struct cg_str tag, struct cg_arena *arena,
                     struct cg_purge_set *set);
/*
 * The plain value of the source named `user`; where none is and there is one source, its value;
 * with several sources nobody can be named, and everything is purged, which counts as widened.
 */
void cg_purge_of_user(const struct cg_ruleset *ruleset, struct cg_str user, struct cg_arena *arena,
                      struct cg_purge_set *set);

#endif
