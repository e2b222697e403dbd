#include "origin_world.h"

#include "gateway/upstream/pool.h"

static struct world w;

static void begin(void)
{
    world_init(&w, false);
    world_create(&w);
}

static void finish(void)
{
    world_fini(&w);
}

TestSuite(origin_pool, .init = begin, .fini = finish, .timeout = 60);
TestSuite(origin_pool_set, .fini = finish, .timeout = 60); /* makes its own world */

/* A whole exchange on a fresh connection, which stays open. */
static void exchange_once(struct peer *peer)
{
    struct asker asker;
    asker_init(&asker, &w, "GET", "/first");
    ask(&asker);
    peer_accept(&w, peer);
    PEER_EXPECT(peer, HEAD_END);
    PEER_SAYS(peer, OK_HELLO);
    EXPECT_END(&asker, CG_ORIGIN_COMPLETE);
    asker_fini(&asker);
}

Test(origin_pool, connection_is_used_again)
{
    struct peer p;
    struct asker asker;
    exchange_once(&p);
    for (unsigned i = 0; i < 3; i++) {
        asker_init(&asker, &w, "GET", "/again");
        ask(&asker);
        PEER_EXPECT(&p, HEAD_END);
        PEER_SAYS(&p, OK_HELLO);
        EXPECT_END(&asker, CG_ORIGIN_COMPLETE);
        EXPECT_BODY(&asker, "hello");
        asker_fini(&asker);
    }
    peer_close(&p);
}

struct unfit_row {
    const char *name;
    const char *answer;
};

