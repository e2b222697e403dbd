#include "gateway/admin/parts.h"

/*
 * {"patterns": ["/a?b=1"], "groups": [{"group": "session", "id": "1"}], "users": ["u1"],
 *  "tags": ["of-an-answer"]}
 * All or nothing: with one mistake nothing is purged.
 */

/* Each is compared with all before it, while the thread answers nobody else. */
enum { NAMED_MAX = 4096 };

struct reading {
    const struct cg_ruleset *ruleset;
    const struct cg_ruleset *other; /* during an exchange; else NULL */
    struct cg_arena *arena;
    struct cg_purge_set *set;
    const char *error; /* NULL while all is well */
    const char *remedy;
};

static const char example[] = "{\"patterns\": [\"/a?b=1\"], \"groups\": [{\"group\": \"name\", "
                              "\"placeholder\": \"value\"}], \"users\": [\"name\"], "
                              "\"tags\": [\"name\"]}";

static bool fail(struct reading *reading, struct cg_str error, const char *remedy)
{
    if (reading->error == NULL) {
        reading->error = error.bytes;
        reading->remedy = remedy;
    }
    return false;
}

/* A text or an integer as text. */
static bool read_value(struct reading *reading, const json_t *json, const char *what,
                       struct cg_str *ret_value)
{
    if (json_is_string(json)) {
        struct cg_str text = cg_str_of(json_string_value(json), json_string_length(json));
        *ret_value = cg_arena_copy(reading->arena, text);
        if (!cg_str_empty(text))
            return true;
    } else if (json_is_integer(json)) {
        *ret_value = cg_arena_printf(reading->arena, "%lld", (long long)json_integer_value(json));
        return true;
    }
    return fail(reading, cg_arena_printf(reading->arena, "%s must be a non-empty text", what),
                example);
}

static bool read_pattern(struct reading *reading, const json_t *json)
{
    struct cg_str text;
    struct cg_problems problems = {.arena = reading->arena};
    if (!read_value(reading, json, "an element of `patterns`", &text))
        return false;
    if (cg_purge_of_pattern(reading->ruleset, text, reading->arena, &problems, reading->set))
        return reading->other == NULL ||
               cg_purge_of_pattern(reading->other, text, reading->arena, &problems, reading->set);
    struct cg_str why = problems.count > 0 ? problems.items[0].message : CG_STR("it is no pattern");
    return fail(reading,
                cg_arena_printf(reading->arena, "pattern `%.*s`: %.*s", CG_STR_SHOWN(text),
                                CG_STR_ARG(why)),
                "patterns are paths with * and ** as in the rules, their values filled in");
}

static bool read_user(struct reading *reading, const json_t *json)
{
    struct cg_str user;
    if (!read_value(reading, json, "an element of `users`", &user))
        return false;
    cg_purge_of_user(reading->ruleset, user, reading->arena, reading->set);
    if (reading->other != NULL)
        cg_purge_of_user(reading->other, user, reading->arena, reading->set);
    return true;
}

static bool read_tag(struct reading *reading, const json_t *json)
{
    struct cg_str tag;
    bool known = false;
    for (size_t i = 0; i < reading->ruleset->route_count; i++)
        known = known || reading->ruleset->routes[i].groups != CG_GROUPS_IGNORE;
    if (!read_value(reading, json, "an element of `tags`", &tag))
        return false;
    if (!known)
        return fail(reading, CG_STR("no rule knows the groups that answers name"),
                    "say `groups: keep` or `groups: remove` in the rules");
    cg_purge_of_tag(reading->ruleset, tag, reading->arena, reading->set);
    if (reading->other != NULL)
        cg_purge_of_tag(reading->other, tag, reading->arena, reading->set);
    return true;
}

static const char *list_params(const struct reading *reading, const struct cg_group *group)
{
    struct cg_buf text;
    cg_buf_init(&text, 4096);
    cg_buf_add_text(&text, "its placeholders are");
    for (size_t i = 0; i < group->param_count; i++)
        cg_buf_printf(&text, "%s %.*s", i == 0 ? "" : ",", CG_STR_SHOWN(group->params[i]));
    const char *copy = cg_arena_copy(reading->arena, cg_buf_str(&text)).bytes;
    cg_buf_fini(&text);
    return group->param_count == 0 ? "it has no placeholders" : copy;
}

/* What the other rules call so, where it has the same placeholders. */
static void read_other_group(struct reading *reading, const json_t *json, struct cg_str name)
{
    const struct cg_group *group = cg_ruleset_group(reading->other, name);
    if (group == NULL || json_object_size(json) != group->param_count + 1)
        return;
    struct cg_str *values = CG_ARENA_ARRAY(reading->arena, struct cg_str, group->param_count + 1);
    for (size_t i = 0; i < group->param_count; i++) {
        const char *param = cg_arena_copy(reading->arena, group->params[i]).bytes;
        const json_t *value = json_object_get(json, param);
        if (value == NULL || !read_value(reading, value, param, &values[i]))
            return;
    }
    cg_purge_of_group(reading->other, group, values, reading->arena, reading->set);
}

