#include "origin_world.h"

#include "gateway/upstream/connection.h"

/* How a connection comes to be: UNIX sockets, names, several addresses. */

static struct world w;
static struct asker a;
static struct peer p;

static void begin_on(bool on_unix)
{
    world_init(&w, on_unix);
    world_create(&w);
    asker_init(&a, &w, "GET", "/a");
}

static void finish(void)
{
    asker_fini(&a);
    world_fini(&w);
}

static void ask_and_accept(void)
{
    ask(&a);
    peer_accept(&w, &p);
    PEER_EXPECT(&p, HEAD_END);
}

TestSuite(origin_unix, .timeout = 60);

Test(origin_unix, unix_socket_serves_and_is_kept)
{
    begin_on(true);
    ask_and_accept();
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect(peer_is_open(&p));
    peer_close(&p);
    finish();
}

Test(origin_unix, missing_unix_socket_is_refused_at_once)
{
    begin_on(true);
    unlink(w.path);
    ask(&a);
    cr_expect_eq(a.ends, 1);
    EXPECT_END(&a, CG_ORIGIN_REFUSED);
    finish();
}

Test(origin_unix, full_backlog_is_waited_for)
{
    world_init(&w, true);
    listen(w.listener, 0);
    world_create(&w);
    struct asker askers[4];
    struct peer peers[4];
    for (size_t i = 0; i < 4; i++) {
        asker_init(&askers[i], &w, "GET", "/");
        ask(&askers[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        WORLD_UNTIL(&w, (world_pass(&w, 5), peer_try_accept(&w, &peers[i])));
        PEER_EXPECT(&peers[i], HEAD_END);
        PEER_SAYS(&peers[i], OK_HELLO);
        peer_pump(&peers[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        EXPECT_END(&askers[i], CG_ORIGIN_COMPLETE);
        peer_close(&peers[i]);
        asker_fini(&askers[i]);
    }
    world_fini(&w);
}

TestSuite(origin_names, .timeout = 60);

Test(origin_names, name_is_looked_up)
{
    world_init(&w, false);
    w.upstream.address.host = "localhost";
    world_create(&w);
    asker_init(&a, &w, "GET", "/");
    ask_and_accept();
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    peer_close(&p);
    finish();
}

static unsigned opened, failed;

static void on_opened(void *owner)
{
    (void)owner;
    opened++;
}

static void on_open_failed(void *owner, enum cg_origin_outcome outcome, const char *why)
{
    (void)owner;
    cr_expect_eq(outcome, CG_ORIGIN_REFUSED);
    cr_expect_not_null(why);
    failed++;
}

/* Two addresses; at the first of them nobody listens. */
Test(origin_names, next_address_is_tried_and_the_one_that_worked_is_remembered)
{
    static const struct cg_connection_events events = {.on_open = on_opened,
                                                       .on_open_failed = on_open_failed};
    static struct cg_endpoint endpoint;
    begin_on(false);
    struct cg_upstream *upstream = &w.upstreams->items[0];
    endpoint =
        (struct cg_endpoint){.upstream = upstream, .loop = w.context.loop, .clock = &w.clock.base};
    cg_resolver_init(&endpoint.resolver, upstream, &w.context, &w.clock.base);
    endpoint.resolver.addresses[1] = upstream->address;
    ((struct sockaddr_in *)&endpoint.resolver.addresses[0].storage)->sin_port = htons(1);
    endpoint.resolver.count = 2;
    struct cg_connection *connection = cg_connection_create(&endpoint, &events, NULL);
    cg_connection_open(connection);
    WORLD_UNTIL(&w, opened + failed > 0);
    cr_expect(opened == 1 && failed == 0);
    cg_connection_destroy(connection, false);
    cr_expect_eq(memcmp(cg_resolver_address(&endpoint.resolver, 0), &upstream->address,
                        sizeof(upstream->address)),
                 0);
    endpoint.resolver.count = 1; /* now only the dead one */
    endpoint.resolver.first = 0;
    connection = cg_connection_create(&endpoint, &events, NULL);
    cg_connection_open(connection);
    WORLD_UNTIL(&w, opened + failed > 1);
    cr_expect(opened == 1 && failed == 1);
    cg_connection_destroy(connection, false);
    cg_resolver_fini(&endpoint.resolver);
    finish();
}

Test(origin_names, name_without_address_is_unresolved)
{
    world_init(&w, false);
    w.upstream.address.host = "no-such-host.invalid";
    world_create(&w);
    struct asker second;
    asker_init(&a, &w, "GET", "/");
    asker_init(&second, &w, "GET", "/");
    ask(&a);
    ask(&second);
    EXPECT_END(&a, CG_ORIGIN_UNRESOLVED);
    EXPECT_END(&second, CG_ORIGIN_UNRESOLVED);
    cr_expect_not(a.sent);
    asker_fini(&second);
    finish();
}

Test(origin_names, cancel_during_the_lookup_leaves_nothing)
{
    world_init(&w, false);
    w.upstream.address.host = "localhost";
    world_create(&w);
    asker_init(&a, &w, "GET", "/");
    ask(&a);
    w.origin->port->cancel(a.exchange);
    WORLD_UNTIL(&w, w.clock.count == 1); /* the answer came, its age is timed */
    cr_expect_eq(a.ends, 0);
    finish();
}
