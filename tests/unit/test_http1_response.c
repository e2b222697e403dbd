#include "read_response.h"

#include <criterion/criterion.h>

struct row {
    const char *name;
    const char *input;
    bool head_request;
    bool ends; /* the connection ends behind the input */
    enum cg_http1_progress progress;
    enum cg_http1_error error;
    unsigned status;
    const char *body;
    bool keep_alive;
};

#define OK11       "HTTP/1.1 200 OK\r\n"
#define COMPLETE   .progress = CG_HTTP1_COMPLETE, .status = 200
#define FAILS(why) .progress = CG_HTTP1_FAILED, .error = CG_HTTP1_##why

static void run(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct read_response got;
        read_response_run(&got, cg_str_from(row->input), row->head_request, row->ends, NULL, NULL);
        cr_expect_eq(got.progress, row->progress, "%s: progress %d", row->name, got.progress);
        cr_expect_eq(got.response.error, row->error, "%s: %s", row->name,
                     cg_http1_error_text(got.response.error));
        if (row->progress == CG_HTTP1_COMPLETE) {
            cr_expect_eq(got.heads, 1, "%s: heads %u", row->name, got.heads);
            cr_expect_eq(got.response.status, row->status, "%s: status", row->name);
            cr_expect_eq(got.response.keep_alive, row->keep_alive, "%s: keep-alive", row->name);
            cr_expect(cg_str_eq(cg_buf_str(&got.body), cg_str_from(row->body)), "%s: body %.*s",
                      row->name, CG_STR_ARG(cg_buf_str(&got.body)));
        }
        read_response_fini(&got);
    }
}
#define RUN(rows) run(rows, sizeof rows / sizeof rows[0])

Test(http1_response, body_ends_where_the_framing_says)
{
    static const struct row rows[] = {
        {"length", OK11 "Content-Length: 5\r\n\r\nhello", COMPLETE, .body = "hello",
         .keep_alive = true},
        {"length 0", OK11 "Content-Length: 0\r\n\r\n", COMPLETE, .body = "", .keep_alive = true},
        {"equal lengths", OK11 "Content-Length: 1\r\ncontent-length: 1\r\n\r\nx", COMPLETE,
         .body = "x", .keep_alive = true},
        {"chunked",
         OK11 "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
         COMPLETE, .body = "abc0123456789", .keep_alive = true},
        {"chunked, capital", OK11 "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", COMPLETE,
         .body = "", .keep_alive = true},
        {"chunk extensions and padding",
         OK11 "Transfer-Encoding: chunked\r\n\r\n2;a=\"b\"\r\nxy\r\n1  \r\nz\r\n00;q\r\n\r\n",
         COMPLETE, .body = "xyz", .keep_alive = true},
        {"trailers", OK11 "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
         COMPLETE, .body = "x", .keep_alive = true},
        {"until close", OK11 "A: b\r\n\r\nall of it", .ends = true, COMPLETE, .body = "all of it"},
        {"until close, empty", OK11 "\r\n", .ends = true, COMPLETE, .body = ""},
        {"HEAD with length", OK11 "Content-Length: 50\r\n\r\n", .head_request = true, COMPLETE,
         .body = "", .keep_alive = true},
        {"HEAD chunked", OK11 "Transfer-Encoding: chunked\r\n\r\n", .head_request = true, COMPLETE,
         .body = "", .keep_alive = true},
        {"204", "HTTP/1.1 204 No Content\r\n\r\n", .progress = CG_HTTP1_COMPLETE, .status = 204,
         .body = "", .keep_alive = true},
        {"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
         .progress = CG_HTTP1_COMPLETE, .status = 304, .body = "", .keep_alive = true},
        {"1xx are skipped",
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK11
         "Content-Length: 1\r\n\r\nx",
         COMPLETE, .body = "x", .keep_alive = true},
        {"no reason", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", COMPLETE, .body = "x",
         .keep_alive = true},
    };
    RUN(rows);
}