static bool read_group(struct reading *reading, const json_t *json)
{
    struct cg_str name = {NULL, 0};
    if (!json_is_object(json) ||
        !read_value(reading, json_object_get(json, "group"), "`group`", &name))
        return fail(reading, CG_STR("an element of `groups` must be a map with `group`"), example);
    const struct cg_group *group = cg_ruleset_group(reading->ruleset, name);
    if (group == NULL)
        return fail(
            reading,
            cg_arena_printf(reading->arena, "the rules have no group `%.*s`", CG_STR_SHOWN(name)),
            cg_admin_group_remedy(reading->ruleset, name, reading->arena));
    struct cg_str *values = CG_ARENA_ARRAY(reading->arena, struct cg_str, group->param_count + 1);
    for (size_t i = 0; i < group->param_count; i++) {
        const char *param = cg_arena_copy(reading->arena, group->params[i]).bytes;
        if (!read_value(
                reading, json_object_get(json, param),
                cg_arena_printf(reading->arena, "`%s` of group `%.*s`", param, CG_STR_SHOWN(name))
                    .bytes,
                &values[i])) {
            reading->remedy = list_params(reading, group);
            return false;
        }
    }
    if (json_object_size(json) != group->param_count + 1)
        return fail(reading,
                    cg_arena_printf(reading->arena, "group `%.*s` was given names it does not have",
                                    CG_STR_SHOWN(name)),
                    list_params(reading, group));
    cg_purge_of_group(reading->ruleset, group, values, reading->arena, reading->set);
    if (reading->other != NULL)
        read_other_group(reading, json, name);
    return true;
}

static bool read_list(struct reading *reading, const json_t *body, const char *name,
                      bool (*read_one)(struct reading *reading, const json_t *json))
{
    const json_t *list = json_object_get(body, name);
    if (list == NULL)
        return true;
    if (!json_is_array(list))
        return fail(reading, cg_arena_printf(reading->arena, "`%s` must be a list", name), example);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i >= NAMED_MAX || reading->set->instance_count + reading->set->ban_count > NAMED_MAX)
            return fail(reading,
                        cg_arena_printf(reading->arena, "the body names more than %d", NAMED_MAX),
                        "ask several times, or name an open pattern that covers many");
        if (!read_one(reading, json_array_get(list, i)))
            return false;
    }
    return true;
}

static bool read_names(struct reading *reading, json_t *body)
{
    static const char *const names[] = {"patterns", "groups", "users", "tags"};
    const char *key;
    json_t *value;
    json_object_foreach(body, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            known = known || strcmp(key, names[i]) == 0;
        if (known)
            continue;
        const char *nearest =
            cg_nearest_name(cg_str_from(key), names, sizeof names / sizeof *names);
        return fail(reading,
                    cg_arena_printf(reading->arena, "the body has an unknown name `%.*s`",
                                    CG_STR_SHOWN(cg_str_from(key))),
                    nearest == NULL
                        ? example
                        : cg_arena_printf(reading->arena, "did you mean `%s`?", nearest).bytes);
    }
    return true;
}

const char *cg_admin_purge_read(const struct cg_ruleset *ruleset, const struct cg_ruleset *other,
                                struct cg_str body, struct cg_arena *arena,
                                struct cg_purge_set *set, const char **ret_remedy)
{
    struct reading reading = {
        .ruleset = ruleset, .other = other, .arena = arena, .set = set, .remedy = ""};
    json_t *json =
        json_loadb(body.bytes == NULL ? "" : body.bytes, body.length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(json))
        fail(&reading, CG_STR("the body must be a JSON map"), example);
    else if (read_names(&reading, json) && read_list(&reading, json, "patterns", read_pattern) &&
             read_list(&reading, json, "groups", read_group) &&
             read_list(&reading, json, "users", read_user) &&
             read_list(&reading, json, "tags", read_tag) && set->instance_count == 0 &&
             set->ban_count == 0)
        fail(&reading, CG_STR("the body names nothing to purge"), example);
    json_decref(json);
    *ret_remedy = reading.remedy;
    return reading.error;
}

const char *cg_admin_group_remedy(const struct cg_ruleset *ruleset, struct cg_str name,
                                  struct cg_arena *arena)
{
    const char **names = CG_ARENA_ARRAY(arena, const char *, ruleset->group_count + 1);
    struct cg_buf text;
    for (size_t i = 0; i < ruleset->group_count; i++)
        names[i] = cg_arena_copy(arena, ruleset->groups[i].name).bytes;
    const char *nearest = cg_nearest_name(name, names, ruleset->group_count);
    if (nearest != NULL)
        return cg_arena_printf(arena, "did you mean `%s`?", nearest).bytes;
    if (ruleset->group_count == 0)
        return "the rules have no groups; purge by pattern with POST /cache/purge";
    cg_buf_init(&text, 4096);
    cg_buf_add_text(&text, "the groups are");
    for (size_t i = 0; i < ruleset->group_count; i++)
        cg_buf_printf(&text, "%s %s", i == 0 ? "" : ",", names[i]);
    const char *copy = cg_arena_copy(arena, cg_buf_str(&text)).bytes;
    cg_buf_fini(&text);
    return copy;
}
