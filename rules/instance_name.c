#include "rules/plan_build.h"

#include "rules/spelling.h"

/* A segment that no request can have would read as something else in a pattern (an empty one is
 * dropped, a dot does not compile), so it is left open. */
static bool is_spellable_segment(struct cg_str value)
{
    return value.bytes != NULL && !cg_str_empty(value) && !cg_str_eq(value, CG_STR(".")) &&
           !cg_str_eq(value, CG_STR("..")) && cg_str_find(value, '\\') == value.length &&
           cg_str_find(value, '\0') == value.length;
}

static bool is_spellable_value(struct cg_str value)
{
    return value.bytes != NULL && cg_str_find(value, '\0') == value.length;
}

static void add_segment(struct cg_spelling *spelling, const struct cg_segment *segment,
                        const struct cg_str *values)
{
    cg_spelling_add_char(spelling, '/');
    switch (segment->kind) {
    case CG_SEGMENT_LITERAL:
        cg_spelling_add_encoded(spelling, segment->text);
        break;
    case CG_SEGMENT_HOLE:
        if (is_spellable_segment(values[segment->hole]))
            cg_spelling_add_encoded(spelling, values[segment->hole]);
        else
            cg_spelling_add_char(spelling, '*');
        break;
    case CG_SEGMENT_ANY:
        cg_spelling_add_char(spelling, '*');
        break;
    case CG_SEGMENT_REST:
        cg_spelling_add(spelling, CG_STR("**"));
        break;
    }
}

static void add_segments(struct cg_spelling *spelling, const struct cg_pattern *pattern,
                         const struct cg_str *values)
{
    for (size_t i = 0; i < pattern->segment_count; i++)
        add_segment(spelling, &pattern->segments[i], values);
    if (pattern->segment_count == 0)
        cg_spelling_add_char(spelling, '/');
}

struct cg_str cg_shape_spell(const struct cg_pattern *pattern,
                             const struct cg_str values[CG_HOLES_MAX], struct cg_arena *arena)
{
    struct cg_spelling spelling;
    cg_spelling_init(&spelling, arena, 128);
    add_segments(&spelling, pattern, values);
    char separator = '?';
    for (size_t i = 0; i < pattern->term_count; i++) {
        const struct cg_term *term = &pattern->terms[i];
        struct cg_str value = term->is_hole ? values[term->hole] : term->text;
        if (!is_spellable_value(value))
            continue; /* `name=*` is the same as leaving it out */
        cg_spelling_add_char(&spelling, separator);
        cg_spelling_add_encoded(&spelling, term->name);
        cg_spelling_add_char(&spelling, '=');
        cg_spelling_add_encoded(&spelling, value);
        separator = '&';
    }
    return cg_spelling_str(&spelling);
}

struct cg_str cg_path_spell(const struct cg_path *path, struct cg_arena *arena)
{
    struct cg_spelling spelling;
    cg_spelling_init(&spelling, arena, 128);
    for (size_t i = 0; i < path->count; i++) {
        cg_spelling_add_char(&spelling, '/');
        cg_spelling_add_encoded(&spelling, path->segments[i]);
    }
    if (path->count == 0)
        cg_spelling_add_char(&spelling, '/');
    return cg_spelling_str(&spelling);
}

struct cg_str cg_shape_name(const struct cg_pattern *pattern,
                            const struct cg_str values[CG_HOLES_MAX], bool lacking,
                            struct cg_str user, struct cg_arena *arena)
{
    struct cg_spelling spelling;
    cg_spelling_init(&spelling, arena, 128);
    add_segments(&spelling, pattern, values);
    for (size_t i = 0; i < pattern->term_count; i++) {
        const struct cg_term *term = &pattern->terms[i];
        cg_spelling_add_char(&spelling, i == 0 ? '?' : '&');
        cg_spelling_add_encoded(&spelling, term->name);
        cg_spelling_add_char(&spelling, '=');
        if (!term->is_hole)
            cg_spelling_add_encoded(&spelling, term->text);
        else if (lacking)
            cg_spelling_add(&spelling, CG_STR("…"));
        else
            cg_spelling_add_encoded(&spelling, values[term->hole]);
    }
    if (lacking)
        cg_spelling_add(&spelling, CG_STR(" (not sent)"));
    if (!cg_str_empty(user)) {
        cg_spelling_add(&spelling, CG_STR(" for user "));
        cg_spelling_add_encoded(&spelling, user);
    }
    return cg_spelling_str(&spelling);
}

struct cg_str cg_user_name(const struct cg_ruleset *ruleset, const struct cg_identity *identity,
                           struct cg_arena *arena)
{
    if (ruleset->identity.has_user && !cg_str_empty(identity->user))
        return cg_arena_printf(arena, "user %.*s",
                               CG_STR_ARG(cg_percent_encode(arena, identity->user)));
    if (!identity->present)
        return CG_STR("user (anonymous)");
    return cg_arena_printf(arena, "user %02x%02x%02x%02x…", identity->digest[0],
                           identity->digest[1], identity->digest[2], identity->digest[3]);
}
