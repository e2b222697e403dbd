#include "gateway/store/redis_reader.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "cachegate/assert.h"

/*
 * Large enough for many small replies in one read. Of a stream of long ones no more than this is
 * copied for each read; the rest goes to its blob at once.
 */
enum { BUFFER_BYTES = 32 << 10, ROOM_BYTES_MIN = 16 << 10, LINE_END_BYTES = 2 };

void cg_redis_reader_init(struct cg_redis_reader *reader, size_t bytes_max)
{
    memset(reader, 0, sizeof(*reader));
    reader->bytes_max = bytes_max;
}

void cg_redis_reader_fini(struct cg_redis_reader *reader)
{
    reader->whole = cg_redis_whole_destroy(reader->whole);
    free(reader->buffer);
    reader->buffer = NULL;
    reader->begin = reader->end = reader->capacity = reader->missing = 0;
}

/* ---- what came ---- */

static void make_room(struct cg_redis_reader *reader)
{
    size_t unread = reader->end - reader->begin;
    if (reader->begin > 0 && unread > 0)
        memmove(reader->buffer, reader->buffer + reader->begin, unread);
    reader->begin = 0;
    reader->end = unread;
    if (reader->capacity - unread >= ROOM_BYTES_MIN)
        return;
    reader->capacity = reader->capacity == 0 ? BUFFER_BYTES : 2 * reader->capacity;
    reader->buffer = realloc(reader->buffer, reader->capacity);
    CG_ASSERT(reader->buffer != NULL);
}

/* Where what comes next belongs: first all that is missing of a string. */
static int find_room(struct cg_redis_reader *reader, struct iovec ret_room[2])
{
    int count = 0;
    make_room(reader);
    if (reader->missing > 0)
        ret_room[count++] = (struct iovec){
            reader->string->str + (reader->string->len - reader->missing), reader->missing};
    ret_room[count++] =
        (struct iovec){reader->buffer + reader->end, reader->capacity - reader->end};
    return count;
}

static void take_room(struct cg_redis_reader *reader, size_t length)
{
    size_t part = length < reader->missing ? length : reader->missing;
    reader->bytes += length;
    reader->missing -= part;
    reader->end += length - part;
}

void cg_redis_reader_feed(struct cg_redis_reader *reader, const char *bytes, size_t length)
{
    while (length > 0) {
        struct iovec room[2];
        find_room(reader, room);
        size_t part = length < room[0].iov_len ? length : room[0].iov_len;
        memcpy(room[0].iov_base, bytes, part);
        take_room(reader, part);
        bytes += part;
        length -= part;
    }
}

enum cg_redis_received cg_redis_reader_receive(struct cg_redis_reader *reader, int socket)
{
    struct iovec room[2];
    int count = find_room(reader, room);
    size_t size = room[0].iov_len + (count == 2 ? room[1].iov_len : 0);
    ssize_t length = readv(socket, room, count);
    if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return CG_REDIS_RECEIVED_NONE;
    if (length <= 0)
        return CG_REDIS_RECEIVED_END;
    take_room(reader, (size_t)length);
    return (size_t)length < size ? CG_REDIS_RECEIVED_ALL : CG_REDIS_RECEIVED_MORE;
}

/* ---- taking apart ---- */

enum taken { BROKEN, WAITS, TAKEN };

/* Of the next line, without its end; it stays in the buffer. */
static enum taken find_line(struct cg_redis_reader *reader, struct cg_str *ret_line)
{
    const char *from = reader->buffer + reader->begin;
    size_t unread = reader->end - reader->begin;
    const char *end = unread == reader->searched
                          ? NULL
                          : memchr(from + reader->searched, '\r', unread - reader->searched);
    reader->searched = end == NULL ? unread : (size_t)(end - from);
    if (end == NULL || reader->searched + 1 == unread)
        return WAITS;
    *ret_line = cg_str_of(from, reader->searched);
    return end[1] == '\n' && ret_line->length > 0 ? TAKEN : BROKEN;
}

static void consume(struct cg_redis_reader *reader, size_t length)
{
    reader->begin += length;
    reader->searched = 0;
}

static bool read_integer(struct cg_str digits, long long *ret_value)
{
    bool negative = digits.length > 0 && digits.bytes[0] == '-';
    uint64_t value;
    if (!cg_str_to_u64(negative ? cg_str_skip(digits, 1) : digits, LLONG_MAX, &value))
        return false;
    *ret_value = negative ? -(long long)value : (long long)value;
    return true;
}

/* Puts an object to its place. */
static void attach(struct cg_redis_reader *reader, redisReply *object)
{
    if (reader->depth == 0) {
        reader->reply = object;
        return;
    }
    redisReply *array = reader->levels[reader->depth - 1].array;
    array->element[reader->levels[reader->depth - 1].next++] = object;
}

