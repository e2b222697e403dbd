#include "rules/ruleset_build.h"

#include "cachegate/json_text.h"

/* What one element of an `invalidate` list says beside its pattern or group. */
struct element {
    const struct cg_node *where;
    bool self;
    struct cg_condition *conditions;
    size_t condition_count;
};

/* ---- expressions ---- */

static const char *const prefixes[] = {"path", "query", "header", "request", "response"};
static const enum cg_value_source prefix_sources[] = {
    CG_VALUE_PATH, CG_VALUE_QUERY, CG_VALUE_HEADER, CG_VALUE_REQUEST, CG_VALUE_RESPONSE};
enum { PREFIX_COUNT = sizeof prefixes / sizeof *prefixes, HOLE_NAME_BYTES = 65 };

/* A part of this route's own path. `bare`: it was written without `path.`. */
static bool read_capture(struct cg_build *build, const struct cg_node *where,
                         const struct cg_route *route, struct cg_str name, bool bare,
                         struct cg_value *value)
{
    char texts[CG_HOLES_MAX][HOLE_NAME_BYTES];
    const char *names[CG_HOLES_MAX + 1] = {"user"};
    size_t count = bare ? 1 : 0;
    value->source = CG_VALUE_PATH;
    if (route->pattern == NULL)
        return true; /* what it captures is not known; that is reported already */
    for (unsigned i = 0; i < route->pattern->hole_count; i++) {
        struct cg_str hole = route->pattern->hole_names[i];
        if (cg_str_eq(hole, name)) {
            value->capture = i;
            return true;
        }
        if (hole.length >= HOLE_NAME_BYTES)
            continue;
        memcpy(texts[i], hole.bytes, hole.length);
        texts[i][hole.length] = '\0';
        names[count++] = texts[i];
    }
    const char *nearest = cg_nearest_name(name, names, count);
    if (nearest != NULL)
        CG_BUILD_ERROR(build, where,
                       "`{%s%.*s}`: the match captures no such part; did you mean `%s`?",
                       bare ? "" : "path.", CG_STR_SHOWN(name), nearest);
    else
        CG_BUILD_ERROR(build, where,
                       "`{%s%.*s}`: the match captures no such part; expected a placeholder of "
                       "the match, query.NAME, header.NAME, user, request.a.b or response.a.b",
                       bare ? "" : "path.", CG_STR_SHOWN(name));
    return false;
}

static bool read_user(struct cg_build *build, const struct cg_node *where,
                      const struct cg_route *route, struct cg_value *value)
{
    value->source = CG_VALUE_USER;
    for (unsigned i = 0; route->pattern != NULL && i < route->pattern->hole_count; i++)
        if (cg_str_eq(route->pattern->hole_names[i], CG_STR("user"))) {
            CG_BUILD_ERROR(build, where,
                           "`{user}` is who asks, and the match captures a part of that name too; "
                           "write {path.user} for the part, or rename it");
            return false;
        }
    if (!build->ruleset->identity.has_user)
        CG_BUILD_ERROR(build, where,
                       "`{user}` needs an identity source whose plain value it is: give one source "
                       "`name: user` in the configuration's `identity`");
    return build->ruleset->identity.has_user;
}

/* `text` is what stands between the braces, without a type. */
static bool read_expression(struct cg_build *build, const struct cg_node *where,
                            const struct cg_route *route, struct cg_str text,
                            struct cg_value *value)
{
    *value = (struct cg_value){.name = text};
    if (cg_str_eq(text, CG_STR("user")))
        return read_user(build, where, route, value);
    size_t dot = cg_str_find(text, '.'), bracket = cg_str_find(text, '[');
    size_t end = dot < bracket ? dot : bracket;
    if (end == text.length)
        return read_capture(build, where, route, text, true, value);
    struct cg_str prefix = cg_str_sub(text, 0, end);
    struct cg_str name = cg_str_skip(text, end == dot ? end + 1 : end);
    size_t i = 0;
    while (i < PREFIX_COUNT && !cg_str_eq(prefix, cg_str_from(prefixes[i])))
        i++;
    if (i == PREFIX_COUNT) {
        const char *nearest = cg_nearest_name(prefix, prefixes, PREFIX_COUNT);
        CG_BUILD_ERROR(build, where, "`{%.*s}`: unknown source `%.*s`; %s%s", CG_STR_SHOWN(text),
                       CG_STR_SHOWN(prefix),
                       nearest == NULL ? "expected path, query, header, request or response"
                                       : "did you mean ",
                       nearest == NULL ? "" : nearest);
        return false;
    }
    value->source = prefix_sources[i];
    value->name = name;
    bool is_json = value->source == CG_VALUE_REQUEST || value->source == CG_VALUE_RESPONSE;
    if (value->source == CG_VALUE_PATH)
        return read_capture(build, where, route, name, false, value);
    if (value->source == CG_VALUE_HEADER)
        value->name = cg_hole_normalise(CG_HOLE_NOCASE, name, build->arena);
    if (is_json ? !cg_json_path_valid(name)
                : name.length == 0 || (value->source == CG_VALUE_HEADER && !cg_is_token(name))) {
        CG_BUILD_ERROR(build, where, "`{%.*s}`: expected %s", CG_STR_SHOWN(text),
                       is_json ? "a JSON path such as session_id, a.b, items[*].id or items[0].id"
                               : "a name behind the dot");
        return false;
    }
    return true;
}

