#include "rules/plan_build.h"

#include "rules/spelling.h"

/* ---- parts ---- */

bool cg_cookies_parse(const struct cg_fields *fields, struct cg_arena *arena,
                      struct cg_cookies *ret_cookies)
{
    *ret_cookies = (struct cg_cookies){0};
    for (size_t i = 0; i < fields->count; i++) {
        if (!cg_str_eq(fields->items[i].name, CG_STR("cookie")))
            continue;
        struct cg_str rest = fields->items[i].value, piece;
        while (cg_str_split(&rest, ';', &piece)) {
            piece = cg_str_trim(piece);
            if (cg_str_empty(piece))
                continue;
            if (ret_cookies->count == CG_COOKIES_MAX)
                return false;
            if (ret_cookies->items == NULL)
                ret_cookies->items = CG_ARENA_ARRAY(arena, struct cg_cookie, CG_COOKIES_MAX);
            size_t equals = cg_str_find(piece, '=');
            ret_cookies->items[ret_cookies->count++] = (struct cg_cookie){
                .name = cg_str_trim(cg_str_sub(piece, 0, equals)),
                .value = cg_str_trim(cg_str_skip(piece, equals + 1)),
                .has_name = equals < piece.length,
            };
        }
    }
    return true;
}

static void note(struct cg_part *part, struct cg_str value)
{
    if (part->count++ == 0)
        part->value = value;
}

struct cg_part cg_part_find(const struct cg_plan_build *build, enum cg_part_source source,
                            struct cg_str name)
{
    const struct cg_fields *fields = build->facts->fields;
    struct cg_part part = {0};
    struct cg_str field = name;
    switch (source) {
    case CG_PART_HEADER:
        for (size_t i = 0; i < fields->count; i++)
            if (cg_str_eq(fields->items[i].name, name))
                note(&part, fields->items[i].value);
        break;
    case CG_PART_COOKIE:
        field = CG_STR("cookie");
        for (size_t i = 0; i < build->cookies.count; i++)
            if (cg_str_eq(build->cookies.items[i].name, name))
                note(&part, build->cookies.items[i].value);
        break;
    case CG_PART_QUERY:
        for (size_t i = 0; i < build->plan->query.count; i++)
            if (cg_str_eq(build->plan->query.params[i].name, name))
                note(&part, build->plan->query.params[i].value);
        return part;
    }
    if (part.count > 0 && cg_field_is_hop_by_hop(fields, field))
        part.count++;
    return part;
}

static struct cg_part find_source(const struct cg_plan_build *build,
                                  const struct cg_identity_source *source)
{
    switch (source->kind) {
    case CG_IDENTITY_HEADER:
        return cg_part_find(build, CG_PART_HEADER, source->field);
    case CG_IDENTITY_COOKIE:
        return cg_part_find(build, CG_PART_COOKIE, source->field);
    }
    return (struct cg_part){0};
}

static void join_source(struct cg_spelling *joined, size_t index, bool present, struct cg_str value)
{
    cg_spelling_add_u32(joined, (uint32_t)index);
    cg_spelling_add_optional(joined, present, value);
}

static void digest(const struct cg_ruleset *ruleset, struct cg_str joined,
                   struct cg_identity *identity)
{
    cg_identity_digest(&ruleset->keys, joined, identity->digest);
    if (ruleset->previous != NULL)
        cg_identity_digest(&ruleset->previous->keys, joined, identity->previous_digest);
}

void cg_identity_of_value(const struct cg_ruleset *ruleset, struct cg_str value,
                          struct cg_arena *arena, struct cg_identity *identity)
{
    struct cg_spelling joined;
    cg_spelling_init(&joined, arena, value.length + 16);
    join_source(&joined, 0, true, value);
    digest(ruleset, cg_spelling_str(&joined), identity);
}

