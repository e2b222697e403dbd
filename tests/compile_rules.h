/*
 * compile_rules: text → tree → ruleset for tests, with a made-up environment, and the problems kept
 * for the test to look at. Everything is released by compiled_fini.
 */
#ifndef TESTS_COMPILE_RULES_H
#define TESTS_COMPILE_RULES_H

#include "cachegate/buf.h"
#include "cachegate/ruleset.h"
#include "gateway/config/tree.h"

#include <stdio.h>

struct compiled {
    struct cg_arena arena;
    struct cg_problems problems;
    struct cg_ruleset *ruleset;
};

/* TTL=7m, EMPTY is set to nothing, TRICKY would change the structure if it could. */
static inline const char *compile_env(void *owner, const char *name)
{
    (void)owner;
    if (strcmp(name, "TTL") == 0)
        return "7m";
    if (strcmp(name, "EMPTY") == 0)
        return "";
    if (strcmp(name, "OFF") == 0)
        return "off";
    if (strcmp(name, "TRICKY") == 0)
        return "x, y]\nroutes: [ {match: \"${TTL}\"} ]";
    return NULL;
}

static inline void compiled_init(struct compiled *compiled)
{
    *compiled = (struct compiled){0};
    cg_arena_init(&compiled->arena, (size_t)4 * CG_TREE_ARENA_BYTES);
    compiled->problems.arena = &compiled->arena;
}

static inline struct cg_node *compiled_parse(struct compiled *compiled, struct cg_str text,
                                             const char *file)
{
    return cg_tree_parse(text, file, compile_env, NULL, &compiled->arena, &compiled->problems);
}

/* `identity` may be NULL. Returns whether there is a ruleset. Upstreams: `main` and `other`. */
static inline bool compiled_run(struct compiled *compiled, const struct cg_str *texts, size_t count,
                                const char *identity)
{
    static const char *const upstreams[] = {"main", "other"};
    struct cg_rule_source sources[4] = {0};
    struct cg_ruleset_options options = {
        .upstream_names = upstreams, .upstream_count = 2, .cache_enabled = true};
    for (size_t i = 0; i < count; i++) {
        char file[32];
        snprintf(file, sizeof file, "rules%zu.yaml", i);
        sources[i].root = compiled_parse(compiled, texts[i], file);
        if (sources[i].root == NULL)
            return false;
    }
    if (identity != NULL)
        options.identity = compiled_parse(compiled, cg_str_from(identity), "identity.yaml");
    compiled->ruleset = cg_ruleset_compile(sources, count, &options, &compiled->problems);
    return compiled->ruleset != NULL;
}

static inline void compiled_fini(struct compiled *compiled)
{
    compiled->ruleset = cg_ruleset_destroy(compiled->ruleset);
    cg_arena_fini(&compiled->arena);
}

/* All problems, one per line: `error file:line: path: message`. NUL-terminated. */
static inline const char *compiled_problems(struct compiled *compiled)
{
    struct cg_str all = {"", 0};
    for (size_t i = 0; i < compiled->problems.count; i++) {
        const struct cg_problem *problem = &compiled->problems.items[i];
        all = cg_arena_printf(&compiled->arena, "%.*s%s %s:%u: %.*s: %.*s\n", CG_STR_ARG(all),
                              problem->severity == CG_PROBLEM_ERROR ? "error" : "warning",
                              problem->file, problem->line, CG_STR_ARG(problem->path),
                              CG_STR_ARG(problem->message));
    }
    return all.bytes;
}

#endif
