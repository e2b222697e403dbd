#include "cachegate/url.h"
#include "gateway/config/settings_build.h"

static const char a_url[] = "a path (/items?page=1), or a URL with the host that clients name";

static bool read_url(const struct cg_settings_build *build, const struct cg_node *node,
                     struct cg_warm_settings *warm)
{
    struct cg_str text;
    struct cg_url url;
    if (!cg_settings_text(build, node, a_url, &text))
        return false;
    if (!cg_url_read(text, &url)) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, node, "expected %s", a_url);
        return false;
    }
    warm->scheme = url.scheme;
    warm->authority = cg_arena_copy(build->arena, url.authority);
    warm->target = cg_arena_copy(build->arena, url.target);
    return true;
}

static struct cg_str lower(struct cg_str text, struct cg_arena *arena)
{
    char *bytes = CG_ARENA_ARRAY(arena, char, text.length);
    for (size_t i = 0; i < text.length; i++)
        bytes[i] = cg_lower(text.bytes[i]);
    return cg_str_of(bytes, text.length);
}

/* Values are credentials more often than not: they are in no message. */
static void read_fields(const struct cg_settings_build *build, const struct cg_node *map,
                        struct cg_warm_settings *warm)
{
    if (map == NULL || !cg_node_expect(map, CG_NODE_MAP, build->problems))
        return;
    for (size_t i = 0; i < map->count; i++) {
        const struct cg_node *value = map->items[i];
        struct cg_str name = map->keys[i]->text;
        if (!cg_url_is_field_name(name) || value->kind != CG_NODE_SCALAR ||
            !cg_url_is_field_value(value->text)) {
            cg_problem_add(build->problems, CG_PROBLEM_ERROR, value,
                           "expected a field name and its text");
            continue;
        }
        (void)cg_fields_add(&warm->fields, build->arena, lower(name, build->arena),
                            cg_arena_copy(build->arena, value->text));
    }
}

static void read_wish(const struct cg_settings_build *build, const struct cg_node *node)
{
    static const char *const keys[] = {"url", "headers"};
    struct cg_settings *settings = build->settings;
    struct cg_warm_settings warm = {0};
    const struct cg_node *url = node;
    if (node->kind == CG_NODE_MAP) {
        (void)cg_node_known_keys(node, keys, sizeof keys / sizeof *keys, build->problems);
        url = cg_node_get(node, "url");
        read_fields(build, cg_node_get(node, "headers"), &warm);
    }
    if (url == NULL)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, node, "what is warmed needs `url`: %s",
                       a_url);
    else if (read_url(build, url, &warm))
        settings->warm[settings->warm_count++] = warm;
}

void cg_settings_read_warm(const struct cg_settings_build *build)
{
    const struct cg_node *list = cg_node_get(cg_node_get(build->root, "warm"), "requests");
    if (list == NULL || list->kind == CG_NODE_NULL ||
        !cg_node_expect(list, CG_NODE_LIST, build->problems))
        return;
    if (list->count > CG_WARM_MAX) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, list, "more than %d", CG_WARM_MAX);
        return;
    }
    build->settings->warm = CG_ARENA_ARRAY(build->arena, struct cg_warm_settings, list->count + 1);
    for (size_t i = 0; i < list->count; i++)
        read_wish(build, list->items[i]);
}
