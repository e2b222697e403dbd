/* What a client gets of a stored answer: by its conditions, its ranges, and its wishes. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "gateway/request/machine.h"
#include "help_world.h"

static const char *const rules = "defaults: { ttl: 60s }\n"
                                 "routes:\n"
                                 "  - match: GET /items/**\n"
                                 "    scope: shared\n"
                                 "    stale_while_revalidate: 30s\n"
                                 "    stale_if_error: 1h\n"
                                 "  - match: GET /all/**\n"
                                 "    scope: shared\n"
                                 "    client: all\n"
                                 "  - match: GET /none/**\n"
                                 "    scope: shared\n"
                                 "    client: none\n"
                                 "  - match: GET /never/**\n"
                                 "    cache: never\n";

static const char *const tagged = "etag: \"1\"\ncontent-type: text/plain";
static const char *const alphabet = "abcdefghijklmnopqrstuvwxyz";

static struct world_client *get(struct world *world, const char *target, const char *fields)
{
    return world_asks(world, "GET", target, fields, NULL);
}

static struct world *world_with(const char *target, const char *fields, const char *body)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_gets(world, target);
    world_origin_answers(world_asked(world), 200, fields, body);
    cr_assert(world_got(client, 200, body, "stored"), "%s", world_field(client, "cache-status"));
    world_reap(world);
    return world;
}

/* ---- conditions ---- */

Test(delivery, client_that_has_the_answer_is_told_so)
{
    struct world *world = world_with("/items/1", tagged, alphabet);
    struct world_client *client = get(world, "/items/1", "if-none-match: W/\"1\"");
    cr_assert(world_got(client, 304, "", "hit"));
    cr_assert(client->no_body && !client->has_length);
    cr_assert_str_eq(world_field(client, "etag"), "\"1\"");
    cr_assert_str_eq(world_field(client, "age"), "0");
    cr_assert_str_eq(world_field(client, "content-type"), "");
    client = get(world, "/items/1", "if-none-match: \"2\"");
    cr_assert(world_got(client, 200, alphabet, "hit"));
    client = world_asks(world, "HEAD", "/items/1", "if-none-match: \"1\"", NULL);
    cr_assert(world_got(client, 304, "", "hit"));
    client = get(world, "/items/1", "if-none-match: \"1\"\nrange: bytes=0-1");
    cr_assert(world_got(client, 304, "", "hit"));
    cr_assert_eq(world_times_asked(world), 1);
    world_destroy(world);
}

Test(delivery, stale_answers_are_cut_like_fresh_ones)
{
    struct world *world = world_with("/items/1", tagged, alphabet);
    world_time_passes(world, 61000);
    struct world_client *client = get(world, "/items/1", "if-none-match: \"1\"");
    cr_assert(world_got(client, 304, "", "stale-while-revalidate"));
    world_origin_end(world_asked(world), CG_ORIGIN_REFUSED); /* the refresh */
    world_time_passes(world, 60000);
    client = get(world, "/items/1", "if-none-match: \"1\"");
    cr_assert_not(client->begun);
    world_origin_end(world_asked(world), CG_ORIGIN_REFUSED);
    cr_assert(world_got(client, 304, "", "stale-if-error"));
    world_destroy(world);
}

/* RFC 9110 13.1.1, 13.1.4. */
Test(delivery, some_conditions_are_for_the_origin)
{
    static const char *const rows[][2] = {
        {"if-match: \"1\"", "if-match"},
        {"if-unmodified-since: Tue, 01 Jan 2030 00:00:00 GMT", "if-unmodified-since"},
    };
    struct world *world = world_with("/items/1", tagged, alphabet);
    for (size_t i = 0; i < 2; i++) {
        char detail[64];
        struct world_client *client = get(world, "/items/1", rows[i][0]);
        struct world_exchange *asked = world_asked(world);
        cr_assert_neq(cg_fields_find(asked->request->fields, cg_str_from(rows[i][1])), NULL);
        world_origin_answers(asked, 412, NULL, "no");
        cr_assert(world_got(client, 412, "no", "fwd=bypass"));
        snprintf(detail, sizeof(detail), "condition: %s", rows[i][1]);
        cr_assert(world_got(client, 412, "no", detail), "%s", world_field(client, "cache-status"));
    }
    cr_assert(world_got(world_gets(world, "/items/1"), 200, alphabet, "hit"));
    world_destroy(world);
}

/* Whose conditions travelled: what the origin makes of them is not to be made better. */
Test(delivery, conditions_of_what_is_passed_are_the_origin_s_too)
{
    struct world *world = world_create(rules);
    struct world_client *client = get(world, "/never/1", "if-none-match: \"1\"");
    world_origin_answers(world_asked(world), 200, tagged, "whole");
    cr_assert(world_got(client, 200, "whole", "rule-never"));
    world_destroy(world);
}

/* ---- ranges ---- */

