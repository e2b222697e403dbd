#include "gateway/config/settings_build.h"

#include "cachegate/mask.h"

static const char a_name[] = "the name of a query parameter, in which `*` stands for any text";

static void add_name(const struct cg_settings_build *build, const struct cg_node *where,
                     struct cg_str text)
{
    struct cg_settings *settings = build->settings;
    struct cg_str name = cg_mask_name(text, build->arena);
    if (cg_str_empty(name) || text.length > CG_MASK_NAME_MAX)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "expected %s, found '%.*s'",
                       a_name, CG_STR_SHOWN(text));
    else if (settings->log_secret_count == CG_SECRET_NAMES_MAX)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "more than %d names",
                       CG_SECRET_NAMES_MAX);
    else
        settings->log_secrets[settings->log_secret_count++] = name;
}

/* A list in the file; in a variable, names with commas between them. */
void cg_settings_read_log(const struct cg_settings_build *build)
{
    struct cg_settings *settings = build->settings;
    const char *folder;
    const struct cg_node *list =
        cg_settings_find(build, "", build->root, "log.secret_query", &folder);
    struct cg_str rest, text;
    settings->log_secrets =
        CG_ARENA_ARRAY(build->arena, struct cg_str, (size_t)CG_SECRET_NAMES_MAX);
    if (list == NULL)
        return;
    if (list->kind == CG_NODE_SCALAR) {
        for (rest = list->text; cg_str_split(&rest, ',', &text);)
            add_name(build, list, cg_str_trim(text));
        return;
    }
    if (!cg_node_expect(list, CG_NODE_LIST, build->problems))
        return;
    for (size_t i = 0; i < list->count; i++)
        if (cg_settings_text(build, list->items[i], a_name, &text))
            add_name(build, list->items[i], text);
}
