#include "tests/compile_rules.h"

#include <criterion/criterion.h>

static struct compiled world;

static void setup(void)
{
    compiled_init(&world);
}

static void teardown(void)
{
    compiled_fini(&world);
}

TestSuite(ruleset_errors, .init = setup, .fini = teardown);

static const char *errors_of(const char *text, const char *identity)
{
    struct cg_str source = cg_str_from(text);
    compiled_fini(&world);
    compiled_init(&world);
    cr_expect_not(compiled_run(&world, &source, 1, identity), "compiles: %s", text);
    return compiled_problems(&world);
}

struct row {
    const char *text, *problem;
};

/* Each row stands between `before` and `after`, and is the only mistake. */
static void check(const struct row *rows, size_t count, const char *before, const char *after)
{
    for (size_t i = 0; i < count; i++) {
        char text[4096];
        snprintf(text, sizeof text, "%s%s%s", before, rows[i].text, after);
        const char *problems = errors_of(text, "[{header: X-User-Id}]");
        cr_expect_not_null(strstr(problems, rows[i].problem), "%s\nexpected: %s\ngot: %s", text,
                           rows[i].problem, problems);
        cr_expect_eq(world.problems.error_count, 1, "%s\n%s", text, problems);
    }
}
#define CHECK(rows, before, after) check(rows, sizeof rows / sizeof *rows, before, after)

Test(ruleset_errors, structure)
{
    static const struct row rows[] = {
        {"[1]", "expected a map, found a list"},
        {"word", "expected a map, found text"},
        {"route: []", "rules0.yaml:1: route: unknown key `route`; did you mean `routes`?"},
        {"routes: {a: 1}", "routes: expected a list, found a map"},
        {"routes: [GET /a]", "routes[0]: expected a map, found text"},
        {"defaults: 5", "defaults: expected a map"},
        {"groups: [a]", "groups: expected a map"},
        {"cache: maybe", "cache: `maybe`: expected one of: never, yes, on, off"},
        {"cache: nevr", "did you mean `never`?"},
        {"defaults: {match: GET /a}", "defaults.match: unknown key `match`"},
        {"defaults: {override: [vary]}", "defaults.override: unknown key"},
        {"defaults: {ttl: never}", "defaults.ttl: `never` is no lifetime"},
    };
    CHECK(rows, "", "\n");
}

Test(ruleset_errors, matches_and_hosts)
{
    static const struct row rows[] = {
        {"ttl: 5m", "routes[0]: the route has no `match`"},
        {"match: [GET /a]", "match: expected text, found a list"},
        {"match: /a", "`/a`: a match is methods and a path, such as `GET /items`"},
        {"match: GET", "a match is methods and a path"},
        {"match: get /a", "`get` is no method; did you mean GET?"},
        {"match: GET|Post /a", "`Post` is no method; did you mean POST?"},
        {"match: GET| /a", "`` is no method; expected GET"},
        {"match: GET|* /a", "`*` is no method"},
        {"match: 'GET, POST /a'", "`GET,` is no method; did you mean GET?"},
        {"match: GET a", "begins with `/`"},
        {"match: 'GET /a?b=1'", "a match has no query; `key.query` says"},
        {"match: 'GET /{a}/{b}/{a}'", "{a} stands twice"},
        {"match: 'GET /{request.a}'", "is no placeholder"},
        {"match: GET /a, host: 'a:80'", "`a:80` is no host"},
        {"match: GET /a, host: ''", "is no host"},
        {"match: GET /a, host: 'http://a'", "is no host"},
        {"match: GET /a, host: 'a.*'", "is no host"},
        {"match: GET /a, host: [a]", "host: expected text"},
        {"match: GET /a, name: ''", "printable"},
        {"match: GET /a, name: \"a\\nb\"", "printable"},
        {"match: GET /a, tll: 5m", "unknown key `tll`; did you mean `ttl`?"},
    };
    static const struct row twice[] = {
        {"name: n}, {match: GET /b, name: n", "another route is called `n` already"}};
    CHECK(rows, "defaults: {cache: never}\nroutes: [{", "}]\n");
    CHECK(twice, "defaults: {cache: never}\nroutes: [{match: GET /a, ", "}]\n");
}

