#include "origin_world.h"

static struct world w;
static struct asker a;
static struct peer p;

static void begin(void)
{
    world_init(&w, false);
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

TestSuite(origin, .init = begin, .fini = finish, .timeout = 60);

Test(origin, answer_arrives_head_body_end)
{
    ask(&a);
    peer_accept(&w, &p);
    WORLD_UNTIL(&w, peer_has(&p, CG_STR(HEAD_END)));
    cr_expect(cg_str_eq(cg_buf_str(&p.got), CG_STR("GET /a HTTP/1.1\r\n"
                                                   "host: client.example\r\n\r\n")));
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    EXPECT_BODY(&a, "hello");
    cr_expect_eq(a.head.status, 200);
    cr_expect(a.head.has_length && a.head.content_length == 5 && !a.head.no_body);
    cr_expect_str_eq(a.first_name, "content-length");
    cr_expect(a.sent);
    cr_expect(peer_is_open(&p), "the connection is kept");
    peer_close(&p);
}

Test(origin, answer_in_single_bytes_is_the_same_answer)
{
    static const char answer[] = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3\r\nabc\r\n2\r\nde\r\n0\r\nT: r\r\n\r\n";
    ask_and_accept();
    for (size_t i = 0; i + 1 < sizeof(answer); i++) {
        peer_send(&p, cg_str_of(answer + i, 1));
        world_turn(&w);
    }
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    EXPECT_BODY(&a, "abcde");
    cr_expect_eq(a.heads, 1);
    cr_expect_not(a.head.has_length);
    cr_expect(peer_is_open(&p));
    peer_close(&p);
}

Test(origin, answers_without_body_end_with_their_head)
{
    ask_and_accept();
    PEER_SAYS(&p, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect(a.head.no_body && a.head.has_length && a.head.content_length == 7);
    struct asker head;
    asker_init(&head, &w, "HEAD", "/a");
    ask(&head);
    PEER_EXPECT(&p, HEAD_END);
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    EXPECT_END(&head, CG_ORIGIN_COMPLETE);
    cr_expect(head.head.no_body && head.head.content_length == 9);
    asker_fini(&head);
    peer_close(&p);
}

Test(origin, close_ends_an_answer_without_length)
{
    ask_and_accept();
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\n\r\nall of it");
    WORLD_UNTIL(&w, a.body.length == 9);
    cr_expect_eq(a.ends, 0);
    peer_close(&p);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    EXPECT_BODY(&a, "all of it");
}

struct bad_row {
    const char *name;
    const char *answer;
    bool closes;
    enum cg_origin_outcome outcome;
};

Test(origin, cut_and_ambiguous_answers_are_told_from_whole_ones)
{
    static const struct bad_row rows[] = {
        {"nothing", "", true, CG_ORIGIN_CUT},
        {"half a head", "HTTP/1.1 200 OK\r\nConte", true, CG_ORIGIN_CUT},
        {"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", true, CG_ORIGIN_CUT},
        {"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", true,
         CG_ORIGIN_CUT},
        {"only an interim answer", "HTTP/1.1 100 Continue\r\n\r\n", true, CG_ORIGIN_CUT},
        {"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", false, CG_ORIGIN_BAD_ANSWER},
        {"two framings",
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false,
         CG_ORIGIN_BAD_ANSWER},
        {"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", false,
         CG_ORIGIN_BAD_ANSWER},
        {"protocol switch", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", false,
         CG_ORIGIN_BAD_ANSWER},
        {"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false,
         CG_ORIGIN_BAD_ANSWER},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct asker asker;
        asker_init(&asker, &w, "GET", "/");
        ask(&asker);
        peer_accept(&w, &p);
        PEER_EXPECT(&p, HEAD_END);
        peer_send(&p, cg_str_from(rows[i].answer));
        if (rows[i].closes)
            shutdown(p.fd, SHUT_WR);
        WORLD_UNTIL(&w, asker.ends > 0);
        cr_expect_eq(asker.outcome, rows[i].outcome, "%s: %d %s", rows[i].name, asker.outcome,
                     asker.detail);
        cr_expect(asker.sent, "%s", rows[i].name);
        cr_expect_neq(asker.detail[0], '\0', "%s", rows[i].name);
        EXPECT_CLOSED(&p);
        peer_close(&p);
        asker_fini(&asker);
    }
}

Test(origin, reset_in_a_close_delimited_body_is_a_cut)
{
    ask_and_accept();
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\n\r\npart");
    WORLD_UNTIL(&w, a.body.length == 4);
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    peer_close(&p);
    EXPECT_END(&a, CG_ORIGIN_CUT);
}

Test(origin, request_that_cannot_be_written_is_not)
{
    a.request.target = CG_STR("/a\r\nx: y");
    ask(&a);
    cr_expect_eq(a.ends, 1, "at once");
    EXPECT_END(&a, CG_ORIGIN_BAD_ANSWER);
    cr_expect_not(a.sent);
    cr_expect_str_eq(a.detail, "request cannot be written");
    world_settle(&w);
    cr_expect_not(peer_try_accept(&w, &p));
}

static char large[8 * 1024 * 1024];

Test(origin, large_body_is_sent_as_fast_as_the_upstream_reads)
{
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i * 7 + i / 251);
    a.request.method = CG_STR("POST");
    asker_has_body(&a, cg_str_of(large, sizeof(large)));
    ask(&a);
    peer_accept(&w, &p);
    world_settle(&w);
    WORLD_UNTIL(&w, (peer_pump(&p), p.got.length > sizeof(large)));
    struct cg_str tail = cg_str_skip(cg_buf_str(&p.got), p.got.length - sizeof(large));
    cr_expect_eq(memcmp(tail.bytes, large, sizeof(large)), 0);
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect(peer_is_open(&p));
    peer_close(&p);
}

Test(origin, early_answer_is_taken_and_its_connection_is_not_used_again)
{
    a.request.method = CG_STR("POST");
    asker_has_body(&a, cg_str_of(large, sizeof(large)));
    ask(&a);
    peer_accept(&w, &p);
    world_settle(&w);
    PEER_SAYS(&p, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect_eq(a.head.status, 413);
    EXPECT_CLOSED(&p);
    peer_close(&p);
}

Test(origin, answer_before_a_refusal_to_read_on_is_still_taken)
{
    a.request.method = CG_STR("POST");
    asker_has_body(&a, cg_str_of(large, sizeof(large)));
    ask(&a);
    peer_accept(&w, &p);
    world_settle(&w);
    PEER_SAYS(&p, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    shutdown(p.fd, SHUT_RDWR);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect_eq(a.head.status, 413);
    peer_close(&p);
}

static size_t send_what_fits(void)
{
    size_t sent = 0;
    for (unsigned calm = 0; calm < 20;) {
        ssize_t got = send(p.fd, large, sizeof(large), MSG_NOSIGNAL);
        calm = got > 0 ? 0 : calm + 1;
        sent += got > 0 ? (size_t)got : 0;
        world_turn(&w);
    }
    return sent;
}

Test(origin, paused_exchange_reads_nothing_and_loses_nothing)
{
    ask_and_accept();
    a.pauses_in_head = true;
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\n\r\n");
    WORLD_UNTIL(&w, a.heads == 1);
    size_t sent = send_what_fits();
    cr_expect_eq(a.pieces, 0);
    world_pass(&w, 60 * 60 * 1000);
    cr_expect_eq(a.ends, 0, "time does not count while paused");
    w.origin->port->pause(a.exchange); /* idempotent */
    w.origin->port->resume(a.exchange);
    w.origin->port->resume(a.exchange);
    WORLD_UNTIL(&w, a.body.length == sent);
    peer_close(&p);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect_eq(a.body.length, sent);
}

Test(origin, pause_in_the_middle_of_the_input_holds_the_rest_and_the_end)
{
    ask_and_accept();
    a.pauses_in_body = true;
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    WORLD_UNTIL(&w, a.pieces == 1);
    world_settle(&w);
    EXPECT_BODY(&a, "a");
    w.origin->port->resume(a.exchange);
    cr_expect_eq(a.pieces, 2, "what is there comes at once");
    cr_expect_eq(a.ends, 0);
    w.origin->port->resume(a.exchange);
    cr_expect_eq(a.ends, 1);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    EXPECT_BODY(&a, "ab");
    peer_close(&p);
}

Test(origin, progress_of_the_request_body_does_not_end_a_pause)
{
    a.request.method = CG_STR("POST");
    asker_has_body(&a, cg_str_of(large, sizeof(large)));
    a.pauses_in_head = true;
    ask(&a);
    peer_accept(&w, &p);
    PEER_SAYS(&p, OK_HELLO);
    WORLD_UNTIL(&w, a.heads == 1);
    WORLD_UNTIL(&w, (peer_pump(&p), p.got.length > sizeof(large)));
    world_pass(&w, 60 * 60 * 1000);
    cr_expect_eq(a.ends, 0);
    w.origin->port->resume(a.exchange);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    peer_close(&p);
}

Test(origin, resume_inside_an_event_does_not_nest)
{
    ask_and_accept();
    a.resumes_in_body = true;
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n");
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    EXPECT_BODY(&a, "abc");
    peer_close(&p);
}

/* Or the client would get two writes for one. */
Test(origin, an_answer_that_comes_at_once_has_no_lull)
{
    ask_and_accept();
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect(a.heads == 1 && a.pieces == 1 && a.lulls == 0);
    peer_close(&p);
}

Test(origin, a_lull_follows_all_that_came)
{
    ask_and_accept();
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n");
    WORLD_UNTIL(&w, a.pieces == 2);
    cr_expect_eq(a.lulls, 1);
    PEER_SAYS(&p, "1\r\nc\r\n");
    WORLD_UNTIL(&w, a.pieces == 3);
    cr_expect_eq(a.lulls, 2);
    PEER_SAYS(&p, "0\r\n\r\n");
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect_eq(a.lulls, 2);
    EXPECT_BODY(&a, "abc");
    peer_close(&p);
}

Test(origin, what_was_paused_before_a_lull_may_go_on_in_it)
{
    ask_and_accept();
    a.pauses_in_body = a.resumes_in_lull = true;
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    cr_expect_eq(a.lulls, 2);
    EXPECT_BODY(&a, "ab");
    peer_close(&p);
}

Test(origin, cancel_inside_a_lull_is_the_end)
{
    ask_and_accept();
    a.cancels_in_lull = true;
    PEER_SAYS(&p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    EXPECT_CLOSED(&p);
    cr_expect(a.pieces == 1 && a.lulls == 1 && a.ends == 0);
    peer_close(&p);
}

Test(origin, cancel_while_waiting_closes_the_connection)
{
    ask_and_accept();
    w.origin->port->cancel(a.exchange);
    EXPECT_CLOSED(&p);
    cr_expect_eq(a.ends, 0);
    peer_close(&p);
}

Test(origin, cancel_before_the_connection_is_open_leaves_nothing)
{
    ask(&a);
    w.origin->port->cancel(a.exchange);
    world_settle(&w);
    cr_expect_eq(a.ends, 0);
}

Test(origin, cancel_while_the_body_is_half_sent_closes_the_connection)
{
    a.request.method = CG_STR("POST");
    asker_has_body(&a, cg_str_of(large, sizeof(large)));
    ask(&a);
    peer_accept(&w, &p);
    world_settle(&w);
    w.origin->port->cancel(a.exchange);
    EXPECT_CLOSED(&p);
    cr_expect_lt(p.got.length, sizeof(large));
    peer_close(&p);
}

Test(origin, cancel_inside_the_head_event_is_the_end)
{
    ask_and_accept();
    a.cancels_in_head = true;
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_CLOSED(&p);
    cr_expect(a.heads == 1 && a.pieces == 0 && a.ends == 0);
    peer_close(&p);
}

Test(origin, cancel_inside_the_body_event_leaves_its_bytes_alone)
{
    ask_and_accept();
    a.cancels_in_body = true;
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_CLOSED(&p);
    cr_expect(a.pieces == 1 && a.ends == 0);
    EXPECT_BODY(&a, "hello");
    peer_close(&p);
}

Test(origin, cancel_inside_the_end_event_does_nothing)
{
    ask_and_accept();
    a.cancels_in_end = true;
    PEER_SAYS(&p, OK_HELLO);
    EXPECT_END(&a, CG_ORIGIN_COMPLETE);
    peer_close(&p);
}

Test(origin, nobody_listening_is_refused)
{
    close(w.listener);
    w.listener = -1;
    ask(&a);
    EXPECT_END(&a, CG_ORIGIN_REFUSED);
    cr_expect_not(a.sent);
}