/* A group's value: `{…}` from end to end, or literal text. */
static bool read_template(struct cg_build *build, const struct cg_node *node,
                          const struct cg_route *route, struct cg_value *value)
{
    if (!cg_node_expect(node, CG_NODE_SCALAR, build->problems))
        return false;
    struct cg_str text = node->text;
    size_t open = cg_str_find(text, '{'), close = cg_str_find(text, '}');
    if (open == text.length && close == text.length) {
        *value = (struct cg_value){.source = CG_VALUE_LITERAL,
                                   .name = cg_arena_copy(build->arena, text)};
        return true;
    }
    struct cg_str inside = cg_str_skip(text, 1);
    if (open != 0 || close + 1 != text.length || cg_str_find(inside, '{') < inside.length) {
        CG_BUILD_ERROR(build, node,
                       "`%.*s`: a value is literal text, or one {expression} and nothing else",
                       CG_STR_SHOWN(text));
        return false;
    }
    inside.length--;
    if (cg_str_find(inside, ':') < inside.length) {
        CG_BUILD_ERROR(build, node, "`%.*s`: the type belongs to the placeholder in the group",
                       CG_STR_SHOWN(text));
        return false;
    }
    return read_expression(build, node, route, cg_arena_copy(build->arena, inside), value);
}

/* ---- when ---- */

/* 2xx, or three digits. */
static bool is_status(struct cg_str text)
{
    if (text.length != 3 || text.bytes[0] < '1' || text.bytes[0] > '5')
        return false;
    return cg_str_eq(cg_str_skip(text, 1), CG_STR("xx")) ||
           (cg_is_digit(text.bytes[1]) && cg_is_digit(text.bytes[2]));
}

static void read_texts(struct cg_build *build, const struct cg_node *node,
                       struct cg_condition *condition)
{
    bool list = node->kind == CG_NODE_LIST;
    size_t count = list ? node->count : 1;
    if (count == 0 || count > CG_BUILD_LIST_MAX) {
        CG_BUILD_ERROR(build, node, "expected 1 to %d values", (int)CG_BUILD_LIST_MAX);
        return;
    }
    condition->texts = CG_ARENA_ARRAY(build->arena, struct cg_str, count);
    for (size_t i = 0; i < count; i++) {
        const struct cg_node *item = list ? node->items[i] : node;
        /* A condition on `null` can be meant: a field that is there and empty. */
        struct cg_str text = item->kind == CG_NODE_NULL ? CG_STR("null") : item->text;
        if (item->kind == CG_NODE_MAP || item->kind == CG_NODE_LIST) {
            (void)cg_node_expect(item, CG_NODE_SCALAR, build->problems);
            continue;
        }
        if (condition->value.source == CG_VALUE_STATUS && !is_status(text)) {
            CG_BUILD_ERROR(build, item, "`%.*s` is no status; expected 2xx, 201 or a list of them",
                           CG_STR_SHOWN(text));
            continue;
        }
        if (condition->value.source == CG_VALUE_STATUS && text.bytes[0] != '2' &&
            text.bytes[0] != '3' && text.bytes[0] != '5')
            CG_BUILD_WARNING(build, item, "answers of status %.*s never purge, whatever the rule",
                             CG_STR_SHOWN(text));
        condition->texts[condition->text_count++] = cg_arena_copy(build->arena, text);
    }
}

