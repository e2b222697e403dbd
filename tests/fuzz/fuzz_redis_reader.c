/* First byte: the size of pieces. Replies in pieces are those of the whole, and so is the refusal.
 */
#include "gateway/store/redis_reader.h"

#include <string.h>

#include "cachegate/assert.h"
#include "cachegate/buf.h"

enum { REPLY_BYTES_MAX = 1 << 20, TEXT_BYTES_MAX = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All that can be read of a reply, and nothing that cannot. */
static void print(struct cg_buf *out, const redisReply *reply)
{
    cg_buf_printf(out, "%d:", reply->type);
    if (reply->type == REDIS_REPLY_ARRAY) {
        cg_buf_printf(out, "%zu[", reply->elements);
        for (size_t i = 0; i < reply->elements; i++)
            print(out, reply->element[i]);
        cg_buf_add_char(out, ']');
    } else if (reply->type == REDIS_REPLY_INTEGER) {
        cg_buf_printf(out, "%lld;", reply->integer);
    } else if (reply->type != REDIS_REPLY_NIL) {
        CG_ASSERT(reply->str[reply->len] == '\0');
        cg_buf_add(out, reply->str, (size_t)reply->len);
        cg_buf_add_char(out, ';');
    }
}

/* False when it is no reply. */
static bool drain(struct cg_redis_reader *reader, struct cg_buf *out)
{
    redisReply *reply;
    bool good;
    while ((good = cg_redis_reader_next(reader, &reply)) && reply != NULL) {
        print(out, reply);
        cg_redis_reply_free(reply);
    }
    CG_ASSERT(good || reply == NULL);
    return good;
}

static void read_in_pieces(struct cg_str input, size_t piece, struct cg_buf *out)
{
    struct cg_redis_reader reader;
    bool good = true;
    cg_redis_reader_init(&reader, REPLY_BYTES_MAX);
    for (; good && input.length > 0; input = cg_str_skip(input, piece)) {
        struct cg_str part = cg_str_sub(input, 0, piece);
        cg_redis_reader_feed(&reader, part.bytes, part.length);
        good = drain(&reader, out);
    }
    cg_buf_add_text(out, good ? "waits" : "broken");
    cg_redis_reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct cg_str input = cg_str_of((const char *)data + 1, size - 1);
    struct cg_buf whole, pieces;
    cg_buf_init(&whole, TEXT_BYTES_MAX);
    cg_buf_init(&pieces, TEXT_BYTES_MAX);
    read_in_pieces(input, size, &whole);
    read_in_pieces(input, (size_t)1 + data[0], &pieces);
    CG_ASSERT(cg_str_eq(cg_buf_str(&whole), cg_buf_str(&pieces)));
    cg_buf_fini(&whole);
    cg_buf_fini(&pieces);
    return 0;
}
