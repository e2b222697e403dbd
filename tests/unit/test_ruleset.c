#include "tests/compile_rules.h"

#include <criterion/criterion.h>

static struct compiled world;
static const char *identity; /* of the next compile() */

static void setup(void)
{
    compiled_init(&world);
    identity = "[{header: X-User-Id, name: user}]";
}

static void teardown(void)
{
    compiled_fini(&world);
}

TestSuite(ruleset, .init = setup, .fini = teardown);

static const struct cg_ruleset *compile(const char *text)
{
    struct cg_str source = cg_str_from(text);
    compiled_fini(&world);
    compiled_init(&world);
    cr_assert(compiled_run(&world, &source, 1, identity), "%s", compiled_problems(&world));
    return world.ruleset;
}

/* The only route of `routes: [{match: GET /x, ttl: 1m, …}]`. */
static const struct cg_route *compile_route(const char *more)
{
    struct cg_str text =
        cg_arena_printf(&world.arena, "routes:\n  - match: GET /x/{id}\n    ttl: 1m\n%s", more);
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", text.bytes);
    const struct cg_ruleset *ruleset = compile(copy);
    cr_assert_eq(ruleset->route_count, 1);
    return &ruleset->routes[0];
}

static bool is(struct cg_str s, const char *text)
{
    return cg_str_eq(s, cg_str_from(text));
}

static bool are(const struct cg_names *names, const char *joined)
{
    char text[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < names->count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", i == 0 ? "" : " ",
                                 CG_STR_ARG(names->items[i]));
    return strcmp(text, joined) == 0;
}

static const struct cg_route *route_for(const char *method, const char *host, const char *target,
                                        struct cg_str captures[CG_HOLES_MAX])
{
    struct cg_path path;
    struct cg_query query;
    cr_assert_eq(cg_path_parse(cg_str_from(target), &world.arena, &path, &query), CG_PATH_OK);
    return cg_ruleset_route(world.ruleset, cg_str_from(method), cg_str_from(host), &path, captures);
}

/* ---- routes ---- */

