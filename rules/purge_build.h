/*
 * purge_build: what the files that together make a purge set share. Internal to rules/.
 */
#ifndef RULES_PURGE_BUILD_H
#define RULES_PURGE_BUILD_H

#include "cachegate/json_text.h"
#include "cachegate/purge.h"

/* A JSON body, parsed when the first value is taken from it. */
struct cg_purge_body {
    bool tried;
    const char *unusable; /* why no value can be had; NULL: it was parsed */
    struct cg_json json;
};

struct cg_purge_build {
    const struct cg_ruleset *ruleset;
    const struct cg_plan *plan;
    const struct cg_request_facts *facts;
    const struct cg_write_answer *answer; /* NULL: before the write */
    const struct cg_purge_limits *limits;
    struct cg_arena *arena;
    bool named;    /* fill set->names */
    bool open_too; /* add bans; else what is not an instance is left out */
    struct cg_purge_body request, response;
    struct cg_purge_set *set;
};

/* ---- purge_set.c ---- */

/* Both ignore what is in the set already. */
void cg_purge_set_add(struct cg_purge_set *set, struct cg_arena *arena,
                      const struct cg_instance *instance, struct cg_str name, bool named);
void cg_purge_set_ban(struct cg_purge_set *set, struct cg_arena *arena, struct cg_str pattern,
                      struct cg_str user);
/* A pattern of the rules, for whoever watches. */
void cg_purge_set_note_shape(struct cg_purge_set *set, struct cg_arena *arena,
                             const struct cg_pattern *pattern);
void cg_purge_add_path(struct cg_purge_build *build, unsigned upstream, const struct cg_path *path);
void cg_purge_add_user(struct cg_purge_build *build, const struct cg_identity *identity);
/* The instance and, for shapes with query terms, its lacking twin; an open purge where no reader
 * depends on such an instance. */
void cg_purge_add_shape(struct cg_purge_build *build, unsigned shape,
                        const struct cg_str values[CG_HOLES_MAX], struct cg_str user);
/* An open purge of the shape; values whose bytes are NULL are left open, and so are typed ones,
 * which a ban cannot normalise. */
void cg_purge_add_open(struct cg_purge_build *build, unsigned shape,
                       const struct cg_str values[CG_HOLES_MAX], struct cg_str user);

/* A group that answers of that upstream name. */
void cg_purge_add_tag(struct cg_purge_build *build, unsigned upstream, struct cg_str tag);

/* ---- purge_value.c ---- */

struct cg_purge_values {
    struct cg_str *items;
    size_t count;
    const char *unknown; /* why they are not known; NULL: these are all */
};

struct cg_purge_values cg_purge_value(struct cg_purge_build *build, const struct cg_value *value);
bool cg_purge_condition_holds(struct cg_purge_build *build, const struct cg_condition *condition);

/* ---- purge_clause.c ---- */

void cg_purge_add_clause(struct cg_purge_build *build, const struct cg_clause *clause);

/* ---- reference.c ---- */

/*
 * The path that a URI reference in the answer (RFC 9110 10.2.2) names on the host that was asked.
 * False: another host, another scheme than http(s), or no path of a request.
 */
bool cg_reference_path(struct cg_str reference, const struct cg_request_facts *facts,
                       struct cg_arena *arena, struct cg_path *ret_path);

#endif