Test(delivery, ranges_are_cut_from_what_is_stored)
{
    static const struct {
        const char *fields, *range;
        unsigned status;
        const char *body;
    } rows[] = {
        {"range: bytes=0-2", "bytes 0-2/26", 206, "abc"},
        {"range: bytes=23-", "bytes 23-25/26", 206, "xyz"},
        {"range: bytes=-1", "bytes 25-25/26", 206, "z"},
        {"range: bytes=26-", "bytes */26", 416, NULL},
        {"range: lines=1", "", 200, "abcdefghijklmnopqrstuvwxyz"},
        {"range: bytes=0-2\nif-range: \"1\"", "bytes 0-2/26", 206, "abc"},
        {"range: bytes=0-2\nif-range: \"2\"", "", 200, "abcdefghijklmnopqrstuvwxyz"},
    };
    struct world *world = world_with("/items/1", tagged, alphabet);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world_client *client = get(world, "/items/1", rows[i].fields);
        cr_assert(world_got(client, rows[i].status, rows[i].body, "hit"), "%s", rows[i].fields);
        cr_assert_str_eq(world_field(client, "content-range"), rows[i].range);
        cr_assert(client->has_length && client->content_length == client->body.length);
    }
    struct world_client *head = world_asks(world, "HEAD", "/items/1", "range: bytes=0-2", NULL);
    cr_assert(world_got(head, 200, "", "hit"));
    cr_assert(head->no_body && head->content_length == 26);
    cr_assert_eq(world_times_asked(world), 1);
    world_destroy(world);
}

/* Long enough that the ranges are not taken for one. */
static struct world *world_with_pages(void)
{
    static char pages[1025];
    for (size_t i = 0; i < sizeof(pages) - 1; i++)
        pages[i] = alphabet[i % 26];
    return world_with("/items/1", tagged, pages);
}

static const char *const three_parts = "range: bytes=0-1,500-501,1000-1001";

Test(delivery, several_ranges_are_sent_part_by_part)
{
    struct world *world = world_with_pages();
    struct world_client *quick = get(world, "/items/1", three_parts);
    cr_assert(world_got(quick, 206, NULL, "hit"));
    struct world_client *slow = world_client(world, "GET", "/items/1", three_parts, NULL);
    slow->slow = true;
    world_send(slow);
    unsigned pieces = 1;
    for (; !slow->ended; pieces++)
        world_client_takes(slow);
    cr_assert_eq(pieces, 7, "a text and some content each, and the last line");
    cr_assert_eq(slow->body.length, quick->body.length);
    cr_assert_eq(slow->content_length, slow->body.length);
    cr_assert_neq(strstr(world_field(slow, "content-type"), "multipart/byteranges"), NULL);
    cr_assert_eq(world_times_asked(world), 1);
    world_destroy(world);
}

Test(delivery, client_may_leave_between_the_parts)
{
    for (int taken = 0; taken < 7; taken++) {
        struct world *world = world_with_pages();
        struct world_client *client = world_client(world, "GET", "/items/1", three_parts, NULL);
        client->slow = true;
        world_send(client);
        for (int i = 0; i < taken; i++)
            world_client_takes(client);
        world_client_leaves(client);
        cr_assert_eq(world->machine.live, 0);
        world_destroy(world);
    }
}

Test(delivery, client_may_leave_inside_the_first_part)
{
    struct world *world = world_with_pages();
    struct world_client *client = world_client(world, "GET", "/items/1", three_parts, NULL);
    client->leaves_inside_send = true;
    world_send(client);
    cr_assert(client->gone && !client->ended);
    cr_assert_eq(world->machine.live, 0);
    world_destroy(world);
}

/* The answer goes on while what it is cut from is purged, replaced and forgotten. */
Test(delivery, parts_outlive_the_stored_answer)
{
    struct world *world = world_with_pages();
    struct world_client *client = world_client(world, "GET", "/items/1", three_parts, NULL);
    client->slow = true;
    world_send(client);
    world_asks(world, "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(world), 204, NULL, "");
    world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 200, NULL, "short");
    world_reap(world);
    while (!client->ended)
        world_client_takes(client);
    cr_assert_eq(client->content_length, client->body.length);
    world_destroy(world);
}

/* ---- wishes ---- */