Test(ruleset_errors, options)
{
    static const struct row rows[] = {
        {"ttl: 5q", "rules0.yaml:3: routes[0].ttl: `5q` is no lifetime; expected 30s"},
        {"ttl: 366d", "`366d` is more than the longest, 31536000s"},
        {"ttl: [5m]", "expected a duration"},
        {"ttl: ~", "expected a duration (250ms, 30s, 5m, 1h, 1d), found nothing"},
        {"stale_while_revalidate: x", "stale_while_revalidate: `x` is no duration"},
        {"stale_if_error: 400d", "more than the longest"},
        {"cache: nope", "expected one of: never, yes, on, off"},
        {"scope: usr", "`usr`: did you mean `user`?"},
        {"scope: tenant", "no scope; expected user, shared, or a list"},
        {"scope: {tenant: header X}", "no scope; expected user, shared, or a list"},
        {"scope: []", "a scope has 1 to 16 parts"},
        {"scope: [user, shared]", "`shared` replaces the user"},
        {"scope: [tenant]", "scope[0]: no part of a scope"},
        {"scope: [{t: heder X}]", "`heder`: did you mean `header`?"},
        {"scope: [{t: jwt sub}]", "`jwt`: expected one of: header, cookie, query"},
        {"scope: [{t: header}]", "expected a name"},
        {"scope: [{t: header A B}]", "`A B` is no field name"},
        {"scope: [{t: header X*}]", "list the names one by one"},
        {"scope: [{t: header X, u: header Y}]", "one entry such as tenant"},
        {"scope: [{t: header X}, {t: header Y}]", "the part `t` is given twice"},
        {"scope: [{t: header Cookie}]", "cookies are named one by one"},
        {"scope: [shared, {t: header Authorization}]", "a credential would stand readable"},
        {"key: [a]", "key: expected a map"},
        {"key: {header: [a]}", "unknown key `header`; did you mean `headers`?"},
        {"key: {query: [a]}", "key.query: expected a map"},
        {"key: {query: {only: [a], ignore: [b]}}", "exclude each other"},
        {"key: {query: {onyl: [a]}}", "did you mean `only`?"},
        {"key: {query: {only: {a: 1}}}", "expected a list, found a map"},
        {"key: {query: {only: [[a]]}}", "expected text, found a list"},
        {"key: {query: {sort: maybe}}", "expected on or off"},
        {"key: {sort: 'off'}", "without quotes"},
        {"key: {headers: [X-*]}", "list the names one by one"},
        {"key: {headers: [Authorization]}", "a credential would stand readable"},
        {"key: {headers: ['a b']}", "is no field name"},
        {"key: {cookies: ['a=b']}", "a name cannot have `=`"},
        {"inert: {header: [a]}", "did you mean `headers`?"},
        {"inert: [a]", "inert: expected a map"},
        {"forward: keyd", "forward: `keyd`: did you mean `keyed`?"},
        {"consistency: push", "consistency: `push`: did you mean `pushed`?"},
        {"groups: keeps", "groups: `keeps`: did you mean `keep`?"},
        {"client: [no-cash]", "client[0]: `no-cash`: did you mean `no-cache`?"},
        {"client: {a: 1}", "expected a list"},
        {"keep: soon", "keep: "},
        {"heuristic: 32d", "heuristic: "},
        {"coalesce: process", "coalesce: "},
        {"hit_for_miss: 2h", "hit_for_miss: "},
        {"early_refresh: soon", "early_refresh: "},
        {"early_refresh: 11", "early_refresh: "},
        {"early_refresh: 10.01", "early_refresh: "},
        {"early_refresh: 1.234", "early_refresh: "},
        {"early_refresh: 1.", "early_refresh: "},
        {"early_refresh: []", "early_refresh: "},
        {"override: [no-stroe]", "override[0]: `no-stroe`: did you mean `no-store`?"},
        {"override: {a: 1}", "expected a list"},
        {"upstream: othr", "upstream: `othr`: did you mean `other`?"},
    };
    CHECK(rows, "defaults: {ttl: 1m}\nroutes:\n  - {match: GET /a, ", "}\n");
    static const struct row missing[] = {
        {"match: GET /a", "routes[0]: the route is cached but has no ttl"},
        {"match: '* /a'", "the route is cached but has no ttl"},
    };
    CHECK(missing, "routes: [{", "}]");
}