Test(http1_response, connection_persists_only_when_both_version_and_field_allow)
{
    static const struct row rows[] = {
        {"close", OK11 "Connection: foo, Close\r\nContent-Length: 0\r\n\r\n", COMPLETE, .body = ""},
        {"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", COMPLETE, .body = ""},
        {"1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
         COMPLETE, .body = "", .keep_alive = true},
        {"stray bytes", OK11 "Content-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n", COMPLETE,
         .error = CG_HTTP1_STRAY_BYTES, .body = "x"},
        {"body behind 204", "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\nx",
         .progress = CG_HTTP1_COMPLETE, .status = 204, .error = CG_HTTP1_STRAY_BYTES, .body = ""},
    };
    RUN(rows);
}

Test(http1_response, cut_messages_are_never_complete)
{
    static const struct row rows[] = {
        {"nothing", "", .ends = true, FAILS(CUT)},
        {"in the head", OK11 "Content-Le", .ends = true, FAILS(CUT)},
        {"in the body", OK11 "Content-Length: 5\r\n\r\nhell", .ends = true, FAILS(CUT)},
        {"between chunks", OK11 "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", .ends = true,
         FAILS(CUT)},
        {"before the empty trailer line", OK11 "Transfer-Encoding: chunked\r\n\r\n0\r\n",
         .ends = true, FAILS(CUT)},
        {"in the middle of a chunk", OK11 "Transfer-Encoding: chunked\r\n\r\n5\r\nx", .ends = true,
         FAILS(CUT)},
        {"after 100 only", "HTTP/1.1 100 Continue\r\n\r\n", .ends = true, FAILS(CUT)},
    };
    RUN(rows);
}

