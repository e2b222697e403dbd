/* Replies in whatever pieces they come are what hiredis makes of them. */
#include "gateway/store/redis_reader.h"

#include <criterion/criterion.h>
#include <hiredis/hiredis.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cachegate/buf.h"
#include "property/seed.h"

enum { ROUNDS = 300, REPLIES = 6, TEXT_MAX = 1 << 20 };

static void add_line(struct cg_buf *out, char kind, long long number)
{
    cg_buf_add_char(out, kind);
    if (number < 0)
        cg_buf_add_char(out, '-');
    cg_buf_add_decimal(out, (uint64_t)(number < 0 ? -number : number));
    cg_buf_add_text(out, "\r\n");
}

static void add_bytes(struct seed *seed, struct cg_buf *out, size_t length, bool any)
{
    for (size_t i = 0; i < length; i++)
        cg_buf_add_char(out, any ? (char)seed_next(seed) : (char)('a' + seed_below(seed, 26)));
    cg_buf_add_text(out, "\r\n");
}

static size_t choose_length(struct seed *seed)
{
    static const size_t sizes[] = {3, 40, 600, 5000, 70000};
    return seed_below(seed, sizes[seed_below(seed, 5)]);
}

static void add_reply(struct seed *seed, struct cg_buf *out, size_t depth)
{
    size_t length = choose_length(seed);
    switch (seed_below(seed, depth == 0 ? 5 : 7)) {
    case 0:
        cg_buf_add_char(out, seed_below(seed, 2) == 0 ? '+' : '-');
        add_bytes(seed, out, length, false);
        break;
    case 1:
        add_line(out, ':', (long long)seed_next(seed) / 2);
        break;
    case 2:
        cg_buf_add_text(out, seed_below(seed, 2) == 0 ? "$-1\r\n" : "*-1\r\n");
        break;
    case 3:
    case 4:
        add_line(out, '$', (long long)length);
        add_bytes(seed, out, length, true);
        break;
    default:
        length = seed_below(seed, 9);
        add_line(out, '*', (long long)length);
        for (size_t i = 0; i < length; i++)
            add_reply(seed, out, depth - 1);
    }
}

static bool same(const redisReply *ours, const redisReply *theirs)
{
    if (ours->type != theirs->type)
        return false;
    switch (ours->type) {
    case REDIS_REPLY_NIL:
        return true;
    case REDIS_REPLY_INTEGER:
        return ours->integer == theirs->integer;
    case REDIS_REPLY_ARRAY:
        if (ours->elements != theirs->elements)
            return false;
        for (size_t i = 0; i < ours->elements; i++)
            if (!same(ours->element[i], theirs->element[i]))
                return false;
        return true;
    default:
        return ours->len == theirs->len && ours->str[ours->len] == '\0' &&
               memcmp(ours->str, theirs->str, ours->len) == 0;
    }
}

/* As many of hiredis's replies as ours has now are the same. */
static void compare(struct cg_redis_reader *ours, redisReader *theirs, size_t *compared)
{
    redisReply *reply;
    void *expected;
    for (;;) {
        cr_assert(cg_redis_reader_next(ours, &reply));
        if (reply == NULL)
            return;
        cr_assert_eq(redisReaderGetReply(theirs, &expected), REDIS_OK);
        cr_assert_not_null(expected);
        cr_assert(same(reply, expected), "reply %zu", *compared);
        cg_redis_reply_free(reply);
        freeReplyObject(expected);
        (*compared)++;
    }
}

/* What the socket takes goes through it, and is received until nothing is left. */
static void pass(struct cg_redis_reader *reader, redisReader *theirs, const int sockets[2],
                 struct cg_str piece, size_t *compared)
{
    while (piece.length > 0) {
        ssize_t sent = send(sockets[0], piece.bytes, piece.length, MSG_DONTWAIT);
        cr_assert_gt(sent, 0);
        piece = cg_str_skip(piece, (size_t)sent);
        enum cg_redis_received received;
        while ((received = cg_redis_reader_receive(reader, sockets[1])) != CG_REDIS_RECEIVED_NONE) {
            cr_assert_neq(received, CG_REDIS_RECEIVED_END);
            compare(reader, theirs, compared);
        }
    }
}

static void play(struct seed *seed, const int sockets[2])
{
    struct cg_redis_reader reader;
    redisReader *theirs = redisReaderCreate();
    struct cg_buf text;
    size_t compared = 0;
    bool by_socket = seed_below(seed, 2) == 0;
    size_t piece_max = (size_t)1 << (2 + seed_below(seed, 18));
    cg_redis_reader_init(&reader, TEXT_MAX);
    cg_buf_init(&text, 64 << 20);
    for (size_t i = 0; i < REPLIES; i++)
        add_reply(seed, &text, 3);
    cr_assert_eq(redisReaderFeed(theirs, text.bytes, text.length), REDIS_OK);
    for (struct cg_str rest = cg_buf_str(&text); rest.length > 0;) {
        struct cg_str piece = cg_str_sub(rest, 0, 1 + seed_below(seed, piece_max));
        rest = cg_str_skip(rest, piece.length);
        if (by_socket) {
            pass(&reader, theirs, sockets, piece, &compared);
            continue;
        }
        cg_redis_reader_feed(&reader, piece.bytes, piece.length);
        if (seed_below(seed, 3) > 0)
            compare(&reader, theirs, &compared);
    }
    compare(&reader, theirs, &compared);
    cr_assert_eq(compared, REPLIES, "CACHEGATE_SEED=%llu", (unsigned long long)seed->start);
    cg_buf_fini(&text);
    cg_redis_reader_fini(&reader);
    redisReaderFree(theirs);
}

Test(redis_reader, reads_what_hiredis_reads)
{
    struct seed seed = seed_init();
    int sockets[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
    for (size_t round = 0; round < ROUNDS; round++) {
        play(&seed, sockets);
    }
    close(sockets[0]);
    struct cg_redis_reader reader;
    cg_redis_reader_init(&reader, TEXT_MAX);
    cr_expect_eq(cg_redis_reader_receive(&reader, sockets[1]), CG_REDIS_RECEIVED_END);
    cg_redis_reader_fini(&reader);
    close(sockets[1]);
}
