#include "gateway/config/address.h"
#include "gateway/config/settings_build.h"

/* One upstream before it is read: who gives its URL, and its map in the file where there is one. */
struct entry {
    struct cg_str name;
    const struct cg_node *url;
    const struct cg_node *map;
};

struct entries {
    struct entry items[CG_UPSTREAMS_MAX];
    size_t count;
};

static bool is_name(struct cg_str name)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = name.bytes[i];
        if (!cg_is_alpha(c) && !cg_is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return name.length > 0 && name.length <= 64;
}

static struct entry *find_entry(struct entries *entries, struct cg_str name)
{
    for (size_t i = 0; i < entries->count; i++)
        if (cg_str_eq(entries->items[i].name, name))
            return &entries->items[i];
    return NULL;
}

static void add_entry(const struct cg_settings_build *build, struct entries *entries,
                      struct entry entry)
{
    if (entries->count == CG_UPSTREAMS_MAX)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, entry.url, "more than %d upstreams",
                       CG_UPSTREAMS_MAX);
    else
        entries->items[entries->count++] = entry;
}

static void collect_from_file(const struct cg_settings_build *build, struct entries *entries)
{
    const struct cg_node *single = cg_node_get(build->root, "upstream");
    const struct cg_node *several = cg_node_get(build->root, "upstreams");
    if (single != NULL && single->kind != CG_NODE_NULL)
        add_entry(build, entries, (struct entry){CG_STR("default"), single, NULL});
    if (several == NULL || several->kind == CG_NODE_NULL)
        return;
    if (entries->count > 0)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, several,
                       "`upstream` and `upstreams` exclude each other; move the one into the map");
    if (!cg_node_expect(several, CG_NODE_MAP, build->problems))
        return;
    for (size_t i = 0; i < several->count; i++) {
        const struct cg_node *value = several->items[i];
        struct cg_str name = several->keys[i]->text;
        if (!is_name(name))
            cg_problem_add(build->problems, CG_PROBLEM_ERROR, several->keys[i],
                           "the name of an upstream has letters, digits, `-` and `_` only");
        else if (value->kind == CG_NODE_MAP)
            add_entry(build, entries, (struct entry){name, cg_node_get(value, "url"), value});
        else
            add_entry(build, entries, (struct entry){name, value, NULL});
    }
}

/* `NAME=URL` replaces or adds one; a URL alone replaces all. */
static void collect_flag(const struct cg_settings_build *build, struct entries *entries,
                         const struct cg_node *given, bool *replaced)
{
    size_t equals = cg_str_find(given->text, '=');
    struct cg_str name = cg_str_sub(given->text, 0, equals);
    struct cg_node *url = CG_ARENA_NEW(build->arena, struct cg_node);
    *url = *given;
    if (equals < given->text.length && is_name(name)) {
        url->text = cg_str_skip(given->text, equals + 1);
        struct entry *known = find_entry(entries, name);
        if (known != NULL)
            known->url = url;
        else
            add_entry(build, entries, (struct entry){name, url, NULL});
        return;
    }
    if (*replaced) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, given,
                       "several upstreams need a name each: --upstream NAME=URL");
        return;
    }
    struct entry *known = find_entry(entries, CG_STR("default"));
    struct entry only = {CG_STR("default"), url, known == NULL ? NULL : known->map};
    *replaced = true;
    entries->items[0] = only;
    entries->count = 1;
}

static void read_host(const struct cg_settings_build *build, const char *base,
                      const struct cg_node *map, struct cg_upstream_settings *upstream)
{
    static const char *const words[] = {"client", "upstream"};
    const char *folder;
    const struct cg_node *node = cg_settings_find(build, base, map, "host", &folder);
    size_t word = 0;
    if (node != NULL)
        cg_node_choice(node, words, 2, build->problems, &word);
    upstream->preserve_host = word == 0;
}

static void warn_about_useless_tls(const struct cg_settings_build *build, const struct cg_node *map)
{
    const struct cg_node *tls = cg_node_get(map, "tls");
    if (tls != NULL && tls->kind != CG_NODE_NULL)
        cg_problem_add(build->problems, CG_PROBLEM_WARNING, tls,
                       "has no effect: the URL does not begin with https://");
}

static void read_entry(const struct cg_settings_build *build, const struct entry *entry)
{
    struct cg_upstream_settings *upstream =
        &build->settings->upstreams[build->settings->upstream_count++];
    const char *base =
        cg_arena_printf(build->arena, "upstreams.%.*s.", CG_STR_ARG(entry->name)).bytes;
    const char *folder, *error;
    const struct cg_node *url = entry->url;
    struct cg_str text;
    upstream->name = cg_option_text(entry->name, build->arena);
    if (url == NULL || url->line > 0) { /* from the file: flag and variable may say otherwise */
        const struct cg_node *other = cg_settings_find(build, base, NULL, "url", &folder);
        url = other == NULL ? url : other;
    }
    cg_settings_read_home(build, CG_HOME_UPSTREAM, base, entry->map, upstream);
    read_host(build, base, entry->map, upstream);
    if (url == NULL) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, entry->map,
                       "an upstream needs `url`: http://host:port, https://host or unix:/path");
        return;
    }
    if (!cg_settings_text(build, url, "the URL of the upstream", &text))
        return;
    if (!cg_address_parse_upstream(text, build->arena, upstream, &error)) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, url, "`%.*s`: %s",
                       CG_STR_SHOWN(cg_address_masked(text, build->arena)), error);
        return;
    }
    if (!upstream->tls)
        warn_about_useless_tls(build, entry->map);
}

void cg_settings_read_upstreams(const struct cg_settings_build *build)
{
    struct cg_settings *settings = build->settings;
    struct entries *entries = CG_ARENA_NEW(build->arena, struct entries);
    const struct cg_node *variable = cg_settings_find_variable(build, "upstream");
    bool replaced = false, replaced_by_variable = false;
    size_t errors = build->problems->error_count;
    collect_from_file(build, entries);
    if (variable != NULL)
        collect_flag(build, entries, variable, &replaced_by_variable);
    for (size_t i = 0; i < build->source->flag_count; i++)
        if (cg_str_eq(build->source->flags[i].path, CG_STR("upstream")))
            collect_flag(build, entries, cg_settings_flag_node(build, &build->source->flags[i]),
                         &replaced);
    if (entries->count == 0 && build->source->rules_only) {
        static const struct cg_node placeholder = {.kind = CG_NODE_SCALAR,
                                                   .text = {"http://localhost", 16}};
        add_entry(build, entries, (struct entry){CG_STR("default"), &placeholder, NULL});
    }
    settings->upstreams =
        CG_ARENA_ARRAY(build->arena, struct cg_upstream_settings, entries->count + 1);
    for (size_t i = 0; i < entries->count; i++)
        read_entry(build, &entries->items[i]);
    if (entries->count == 0 && errors == build->problems->error_count) {
        struct cg_node nowhere = cg_settings_nowhere(build, "upstream");
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &nowhere,
                       "nothing says what stands behind the gateway; give --upstream "
                       "http://127.0.0.1:3000, or `upstream` in the configuration file");
    }
}