Test(ruleset, first_route_that_matches_decides)
{
    compile("defaults: {ttl: 5m}\n"
            "routes:\n"
            "  - {match: 'GET /a/{x}', host: API.example.com}\n"
            "  - {match: 'GET /a/{y}', host: '*.example.com'}\n"
            "  - {match: 'GET|POST /a/{z}'}\n"
            "  - {match: '* /a/{id}/**', cache: never}\n");
    static const struct {
        const char *method, *host, *target;
        int route;
    } rows[] = {
        {"GET", "api.example.com", "/a/1", 0},
        {"HEAD", "API.EXAMPLE.COM:8080", "/a/1", 0},
        {"GET", "api.example.com.", "/a/1", 0},
        {"GET", "x.example.com", "/a/1", 1},
        {"GET", "y.x.example.com:1", "/a/1", 1},
        {"GET", "example.com", "/a/1", 2},
        {"GET", "xexample.com", "/a/1", 2},
        {"GET", "", "/a/1", 2},
        {"GET", "[::1]:80", "/a/1", 2},
        {"POST", "api.example.com", "/a/1", 2},
        {"DELETE", "api.example.com", "/a/1", 3},
        {"get", "api.example.com", "/a/1", 3},
        {"GET", "h", "/a/1/2", 3},
        {"GET", "h", "/b", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cg_str captures[CG_HOLES_MAX];
        const struct cg_route *route =
            route_for(rows[i].method, rows[i].host, rows[i].target, captures);
        cr_expect_eq(route == NULL ? -1 : (int)route->index, rows[i].route, "%s %s %s",
                     rows[i].method, rows[i].host, rows[i].target);
        if (route != NULL)
            cr_expect(is(captures[0], "1"));
    }
}

Test(ruleset, literal_address_as_host)
{
    struct cg_str captures[CG_HOLES_MAX];
    compile("routes: [{match: 'GET /', host: '[::1]', cache: never}]");
    cr_expect_not_null(route_for("GET", "[::1]:80", "/", captures));
    cr_expect_not_null(route_for("GET", "[::1]", "/", captures));
    cr_expect_null(route_for("GET", "[::2]", "/", captures));
}

Test(ruleset, get_implies_head_and_star_is_every_method)
{
    const struct cg_ruleset *ruleset = compile("defaults: {ttl: 1}\n"
                                               "routes:\n"
                                               "  - match: GET /a\n"
                                               "  - match: HEAD|GET /b\n"
                                               "  - match: '*   /c'\n"
                                               "  - match: HEAD /d\n");
    cr_expect_eq(ruleset->routes[0].method_count, 2);
    cr_expect(is(ruleset->routes[0].methods[1], "HEAD"));
    cr_expect_eq(ruleset->routes[1].method_count, 2);
    cr_expect_eq(ruleset->routes[2].method_count, 0);
    cr_expect_eq(ruleset->routes[2].cache, CG_CACHE_YES);
    cr_expect_eq(ruleset->routes[3].cache, CG_CACHE_NEVER, "there is no GET to store");
}

Test(ruleset, names_are_unique_and_default_to_the_match)
{
    const struct cg_ruleset *ruleset = compile("defaults: {cache: never}\n"
                                               "routes:\n"
                                               "  - {match: GET /a, host: a.example}\n"
                                               "  - {match: GET /a, host: b.example}\n"
                                               "  - {match: GET /a}\n"
                                               "  - {match: GET /a}\n"
                                               "  - {match: GET /b, name: bees}\n");
    cr_expect(is(ruleset->routes[0].name, "GET /a"));
    cr_expect(is(ruleset->routes[1].name, "GET /a (b.example)"));
    cr_expect(is(ruleset->routes[2].name, "GET /a #2"));
    cr_expect(is(ruleset->routes[3].name, "GET /a #3"));
    cr_expect(is(ruleset->routes[4].name, "bees"));
}

Test(ruleset, defaults_hold_for_their_own_file_and_groups_for_all)
{
    struct cg_str texts[2] = {cg_str_from("defaults: {ttl: 5m, scope: shared, upstream: other}\n"
                                          "routes:\n"
                                          "  - match: GET /a/{id}\n"
                                          "  - match: POST /b/{id}\n"
                                          "    invalidate: [{group: late, id: '{id}'}]\n"),
                              cg_str_from("groups: {late: ['/a/{id}']}\n"
                                          "routes: [{match: 'GET /b/{id}', ttl: 1h}]\n")};
    cr_assert(compiled_run(&world, texts, 2, identity), "%s", compiled_problems(&world));
    const struct cg_route *routes = world.ruleset->routes;
    cr_assert_eq(world.ruleset->route_count, 3);
    cr_expect_not(routes[0].scope_user);
    cr_expect_eq(routes[0].upstream, 1);
    cr_expect_eq(routes[0].ttl_ms, 300000);
    cr_expect_eq(routes[1].clause_count, 1);
    cr_expect(routes[2].scope_user);
    cr_expect_eq(routes[2].upstream, 0);
    cr_expect_eq(routes[2].ttl_ms, 3600000);
    cr_expect_eq(routes[2].index, 2);
}

Test(ruleset, empty_rule_files_make_an_empty_ruleset)
{
    const struct cg_ruleset *ruleset = compile("");
    cr_expect_eq(ruleset->route_count, 0);
    cr_expect(ruleset->cache_enabled);
    cr_expect_eq(ruleset->lifetime_max_ms, 0);
    cr_expect_not(compile("cache: off\nroutes:\ngroups:\ndefaults:\n")->cache_enabled);
    cr_expect_not(compile("{\"cache\": \"${OFF}\"}")->cache_enabled);
    cr_expect(compile("cache: yes")->cache_enabled);
}

/* ---- options ---- */

Test(ruleset, route_without_options_is_per_user_with_all_of_the_query)
{
    const struct cg_route *route = compile_route("");
    cr_expect_eq(route->cache, CG_CACHE_YES);
    cr_expect(route->scope_user);
    cr_expect_eq(route->scope_part_count, 0);
    cr_expect_eq(route->ttl_ms, 60000);
    cr_expect_not(route->ttl_origin);
    cr_expect_not(route->has_swr);
    cr_expect_not(route->has_sie);
    cr_expect_eq(route->query_mode, CG_QUERY_ALL);
    cr_expect(route->query_sorted);
    cr_expect_not(route->forward_keyed);
    cr_expect_not(route->pushed);
    cr_expect_eq(route->wishes, CG_WISH_NO_STORE | CG_WISH_ONLY_IF_CACHED);
    cr_expect_eq(route->keep_ms, CG_KEEP_DEFAULT_MS);
    cr_expect_eq(route->heuristic_ms, 0, "a lifetime is guessed only where a rule asks");
    cr_expect(route->coalesces);
    cr_expect_eq(route->hit_for_miss_ms, 10000);
    cr_expect_eq(route->early_refresh_percent, 100);
    cr_expect_eq(route->overrides, 0);
    cr_expect_eq(route->invalidate, CG_INVALIDATE_DEFAULTS);
    cr_expect_eq(route->clause_count, 0);
    cr_expect(is(route->name, "GET /x/{id}"));
}

Test(ruleset, what_many_at_once_may_do_is_the_routes_choice)
{
    static const struct {
        const char *text;
        uint32_t percent;
    } rows[] = {{"off", 0},  {"0", 0},      {"1", 100},  {"0.5", 50},
                {"0.05", 5}, {"2.25", 225}, {"10", 1000}};
    const struct cg_route *route = compile_route("    coalesce: thread\n    hit_for_miss: 0s\n");
    cr_expect_not(route->coalesces);
    cr_expect_eq(route->hit_for_miss_ms, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char option[64];
        snprintf(option, sizeof option, "    early_refresh: %s\n", rows[i].text);
        cr_expect_eq(compile_route(option)->early_refresh_percent, rows[i].percent, "%s", option);
    }
}

Test(ruleset, directives_of_clients_are_honoured_by_name)
{
    static const struct {
        const char *client;
        unsigned wishes;
    } rows[] = {
        {"none", 0},
        {"all", 127},
        {"no-store", CG_WISH_NO_STORE},
        {"[no-cache, only-if-cached]", CG_WISH_NO_CACHE | CG_WISH_ONLY_IF_CACHED},
        {"[min-fresh, max-stale]", CG_WISH_MIN_FRESH | CG_WISH_MAX_STALE},
        {"[]", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "    client: %s\n", rows[i].client);
        cr_expect_eq(compile_route(text)->wishes, rows[i].wishes, "%s", rows[i].client);
    }
}

Test(ruleset, every_option_is_read)
{
    const struct cg_route *route =
        compile_route("    stale_while_revalidate: 10\n"
                      "    stale_if_error: 1h\n"
                      "    scope: [shared, {tenant: header X-Tenant}, {lang: cookie lang},"
                      " {v: query v}]\n"
                      "    key:\n"
                      "      query: {ignore: [utm_*, 'fbclid'], sort: off}\n"
                      "      headers: [Accept-Language]\n"
                      "      cookies: Theme\n"
                      "    inert: {headers: [X-Request-Id, X-Trace-*], cookies: ['_ga*']}\n"
                      "    forward: keyed\n"
                      "    consistency: pushed\n"
                      "    client: [max-age, pragma]\n"
                      "    keep: 1h\n"
                      "    heuristic: 1d\n"
                      "    override: [no-store, private, no-cache, set-cookie, vary, "
                      "authorization]\n"
                      "    upstream: other\n");
    cr_expect(route->has_swr && route->swr_ms == 10000);
    cr_expect(route->has_sie && route->sie_ms == 3600000);
    cr_expect_not(route->scope_user);
    cr_assert_eq(route->scope_part_count, 3);
    cr_expect(is(route->scope_parts[0].name, "tenant"));
    cr_expect_eq(route->scope_parts[0].source, CG_PART_HEADER);
    cr_expect(is(route->scope_parts[0].field, "x-tenant"));
    cr_expect_eq(route->scope_parts[1].source, CG_PART_COOKIE);
    cr_expect_eq(route->scope_parts[2].source, CG_PART_QUERY);
    cr_expect_eq(route->query_mode, CG_QUERY_IGNORE);
    cr_expect(are(&route->query_names, "utm_* fbclid"));
    cr_expect_not(route->query_sorted);
    cr_expect(are(&route->key_headers, "accept-language"));
    cr_expect(are(&route->key_cookies, "Theme"));
    cr_expect(are(&route->inert_headers, "x-request-id x-trace-*"));
    cr_expect(are(&route->inert_cookies, "_ga*"));
    cr_expect(route->forward_keyed);
    cr_expect(route->pushed);
    cr_expect_eq(route->wishes, CG_WISH_MAX_AGE | CG_WISH_PRAGMA);
    cr_expect_eq(route->keep_ms, 3600000);
    cr_expect_eq(route->heuristic_ms, 86400000);
    cr_expect_eq(route->overrides, 63);
    cr_expect_eq(route->upstream, 1);
}

Test(ruleset, scope_list_adds_to_the_user_unless_shared_is_in_it)
{
    cr_expect(compile_route("    scope: [{t: header X-T}]\n")->scope_user);
    cr_expect(compile_route("    scope: [user, {t: header X-T}]\n")->scope_user);
    cr_expect_not(compile_route("    scope: [{t: header X-T}, shared]\n")->scope_user);
    cr_expect_not(compile_route("    scope: shared\n")->scope_user);
    cr_expect(compile_route("    scope: user\n")->scope_user);
}

Test(ruleset, query_can_be_limited_to_some_names_or_none)
{
    const struct cg_route *route = compile_route("    key: {query: {only: [page]}, sort: off}\n");
    cr_expect_eq(route->query_mode, CG_QUERY_ONLY);
    cr_expect(are(&route->query_names, "page"));
    cr_expect_not(route->query_sorted);
    route = compile_route("    key: {query: {only: []}}\n");
    cr_expect_eq(route->query_mode, CG_QUERY_ONLY);
    cr_expect_eq(route->query_names.count, 0);
}

Test(ruleset, key_of_a_route_replaces_the_key_of_defaults)
{
    const struct cg_ruleset *ruleset =
        compile("defaults: {ttl: 1m, key: {query: {only: [a]}, headers: [X-A]}, "
                "inert: {cookies: ['*']}}\n"
                "routes:\n"
                "  - match: GET /a\n"
                "  - match: GET /b\n"
                "    key: {cookies: [c]}\n"
                "    inert: {headers: [x-b]}\n");
    cr_expect(are(&ruleset->routes[0].key_headers, "x-a"));
    cr_expect(are(&ruleset->routes[0].inert_cookies, "*"));
    cr_expect_eq(ruleset->routes[1].query_mode, CG_QUERY_ALL);
    cr_expect_eq(ruleset->routes[1].key_headers.count, 0);
    cr_expect_eq(ruleset->routes[1].inert_cookies.count, 0);
}

Test(ruleset, ttl_may_be_the_origins)
{
    const struct cg_ruleset *ruleset = compile("defaults: {ttl: origin}\n"
                                               "routes:\n"
                                               "  - match: GET /a\n"
                                               "  - {match: GET /b, ttl: 5}\n");
    cr_expect(ruleset->routes[0].ttl_origin);
    cr_expect_not(ruleset->routes[1].ttl_origin);
    cr_expect_eq(ruleset->routes[1].ttl_ms, 5000);
}

Test(ruleset, cache_may_be_switched_by_words_or_booleans)
{
    static const struct {
        const char *word;
        enum cg_cache_mode mode;
    } rows[] = {
        {"never", CG_CACHE_NEVER},  {"'never'", CG_CACHE_NEVER}, {"off", CG_CACHE_NEVER},
        {"false", CG_CACHE_NEVER},  {"'off'", CG_CACHE_NEVER},   {"yes", CG_CACHE_YES},
        {"'yes'", CG_CACHE_YES},    {"on", CG_CACHE_YES},        {"true", CG_CACHE_YES},
        {"${OFF}", CG_CACHE_NEVER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char more[64];
        snprintf(more, sizeof more, "    cache: %s\n", rows[i].word);
        cr_expect_eq(compile_route(more)->cache, rows[i].mode, "%s", rows[i].word);
    }
}

Test(ruleset, only_routes_that_can_see_a_get_are_cached)
{
    const struct cg_ruleset *ruleset = compile("defaults: {ttl: 1m}\n"
                                               "routes:\n"
                                               "  - match: POST|PUT /a\n"
                                               "  - match: GET|POST /b\n"
                                               "  - match: OPTIONS /c\n"
                                               "  - match: GET /d\n"
                                               "    invalidate: [/b]\n"
                                               "  - match: GET /e\n"
                                               "    invalidate: none\n");
    static const enum cg_cache_mode modes[] = {CG_CACHE_NEVER, CG_CACHE_YES, CG_CACHE_NEVER,
                                               CG_CACHE_NEVER, CG_CACHE_YES};
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(ruleset->routes[i].cache, modes[i], "route %zu", i);
    cr_expect_eq(ruleset->routes[4].invalidate, CG_INVALIDATE_NONE);
}
