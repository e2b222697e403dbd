#include "tests/compile_rules.h"

#include <criterion/criterion.h>

static struct compiled world;
static const char *identity;

static void setup(void)
{
    compiled_init(&world);
    identity = "[{header: X-User-Id, name: user}]";
}

static void teardown(void)
{
    compiled_fini(&world);
}

TestSuite(ruleset_reach, .init = setup, .fini = teardown);

static const char *warnings_of(const char *text)
{
    struct cg_str source = cg_str_from(text);
    compiled_fini(&world);
    compiled_init(&world);
    cr_assert(compiled_run(&world, &source, 1, identity), "%s\n%s", text,
              compiled_problems(&world));
    return compiled_problems(&world);
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

/* The texts of the shapes of route `index`, joined by spaces. */
static const char *shapes_of(size_t index)
{
    static char text[1024];
    const struct cg_route *route = &world.ruleset->routes[index];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < route->shape_count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", i == 0 ? "" : " ",
                                 CG_STR_ARG(world.ruleset->shapes[route->shapes[i]].text));
    return text;
}

Test(ruleset_reach, cached_route_knows_the_shapes_that_can_match_it)
{
    warnings_of("defaults: {ttl: 1m}\n"
                "groups: {g: ['/t?s={id}', '/s/{id}']}\n"
                "routes:\n"
                "  - match: GET /t\n"
                "  - match: GET /s/{x}\n"
                "  - match: GET /s/all/**\n"
                "  - match: GET /never\n"
                "    cache: never\n"
                "  - match: POST /w/{id}\n"
                "    invalidate: ['/s/**', '/s/all', {group: g, id: '{id}'}]\n");
    cr_expect_str_eq(shapes_of(0), "/t?s={}");
    cr_expect_str_eq(shapes_of(1), "/s/{} /s/** /s/all");
    cr_expect_str_eq(shapes_of(2), "/s/{} /s/** /s/all");
    cr_expect_str_eq(shapes_of(3), "");
    cr_expect_str_eq(shapes_of(4), "");
}

Test(ruleset_reach, too_many_shapes_for_one_route_are_an_error)
{
    struct cg_str text = CG_STR("routes:\n  - {match: 'GET /a/**', ttl: 1m}\n"
                                "  - match: POST /w\n    invalidate: [");
    for (int i = 0; i < CG_ROUTE_SHAPES_MAX; i++)
        text = cg_arena_printf(&world.arena, "%.*s/a/%d,", CG_STR_ARG(text), i);
    struct cg_str most = cg_arena_printf(&world.arena, "%.*s]\n", CG_STR_ARG(text));
    struct cg_str more = cg_arena_printf(&world.arena, "%.*s/a/x]\n", CG_STR_ARG(text));
    cr_expect(compiled_run(&world, &most, 1, identity), "%s", compiled_problems(&world));
    world.ruleset = cg_ruleset_destroy(world.ruleset);
    cr_expect_not(compiled_run(&world, &more, 1, identity));
    cr_expect_not_null(
        strstr(compiled_problems(&world),
               "error rules0.yaml:2: routes[0]: 25 purge patterns can match this route"));
}

/* ---- audiences ---- */

Test(ruleset_reach, purge_for_one_user_is_kept_where_it_can_be)
{
    const char *warnings = warnings_of("routes:\n"
                                       "  - {match: 'GET /a/{x}', ttl: 1m}\n"
                                       "  - match: POST /a/{x}/b\n"
                                       "    invalidate: [{pattern: '/a/{x}', audience: self}]\n");
    cr_expect_null(strstr(warnings, "widened"), "%s", warnings);
    cr_expect(world.ruleset->routes[1].clauses[0].self);
    cr_expect(world.ruleset->shapes[0].for_self);
    cr_expect(world.ruleset->shapes[0].for_everyone,
              "a writer that nobody identified purges for everyone");
}