static void read_when(struct cg_build *build, const struct cg_node *node,
                      const struct cg_route *route, struct element *element)
{
    if (!cg_node_expect(node, CG_NODE_MAP, build->problems))
        return;
    if (node->count > CG_BUILD_LIST_MAX) {
        CG_BUILD_ERROR(build, node, "more than %d conditions", (int)CG_BUILD_LIST_MAX);
        return;
    }
    element->conditions = CG_ARENA_ARRAY(build->arena, struct cg_condition, node->count);
    for (size_t i = 0; i < node->count; i++) {
        static const char *const names[] = {"status", "request", "response"};
        const struct cg_node *key = node->keys[i];
        struct cg_condition condition = {.value = {.source = CG_VALUE_STATUS}};
        size_t end = 0;
        while (end < key->text.length && key->text.bytes[end] != '.' && key->text.bytes[end] != '[')
            end++;
        struct cg_str head = cg_str_sub(key->text, 0, end);
        bool of_body = end < key->text.length &&
                       (cg_str_eq(head, CG_STR("request")) || cg_str_eq(head, CG_STR("response")));
        if (!of_body && !cg_str_eq(key->text, CG_STR("status"))) {
            const char *nearest = cg_nearest_name(head, names, sizeof names / sizeof *names);
            CG_BUILD_ERROR(build, key, "`%.*s` is no condition; %s%s%s", CG_STR_SHOWN(key->text),
                           nearest == NULL ? "" : "did you mean ", nearest == NULL ? "" : nearest,
                           nearest == NULL ? "expected status, request.a.b or response.a.b" : "?");
            continue;
        }
        struct cg_str text = cg_arena_copy(build->arena, key->text);
        if (of_body && !read_expression(build, key, route, text, &condition.value))
            continue;
        read_texts(build, node->items[i], &condition);
        element->conditions[element->condition_count++] = condition;
    }
}

/* ---- clauses ---- */

static struct cg_clause *new_clause(struct cg_build *build, const struct element *element,
                                    struct cg_route *route)
{
    if (route->clause_count == CG_BUILD_CLAUSES_MAX) {
        CG_BUILD_ERROR(build, element->where,
                       "more than %d purges in one `invalidate`, groups unfolded",
                       (int)CG_BUILD_CLAUSES_MAX);
        return NULL;
    }
    /* Grown at powers of two. */
    if ((route->clause_count & (route->clause_count - 1)) == 0) {
        size_t capacity = route->clause_count == 0 ? 1 : route->clause_count * 2;
        struct cg_clause *clauses = CG_ARENA_ARRAY(build->arena, struct cg_clause, capacity);
        if (route->clause_count > 0)
            memcpy(clauses, route->clauses, route->clause_count * sizeof *clauses);
        route->clauses = clauses;
    }
    struct cg_clause *clause = &route->clauses[route->clause_count++];
    *clause = (struct cg_clause){.self = element->self,
                                 .conditions = element->conditions,
                                 .condition_count = element->condition_count,
                                 .where = element->where};
    return clause;
}

static void read_pattern(struct cg_build *build, const struct cg_node *node,
                         const struct element *element, struct cg_route *route)
{
    if (!cg_node_expect(node, CG_NODE_SCALAR, build->problems) || cg_build_is_full(build, node))
        return;
    const struct cg_pattern *pattern =
        cg_pattern_compile(node->text, true, build->arena, build->problems, node);
    struct cg_value values[CG_HOLES_MAX] = {0};
    bool valid = pattern != NULL;
    for (unsigned i = 0; pattern != NULL && i < pattern->hole_count; i++)
        valid = read_expression(build, node, route, pattern->hole_names[i], &values[i]) && valid;
    unsigned shape;
    if (!valid || !cg_build_shape(build, pattern, node, &shape))
        return;
    struct cg_clause *clause = new_clause(build, element, route);
    if (clause == NULL)
        return;
    clause->shape = shape;
    memcpy(clause->values, values, sizeof values);
}

static const struct cg_group *find_group(struct cg_build *build, const struct cg_node *node)
{
    const struct cg_ruleset *ruleset = build->ruleset;
    if (!cg_node_expect(node, CG_NODE_SCALAR, build->problems))
        return NULL;
    const struct cg_group *group = cg_ruleset_group(ruleset, node->text);
    if (group != NULL)
        return group;
    if (ruleset->group_count == 0) {
        CG_BUILD_ERROR(build, node, "unknown group `%.*s`; no groups are defined",
                       CG_STR_SHOWN(node->text));
        return NULL;
    }
    size_t index;
    (void)cg_node_choice(node, build->group_names, ruleset->group_count, build->problems, &index);
    return NULL;
}

