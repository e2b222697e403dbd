#include "cachegate/assert.h"
#include "rules/plan_build.h"
#include "rules/purge_build.h"

const char *cg_purge_cause_word(enum cg_purge_cause cause)
{
    static const char *const words[] = {
#define CG_PURGE_CAUSE(name, word, sentence) [CG_PURGE_##name] = word,
#include "cachegate/tables/purge_causes.def"
#undef CG_PURGE_CAUSE
    };
    CG_ASSERT(cause < CG_PURGE_CAUSE_COUNT);
    return words[cause];
}

/* Whether an array that doubles whenever it is full is full. */
static bool is_full(size_t count)
{
    return (count & (count - 1)) == 0;
}

static size_t next_capacity(size_t count)
{
    return count == 0 ? 1 : count * 2;
}

static void *grow(struct cg_arena *arena, const void *items, size_t count, size_t size)
{
    void *grown = cg_arena_alloc(arena, next_capacity(count) * size);
    if (count > 0)
        memcpy(grown, items, count * size);
    return grown;
}

void cg_purge_set_add(struct cg_purge_set *set, struct cg_arena *arena,
                      const struct cg_instance *instance, struct cg_str name, bool named)
{
    size_t count = set->instance_count;
    for (size_t i = 0; i < count; i++)
        if (cg_instance_eq(&set->instances[i], instance))
            return;
    if (is_full(count)) {
        set->instances = grow(arena, set->instances, count, sizeof *set->instances);
        if (named)
            set->names = grow(arena, set->names, count, sizeof *set->names);
    }
    set->causes[set->cause]++;
    set->instances[count] = *instance;
    if (named)
        set->names[count] = name;
    set->instance_count++;
}

void cg_purge_set_ban(struct cg_purge_set *set, struct cg_arena *arena, struct cg_str pattern,
                      struct cg_str user)
{
    size_t count = set->ban_count;
    for (size_t i = 0; i < count; i++)
        if (cg_str_eq(set->bans[i].pattern, pattern) && cg_str_eq(set->bans[i].user, user))
            return;
    if (is_full(count))
        set->bans = grow(arena, set->bans, count, sizeof *set->bans);
    set->causes[set->cause]++;
    set->bans[set->ban_count++] = (struct cg_ban){pattern, user};
}

static void add_counter(struct cg_purge_set *set, struct cg_arena *arena,
                        const struct cg_instance *counter)
{
    for (size_t i = 0; i < set->counter_count; i++)
        if (cg_instance_eq(&set->counters[i], counter))
            return;
    if (is_full(set->counter_count))
        set->counters = grow(arena, set->counters, set->counter_count, sizeof *set->counters);
    set->counters[set->counter_count++] = *counter;
}

static void note_shape(struct cg_purge_set *set, struct cg_arena *arena, struct cg_str text)
{
    size_t count = set->shape_count;
    for (size_t i = 0; i < count; i++)
        if (cg_str_eq(set->shapes[i], text))
            return;
    if (is_full(count))
        set->shapes = grow(arena, set->shapes, count, sizeof *set->shapes);
    set->shapes[set->shape_count++] = text;
}

void cg_purge_set_note_shape(struct cg_purge_set *set, struct cg_arena *arena,
                             const struct cg_pattern *pattern)
{
    note_shape(set, arena, pattern->text);
}

void cg_purge_set_join(struct cg_purge_set *set, const struct cg_purge_set *more,
                       struct cg_arena *arena)
{
    bool named = more->names != NULL;
    if (set->instance_count + set->counter_count + set->ban_count + set->shape_count == 0) {
        *set = *more;
        return;
    }
    for (unsigned i = CG_PURGE_CAUSE_COUNT; i > 0; i--)
        if (more->causes[i - 1] > 0)
            set->cause = (enum cg_purge_cause)(i - 1);
    if (set->widened < more->widened) { /* mostly they widen the same */
        set->widened = more->widened;
        set->widened_detail = more->widened_detail;
    }
    for (size_t i = 0; i < more->instance_count; i++)
        cg_purge_set_add(set, arena, &more->instances[i],
                         named ? more->names[i] : (struct cg_str){NULL, 0}, named);
    for (size_t i = 0; i < more->counter_count; i++)
        add_counter(set, arena, &more->counters[i]);
    for (size_t i = 0; i < more->ban_count; i++)
        cg_purge_set_ban(set, arena, more->bans[i].pattern, more->bans[i].user);
    for (size_t i = 0; i < more->shape_count; i++)
        note_shape(set, arena, more->shapes[i]);
}