Test(ruleset_reach, purge_for_one_user_is_widened_where_users_share)
{
    const char *warnings = warnings_of("groups: {g: ['/a/{x}', '/s/{x}', '/s/{x}/t']}\n"
                                       "routes:\n"
                                       "  - {match: 'GET /a/{x}', ttl: 1m}\n"
                                       "  - {match: 'GET /s/**', ttl: 1m, scope: shared}\n"
                                       "  - match: POST /w/{x}\n"
                                       "    invalidate: [{group: g, x: '{x}', audience: self}]\n");
    cr_expect_eq(count_of(warnings, "widened"), 1, "once per line: %s", warnings);
    cr_expect_not_null(strstr(warnings,
                              "warning rules0.yaml:6: routes[2].invalidate[0]: `audience: "
                              "self` is widened to everyone, because it reaches answers "
                              "that users share, of GET /s/**"),
                       "%s", warnings);
    const struct cg_clause *clauses = world.ruleset->routes[2].clauses;
    cr_expect(clauses[0].self);
    cr_expect_not(clauses[1].self);
    cr_expect_not(clauses[2].self);
    cr_expect(world.ruleset->shapes[0].for_self);
    cr_expect_not(world.ruleset->shapes[1].for_self);
}

Test(ruleset_reach, purge_for_one_user_is_widened_where_nobody_is_called_user)
{
    identity = "[{header: Authorization}]";
    const char *warnings = warnings_of("routes:\n"
                                       "  - {match: 'GET /a', ttl: 1m}\n"
                                       "  - match: POST /a/b\n"
                                       "    invalidate: [{pattern: /a, audience: self}]\n");
    cr_expect_not_null(strstr(warnings, "because no identity source is called `user`"), "%s",
                       warnings);
    cr_expect_not(world.ruleset->routes[1].clauses[0].self);
    cr_expect_not(world.ruleset->shapes[0].for_self);
    cr_expect(world.ruleset->shapes[0].for_everyone);
}

Test(ruleset_reach, purge_for_one_user_is_widened_where_the_user_is_a_token)
{
    identity = "[{header: Authorization, name: user}]";
    const char *warnings = warnings_of("routes:\n"
                                       "  - {match: 'GET /a', ttl: 1m}\n"
                                       "  - match: POST /a/b\n"
                                       "    invalidate: [{pattern: /a, audience: self}]\n");
    cr_expect_not_null(strstr(warnings, "which changes with each token"), "%s", warnings);
    cr_expect_not(world.ruleset->routes[1].clauses[0].self);
    cr_expect_not(world.ruleset->shapes[0].for_self);
}

Test(ruleset_reach, group_is_purged_for_everyone_even_when_no_route_uses_it)
{
    warnings_of("groups: {g: ['/a/{x}']}\nroutes: [{match: 'GET /a/{x}', ttl: 1m}]\n");
    cr_expect(world.ruleset->shapes[0].for_everyone);
    cr_expect_not(world.ruleset->shapes[0].for_self);
    cr_expect_str_eq(shapes_of(0), "/a/{}");
}

/* ---- warnings ---- */

Test(ruleset_reach, clean_rules_have_no_warnings)
{
    cr_expect_str_eq(warnings_of("defaults: {ttl: 5m}\n"
                                 "groups: {s: ['/t?s={id}', /s]}\n"
                                 "routes:\n"
                                 "  - match: GET /t\n"
                                 "  - match: GET /s\n"
                                 "  - match: PUT /t/{id}\n"
                                 "    invalidate: [{group: s, id: '{response.id}'}]\n"
                                 "  - {match: 'GET /auth/**', cache: never}\n"),
                     "");
}

