/*
 * What moves the digest of a route, and what does not (cg_route_digest).
 */
#include "cachegate/plan.h"
#include "unit/help_ruleset.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char base[] = "defaults: { ttl: 5m }\n"
                           "groups: { one: [\"/items?id={id}\"] }\n"
                           "routes:\n"
                           "  - match: GET /items\n"
                           "  - match: GET /other\n"
                           "  - match: PUT /things/{id}\n"
                           "    invalidate: [ { group: one, id: \"{id}\" } ]\n";

/* Whether the digest of the route with that index differs between the two texts. */
static bool differs(const char *before, const char *after, size_t index)
{
    struct cg_ruleset *one = help_ruleset(before), *other = help_ruleset(after);
    bool result = memcmp(cg_route_digest(&one->routes[index]),
                         cg_route_digest(&other->routes[index]), CG_DIGEST_BYTES) != 0;
    cg_ruleset_destroy(one);
    cg_ruleset_destroy(other);
    return result;
}

static bool rulesets_differ(const char *before, const char *after)
{
    uint8_t a[CG_DIGEST_BYTES], b[CG_DIGEST_BYTES];
    struct cg_ruleset *one = help_ruleset(before), *other = help_ruleset(after);
    cg_ruleset_digest(one, a);
    cg_ruleset_digest(other, b);
    cg_ruleset_destroy(one);
    cg_ruleset_destroy(other);
    return memcmp(a, b, sizeof a) != 0;
}

/* `  - match: GET /items` with more lines under it, in front of the rest. */
static const char *with(const char *lines)
{
    static char text[8][2048];
    static unsigned next;
    char *room = text[next++ % 8];
    snprintf(room, sizeof text[0],
             "defaults: { ttl: 5m }\n"
             "groups: { one: [\"/items?id={id}\"] }\n"
             "routes:\n"
             "  - match: GET /items\n%s"
             "  - match: GET /other\n"
             "  - match: PUT /things/{id}\n"
             "    invalidate: [ { group: one, id: \"{id}\" } ]\n",
             lines);
    return room;
}

Test(ruleset_digest, what_answers_are_made_of_moves_it)
{
    static const char *const lines[] = {
        "    ttl: 1m\n",
        "    ttl: origin\n",
        "    scope: shared\n",
        "    scope: [user, { tenant: header X-Tenant }]\n",
        "    override: [no-store]\n",
        "    cache: never\n",
        "    key: { query: { ignore: [utm_*] } }\n",
        "    key: { query: { only: [id] } }\n",
        "    key: { query: { sort: off } }\n",
        "    key: { headers: [Accept-Language] }\n",
        "    key: { cookies: [theme] }\n",
        "    inert: { cookies: [_ga] }\n",
        "    inert: { headers: [X-Token-Trace] }\n",
        "    forward: keyed\n",
        "    groups: keep\n",
        "    keep: 1h\n",
        "    stale_while_revalidate: 1m\n",
        "    stale_if_error: 1m\n",
        "    host: a.example\n",
        "    invalidate: [/other]\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        cr_expect(differs(base, with(lines[i]), 0), "%s", lines[i]);
        cr_expect(rulesets_differ(base, with(lines[i])), "%s", lines[i]);
        cr_expect_not(differs(with(lines[i]), with(lines[i]), 0), "%s", lines[i]);
    }
}

