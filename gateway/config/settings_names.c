#include "gateway/config/settings_build.h"

enum { NAMES_MAX = 64 };

/* The names that may follow `section` ("" or "limits.") in a home; returns how many. */
static size_t list_names(enum cg_option_home home, struct cg_str section, struct cg_arena *arena,
                         const char *names[NAMES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < cg_option_count() && count < NAMES_MAX; i++) {
        struct cg_str path = cg_str_from(cg_option_at(i)->path);
        if (cg_option_at(i)->home != home || !cg_str_starts_with(path, section))
            continue;
        path = cg_str_skip(path, section.length);
        path = cg_str_sub(path, 0, cg_str_find(path, '.'));
        /* Options of one section stand together in the table. */
        if (count == 0 || !cg_str_eq(path, cg_str_from(names[count - 1])))
            names[count++] = cg_option_text(path, arena);
    }
    return count;
}

static void check_map(const struct cg_settings_build *build, enum cg_option_home home,
                      struct cg_str section, const struct cg_node *map)
{
    const char *names[NAMES_MAX];
    size_t count = list_names(home, section, build->arena, names);
    cg_node_known_keys(map, names, count, build->problems);
}

/* A home has options and sections of options, no deeper. */
static void check_home(const struct cg_settings_build *build, enum cg_option_home home,
                       const struct cg_node *map)
{
    check_map(build, home, CG_STR(""), map);
    for (size_t i = 0; i < map->count; i++) {
        const char *names[NAMES_MAX];
        const struct cg_node *value = map->items[i];
        struct cg_str name = map->keys[i]->text;
        struct cg_str section = cg_arena_printf(build->arena, "%.*s.", CG_STR_SHOWN(name));
        if (list_names(home, section, build->arena, names) == 0 || value->kind == CG_NODE_NULL)
            continue;
        if (value->kind == CG_NODE_MAP)
            check_map(build, home, section, value);
        else if (home != CG_HOME_SETTINGS || !cg_str_eq(name, CG_STR("admin")) ||
                 value->kind != CG_NODE_SCALAR)
            cg_problem_add(build->problems, CG_PROBLEM_ERROR, value,
                           "expected a map with `%s` and the like, found %s", names[0],
                           cg_node_kind_text(value->kind));
    }
}

/* What `--set` names must exist, and be a scalar. */
static void check_flag(const struct cg_settings_build *build, const struct cg_settings_flag *flag)
{
    struct cg_str path = flag->path;
    enum cg_option_home home = CG_HOME_SETTINGS;
    if (cg_str_starts_with(path, CG_STR("upstreams."))) {
        home = CG_HOME_UPSTREAM;
        path = cg_str_skip(path, strlen("upstreams."));
        path = cg_str_skip(path, cg_str_find(path, '.') + 1);
    }
    const struct cg_option *option = cg_option_find(home, path);
    if (strcmp(flag->flag, "--set") != 0 || (option != NULL && cg_option_is_scalar(option)))
        return;
    const struct cg_node *where = cg_settings_flag_node(build, flag);
    if (option != NULL) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where,
                       "--set takes single values only; write this one into the configuration "
                       "file%s%s",
                       option->flag[0] == '\0' ? "" : " or use ", option->flag);
        return;
    }
    const char *names[2 * NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < cg_option_count() && count < 2 * NAMES_MAX; i++)
        if (cg_option_at(i)->home == home && cg_option_is_scalar(cg_option_at(i)))
            names[count++] = cg_option_at(i)->path;
    const char *nearest = cg_nearest_name(path, names, count);
    if (nearest != NULL)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where,
                       "there is no such option; did you mean `%s`?", nearest);
    else
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where,
                       "there is no such option; `cachegate reference` lists them all");
}

void cg_settings_check_names(const struct cg_settings_build *build)
{
    for (size_t i = 0; i < build->source->flag_count; i++)
        check_flag(build, &build->source->flags[i]);
    if (build->root == NULL)
        return;
    const struct cg_node *routes = cg_node_get(build->root, "routes");
    if (routes != NULL) /* the likeliest slip of all: one sentence, not one for each key */
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, routes,
                       "these are rules and no configuration; give this file with --rules, or name "
                       "it under `rules` in the configuration");
    else
        check_home(build, CG_HOME_SETTINGS, build->root);
    const struct cg_node *listen = cg_node_get(build->root, "listen");
    if (listen != NULL && listen->kind == CG_NODE_MAP)
        check_home(build, CG_HOME_LISTENER, listen);
    for (size_t i = 0; listen != NULL && listen->kind == CG_NODE_LIST && i < listen->count; i++)
        if (listen->items[i]->kind == CG_NODE_MAP)
            check_home(build, CG_HOME_LISTENER, listen->items[i]);
    const struct cg_node *upstreams = cg_node_get(build->root, "upstreams");
    for (size_t i = 0; upstreams != NULL && upstreams->kind == CG_NODE_MAP && i < upstreams->count;
         i++)
        if (upstreams->items[i]->kind == CG_NODE_MAP)
            check_home(build, CG_HOME_UPSTREAM, upstreams->items[i]);
}
