/* Replies of servers that are not to be believed. */
#include "gateway/store/redis_reader.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct cg_redis_reader reader;
static redisReply *reply;

static void feed(const char *text)
{
    cg_redis_reader_feed(&reader, text, strlen(text));
}

static bool next(void)
{
    cg_redis_reply_free(reply);
    return cg_redis_reader_next(&reader, &reply);
}

static void begin(void)
{
    cg_redis_reader_init(&reader, 1000);
}

static void end(void)
{
    cg_redis_reply_free(reply);
    reply = NULL;
    cg_redis_reader_fini(&reader);
    cg_redis_reader_fini(&reader);
}

TestSuite(redis_reader, .init = begin, .fini = end);

Test(redis_reader, a_string_that_is_promised_too_long_ends)
{
    static const char *const rows[] = {"$536870912\r\n", "$1001\r\n", "$99999999999999999999\r\n"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        end();
        begin();
        feed(rows[i]);
        cr_expect_not(next(), "%s", rows[i]);
        cr_expect_not(next(), "%s", rows[i]);
    }
}

Test(redis_reader, an_array_whose_elements_never_end_ends)
{
    unsigned elements = 0;
    feed("*1000\r\n");
    while (next()) {
        cr_assert_null(reply);
        cr_assert_lt(++elements, 400U);
        feed(":1\r\n");
    }
    cr_expect_gt(elements, 200);
}

Test(redis_reader, any_number_of_replies_is_within_bounds)
{
    for (unsigned i = 0; i < 10000; i++) {
        feed("*2\r\n$3\r\nabc\r\n*1\r\n:7\r\n+O");
        cr_assert(next());
        cr_assert_eq(reply->elements, 2);
        cr_assert(next());
        cr_assert_null(reply);
        feed("K\r\n");
        cr_assert(next());
        cr_assert_str_eq(reply->str, "OK");
        cr_assert(next() && reply == NULL);
    }
}

Test(redis_reader, promises_are_bounded_however_they_nest)
{
    static const char *const rows[] = {
        "*2147483647\r\n",
        "*1048577\r\n",
        "*600000\r\n*600000\r\n",
        "*2\r\n*1\r\n*1000000\r\n:1\r\n*1000000\r\n",
        "*9223372036854775807\r\n",
        "*-2\r\n",
        "$-2\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "HTTP/1.1 200 OK\r\n",
        ">3\r\n+message\r\n+a\r\n+b\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "_\r\n",
        "*2\r\n:1\r\n?\r\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        end();
        begin();
        feed(rows[i]);
        cr_expect_not(next(), "%s", rows[i]);
    }
}

Test(redis_reader, what_is_not_written_as_it_should_be_ends)
{
    static const char *const rows[] = {
        "$3\r\nabcde", "$3\r\nabc\n\n", "$\r\n\r\n",  "$x\r\n",    "$3x\r\nabc\r\n",
        ":\r\n",       ":1 \r\n",       ":--1\r\n",   "+O\rK\r\n", ":9223372036854775808\r\n",
        "*\r\n",       "\r\n",          "*1\r\n\r\n",
    };
    char text[700];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        end();
        begin();
        feed(rows[i]);
        cr_expect_not(next(), "%s", rows[i]);
    }
    end();
    begin();
    snprintf(text, sizeof(text), "$600\r\n%0600d\r\r", 7);
    feed(text);
    cr_expect_not(next());
}

Test(redis_reader, each_reply_may_promise_anew)
{
    char piece[4096];
    reader.bytes_max = 1 << 24;
    for (unsigned i = 0; i < 3; i++) {
        feed("*1000000\r\n");
        memset(piece, 0, sizeof(piece));
        for (size_t at = 0; at < 4000; at += 4)
            memcpy(piece + at, ":1\r\n", 4);
        for (unsigned sent = 0; sent < 1000; sent++)
            cg_redis_reader_feed(&reader, piece, 4000);
        cr_assert(next());
        cr_assert_not_null(reply);
        cr_assert_eq(reply->elements, 1000000);
    }
}

Test(redis_reader, strings_of_all_lengths_end_with_a_nul_and_become_blobs)
{
    static const size_t lengths[] = {0, 1, 511, 512, 513, 900};
    char head[16], bytes[900];
    memset(bytes, 'b', sizeof(bytes));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        snprintf(head, sizeof(head), "$%zu\r\n", lengths[i]);
        feed(head);
        cg_redis_reader_feed(&reader, bytes, lengths[i]);
        feed("\r\n");
        cr_assert(next() && reply != NULL);
        cr_expect_eq(reply->len, lengths[i]);
        cr_expect_eq(reply->str[lengths[i]], '\0');
        struct cg_blob *blob = cg_redis_reply_take(reply);
        cr_expect_eq(reply->type, REDIS_REPLY_NIL);
        cr_expect(cg_blob_is_own(blob));
        cg_redis_reply_free(reply);
        reply = NULL;
        cr_expect_eq(blob->length, lengths[i], "it outlives its reply");
        cr_expect_eq(memcmp(blob->bytes, bytes, lengths[i]), 0);
        cg_blob_unref(blob);
    }
}

Test(redis_reader, replies_are_as_hiredis_has_them)
{
    feed("*5\r\n:42\r\n$-1\r\n*2\r\n+OK\r\n-ERR no\r\n*-1\r\n*0\r\n");
    cr_assert(next() && reply != NULL);
    cr_assert_eq(reply->type, REDIS_REPLY_ARRAY);
    cr_assert_eq(reply->elements, 5);
    cr_expect_eq(reply->element[0]->type, REDIS_REPLY_INTEGER);
    cr_expect_eq(reply->element[0]->integer, 42);
    cr_expect_eq(reply->element[1]->type, REDIS_REPLY_NIL);
    const redisReply *inner = reply->element[2];
    cr_assert_eq(inner->elements, 2);
    cr_expect_eq(inner->element[0]->type, REDIS_REPLY_STATUS);
    cr_expect_str_eq(inner->element[0]->str, "OK");
    cr_expect_eq(inner->element[1]->type, REDIS_REPLY_ERROR);
    cr_expect_str_eq(inner->element[1]->str, "ERR no");
    cr_expect_eq(reply->element[3]->type, REDIS_REPLY_NIL);
    cr_expect_eq(reply->element[4]->type, REDIS_REPLY_ARRAY);
    cr_expect_eq(reply->element[4]->elements, 0);
}

Test(redis_reader, what_is_cut_off_is_freed)
{
    feed("*3\r\n*2\r\n$5\r\nhello\r\n");
    cr_assert(next());
    cr_expect_null(reply); /* the end of the test frees it, as the sanitizer sees */
}