Test(http1_response, what_two_parsers_could_read_differently_fails)
{
    static const struct row rows[] = {
        {"length and coding", OK11 "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         FAILS(BAD_LENGTH)},
        {"the same to HEAD", OK11 "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
         .head_request = true, FAILS(BAD_LENGTH)},
        {"unequal lengths", OK11 "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
         FAILS(BAD_LENGTH)},
        {"negative length", OK11 "Content-Length: -5\r\n\r\n", FAILS(BAD_LENGTH)},
        {"signed length", OK11 "Content-Length: +5\r\n\r\n", FAILS(BAD_LENGTH)},
        {"length list", OK11 "Content-Length: 5, 5\r\n\r\n", FAILS(BAD_LENGTH)},
        {"empty length", OK11 "Content-Length: \r\n\r\n", FAILS(BAD_LENGTH)},
        {"huge length", OK11 "Content-Length: 9223372036854775808\r\n\r\n", FAILS(BAD_LENGTH)},
        {"gzip", OK11 "Transfer-Encoding: gzip\r\n\r\n", FAILS(BAD_CODING)},
        {"gzip, chunked", OK11 "Transfer-Encoding: gzip, chunked\r\n\r\n", FAILS(BAD_CODING)},
        {"twice", OK11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         FAILS(BAD_CODING)},
        {"coding in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         FAILS(BAD_CODING)},
        {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", FAILS(BAD_FIELD)},
        {"bare LF in a field", OK11 "A: b\nC: d\r\n\r\n", FAILS(BAD_FIELD)},
        {"bare CR", OK11 "A: b\rC: d\r\n\r\n", FAILS(BAD_FIELD)},
        {"obs-fold", OK11 "A: b\r\n c\r\n\r\n", FAILS(BAD_FIELD)},
        {"space before the colon", OK11 "A : b\r\n\r\n", FAILS(BAD_FIELD)},
        {"empty name", OK11 ": b\r\n\r\n", FAILS(BAD_FIELD)},
        {"no colon", OK11 "A\r\n\r\n", FAILS(BAD_FIELD)},
        {"control byte", OK11 "A: \x01\r\n\r\n", FAILS(BAD_FIELD)},
        {"leading empty line", "\r\n" OK11 "\r\n", FAILS(BAD_STATUS_LINE)},
        {"lower case", "http/1.1 200 OK\r\n\r\n", FAILS(BAD_STATUS_LINE)},
        {"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", FAILS(BAD_STATUS_LINE)},
        {"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", FAILS(BAD_STATUS_LINE)},
        {"two digits", "HTTP/1.1 20 OK\r\n\r\n", FAILS(BAD_STATUS_LINE)},
        {"four digits", "HTTP/1.1 2000 OK\r\n\r\n", FAILS(BAD_STATUS_LINE)},
        {"below 100", "HTTP/1.1 099 OK\r\n\r\n", FAILS(BAD_STATUS_LINE)},
        {"two spaces", "HTTP/1.1  200 OK\r\n\r\n", FAILS(BAD_STATUS_LINE)},
        {"101", "HTTP/1.1 101 Switching\r\n\r\n", FAILS(UNEXPECTED_101)},
    };
    RUN(rows);
}

#define CHUNKED OK11 "Transfer-Encoding: chunked\r\n\r\n"

Test(http1_response, malformed_chunks_fail)
{
    static const struct row rows[] = {
        {"0x", CHUNKED "0x5\r\nhello\r\n", FAILS(BAD_CHUNK)},
        {"negative", CHUNKED "-1\r\n", FAILS(BAD_CHUNK)},
        {"empty size", CHUNKED "\r\n", FAILS(BAD_CHUNK)},
        {"leading space", CHUNKED " 5\r\nhello\r\n", FAILS(BAD_CHUNK)},
        {"junk behind the size", CHUNKED "5 x\r\nhello\r\n", FAILS(BAD_CHUNK)},
        {"bare LF behind the size", CHUNKED "5\nhello\r\n", FAILS(BAD_CHUNK)},
        {"bare LF behind the data", CHUNKED "1\r\nx\n0\r\n\r\n", FAILS(BAD_CHUNK)},
        {"data too long", CHUNKED "1\r\nxy\r\n", FAILS(BAD_CHUNK)},
        {"CR in an extension", CHUNKED "1;a\rb\r\nx\r\n", FAILS(BAD_CHUNK)},
        {"overflow", CHUNKED "8000000000000000\r\n", FAILS(BAD_CHUNK)},
        {"seventeen digits", CHUNKED "00000000000000001\r\nx\r\n", FAILS(BAD_CHUNK)},
        {"bare LF in trailers", CHUNKED "0\r\nA: b\n\r\n", FAILS(BAD_FIELD)},
        {"malformed trailer", CHUNKED "0\r\nA b\r\n\r\n", FAILS(BAD_FIELD)},
    };
    RUN(rows);
}

static void feed_repeated(const char *start, const char *part, size_t times, const char *end,
                          struct read_response *ret)
{
    struct cg_buf input;
    cg_buf_init(&input, 1 << 20);
    cg_buf_add_text(&input, start);
    for (size_t i = 0; i < times; i++)
        cg_buf_add_text(&input, part);
    cg_buf_add_text(&input, end);
    read_response_run(ret, cg_buf_str(&input), false, false, NULL, NULL);
    cg_buf_fini(&input);
}

Test(http1_response, heads_trailers_and_interim_answers_are_bounded)
{
    static const struct {
        const char *name, *start, *part;
        size_t times;
        const char *end;
        enum cg_http1_progress progress;
        enum cg_http1_error error;
    } rows[] = {
        {"a long head", OK11, "A: b\r\n", 300, "Content-Length: 0\r\n\r\n", CG_HTTP1_COMPLETE,
         CG_HTTP1_OK},
        {"a head over the limit", OK11, "A: b\r\n", 340, "\r\n", CG_HTTP1_FAILED,
         CG_HTTP1_HEAD_TOO_LARGE},
        {"a Connection over its limit", OK11,
         "Connection: aaaaaaaa,aaaaaaaa,aaaaaaaa,aaaaaaaa,aaaaaaaa\r\n", 24,
         "Content-Length: 0\r\n\r\n", CG_HTTP1_FAILED, CG_HTTP1_HEAD_TOO_LARGE},
        {"a head without end", OK11, "A", 2048, "", CG_HTTP1_FAILED, CG_HTTP1_HEAD_TOO_LARGE},
        {"trailers without end", CHUNKED "0\r\n", "A: b\r\n", 340, "", CG_HTTP1_FAILED,
         CG_HTTP1_HEAD_TOO_LARGE},
        {"an extension without end", CHUNKED "1;", "a", 1024, "", CG_HTTP1_FAILED,
         CG_HTTP1_BAD_CHUNK},
        {"interim answers without end", "", "HTTP/1.1 100 C\r\n\r\n", 17, "", CG_HTTP1_FAILED,
         CG_HTTP1_HEAD_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct read_response got;
        feed_repeated(rows[i].start, rows[i].part, rows[i].times, rows[i].end, &got);
        cr_expect_eq(got.progress, rows[i].progress, "%s: progress %d", rows[i].name, got.progress);
        cr_expect_eq(got.response.error, rows[i].error, "%s: %s", rows[i].name,
                     cg_http1_error_text(got.response.error));
        read_response_fini(&got);
    }
}

Test(http1_response, fields_are_kept_in_order_with_lower_case_names)
{
    struct read_response got;
    read_response_run(&got,
                      CG_STR(OK11 "Set-Cookie:  a=B \r\nX-Y:\r\nset-cookie: c\r\n"
                                  "Content-Length: 7\r\n\r\n"),
                      false, false, NULL, NULL);
    const struct cg_fields *fields = &got.response.fields;
    cr_assert_eq(fields->count, 4);
    cr_expect(cg_str_eq(fields->items[0].name, CG_STR("set-cookie")));
    cr_expect(cg_str_eq(fields->items[0].value, CG_STR("a=B")));
    cr_expect(cg_str_eq(fields->items[1].value, CG_STR("")));
    cr_expect(cg_str_eq(fields->items[2].value, CG_STR("c")));
    cr_expect(got.response.has_content_length && got.response.content_length == 7);
    cr_expect_eq(got.response.framing, CG_HTTP1_LENGTH);
    read_response_fini(&got);
}

Test(http1_response, interim_fields_do_not_leak_into_the_final_head)
{
    struct read_response got;
    read_response_run(&got,
                      CG_STR("HTTP/1.1 103 E\r\nContent-Length: 9\r\nLink: x\r\n\r\n" OK11
                             "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                      false, false, NULL, NULL);
    cr_expect_eq(got.progress, CG_HTTP1_COMPLETE);
    cr_expect_eq(got.response.fields.count, 1);
    cr_expect_not(got.response.has_content_length);
    read_response_fini(&got);
}

Test(http1_response, end_completes_a_message_whose_last_byte_was_seen)
{
    struct read_response got;
    struct cg_str input = CG_STR(OK11 "Content-Length: 0\r\n\r\n");
    struct cg_str body;
    size_t consumed;
    read_response_run(&got, CG_STR(""), false, false, NULL, NULL);
    cr_assert_eq(cg_http1_response_feed(&got.response, input, &consumed, &body), CG_HTTP1_HAS_HEAD);
    cr_expect_eq(consumed, input.length);
    cr_expect_eq(cg_http1_response_end(&got.response), CG_HTTP1_COMPLETE);
    cr_expect_eq(cg_http1_response_end(&got.response), CG_HTTP1_COMPLETE);
    read_response_fini(&got);
}

Test(http1_response, every_error_has_a_sentence)
{
    for (int error = CG_HTTP1_OK; error <= CG_HTTP1_STRAY_BYTES; error++)
        cr_expect_gt(strlen(cg_http1_error_text((enum cg_http1_error)error)), 5);
}