Test(ruleset_reach, unreachable_routes_are_named_with_what_hides_them)
{
    static const struct {
        const char *first, *second;
        bool hidden;
    } rows[] = {
        {"match: GET /a", "match: GET /a", true},
        {"match: 'GET /{x}'", "match: GET /a", true},
        {"match: 'GET /*'", "match: 'GET /{x}'", true},
        {"match: 'GET /**'", "match: 'GET /a/{b}/**'", true},
        {"match: 'GET /a/**'", "match: GET /a", true},
        {"match: '* /a'", "match: GET /a", true},
        {"match: GET|POST /a", "match: POST /a", true},
        {"match: GET /a", "match: HEAD /a", true},
        {"match: GET /a, host: '*.x.y'", "match: GET /a, host: a.x.y", true},
        {"match: GET /a, host: '*.x.y'", "match: GET /a, host: '*.b.x.y'", true},
        {"match: GET /a, host: A.b", "match: GET /a, host: a.B", true},
        {"match: GET /a", "match: GET /a, host: a.b", true},
        {"match: GET /a", "match: GET|POST /a", false},
        {"match: GET /a", "match: '* /a'", false},
        {"match: POST /a", "match: GET /a", false},
        {"match: GET /a", "match: 'GET /{x}'", false},
        {"match: 'GET /{x}'", "match: 'GET /**'", false},
        {"match: 'GET /a/{x}'", "match: 'GET /a/**'", false},
        {"match: 'GET /{x}'", "match: 'GET /{x}/{y}'", false},
        {"match: 'GET /a/{x}'", "match: GET /a", false},
        {"match: GET /a, host: a.b", "match: GET /a", false},
        {"match: GET /a, host: '*.x.y'", "match: GET /a, host: x.y", false},
        {"match: GET /a, host: '*.a.x.y'", "match: GET /a, host: '*.x.y'", false},
        {"match: GET /a, host: a.b", "match: GET /a, host: c.d", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text, "defaults: {cache: never}\nroutes:\n- {%s}\n- {%s}\n",
                 rows[i].first, rows[i].second);
        const char *warnings = warnings_of(text);
        const char *found = strstr(warnings, "warning rules0.yaml:4: routes[1]: never reached: `");
        cr_expect_eq(found != NULL, rows[i].hidden, "%s\n%s", text, warnings);
        cr_expect(found == NULL || strstr(found, "(rules0.yaml:3) comes first") != NULL);
    }
}

Test(ruleset_reach, patterns_that_purge_nothing_are_named)
{
    const char *warnings = warnings_of("defaults: {ttl: 1m}\n"
                                       "groups: {g: [/a, /b]}\n"
                                       "routes:\n"
                                       "  - match: GET /a\n"
                                       "  - {match: GET /c, cache: never}\n"
                                       "  - match: POST /w\n"
                                       "    invalidate: [/c, /d, /d?x=1, {group: g}]\n");
    cr_expect_eq(count_of(warnings, "purges nothing"), 4, "%s", warnings);
    cr_expect_not_null(strstr(warnings, "rules0.yaml:2: groups.g[1]: `/b` purges nothing"));
    cr_expect_not_null(strstr(warnings, "routes[2].invalidate[0]: `/c` purges nothing"));
    cr_expect_not_null(strstr(warnings, "routes[2].invalidate[2]: `/d?x=1` purges nothing"));
}

Test(ruleset_reach, cached_routes_that_nothing_purges_are_named)
{
    static const struct {
        const char *writer;
        bool purged;
    } rows[] = {
        {"match: POST /z", false},
        {"match: POST /a", true},
        {"match: 'PUT /{x}'", true},
        {"match: '* /a', cache: never", true},
        {"match: 'DELETE /a/{id}'", true},
        {"match: 'DELETE /a/{id}/x'", false},
        {"match: 'DELETE /a/{id}', invalidate: []", false},
        {"match: POST /a, invalidate: []", true},
        {"match: POST /a, invalidate: none", false},
        {"match: GET /a/b, cache: never", false},
        {"match: PROPFIND /a", false},
        {"match: POST /z, invalidate: [/a]", true},
        {"match: GET /z, invalidate: [/a]", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text, "routes:\n- {match: GET /a, ttl: 1m}\n- {%s}\n",
                 rows[i].writer);
        const char *warnings = warnings_of(text);
        const char *found = strstr(
            warnings, "warning rules0.yaml:2: routes[0]: nothing in the rules purges `GET /a`");
        cr_expect_eq(found == NULL, rows[i].purged, "%s\n%s", text, warnings);
    }
}