/* After an object that is complete. */
static void close_levels(struct cg_redis_reader *reader)
{
    while (reader->depth > 0 && reader->levels[reader->depth - 1].next ==
                                    reader->levels[reader->depth - 1].array->elements)
        reader->depth--;
}

static enum taken take_array(struct cg_redis_reader *reader, long long count)
{
    if (count < 0 || count > (long long)(CG_REDIS_ELEMENTS_MAX - reader->elements) ||
        reader->depth == CG_REDIS_NESTING_MAX)
        return BROKEN;
    redisReply *array = cg_redis_whole_add_array(reader->whole, (size_t)count);
    reader->elements += (size_t)count;
    attach(reader, array);
    if (count > 0) {
        reader->levels[reader->depth].array = array;
        reader->levels[reader->depth++].next = 0;
    }
    return TAKEN;
}

static enum taken end_string(struct cg_redis_reader *reader)
{
    const char *end = reader->buffer + reader->begin;
    if (reader->missing > 0 || reader->end - reader->begin < LINE_END_BYTES)
        return WAITS;
    if (end[0] != '\r' || end[1] != '\n')
        return BROKEN;
    consume(reader, LINE_END_BYTES);
    reader->string = NULL;
    return TAKEN;
}

/* `line_bytes`: of its length's line. */
static enum taken take_string(struct cg_redis_reader *reader, long long promised, size_t line_bytes)
{
    if (promised < 0 || (unsigned long long)promised > reader->bytes_max)
        return BROKEN;
    size_t length = (size_t)promised, here = reader->end - reader->begin - line_bytes;
    const char *bytes = reader->buffer + reader->begin + line_bytes;
    if (length >= CG_REDIS_BLOB_BYTES_MIN) {
        size_t part = here < length ? here : length;
        reader->string = cg_redis_whole_add_blob(reader->whole, length);
        memcpy(reader->string->str, bytes, part);
        reader->missing = length - part;
        consume(reader, line_bytes + part);
        attach(reader, reader->string);
        return end_string(reader);
    }
    if (here < length + LINE_END_BYTES)
        return WAITS;
    if (bytes[length] != '\r' || bytes[length + 1] != '\n')
        return BROKEN;
    attach(reader,
           cg_redis_whole_add_text(reader->whole, REDIS_REPLY_STRING, cg_str_of(bytes, length)));
    consume(reader, line_bytes + length + LINE_END_BYTES);
    return TAKEN;
}

static enum taken take_text(struct cg_redis_reader *reader, int type, struct cg_str text)
{
    attach(reader, cg_redis_whole_add_text(reader->whole, type, text));
    return TAKEN;
}

static enum taken take_number(struct cg_redis_reader *reader, int type, long long number)
{
    redisReply *object = cg_redis_whole_add(reader->whole, type);
    object->integer = number;
    attach(reader, object);
    return TAKEN;
}

/* One object; of an array no more than its head. */
static enum taken take_object(struct cg_redis_reader *reader)
{
    struct cg_str line;
    long long number = 0;
    enum taken taken = find_line(reader, &line);
    if (taken != TAKEN)
        return taken;
    char kind = line.bytes[0];
    struct cg_str rest = cg_str_skip(line, 1);
    size_t line_bytes = line.length + LINE_END_BYTES;
    bool counts = kind == ':' || kind == '$' || kind == '*';
    if (counts && !read_integer(rest, &number))
        return BROKEN;
    if (kind == '$' && number != -1)
        return take_string(reader, number, line_bytes);
    if (kind == '*' && number != -1)
        taken = take_array(reader, number);
    else if (counts)
        taken = take_number(reader, kind == ':' ? REDIS_REPLY_INTEGER : REDIS_REPLY_NIL,
                            kind == ':' ? number : 0);
    else if (kind == '+' || kind == '-')
        taken = take_text(reader, kind == '+' ? REDIS_REPLY_STATUS : REDIS_REPLY_ERROR, rest);
    else
        taken = BROKEN;
    consume(reader, line_bytes);
    return taken;
}

static enum taken take(struct cg_redis_reader *reader)
{
    if (reader->string != NULL)
        return end_string(reader);
    if (reader->begin == reader->end)
        return WAITS;
    if (reader->whole == NULL)
        reader->whole = cg_redis_whole_create();
    return take_object(reader);
}

bool cg_redis_reader_next(struct cg_redis_reader *reader, redisReply **ret_reply)
{
    *ret_reply = NULL;
    while (!reader->broken) {
        enum taken taken = take(reader);
        reader->broken = taken == BROKEN || (taken == WAITS && reader->bytes > reader->bytes_max);
        if (taken == WAITS)
            break;
        if (taken == BROKEN)
            continue;
        close_levels(reader);
        if (reader->depth > 0)
            continue;
        /* What is left belongs to the next one. */
        reader->bytes = reader->end - reader->begin;
        reader->elements = 0;
        reader->whole = NULL;
        *ret_reply = reader->reply;
        return true;
    }
    return !reader->broken;
}
