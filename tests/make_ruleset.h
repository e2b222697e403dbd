/*
 * make_ruleset: rules from YAML text, for tests of every ring. What is made stays until the process
 * ends, reachable for the leak checker.
 */
#ifndef TESTS_MAKE_RULESET_H
#define TESTS_MAKE_RULESET_H

#include "cachegate/ruleset.h"
#include "gateway/config/tree.h"

#include <stdio.h>
#include <stdlib.h>

struct made_ruleset {
    struct made_ruleset *older;
    struct cg_arena arena;
    struct cg_problems problems;
    struct cg_ruleset *ruleset;
};

static inline const char *made_env(void *owner, const char *name)
{
    (void)owner;
    (void)name;
    return NULL;
}

static inline struct made_ruleset *made_ruleset_new(void)
{
    static struct made_ruleset *newest;
    struct made_ruleset *made = calloc(1, sizeof *made);
    if (made == NULL)
        abort();
    made->older = newest;
    newest = made;
    cg_arena_init(&made->arena, 2 * (size_t)CG_TREE_ARENA_BYTES);
    made->problems.arena = &made->arena;
    return made;
}

static inline void made_problems_print(const struct cg_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        fprintf(stderr, "%s:%u: %.*s: %.*s\n", problems->items[i].file, problems->items[i].line,
                CG_STR_ARG(problems->items[i].path), CG_STR_ARG(problems->items[i].message));
}

/* `identity` is the configuration's key of that name, or NULL; `previous` the text of a secret, or
 * NULL. Two upstreams, `api` and `other`. NULL, and the problems printed, when the rules do not
 * compile. */
static inline struct cg_ruleset *make_ruleset_under(const char *rules, const char *identity,
                                                    const char *secret, const char *previous)
{
    static const char *const upstreams[] = {"api", "other"};
    struct made_ruleset *made = made_ruleset_new();
    struct cg_ruleset_options options = {
        .upstream_names = upstreams, .upstream_count = 2, .cache_enabled = true};
    struct cg_rule_source source;
    struct cg_secret other;
    cg_secret_from_text(cg_str_from(secret), &options.secret);
    if (previous != NULL) {
        cg_secret_from_text(cg_str_from(previous), &other);
        options.secret_previous = &other;
    }
    source.root = cg_tree_parse(cg_str_from(rules), "rules.yaml", made_env, NULL, &made->arena,
                                &made->problems);
    if (identity != NULL)
        options.identity = cg_tree_parse(cg_str_from(identity), "identity.yaml", made_env, NULL,
                                         &made->arena, &made->problems);
    if (made->problems.error_count == 0)
        made->ruleset = cg_ruleset_compile(&source, 1, &options, &made->problems);
    if (made->ruleset == NULL)
        made_problems_print(&made->problems);
    return made->ruleset;
}

static inline struct cg_ruleset *make_ruleset(const char *rules, const char *identity)
{
    return make_ruleset_under(rules, identity, "a secret of tests", NULL);
}

#endif