Test(ruleset_errors, groups)
{
    static const struct row rows[] = {
        {"user: [/a]", "a group cannot be called `user`: the admin API uses /cache/user itself"},
        {"flush: [/a]", "cannot be called"},
        {"purge: [/a]", "cannot be called"},
        {"stats: [/a]", "cannot be called"},
        {"health: [/a]", "cannot be called"},
        {"refresh: [/a]", "cannot be called"},
        {"metrics: [/a]", "cannot be called"},
        {"livez: [/a]", "cannot be called"},
        {"readyz: [/a]", "cannot be called"},
        {"a b: [/a]", "`a b` is no group name"},
        {"'': [/a]", "is no group name"},
        {"g: /a", "groups.g: expected a list"},
        {"g: []", "a group has 1 to 256 patterns"},
        {"g: [{a: 1}]", "groups.g[0]: expected text"},
        {"g: ['a']", "begins with `/`"},
        {"g: ['/{a.b}']", "is no placeholder"},
        {"g: ['/{when}']", "a group's placeholder cannot be called `when`"},
        {"g: ['/{a}/{b}/{c}/{d}/{e}', '/{f}/{g}/{h}/{i}']", "more than 8 different placeholders"},
    };
    CHECK(rows, "groups: {", "}\n");
    static const struct cg_str files[] = {{"groups: {g: [/a]}", 17}, {"groups: {g: [/b]}", 17}};
    cr_expect_not(compiled_run(&world, files, 2, NULL));
    cr_expect_not_null(strstr(compiled_problems(&world),
                              "error rules1.yaml:1: groups.g: the group `g` is defined twice"));
}

Test(ruleset_errors, invalidation)
{
    static const struct row rows[] = {
        {"all", "invalidate: expected `none` or a list of patterns and groups, found text"},
        {"~", "found nothing"},
        {"{pattern: /a}", "expected `none` or a list"},
        {"[5]", "invalidate[0]: `5` is no pattern"},
        {"[[/a]]", "expected a map, found a list"},
        {"[{}]", "expected exactly one of `pattern` and `group`"},
        {"[{patern: /a}]", "unknown key `patern`; did you mean `pattern`?"},
        {"[{/w/{id}: 1}]", "rules0.yaml:"},
        {"[{pattern: /a, group: g}]", "exactly one of"},
        {"[{pattern: /a, id: 1}]", "unknown key `id`"},
        {"[{pattern: /a, audience: slef}]", "`slef`: did you mean `self`?"},
        {"[{group: gg, id: 1}]", "`gg`: did you mean `g`?"},
        {"[{group: g}]", "the group `g` needs a value for `id`, such as id: \"{response.id}\""},
        {"[{group: g, id: 1, audienc: self}]", "did you mean `audience`?"},
        {"[{group: g, id: 'a{t}'}]", "a value is literal text, or one {expression}"},
        {"[{group: g, id: '{t}{t}'}]", "a value is literal text, or one {expression}"},
        {"[{group: g, id: '{t'}]", "a value is literal text, or one {expression}"},
        {"[{group: g, id: '{t:int}'}]", "the type belongs to the placeholder in the group"},
        {"[{group: g, id: [1]}]", "expected text, found a list"},
        {"['/a/{tt}']", "`{tt}`: the match captures no such part; did you mean `t`?"},
        {"['/a/{path.tt}']", "`{path.tt}`: the match captures no such part; did you mean `t`?"},
        {"['/a/{usr}']", "did you mean `user`?"},
        {"['/a/{session_id}']", "expected a placeholder of the match, query.NAME"},
        {"['/a/{reqest.id}']", "unknown source `reqest`; did you mean request"},
        {"['/a/{body.id}']", "unknown source `body`; expected path"},
        {"['/a/{request.}']", "expected a JSON path"},
        {"['/a/{request..a}']", "expected a JSON path"},
        {"['/a/{response.a[x]}']", "expected a JSON path"},
        {"['/a/{query.}']", "expected a name behind the dot"},
        {"['/a/{header.a[0]}']", "expected a name behind the dot"},
        {"['/a/{user}']", "give one source `name: user`"},
        {"['/a/{t}x']", "whole segment"},
        {"['/a?b={t}x']", "whole value"},
        {"[{pattern: /a, when: 2xx}]", "when: expected a map"},
        {"[{pattern: /a, when: {status: ok}}]", "`ok` is no status"},
        {"[{pattern: /a, when: {status: 600}}]", "`600` is no status"},
        {"[{pattern: /a, when: {status: []}}]", "expected 1 to"},
        {"[{pattern: /a, when: {staus: 200}}]", "did you mean status?"},
        {"[{pattern: /a, when: {zzz: 200}}]", "expected status, request.a.b or response.a.b"},
        {"[{pattern: /a, when: {request: 200}}]", "`request` is no condition"},
        {"[{pattern: /a, when: {request.: 1}}]", "expected a JSON path"},
        {"[{pattern: /a, when: {request.a: {b: 1}}}]", "expected text, found a map"},
    };
    CHECK(rows,
          "groups: {g: ['/g/{id}']}\n"
          "routes: [{match: 'POST /w/{t}', invalidate: ",
          "}]\n");
}

