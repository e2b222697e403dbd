#include "gateway/config/settings_build.h"

const struct cg_node *cg_settings_flag_node(const struct cg_settings_build *build,
                                            const struct cg_settings_flag *flag)
{
    struct cg_node *node = CG_ARENA_NEW(build->arena, struct cg_node);
    *node = (struct cg_node){.kind = CG_NODE_SCALAR,
                             .text = cg_arena_copy(build->arena, flag->value),
                             .file = cg_option_text(cg_str_from(flag->flag), build->arena),
                             .path = cg_arena_copy(build->arena, flag->path)};
    return node;
}

const struct cg_node *cg_settings_find_flag(const struct cg_settings_build *build, const char *path)
{
    struct cg_str wanted = cg_str_from(path);
    for (size_t i = build->source->flag_count; i > 0; i--) /* the last one counts */
        if (cg_str_eq(build->source->flags[i - 1].path, wanted))
            return cg_settings_flag_node(build, &build->source->flags[i - 1]);
    return NULL;
}

const struct cg_node *cg_settings_find_variable(const struct cg_settings_build *build,
                                                const char *path)
{
    struct cg_str name = cg_option_variable(path, build->arena);
    const char *value = build->source->variable == NULL
                            ? NULL
                            : build->source->variable(build->source->variable_owner, name.bytes);
    if (value == NULL || value[0] == '\0') /* set but empty counts as unset, as in `${X:-}` */
        return NULL;
    struct cg_node *node = CG_ARENA_NEW(build->arena, struct cg_node);
    *node = (struct cg_node){.kind = CG_NODE_SCALAR,
                             .text = cg_arena_copy(build->arena, cg_str_from(value)),
                             .file = "environment",
                             .path = name};
    return node;
}

/* Walks the dots of `path` down from `map`. */
static const struct cg_node *find_in_map(const struct cg_settings_build *build,
                                         const struct cg_node *map, const char *path)
{
    struct cg_str rest = cg_str_from(path), name;
    const struct cg_node *node = map;
    while (node != NULL && cg_str_split(&rest, '.', &name)) {
        /* `admin: ADDRESS` stands for admin.listen. */
        if (node->kind == CG_NODE_SCALAR && map == build->root &&
            cg_str_eq(cg_str_from(path), CG_STR("admin.listen")))
            return node;
        node = cg_node_get(node, cg_option_text(name, build->arena));
    }
    return node == NULL || node->kind == CG_NODE_NULL ? NULL : node;
}

const struct cg_node *cg_settings_find(const struct cg_settings_build *build, const char *base,
                                       const struct cg_node *map, const char *path,
                                       const char **ret_folder)
{
    const char *whole = cg_arena_printf(build->arena, "%s%s", base, path).bytes;
    *ret_folder = "";
    const struct cg_node *node = cg_settings_find_flag(build, whole);
    if (node == NULL)
        node = cg_settings_find_variable(build, whole);
    if (node != NULL)
        return node;
    *ret_folder = build->folder;
    return find_in_map(build, map, path);
}

void cg_settings_read_home(const struct cg_settings_build *build, enum cg_option_home home,
                           const char *base, const struct cg_node *map, void *target)
{
    for (size_t i = 0; i < cg_option_count(); i++) {
        const struct cg_option *option = cg_option_at(i);
        const char *folder;
        if (option->home != home || option->special)
            continue;
        const struct cg_node *node = cg_settings_find(build, base, map, option->path, &folder);
        cg_option_read(option, node, folder, target, build->arena, build->problems);
    }
}

bool cg_settings_text(const struct cg_settings_build *build, const struct cg_node *node,
                      const char *expected, struct cg_str *ret_text)
{
    if (!cg_option_is_text(node, expected, build->problems))
        return false;
    if (cg_str_empty(node->text)) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, node, "expected %s, found an empty text",
                       expected);
        return false;
    }
    *ret_text = node->text;
    return true;
}

struct cg_node cg_settings_nowhere(const struct cg_settings_build *build, const char *path)
{
    return (struct cg_node){.kind = CG_NODE_NULL,
                            .file = build->source->file == NULL ? "" : build->source->file,
                            .path = cg_str_from(path)};
}