/*
 * During a rotation every instance has two names, one under each accepted secret, and gateways that
 * write under either read its entries: a purge that left one out would leave them their stale
 * answers (CONSISTENCY row 13).
 */
static void add_named(struct cg_purge_build *build, const struct cg_ruleset *ruleset,
                      const struct cg_instance *instance, struct cg_str name)
{
    if (build->named && ruleset != build->ruleset)
        name = cg_arena_printf(build->arena, "%.*s (previous secret)", CG_STR_ARG(name));
    cg_purge_set_add(build->set, build->arena, instance, name, build->named);
}

void cg_purge_add_path(struct cg_purge_build *build, unsigned upstream, const struct cg_path *path)
{
    struct cg_instance instance;
    struct cg_str name = {NULL, 0};
    if (build->named)
        name = cg_arena_printf(build->arena, "path %.*s",
                               CG_STR_ARG(cg_path_spell(path, build->arena)));
    for (const struct cg_ruleset *rules = build->ruleset; rules != NULL; rules = rules->previous) {
        cg_instance_of_path(rules, upstream, path, build->arena, &instance);
        add_named(build, rules, &instance, name);
    }
}

void cg_purge_add_tag(struct cg_purge_build *build, unsigned upstream, struct cg_str tag)
{
    struct cg_instance instance;
    struct cg_str name = {NULL, 0};
    if (build->named)
        name = cg_arena_printf(build->arena, "tag %.*s", CG_STR_ARG(tag));
    for (const struct cg_ruleset *rules = build->ruleset; rules != NULL; rules = rules->previous) {
        cg_instance_of_group_counter(rules, upstream, build->arena, &instance);
        add_counter(build->set, build->arena, &instance);
        cg_instance_of_group(rules, upstream, tag, build->arena, &instance);
        add_named(build, rules, &instance, name);
    }
}

void cg_purge_add_user(struct cg_purge_build *build, const struct cg_identity *identity)
{
    struct cg_instance instance;
    struct cg_str name = {NULL, 0};
    struct cg_identity under = *identity;
    if (build->named)
        name = cg_user_name(build->ruleset, identity, build->arena);
    for (const struct cg_ruleset *rules = build->ruleset; rules != NULL; rules = rules->previous) {
        if (rules != build->ruleset)
            memcpy(under.digest, identity->previous_digest, sizeof under.digest);
        cg_instance_of_user(rules, &under, build->arena, &instance);
        add_named(build, rules, &instance, name);
    }
}

static void add_instance(struct cg_purge_build *build, unsigned shape,
                         const struct cg_str values[CG_HOLES_MAX], bool lacking, struct cg_str user)
{
    struct cg_instance instance;
    struct cg_str name = {NULL, 0};
    if (build->named)
        name = cg_shape_name(build->ruleset->shapes[shape].pattern, values, lacking, user,
                             build->arena);
    for (const struct cg_ruleset *rules = build->ruleset; rules != NULL; rules = rules->previous) {
        cg_instance_of_shape(rules, shape, values, lacking, user, build->arena, &instance);
        add_named(build, rules, &instance, name);
    }
}

void cg_purge_add_shape(struct cg_purge_build *build, unsigned shape,
                        const struct cg_str values[CG_HOLES_MAX], struct cg_str user)
{
    const struct cg_shape *row = &build->ruleset->shapes[shape];
    cg_purge_set_note_shape(build->set, build->arena, row->pattern);
    if (cg_str_empty(user) ? !row->for_everyone : !row->for_self) {
        cg_purge_add_open(build, shape, values, user);
        return;
    }
    add_instance(build, shape, values, false, user);
    if (row->pattern->term_count > 0)
        add_instance(build, shape, values, true, user);
}

void cg_purge_add_open(struct cg_purge_build *build, unsigned shape,
                       const struct cg_str values[CG_HOLES_MAX], struct cg_str user)
{
    const struct cg_pattern *pattern = build->ruleset->shapes[shape].pattern;
    struct cg_str known[CG_HOLES_MAX] = {{NULL, 0}};
    if (!build->open_too)
        return;
    for (unsigned hole = 0; hole < pattern->hole_count; hole++)
        if (pattern->hole_types[hole] == CG_HOLE_TEXT)
            known[hole] = values[hole];
    struct cg_str text = cg_shape_spell(pattern, known, build->arena);
    if (text.length > CG_BAN_TEXT_MAX || text.length > CG_PATTERN_BYTES_MAX) {
        const struct cg_str nothing[CG_HOLES_MAX] = {{NULL, 0}};
        text = cg_shape_spell(pattern, nothing, build->arena);
    }
    cg_purge_set_ban(build->set, build->arena, text, user);
}