Test(ruleset_errors, user_is_ambiguous_when_the_match_captures_it)
{
    const char *problems = errors_of("routes: [{match: 'POST /u/{user}', invalidate: "
                                     "['/a/{user}', '/b/{path.user}']}]",
                                     "[{header: X, name: user}]");
    cr_expect_not_null(strstr(problems, "write {path.user} for the part"));
    cr_expect_eq(world.problems.error_count, 1);
}

Test(ruleset_errors, unknown_group_where_there_are_none)
{
    cr_expect_not_null(
        strstr(errors_of("routes: [{match: POST /w, invalidate: [{group: g}]}]", NULL),
               "unknown group `g`; no groups are defined"));
}

Test(ruleset_errors, identity)
{
    static const struct row rows[] = {
        {"5", "identity.yaml:1: : expected a list"},
        {"[]", "identity has 1 to 8 sources"},
        {"[authorization]", "expected {header: NAME} or {cookie: NAME}, found `authorization`"},
        {"[{heder: X}]", "did you mean `header`?"},
        {"[{jwt: sub}]", "unknown key `jwt`; expected one of: header, cookie, name"},
        {"[{name: user}]", "exactly one of `header` and `cookie`"},
        {"{header: X-User-Id}", "sources stand in a list, such as [{header: X-User-Id}]"},
        {"[{header: X, cookie: y}]", "exactly one of `header` and `cookie`"},
        {"[{header: [X]}]", "expected text"},
        {"[{header: 'a b'}]", "is no field name"},
        {"[{header: Cookie}]", "cookies are named one by one"},
        {"[{cookie: 'a;b'}]", "a name cannot have `;`"},
        {"[{header: X, name: admin}]", "the only name so far is `user`"},
        {"[{header: X, name: user}, {cookie: y, name: user}]", "two sources are called `user`"},
        {"[{header: X}, {header: x}]", "`x` is given twice"},
        {"{source: [{header: X}]}", "did you mean `sources`?"},
        {"{sources: [{header: X}], credentials: {a: 1}}", "expected a list"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *problems = errors_of("", rows[i].text);
        cr_expect_not_null(strstr(problems, rows[i].problem), "%s\n%s", rows[i].text, problems);
        cr_expect_eq(world.problems.error_count, 1, "%s", rows[i].text);
    }
}

Test(ruleset_errors, all_mistakes_are_found_in_one_run)
{
    const char *problems = errors_of("defaults: {tll: 5m}\n"
                                     "groups:\n"
                                     "  flush: [/a]\n"
                                     "  g: ['/a/{x}y']\n"
                                     "routes:\n"
                                     "  - match: GET /a\n"
                                     "    scpe: user\n"
                                     "  - match: POST /b\n"
                                     "    invalidate:\n"
                                     "      - /x/{nope}\n"
                                     "      - {pattern: /x, audience: all}\n"
                                     "  - ttl: x\n",
                                     "[]");
    static const char *const places[] = {
        "rules0.yaml:1: defaults.tll: ",
        "rules0.yaml:3: groups.flush: ",
        "rules0.yaml:4: groups.g[0]: ",
        "rules0.yaml:7: routes[0].scpe: ",
        "rules0.yaml:6: routes[0]: the route",
        "rules0.yaml:10: routes[1].invalidate[0]: ",
        "rules0.yaml:11: routes[1].invalidate[1].audience: ",
        "rules0.yaml:12: routes[2]: the route has no",
        "rules0.yaml:12: routes[2].ttl: ",
        "identity.yaml:1: : ",
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        cr_expect_not_null(strstr(problems, places[i]), "%s missing in\n%s", places[i], problems);
    cr_expect_eq(world.problems.error_count, sizeof places / sizeof *places, "%s", problems);
}

Test(ruleset_errors, upstream_without_any_configured)
{
    struct cg_rule_source source = {
        compiled_parse(&world, CG_STR("routes: [{match: GET /a, ttl: 1, upstream: x}]"), "f")};
    struct cg_ruleset_options options = {.cache_enabled = true};
    cr_expect_null(cg_ruleset_compile(&source, 1, &options, &world.problems));
    cr_expect_not_null(strstr(compiled_problems(&world), "no upstream is configured under a name"));
}

/* A file at its limits must be refused, not bring the process down. */
Test(ruleset_errors, rules_beyond_all_measure_are_refused)
{
    struct cg_buf buf;
    cg_buf_init(&buf, 1 << 20);
    cg_buf_add_text(&buf, "groups:\n");
    for (int group = 0; group < 200; group++) {
        cg_buf_printf(&buf, "  g%d:\n", group);
        for (int member = 0; member < 256; member++)
            cg_buf_printf(&buf, "    - /%x/{a}\n", member * group);
    }
    struct cg_str source = cg_buf_str(&buf);
    cr_expect_not_null(compiled_parse(&world, source, "f"));
    cr_expect_not(compiled_run(&world, &source, 1, NULL));
    cr_expect_not_null(
        strstr(compiled_problems(&world), "more than 4096 different purge patterns"));

    compiled_fini(&world);
    compiled_init(&world);
    cg_buf_clear(&buf);
    cg_buf_add_text(&buf, "routes:\n- {match: POST /x, invalidate: [");
    for (int i = 0; i < 99000; i++)
        cg_buf_add_text(&buf, "/{a,");
    cg_buf_add_text(&buf, "/a]}\n");
    source = cg_buf_str(&buf);
    cr_expect_not(compiled_run(&world, &source, 1, NULL));

    compiled_fini(&world);
    compiled_init(&world);
    cg_buf_clear(&buf);
    cg_buf_add_text(&buf, "routes:\n- {match: POST /x, invalidate: [");
    for (int i = 0; i < 99000; i++)
        cg_buf_add_text(&buf, "'/{a}',");
    cg_buf_add_text(&buf, "/a]}\n");
    source = cg_buf_str(&buf);
    cr_expect_not(compiled_run(&world, &source, 1, NULL));
    cr_expect_leq(world.problems.error_count, CG_PROBLEMS_MAX + 1);
    cg_buf_fini(&buf);
}

Test(ruleset_errors, long_invalidate_lists_are_refused)
{
    struct cg_buf buf;
    cg_buf_init(&buf, 1 << 20);
    cg_buf_add_text(&buf, "routes:\n- {match: POST /x, invalidate: [");
    for (int i = 0; i < 257; i++)
        cg_buf_add_text(&buf, "/a,");
    cg_buf_add_text(&buf, "]}\n");
    struct cg_str source = cg_buf_str(&buf);
    cr_expect_not(compiled_run(&world, &source, 1, NULL));
    cr_expect_not_null(strstr(compiled_problems(&world), "more than 256 purges in one"));
    cg_buf_fini(&buf);
}