struct cg_str cg_identity_make(struct cg_plan_build *build)
{
    const struct cg_identity_rules *rules = &build->ruleset->identity;
    struct cg_identity *identity = &build->plan->identity;
    struct cg_spelling joined;
    cg_spelling_init(&joined, build->arena, 256);
    *identity = (struct cg_identity){0};
    for (size_t i = 0; i < rules->source_count; i++) {
        const struct cg_identity_source *source = &rules->sources[i];
        struct cg_part part = find_source(build, source);
        if (part.count > 1) {
            /* Nobody knows which of them the upstream believes: it is nobody's. */
            *identity = (struct cg_identity){0};
            digest(build->ruleset, (struct cg_str){NULL, 0}, identity);
            return source->field;
        }
        join_source(&joined, i, part.count > 0, part.value);
        if (part.count > 0)
            identity->present = true;
        if (source->is_user)
            identity->user = part.value;
    }
    struct cg_str text = identity->present ? cg_spelling_str(&joined) : (struct cg_str){NULL, 0};
    digest(build->ruleset, text, identity);
    return (struct cg_str){NULL, 0};
}

struct cg_str cg_ambiguous_part(const struct cg_plan_build *build)
{
    const struct cg_route *route = build->plan->route;
    for (size_t i = 0; i < route->scope_part_count; i++) {
        const struct cg_scope_part *part = &route->scope_parts[i];
        if (cg_part_find(build, part->source, part->field).count > 1)
            return part->field;
    }
    for (size_t i = 0; i < route->key_headers.count; i++)
        if (cg_part_find(build, CG_PART_HEADER, route->key_headers.items[i]).count > 1)
            return route->key_headers.items[i];
    for (size_t i = 0; i < route->key_cookies.count; i++)
        if (cg_part_find(build, CG_PART_COOKIE, route->key_cookies.items[i]).count > 1)
            return route->key_cookies.items[i];
    return (struct cg_str){NULL, 0};
}

/* ---- coverage ---- */

bool cg_names_have(const struct cg_names *names, struct cg_str name)
{
    for (size_t i = 0; i < names->count; i++)
        if (cg_str_eq(names->items[i], name))
            return true;
    return false;
}

bool cg_globs_match(const struct cg_names *globs, struct cg_str name)
{
    for (size_t i = 0; i < globs->count; i++)
        if (cg_str_glob(globs->items[i], name))
            return true;
    return false;
}

static bool is_scope_part(const struct cg_route *route, enum cg_part_source source,
                          struct cg_str name)
{
    for (size_t i = 0; i < route->scope_part_count; i++)
        if (route->scope_parts[i].source == source && cg_str_eq(route->scope_parts[i].field, name))
            return true;
    return false;
}

static bool is_identity_source(const struct cg_identity_rules *rules, enum cg_identity_kind kind,
                               struct cg_str name)
{
    for (size_t i = 0; i < rules->source_count; i++)
        if (rules->sources[i].kind == kind && cg_str_eq(rules->sources[i].field, name))
            return true;
    return false;
}

static bool looks_like_credential(const struct cg_identity_rules *rules, struct cg_str name)
{
    const uint32_t *letters = rules->credential_letters;
    uint32_t missing = ~cg_name_letters(name);
    size_t count = rules->credential_names.count;
    unsigned fits = 0;
    for (size_t i = 0; i < count; i++) /* without an early exit: many at once */
        fits |= (letters[i] & missing) == 0;
    for (size_t i = 0; fits != 0 && i < count; i++)
        if ((letters[i] & missing) == 0 && cg_str_glob(rules->credential_names.items[i], name))
            return cg_identity_is_credential(rules, name); /* knows the exemptions */
    return false;
}

static bool is_alnum(char c)
{
    return cg_is_alpha(c) || cg_is_digit(c);
}

/* Nothing but letters, digits and `-`: no upstream takes it for another name. */
static bool is_plain_name(struct cg_str name)
{
    for (size_t i = 0; i < name.length; i++)
        if (!is_alnum(name.bytes[i]) && name.bytes[i] != '-')
            return false;
    return true;
}

bool cg_names_merge(struct cg_str a, struct cg_str b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (a.bytes[i] != b.bytes[i] && (is_alnum(a.bytes[i]) || is_alnum(b.bytes[i])))
            return false;
    return true;
}

/* Another spelling of a field that is part of the key, which an upstream may take for it. */
static bool merges_with_keyed(const struct cg_plan_build *build, struct cg_str name)
{
    const struct cg_route *route = build->plan->route;
    const struct cg_identity_rules *rules = &build->ruleset->identity;
    for (size_t i = 0; i < rules->source_count; i++)
        if (rules->sources[i].kind == CG_IDENTITY_HEADER &&
            cg_names_merge(rules->sources[i].field, name))
            return true;
    for (size_t i = 0; i < route->key_headers.count; i++)
        if (cg_names_merge(route->key_headers.items[i], name))
            return true;
    for (size_t i = 0; i < route->scope_part_count; i++)
        if (route->scope_parts[i].source == CG_PART_HEADER &&
            cg_names_merge(route->scope_parts[i].field, name))
            return true;
    return false;
}