Test(origin_pool, connection_is_not_used_again_when_its_state_is_in_doubt)
{
    static const struct unfit_row rows[] = {
        {"asked to close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
        {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {"bytes behind the answer", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"},
        {"an answer behind the answer", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 "
                                        "OK\r\nContent-Length: 0\r\n\r\n"},
        {"body of an answer without one", "HTTP/1.1 304 Not Modified\r\n\r\nbody"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct asker asker;
        struct peer p;
        asker_init(&asker, &w, "GET", "/");
        ask(&asker);
        peer_accept(&w, &p);
        PEER_EXPECT(&p, HEAD_END);
        peer_send(&p, cg_str_from(rows[i].answer));
        EXPECT_END(&asker, CG_ORIGIN_COMPLETE);
        EXPECT_CLOSED(&p);
        peer_close(&p);
        asker_fini(&asker);
    }
}

Test(origin_pool, idle_connection_that_talks_is_dropped)
{
    struct peer p;
    exchange_once(&p);
    cr_expect(peer_is_open(&p));
    PEER_SAYS(&p, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    EXPECT_CLOSED(&p);
    peer_close(&p);
}

Test(origin_pool, idle_connection_that_ended_unseen_is_not_taken)
{
    struct peer p, second;
    struct asker asker;
    exchange_once(&p);
    peer_close(&p);
    /* No turn of the loop in between, and a request that must not be sent twice. */
    asker_init(&asker, &w, "POST", "/");
    asker_has_body(&asker, CG_STR("x"));
    ask(&asker);
    peer_accept(&w, &second);
    PEER_EXPECT(&second, HEAD_END "x");
    PEER_SAYS(&second, OK_HELLO);
    EXPECT_END(&asker, CG_ORIGIN_COMPLETE);
    asker_fini(&asker);
    peer_close(&second);
}

Test(origin_pool, idle_connection_ages)
{
    struct peer p;
    exchange_once(&p);
    world_pass(&w, 4999);
    cr_expect(peer_is_open(&p));
    world_pass(&w, 1);
    EXPECT_CLOSED(&p);
    peer_close(&p);
}

Test(origin_pool, newest_idle_connection_is_taken_and_the_oldest_goes_when_there_are_too_many)
{
    struct asker askers[3], next;
    struct peer peers[3];
    for (size_t i = 0; i < 3; i++) {
        asker_init(&askers[i], &w, "GET", "/");
        ask(&askers[i]);
        peer_accept(&w, &peers[i]);
        PEER_EXPECT(&peers[i], HEAD_END);
    }
    for (size_t i = 0; i < 3; i++) {
        PEER_SAYS(&peers[i], OK_HELLO);
        EXPECT_END(&askers[i], CG_ORIGIN_COMPLETE);
        asker_fini(&askers[i]);
    }
    EXPECT_CLOSED(&peers[0]); /* keepalive_max is 2 */
    asker_init(&next, &w, "GET", "/next");
    ask(&next);
    PEER_EXPECT(&peers[2], HEAD_END);
    cr_expect(peer_is_open(&peers[1]));
    PEER_SAYS(&peers[2], OK_HELLO);
    EXPECT_END(&next, CG_ORIGIN_COMPLETE);
    asker_fini(&next);
    for (size_t i = 0; i < 3; i++)
        peer_close(&peers[i]);
}

/* The next request reaches the kept connection, which then dies without a word. */
static void die_on_the_next(struct peer *p, struct asker *asker)
{
    exchange_once(p);
    ask(asker);
    WORLD_UNTIL(&w, (peer_pump(p), p->got.length > 0));
    peer_close(p);
}

Test(origin_pool, reused_connection_that_dies_unanswered_is_replaced_once)
{
    struct peer p, second;
    struct asker asker;
    asker_init(&asker, &w, "GET", "/retried");
    die_on_the_next(&p, &asker);
    peer_accept(&w, &second);
    PEER_EXPECT(&second, HEAD_END);
    PEER_SAYS(&second, OK_HELLO);
    EXPECT_END(&asker, CG_ORIGIN_COMPLETE);
    EXPECT_BODY(&asker, "hello");
    asker_fini(&asker);
    peer_close(&second);
}

Test(origin_pool, fresh_connection_that_dies_is_not_replaced)
{
    struct peer p, second;
    struct asker asker;
    asker_init(&asker, &w, "GET", "/retried");
    die_on_the_next(&p, &asker);
    peer_accept(&w, &second);
    PEER_EXPECT(&second, HEAD_END);
    peer_close(&second);
    EXPECT_END(&asker, CG_ORIGIN_CUT);
    cr_expect(asker.sent);
    world_settle(&w);
    cr_expect_not(peer_try_accept(&w, &second));
    asker_fini(&asker);
}

Test(origin_pool, request_that_may_have_been_done_is_not_sent_twice)
{
    struct peer p, second;
    struct asker asker;
    asker_init(&asker, &w, "POST", "/once");
    asker_has_body(&asker, CG_STR("x"));
    die_on_the_next(&p, &asker);
    EXPECT_END(&asker, CG_ORIGIN_CUT);
    cr_expect(asker.sent, "the outcome of the write is unknown");
    world_settle(&w);
    cr_expect_not(peer_try_accept(&w, &second));
    asker_fini(&asker);
}

/* What left with the first connection may still be done. */
Test(origin_pool, retry_that_finds_nobody_was_sent_all_the_same)
{
    struct peer p;
    struct asker asker;
    exchange_once(&p);
    asker_init(&asker, &w, "PUT", "/retried");
    ask(&asker);
    WORLD_UNTIL(&w, (peer_pump(&p), p.got.length > 0));
    close(w.listener);
    w.listener = -1;
    peer_close(&p);
    EXPECT_END(&asker, CG_ORIGIN_REFUSED);
    cr_expect(asker.sent);
    asker_fini(&asker);
}

Test(origin_pool, reused_connection_that_dies_within_the_answer_is_a_cut)
{
    struct peer p, second;
    struct asker asker;
    exchange_once(&p);
    asker_init(&asker, &w, "GET", "/");
    ask(&asker);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, "H");
    world_settle(&w);
    peer_close(&p);
    EXPECT_END(&asker, CG_ORIGIN_CUT);
    world_settle(&w);
    cr_expect_not(peer_try_accept(&w, &second));
    asker_fini(&asker);
}

/* ---- the queue ---- */

Test(origin_pool, requests_above_connections_max_wait_in_order)
{
    struct asker askers[6];
    struct peer peers[4], extra;
    for (size_t i = 0; i < 6; i++) {
        asker_init(&askers[i], &w, "GET", i == 4 ? "/fifth" : i == 5 ? "/sixth" : "/");
        ask(&askers[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        peer_accept(&w, &peers[i]);
        PEER_EXPECT(&peers[i], HEAD_END);
    }
    world_settle(&w);
    cr_expect_not(peer_try_accept(&w, &extra));
    PEER_SAYS(&peers[2], OK_HELLO);
    WORLD_UNTIL(&w, peer_has(&peers[2], CG_STR(HEAD_END)));
    cr_expect(cg_str_starts_with(cg_buf_str(&peers[2].got), CG_STR("GET /fifth ")));
    cr_expect_eq(askers[2].ends, 1);
    w.origin->port->cancel(askers[0].exchange); /* makes a place too */
    peer_accept(&w, &extra);
    WORLD_UNTIL(&w, peer_has(&extra, CG_STR(HEAD_END)));
    cr_expect(cg_str_starts_with(cg_buf_str(&extra.got), CG_STR("GET /sixth ")));
    for (size_t i = 1; i < 6; i++) {
        if (askers[i].ends == 0)
            w.origin->port->cancel(askers[i].exchange);
    }
    for (size_t i = 0; i < 6; i++)
        asker_fini(&askers[i]);
    for (size_t i = 0; i < 4; i++)
        peer_close(&peers[i]);
    peer_close(&extra);
}

Test(origin_pool_set, request_from_inside_an_end_does_not_overtake_the_queue)
{
    struct asker askers[3];
    struct peer p;
    world_init(&w, false);
    w.upstream.connections_max = 1;
    world_create(&w);
    asker_init(&askers[0], &w, "GET", "/1");
    asker_init(&askers[1], &w, "GET", "/2");
    asker_init(&askers[2], &w, "GET", "/3");
    askers[0].asks_in_end = &askers[2];
    ask(&askers[0]);
    ask(&askers[1]);
    peer_accept(&w, &p);
    for (size_t i = 0; i < 3; i++) {
        WORLD_UNTIL(&w, peer_has(&p, CG_STR(HEAD_END)));
        cr_expect_eq(p.got.bytes[5], "123"[i]);
        cg_buf_clear(&p.got);
        PEER_SAYS(&p, OK_HELLO);
        EXPECT_END(&askers[i], CG_ORIGIN_COMPLETE);
    }
    for (size_t i = 0; i < 3; i++)
        asker_fini(&askers[i]);
    peer_close(&p);
}

enum { CROWD = 4 + CG_POOL_QUEUE_MAX };

Test(origin_pool, queue_is_bounded_and_may_be_left)
{
    static struct asker askers[CROWD + 1];
    for (size_t i = 0; i <= CROWD; i++) {
        asker_init(&askers[i], &w, "GET", "/");
        ask(&askers[i]);
        cr_assert_eq(askers[i].ends, i == CROWD ? 1 : 0);
    }
    EXPECT_END(&askers[CROWD], CG_ORIGIN_QUEUE_FULL);
    cr_expect_not(askers[CROWD].sent);
    /* From the middle, the front, then all. */
    w.origin->port->cancel(askers[2000].exchange);
    for (size_t i = CROWD; i-- > 0;) {
        if (i != 2000)
            w.origin->port->cancel(askers[i].exchange);
    }
    for (size_t i = 0; i <= CROWD; i++)
        asker_fini(&askers[i]);
}

Test(origin_pool_set, whole_queue_fails_without_deep_recursion_when_nobody_listens)
{
    static struct asker askers[CROWD];
    world_init(&w, true);
    w.upstream.connections_max = 1;
    world_create(&w);
    struct peer p;
    for (size_t i = 0; i < CG_POOL_QUEUE_MAX; i++) {
        asker_init(&askers[i], &w, "GET", "/");
        ask(&askers[i]);
    }
    peer_accept(&w, &p);
    unlink(w.path);
    PEER_EXPECT(&p, HEAD_END);
    peer_close(&p);
    for (size_t i = 0; i < CG_POOL_QUEUE_MAX; i++) {
        EXPECT_END(&askers[i], i == 0 ? CG_ORIGIN_CUT : CG_ORIGIN_REFUSED);
        cr_expect(i < 2 || askers[i].end_frame == askers[1].end_frame);
        asker_fini(&askers[i]);
    }
}

Test(origin_pool, request_from_inside_an_end_gets_the_connection)
{
    struct asker first, second;
    struct peer p;
    asker_init(&first, &w, "GET", "/1");
    asker_init(&second, &w, "GET", "/2");
    first.asks_in_end = &second;
    ask(&first);
    peer_accept(&w, &p);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, OK_HELLO);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&second, CG_ORIGIN_COMPLETE);
    peer_close(&p);
    asker_fini(&first);
    asker_fini(&second);
}

/* ---- timeouts: 1000 connect, 2000 first byte, 500 between bytes ---- */

Test(origin_pool, waiting_in_the_queue_is_connecting)
{
    struct asker askers[5];
    struct peer peers[4];
    for (size_t i = 0; i < 5; i++) {
        asker_init(&askers[i], &w, "GET", "/");
        ask(&askers[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        peer_accept(&w, &peers[i]);
        PEER_EXPECT(&peers[i], HEAD_END);
    }
    world_pass(&w, 999);
    cr_expect_eq(askers[4].ends, 0);
    world_pass(&w, 1);
    EXPECT_END(&askers[4], CG_ORIGIN_CONNECT_TIMEOUT);
    cr_expect_not(askers[4].sent);
    world_pass(&w, 1000);
    for (size_t i = 0; i < 4; i++) {
        EXPECT_END(&askers[i], CG_ORIGIN_FIRST_BYTE_TIMEOUT);
        cr_expect(askers[i].sent);
        EXPECT_CLOSED(&peers[i]);
        peer_close(&peers[i]);
    }
    for (size_t i = 0; i < 5; i++)
        asker_fini(&askers[i]);
}

Test(origin_pool, interim_answer_is_not_the_first_byte_of_the_answer)
{
    struct asker asker;
    struct peer p;
    asker_init(&asker, &w, "GET", "/");
    ask(&asker);
    peer_accept(&w, &p);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, "HTTP/1.1 103 Early Hints\r\n\r\n");
    world_settle(&w);
    world_pass(&w, 1999);
    cr_expect_eq(asker.ends, 0);
    world_pass(&w, 1);
    EXPECT_END(&asker, CG_ORIGIN_FIRST_BYTE_TIMEOUT);
    peer_close(&p);
    asker_fini(&asker);
}

Test(origin_pool, answer_that_stops_is_given_up)
{
    struct asker asker;
    struct peer p;
    asker_init(&asker, &w, "GET", "/");
    ask(&asker);
    peer_accept(&w, &p);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\n");
    world_settle(&w);
    world_pass(&w, 499);
    PEER_SAYS(&p, "Content-Length: 9\r\n\r\nhel");
    WORLD_UNTIL(&w, asker.body.length == 3);
    world_pass(&w, 499);
    cr_expect_eq(asker.ends, 0);
    world_pass(&w, 1);
    EXPECT_END(&asker, CG_ORIGIN_BETWEEN_BYTES_TIMEOUT);
    EXPECT_CLOSED(&p);
    peer_close(&p);
    asker_fini(&asker);
}

Test(origin_pool, progress_of_the_request_body_postpones_the_first_byte)
{
    static char large[16 * 1024 * 1024];
    struct asker asker;
    struct peer p;
    asker_init(&asker, &w, "POST", "/");
    asker_has_body(&asker, cg_str_of(large, sizeof(large)));
    ask(&asker);
    peer_accept(&w, &p);
    world_settle(&w);
    world_pass(&w, 1999);
    cr_expect_eq(asker.ends, 0);
    size_t before = p.got.length;
    WORLD_UNTIL(&w, (peer_pump(&p), p.got.length > before + 8 * 1024 * 1024));
    world_pass(&w, 1999);
    cr_expect_eq(asker.ends, 0);
    world_pass(&w, 1);
    EXPECT_END(&asker, CG_ORIGIN_FIRST_BYTE_TIMEOUT);
    peer_close(&p);
    asker_fini(&asker);
}

Test(origin_pool_set, total_timeout_counts_everything)
{
    world_init(&w, false);
    w.upstream.total_timeout_ms = 3000;
    world_create(&w);
    struct asker asker;
    struct peer p;
    asker_init(&asker, &w, "GET", "/");
    asker.pauses_in_head = true;
    ask(&asker);
    peer_accept(&w, &p);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\n\r\n");
    WORLD_UNTIL(&w, asker.heads == 1);
    world_pass(&w, 2999);
    cr_expect_eq(asker.ends, 0);
    world_pass(&w, 1);
    EXPECT_END(&asker, CG_ORIGIN_TOTAL_TIMEOUT);
    EXPECT_CLOSED(&p);
    peer_close(&p);
    asker_fini(&asker);
}

Test(origin_pool_set, connection_that_never_opens_times_out)
{
    world_init(&w, true);
    world_create(&w);
    listen(w.listener, 0);
    struct asker askers[2];
    for (size_t i = 0; i < 2; i++) {
        asker_init(&askers[i], &w, "GET", "/");
        ask(&askers[i]);
    }
    world_settle(&w); /* the first got in and waits for its answer */
    for (unsigned i = 0; i < 200 && askers[1].ends == 0; i++)
        world_pass(&w, 5);
    EXPECT_END(&askers[1], CG_ORIGIN_CONNECT_TIMEOUT);
    cr_expect_not(askers[1].sent);
    w.origin->port->cancel(askers[0].exchange);
    for (size_t i = 0; i < 2; i++)
        asker_fini(&askers[i]);
}
