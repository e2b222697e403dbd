#include "gateway/config/settings_build.h"

#include "cachegate/redis_url.h"

#include <glob.h>

struct rule_files {
    struct cg_rule_source sources[CG_RULE_FILES_MAX];
    const char *names[CG_RULE_FILES_MAX];
    size_t count;
};

static void read_file(const struct cg_settings_build *build, const struct cg_node *where,
                      const char *name, struct rule_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->names[i], name) == 0) {
            cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "%s is read twice", name);
            return;
        }
    if (files->count == CG_RULE_FILES_MAX) {
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "more than %d rule files",
                       CG_RULE_FILES_MAX);
        return;
    }
    const struct cg_node *root =
        cg_tree_read_file(name, build->source->variable, build->source->variable_owner,
                          build->arena, build->problems);
    if (root == NULL)
        return;
    files->names[files->count] = name;
    files->sources[files->count++] = (struct cg_rule_source){.root = root};
}

/* A file name, or a glob of them. */
static void read_files(const struct cg_settings_build *build, const struct cg_node *where,
                       struct cg_str text, const char *folder, struct rule_files *files)
{
    const char *pattern = cg_option_file(text, folder, build->arena);
    (void)cg_settings_note_file(build, pattern);
    if (strpbrk(pattern, "*?[") == NULL) {
        read_file(build, where, pattern, files);
        return;
    }
    glob_t found;
    int result = glob(pattern, 0, NULL, &found);
    if (result == GLOB_NOMATCH)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "no file matches %s", pattern);
    else if (result != 0)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, where, "cannot look for %s", pattern);
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
        read_file(build, where, cg_option_text(cg_str_from(found.gl_pathv[i]), build->arena),
                  files);
    if (result == 0)
        globfree(&found);
}

static void read_node(const struct cg_settings_build *build, const struct cg_node *node,
                      const char *folder, struct rule_files *files)
{
    struct cg_str text;
    if (cg_settings_text(build, node, "a rule file", &text))
        read_files(build, node, text, folder, files);
}

/* All `--rules`, else the variable, else the file's list. */
static void collect(const struct cg_settings_build *build, struct rule_files *files)
{
    bool given = false;
    for (size_t i = 0; i < build->source->flag_count; i++)
        if (cg_str_eq(build->source->flags[i].path, CG_STR("rules"))) {
            read_node(build, cg_settings_flag_node(build, &build->source->flags[i]), "", files);
            given = true;
        }
    const struct cg_node *node = given ? NULL : cg_settings_find_variable(build, "rules");
    if (node != NULL) {
        struct cg_str rest = node->text, part;
        while (cg_str_split(&rest, ',', &part))
            read_files(build, node, cg_str_trim(part), "", files);
        given = true;
    }
    node = given ? NULL : cg_node_get(build->root, "rules");
    if (node == NULL || node->kind == CG_NODE_NULL) {
        if (!given) {
            struct cg_node nowhere = cg_settings_nowhere(build, "rules");
            cg_problem_add(build->problems, CG_PROBLEM_WARNING, &nowhere,
                           "there are no rules, so nothing is cached; give --rules FILE");
        }
        return;
    }
    if (node->kind != CG_NODE_LIST)
        read_node(build, node, build->folder, files);
    for (size_t i = 0; node->kind == CG_NODE_LIST && i < node->count; i++)
        read_node(build, node->items[i], build->folder, files);
}

/* Why `consistency: pushed` would be strict; NULL when it is not. */
static const char *why_strict(const struct cg_settings_build *build)
{
    const struct cg_settings *settings = build->settings;
    struct cg_redis_url url;
    const char *why, *folder;
    if (settings->redis_url == NULL &&
        cg_settings_find(build, "", build->root, "store.redis", &folder) != NULL)
        return NULL; /* its URL is refused already */
    if (settings->redis_url == NULL)
        return "there is no store.redis, and the embedded store is always asked";
    if (settings->near_bytes == 0)
        return "store.near is 0, so no copies are kept";
    if (cg_redis_url_parse(cg_str_from(settings->redis_url), build->arena, &url, &why) &&
        url.form == CG_REDIS_CLUSTER)
        return "the servers of a Cluster are not watched";
    return NULL;
}

/* One line: where it does not hold, it holds for no route. */
static void check_pushed(const struct cg_settings_build *build)
{
    const struct cg_ruleset *ruleset = build->settings->ruleset;
    if (build->settings->listener_count == 0) /* rules alone */
        return;
    for (size_t i = 0; ruleset != NULL && i < ruleset->route_count; i++) {
        if (!ruleset->routes[i].pushed)
            continue;
        const char *why = why_strict(build);
        if (why != NULL)
            cg_problem_add(build->problems, CG_PROBLEM_WARNING, ruleset->routes[i].where,
                           "`consistency: pushed` is the same as strict: %s", why);
        return;
    }
}

void cg_settings_read_rules(const struct cg_settings_build *build)
{
    struct cg_settings *settings = build->settings;
    struct rule_files *files = CG_ARENA_NEW(build->arena, struct rule_files);
    collect(build, files);
    /* Where the upstreams are wrong, that was said; the rules are checked all the same. */
    size_t upstream_count = settings->upstream_count > 0 ? settings->upstream_count : 1;
    const char **names = CG_ARENA_ARRAY(build->arena, const char *, upstream_count);
    names[0] = "default";
    for (size_t i = 0; i < settings->upstream_count; i++)
        names[i] = settings->upstreams[i].name;
    struct cg_ruleset_options options = {
        .identity = cg_node_get(build->root, "identity"),
        .upstream_names = names,
        .upstream_count = upstream_count,
        .secret = settings->secret,
        .secret_previous = settings->secret_previous_given ? &settings->secret_previous : NULL,
        .cache_enabled = settings->cache_enabled,
    };
    if (options.identity != NULL && options.identity->kind == CG_NODE_NULL)
        options.identity = NULL;
    settings->ruleset = cg_ruleset_compile(files->sources, files->count, &options, build->problems);
    if (settings->ruleset != NULL && settings->ruleset->route_count == 0 && files->count > 0)
        cg_problem_add(build->problems, CG_PROBLEM_WARNING, files->sources[0].root,
                       "there are no `routes`, so nothing is cached");
    check_pushed(build);
}