Test(delivery, who_wants_a_stored_answer_only_asks_the_origin_for_nothing)
{
    static const struct {
        const char *method, *target, *fields;
    } rows[] = {
        {"GET", "/items/2", "cache-control: only-if-cached"},
        {"HEAD", "/items/2", "cache-control: only-if-cached"},
        {"GET", "/items/1", "cache-control: only-if-cached\nif-match: \"1\""},
        {"GET", "/items/2", "cache-control: only-if-cached\nrange: bytes=0-1"},
        {"GET", "/never/1", "cache-control: only-if-cached"},
    };
    struct world *world = world_with("/items/1", tagged, alphabet);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world_client *client =
            world_asks(world, rows[i].method, rows[i].target, rows[i].fields, NULL);
        cr_assert(world_got(client, 504, NULL, "only-if-cached"), "row %zu", i);
    }
    struct world_client *client = get(world, "/items/1", "cache-control: only-if-cached");
    cr_assert(world_got(client, 200, alphabet, "hit"));
    world->store_down = true;
    client = get(world, "/items/1", "cache-control: only-if-cached");
    cr_assert(world_got(client, 504, NULL, "only-if-cached"));
    cr_assert_eq(world_times_asked(world), 1);
    world->store_down = false;
    client = get(world, "/none/1", "cache-control: only-if-cached");
    cr_assert_not(client->begun, "the route honours nothing");
    world_origin_answers(world_asked(world), 200, NULL, "asked");
    cr_assert(world_got(client, 200, "asked", "stored"));
    world_destroy(world);
}

Test(delivery, nobody_gets_fresher_answers_unless_the_route_says_so)
{
    static const char *const rows[] = {"cache-control: no-cache", "pragma: no-cache",
                                       "cache-control: max-age=5", "cache-control: min-fresh=55"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *world = world_with("/items/1", NULL, "old");
        world_time_passes(world, 10000);
        cr_assert(world_got(get(world, "/items/1", rows[i]), 200, "old", "hit"));
        world_gets(world, "/all/1");
        world_origin_answers(world_asked(world), 200, NULL, "old");
        world_time_passes(world, 10000);
        struct world_client *client = get(world, "/all/1", rows[i]);
        cr_assert_not(client->begun, "%s", rows[i]);
        world_origin_answers(world_asked(world), 200, NULL, "new");
        cr_assert(world_got(client, 200, "new", "fwd=request"), "%s", rows[i]);
        cr_assert(world_got(world_gets(world, "/all/1"), 200, "new", "hit"));
        world_destroy(world);
    }
}

Test(delivery, client_may_take_what_is_stale)
{
    struct world *world = world_with("/all/1", tagged, alphabet);
    world_time_passes(world, 70000);
    struct world_client *client = get(world, "/all/1", "cache-control: max-stale=30");
    cr_assert(world_got(client, 200, alphabet, "detail=max-stale"));
    cr_assert(world_got(client, 200, alphabet, "hit; ttl=-10"), "%s",
              world_field(client, "cache-status"));
    client = get(world, "/all/1", "cache-control: max-stale=5");
    cr_assert_not(client->begun);
    world_origin_answers(world_asked(world), 304, NULL, "");
    cr_assert(world_got(client, 200, alphabet, "validated"));
    world_destroy(world);
}

/* RFC 9111 5.2.1.5. */
Test(delivery, who_wants_it_not_stored_is_obeyed)
{
    struct world *world = world_create(rules);
    struct world_client *client = get(world, "/items/1", "cache-control: no-store");
    world_origin_answers(world_asked(world), 200, NULL, "mine");
    cr_assert(world_got(client, 200, "mine", "fwd=uri-miss"));
    client = world_gets(world, "/items/1");
    cr_assert_not(client->begun);
    world_origin_answers(world_asked(world), 200, NULL, "all");
    cr_assert(world_got(client, 200, "all", "stored"));
    world_destroy(world);
}

/* ---- Cache-Status ---- */

/* RFC 9211 2.7: only where the operator wants it, and the same for all who share the answer. */
Test(delivery, name_in_the_store_is_shown_on_demand)
{
    struct world *world = world_with("/items/1", "vary: accept-language", "one");
    struct world_client *client = world_gets(world, "/items/1");
    cr_assert_null(strstr(world_field(client, "cache-status"), "key="));
    world->machine.regime->shows_keys = true;
    client = world_gets(world, "/items/1");
    struct world_client *other = world_gets(world, "/items/1");
    struct world_client *variant = get(world, "/items/1", "accept-language: de");
    world_origin_answers(world_asked(world), 200, "vary: accept-language", "eins");
    const char *key = strstr(world_field(client, "cache-status"), "key=\"");
    cr_assert_not_null(key);
    cr_assert_eq(strspn(key + 5, "0123456789abcdef"), 2 * CG_DIGEST_BYTES);
    cr_assert_str_eq(world_field(other, "cache-status"), world_field(client, "cache-status"));
    const char *its = strstr(world_field(variant, "cache-status"), "key=\"");
    cr_assert(its != NULL && strncmp(its, key, 5 + 2 * CG_DIGEST_BYTES) != 0);
    world_asks(world, "POST", "/items/1", NULL, "x");
    world_origin_answers(world_asked(world), 404, NULL, "");
    struct world_client *pass = world_gets(world, "/never/1");
    world_origin_answers(world_asked(world), 200, NULL, "never");
    cr_assert_null(strstr(world_field(pass, "cache-status"), "key="));
    world_destroy(world);
}