Test(ruleset_digest, what_matters_at_the_moment_of_a_read_does_not)
{
    static const char *const lines[] = {
        "    name: somebody\n",     "    consistency: pushed\n", "    coalesce: thread\n",
        "    client: all\n",        "    hit_for_miss: 1s\n",    "    early_refresh: 2\n",
        "    # nothing but text\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect_not(differs(base, with(lines[i]), 0), "%s", lines[i]);
}

Test(ruleset_digest, another_route_does_not)
{
    cr_expect_not(differs(base, with("    ttl: 1m\n"), 1));
    cr_expect_not(differs(base, with("    scope: shared\n"), 1));
}

/* Which writes purge /items, and with what, decides what may still be in the store. */
Test(ruleset_digest, every_write_that_reaches_the_route_moves_it)
{
    static const char head[] = "defaults: { ttl: 5m }\n"
                               "groups: { one: [\"/items?id={id}\"] }\n"
                               "routes:\n"
                               "  - match: GET /items\n"
                               "  - match: GET /other\n";
    static const char *const tails[] = {
        "",
        "  - match: PUT /things/{id}\n    invalidate: [ { group: one, id: \"{id}\" } ]\n",
        "  - match: PUT /things/{id}\n    invalidate: [ { group: one, id: \"{query.id}\" } ]\n",
        "  - match: PUT /things/{id}\n    invalidate: [ { group: one, id: \"{response.id}\" } ]\n",
        "  - match: PUT /things/{id}\n    invalidate: [ /items ]\n",
        "  - match: PUT /things/{id}\n"
        "    invalidate: [ { group: one, id: \"{id}\", when: { status: 200 } } ]\n",
        "  - match: POST /things/{id}\n    invalidate: [ { group: one, id: \"{id}\" } ]\n",
        "  - match: POST /items\n    invalidate: none\n",
        "  - match: POST /items/{id}\n",
        /* These purge the path above only where no route says what else. */
        "  - match: POST /items/{id}\n    invalidate: none\n",
        "  - match: POST /items/{id}\n    invalidate: [/other]\n",
        /* An earlier route takes some of the writes away. */
        "  - match: PUT /things/7\n    invalidate: none\n"
        "  - match: PUT /things/{id}\n    invalidate: [ { group: one, id: \"{id}\" } ]\n",
    };
    enum { COUNT = sizeof tails / sizeof *tails };
    char texts[COUNT][2048];
    for (size_t i = 0; i < COUNT; i++)
        snprintf(texts[i], sizeof texts[i], "%s%s", head, tails[i]);
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < i; j++)
            cr_expect(differs(texts[i], texts[j], 0), "%s against %s", tails[i], tails[j]);
}

Test(ruleset_digest, writes_that_do_not_reach_the_route_leave_it)
{
    char text[4096];
    snprintf(text, sizeof text, "%s  - match: POST /elsewhere/{id}/x\n    invalidate: [/other]\n",
             base);
    cr_expect_not(differs(base, text, 0));
    cr_expect(differs(base, text, 1));
    snprintf(text, sizeof text, "%s  - match: GET /items/{id}/more\n    ttl: 1h\n", base);
    cr_expect_not(differs(base, text, 0));
    cr_expect(rulesets_differ(base, text));
}

Test(ruleset_digest, who_somebody_is_moves_every_route)
{
    struct cg_ruleset *one = help_ruleset(base);
    struct cg_ruleset *other = help_ruleset_with_identity(base, "[{ header: X-User, name: user }]");
    for (size_t i = 0; i < one->route_count; i++)
        cr_expect_neq(memcmp(one->routes[i].digest, other->routes[i].digest, CG_DIGEST_BYTES), 0);
    cr_expect_null(cg_ruleset_route_like(one, &other->routes[0]));
    cr_expect_eq(cg_ruleset_route_like(one, &one->routes[1]), &one->routes[1]);
    cg_ruleset_destroy(one);
    cg_ruleset_destroy(other);
}

/* The promise that all of this is for. */
Test(ruleset_digest, a_request_is_stored_under_another_key_when_its_route_changed)
{
    struct cg_fields fields = {0};
    struct cg_request_facts facts = {.method = CG_STR("GET"),
                                     .scheme = CG_STR("http"),
                                     .authority = CG_STR("a"),
                                     .target = CG_STR("/items"),
                                     .fields = &fields};
    struct cg_arena arena;
    struct cg_plan before, same, after;
    cg_arena_init(&arena, 1 << 20);
    struct cg_ruleset *one = help_ruleset(base), *again = help_ruleset(with("    name: x\n"));
    struct cg_ruleset *other = help_ruleset(with("    ttl: 1m\n"));
    cg_plan_make(one, &facts, false, &arena, &before);
    cg_plan_make(again, &facts, false, &arena, &same);
    cg_plan_make(other, &facts, false, &arena, &after);
    cr_expect(cg_str_eq(before.canonical, same.canonical));
    cr_expect_not(cg_str_eq(before.canonical, after.canonical));
    cr_expect_neq(memcmp(before.key.id, after.key.id, CG_DIGEST_BYTES), 0);
    cg_ruleset_destroy(one);
    cg_ruleset_destroy(again);
    cg_ruleset_destroy(other);
    cg_arena_fini(&arena);
}