Test(ruleset_reach, unconfigured_identity_is_said_once)
{
    static const char rules[] = "defaults: {ttl: 1m}\n"
                                "routes:\n"
                                "  - {match: GET /s, scope: shared}\n"
                                "  - match: GET /a\n"
                                "  - match: GET /b\n"
                                "  - match: '* /**'\n"
                                "    cache: never\n";
    identity = NULL;
    const char *warnings = warnings_of(rules);
    cr_expect_eq(count_of(warnings, "`identity` is not configured"), 1, "%s", warnings);
    cr_expect_not_null(strstr(warnings, "rules0.yaml:4: routes[1]: answers are kept per user"));
    identity = "{credentials: [x]}";
    cr_expect_eq(count_of(warnings_of(rules), "`identity` is not configured"), 1);
    identity = "[{header: Authorization}]";
    cr_expect_str_eq(warnings_of(rules), "");
}

Test(ruleset_reach, options_without_effect_or_with_danger_are_named)
{
    static const struct {
        const char *route, *warning;
    } rows[] = {
        {"match: GET /a, ttl: 5m, invalidate: [/b]", "routes[2].ttl: a route with an `invalidate`"},
        {"match: GET /a, ttl: 0", "routes[2].ttl: with a lifetime of 0"},
        {"match: GET /a, ttl: 5m, heuristic: 1h", "routes[2].heuristic: `heuristic` has no effect"},
        {"match: GTE /a, ttl: 1m", "`GTE` is an unusual method; did you mean GET?"},
        {"match: GET /a, ttl: 1m, inert: {headers: ['*']}", "declares Authorization inert"},
        {"match: POST /a, invalidate: [{pattern: /b, when: {status: 404}}]",
         "answers of status 404 never purge"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "routes:\n- {match: GET /b, ttl: 1m}\n- match: '* /b'\n  cache: never\n- {%s}\n"
                 "- {match: '* /a', cache: never}\n",
                 rows[i].route);
        const char *warnings = warnings_of(text);
        cr_expect_not_null(strstr(warnings, rows[i].warning), "%s\n%s", text, warnings);
        cr_expect_eq(world.problems.count, 1, "%s\n%s", text, warnings);
    }
}

Test(ruleset_reach, silence_for_default_ttl_of_a_route_that_invalidates)
{
    cr_expect_str_eq(warnings_of("defaults: {ttl: 1m}\n"
                                 "routes:\n"
                                 "  - match: GET /b\n"
                                 "  - {match: GET /a, invalidate: [/b]}\n"
                                 "  - {match: POST /a, invalidate: [/b]}\n"),
                     "");
}

/* ---- lifetime ---- */

Test(ruleset_reach, longest_lifetime_counts_stale_windows_of_cached_routes)
{
    static const uint64_t hour = 3600000, day = 24 * 3600000;
    static const struct {
        const char *routes;
        uint64_t lifetime_ms;
    } rows[] = {
        {"{match: GET /a, ttl: 1h, stale_while_revalidate: 0, stale_if_error: 0, "
         "keep: 0}",
         3600000},
        {"{match: GET /a, ttl: 1h, stale_while_revalidate: 0, stale_if_error: 0}",
         3600000 + 600000},
        {"{match: GET /a, ttl: 1h, stale_while_revalidate: 1h, stale_if_error: 0, keep: 5h}",
         6 * 3600000},
        {"{match: GET /a, ttl: 1h, stale_while_revalidate: 1h, stale_if_error: 2h}", 3 * 3600000},
        {"{match: GET /a, ttl: 1h, stale_while_revalidate: 3h, stale_if_error: 2h}", 4 * 3600000},
        {"{match: GET /a, ttl: 1h, cache: never}", 0},
        {"{match: POST /a, ttl: 1h}", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text, "routes: [%s]\n", rows[i].routes);
        warnings_of(text);
        cr_expect_eq(world.ruleset->lifetime_max_ms, rows[i].lifetime_ms, "%s", text);
    }
    warnings_of("routes: [{match: GET /a, ttl: 1h, stale_if_error: 0},"
                " {match: GET /b, ttl: 2h, stale_while_revalidate: 0, stale_if_error: 0}]");
    cr_expect_eq(world.ruleset->lifetime_max_ms, day + hour, "an origin's window counts a day");
    warnings_of("routes: [{match: GET /a, ttl: origin, stale_while_revalidate: 1h, "
                "stale_if_error: 1h}]");
    cr_expect_eq(world.ruleset->lifetime_max_ms, 31 * day + hour);
}