static void read_group_use(struct cg_build *build, const struct cg_node *node,
                           const struct cg_node *map, const struct element *element,
                           struct cg_route *route)
{
    const struct cg_group *group = find_group(build, node);
    if (group == NULL)
        return;
    const char *keys[CG_HOLES_MAX + 3] = {"group", "audience", "when"};
    size_t key_count = 3;
    struct cg_value values[CG_HOLES_MAX] = {0};
    bool valid = true;
    for (size_t i = 0; i < group->param_count; i++) {
        const char *name = group->params[i].bytes; /* a copy, so terminated */
        const struct cg_node *value = cg_node_get(map, name);
        keys[key_count++] = name;
        if (value == NULL)
            CG_BUILD_ERROR(build, map,
                           "the group `%.*s` needs a value for `%s`, such as %s: "
                           "\"{response.%s}\"",
                           CG_STR_SHOWN(group->name), name, name, name);
        valid = value != NULL && read_template(build, value, route, &values[i]) && valid;
    }
    if (!cg_node_known_keys(map, keys, key_count, build->problems) || !valid)
        return;
    for (size_t i = 0; i < group->member_count; i++) {
        struct cg_clause *clause =
            cg_build_is_full(build, node) ? NULL : new_clause(build, element, route);
        if (clause == NULL)
            return;
        clause->shape = group->shapes[i];
        unsigned hole_count = build->ruleset->shapes[clause->shape].pattern->hole_count;
        for (unsigned hole = 0; hole < hole_count; hole++)
            clause->values[hole] = values[group->holes[i][hole]];
    }
}

/* Neither a pattern nor a group, or both: the cause is often a misspelt key, or braces that YAML
 * has read as a map. */
static void refuse_element(struct cg_build *build, const struct cg_node *node)
{
    static const char *const names[] = {"pattern", "group"};
    bool both = cg_node_get(node, "pattern") != NULL && cg_node_get(node, "group") != NULL;
    for (size_t i = 0; !both && i < node->count; i++) {
        const char *nearest = cg_nearest_name(node->keys[i]->text, names, 2);
        if (nearest == NULL)
            continue;
        CG_BUILD_ERROR(build, node->keys[i], "unknown key `%.*s`; did you mean `%s`?",
                       CG_STR_SHOWN(node->keys[i]->text), nearest);
        return;
    }
    CG_BUILD_ERROR(build, node, "expected exactly one of `pattern` and `group`%s",
                   node->count == 1 && !both ? "; put a pattern with { } in quotes" : "");
}

static void read_element(struct cg_build *build, const struct cg_node *node, struct cg_route *route)
{
    static const char *const pattern_keys[] = {"pattern", "audience", "when"};
    static const char *const audiences[] = {"everyone", "self"};
    struct element element = {.where = node};
    if (node->kind == CG_NODE_SCALAR) {
        read_pattern(build, node, &element, route);
        return;
    }
    if (!cg_node_expect(node, CG_NODE_MAP, build->problems))
        return;
    const struct cg_node *pattern = cg_node_get(node, "pattern");
    const struct cg_node *group = cg_node_get(node, "group");
    const struct cg_node *audience = cg_node_get(node, "audience");
    const struct cg_node *when = cg_node_get(node, "when");
    size_t index = 0;
    if ((pattern == NULL) == (group == NULL)) {
        refuse_element(build, node);
        return;
    }
    if (audience != NULL &&
        cg_node_choice(audience, audiences, sizeof audiences / sizeof *audiences, build->problems,
                       &index))
        element.self = index == 1;
    if (when != NULL)
        read_when(build, when, route, &element);
    if (group != NULL)
        read_group_use(build, group, node, &element, route);
    else if (cg_node_known_keys(node, pattern_keys, sizeof pattern_keys / sizeof *pattern_keys,
                                build->problems))
        read_pattern(build, pattern, &element, route);
}

static void note_source(struct cg_route *route, enum cg_value_source source)
{
    route->needs_request_body = route->needs_request_body || source == CG_VALUE_REQUEST;
    route->needs_response_body = route->needs_response_body || source == CG_VALUE_RESPONSE;
}

void cg_build_invalidate(struct cg_build *build, const struct cg_node *node, struct cg_route *route)
{
    if (node->kind == CG_NODE_SCALAR && cg_str_eq(node->text, CG_STR("none"))) {
        route->invalidate = CG_INVALIDATE_NONE;
        return;
    }
    if (node->kind != CG_NODE_LIST) {
        CG_BUILD_ERROR(build, node, "expected `none` or a list of patterns and groups, found %s",
                       cg_node_kind_text(node->kind));
        return;
    }
    route->invalidate = CG_INVALIDATE_LIST;
    for (size_t i = 0; i < node->count; i++)
        read_element(build, node->items[i], route);
    for (size_t i = 0; i < route->clause_count; i++) {
        const struct cg_clause *clause = &route->clauses[i];
        unsigned hole_count = build->ruleset->shapes[clause->shape].pattern->hole_count;
        for (unsigned hole = 0; hole < hole_count; hole++)
            note_source(route, clause->values[hole].source);
        for (size_t j = 0; j < clause->condition_count; j++)
            note_source(route, clause->conditions[j].value.source);
    }
}