/* Whether every reader finds this one cookie here (RFC 6265 4.1.1). Commas, white space, quotes and
 * backslashes end or join cookies for some. */
static bool is_one_cookie(const struct cg_cookie *cookie)
{
    struct cg_str value = cookie->value;
    if (value.length >= 2 && value.bytes[0] == '"' && value.bytes[value.length - 1] == '"')
        value = cg_str_sub(value, 1, value.length - 2);
    for (size_t i = 0; i < value.length; i++) {
        char c = value.bytes[i];
        if (c <= ' ' || c >= 0x7f || c == ',' || c == '"' || c == '\\')
            return false;
    }
    return cg_is_token(cookie->name);
}

enum coverage {
    COVERED_KEYED,    /* part of the key on this route */
    COVERED_IDENTITY, /* an identity source: keyed where the scope is the user */
    COVERED_INERT,
    UNCOVERED,
};

static enum coverage cover_field(const struct cg_plan_build *build, struct cg_str name)
{
    const struct cg_route *route = build->plan->route;
    bool inert = cg_globs_match(&route->inert_headers, name);
    if (cg_str_eq(name, CG_STR("proxy-authorization")))
        return inert ? COVERED_INERT : UNCOVERED; /* meant for us, RFC 9110 11.7.2 */
    if (cg_names_have(&route->key_headers, name) || is_scope_part(route, CG_PART_HEADER, name))
        return COVERED_KEYED;
    if (is_identity_source(&build->ruleset->identity, CG_IDENTITY_HEADER, name))
        return COVERED_IDENTITY;
    return inert ? COVERED_INERT : UNCOVERED;
}

static enum coverage cover_cookie(const struct cg_plan_build *build, const struct cg_cookie *cookie)
{
    const struct cg_route *route = build->plan->route;
    struct cg_str name = cookie->name;
    if (cg_names_have(&route->key_cookies, name) || is_scope_part(route, CG_PART_COOKIE, name))
        return COVERED_KEYED;
    if (is_identity_source(&build->ruleset->identity, CG_IDENTITY_COOKIE, name))
        return COVERED_IDENTITY;
    /* What is keyed is keyed with all its bytes; what is inert must not hide another cookie. */
    return cg_globs_match(&route->inert_cookies, name) && is_one_cookie(cookie) ? COVERED_INERT
                                                                                : UNCOVERED;
}

struct cg_str cg_uncovered_credential(struct cg_plan_build *build)
{
    const struct cg_fields *fields = build->facts->fields;
    const struct cg_identity_rules *rules = &build->ruleset->identity;
    struct cg_str uncovered = {NULL, 0};
    for (size_t i = 0; i < fields->count; i++) {
        struct cg_str name = fields->items[i].name;
        if (cg_str_eq(name, CG_STR("cookie")))
            continue;
        /* CGI and its heirs read `X_User` and `X-User` as one variable: a name that can be merged
         * with another says what the key does not. */
        if (!merges_with_keyed(build, name) && is_plain_name(name) &&
            !looks_like_credential(rules, name))
            continue;
        enum coverage coverage = cover_field(build, name);
        if (coverage == COVERED_IDENTITY || coverage == UNCOVERED)
            build->plan->credentialed = true;
        if (coverage == UNCOVERED && uncovered.bytes == NULL)
            uncovered = name;
    }
    for (size_t i = 0; i < build->cookies.count; i++) {
        struct cg_str name = build->cookies.items[i].name;
        enum coverage coverage = cover_cookie(build, &build->cookies.items[i]);
        if (coverage == COVERED_IDENTITY || coverage == UNCOVERED)
            build->plan->credentialed = true;
        if (coverage == UNCOVERED && uncovered.bytes == NULL)
            uncovered = build->cookies.items[i].has_name
                            ? cg_arena_printf(build->arena, "cookie:%.*s", CG_STR_ARG(name))
                            : CG_STR("cookie");
    }
    return uncovered;
}
