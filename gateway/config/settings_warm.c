#include "gateway/config/settings_build.h"

static const char a_url[] = "a path (/items?page=1), or a URL with the host that clients name";

/* "/path", or "https://host/path" where the host matters. */
static bool read_url(const struct cg_settings_build *build, const struct cg_node *node,
                     struct cg_warm_settings *warm)
{
    struct cg_str text;
    if (!cg_settings_text(build, node, a_url, &text))
        return false;
    warm->scheme = CG_STR("http");
    warm->authority = CG_STR("localhost");
    bool secure = cg_str_starts_with(text, CG_STR("https://"));
    if (secure || cg_str_starts_with(text, CG_STR("http://"))) {
        warm->scheme = secure ? CG_STR("https") : CG_STR("http");
        text = cg_str_skip(text, warm->scheme.length + strlen("://"));
        size_t slash = cg_str_find(text, '/');
        warm->authority = cg_str_sub(text, 0, slash);
        text = cg_str_skip(text, slash);
    }
    warm->target = cg_arena_copy(build->arena, text);
    warm->authority = cg_arena_copy(build->arena, warm->authority);
    bool good = !cg_str_empty(warm->authority) && cg_str_starts_with(text, CG_STR("/"));
    for (size_t i = 0; i < text.length; i++)
        good = good && (unsigned char)text.bytes[i] > ' ' && text.bytes[i] != '#';
    if (!good)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, node, "expected %s", a_url);
    return good;
}

static bool is_field_text(struct cg_str text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.bytes[i] < ' ' && text.bytes[i] != '\t')
            return false;
    return true;
}

static bool is_name(struct cg_str text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!cg_is_alpha(text.bytes[i]) && !cg_is_digit(text.bytes[i]) && text.bytes[i] != '-')
            return false;
    return !cg_str_empty(text);
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
        if (!is_name(name) || value->kind != CG_NODE_SCALAR || !is_field_text(value->text)) {
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
