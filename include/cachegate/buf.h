/*
 * buf: growable bytes with a mandatory ceiling.
 *
 * Appending past the ceiling sets `overflowed` and appends nothing; every later append is refused
 * too, so a caller may append freely and ask once at the end. Memory is one malloc block, owned by
 * the buf until cg_buf_fini. Running out of memory aborts (as libh2o does): only sizes that were
 * checked against a ceiling are ever asked for.
 */
#ifndef CACHEGATE_BUF_H
#define CACHEGATE_BUF_H

#include "cachegate/str.h"

struct cg_buf {
    char *bytes; /* owned */
    size_t length;
    size_t capacity; /* never above the ceiling */
    size_t ceiling;
    bool overflowed;
};

void cg_buf_init(struct cg_buf *buf, size_t ceiling);
/* Frees the block; the buf may be initialised again. Takes a zeroed buf. */
void cg_buf_fini(struct cg_buf *buf);
/* Empties it and forgets an overflow; keeps the block. */
void cg_buf_clear(struct cg_buf *buf);

/* Makes room for so many more bytes at once, where the ceiling allows them: additions up to there
 * allocate nothing. */
void cg_buf_reserve(struct cg_buf *buf, size_t more);
/* Private: what cg_buf_add does when there is no room. */
void cg_buf_add_with_room(struct cg_buf *buf, const void *bytes, size_t length);
static inline void cg_buf_add(struct cg_buf *buf, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    if (buf->overflowed || length > buf->capacity - buf->length) {
        cg_buf_add_with_room(buf, bytes, length);
        return;
    }
    memcpy(buf->bytes + buf->length, bytes, length);
    buf->length += length;
}
static inline void cg_buf_add_str(struct cg_buf *buf, struct cg_str s)
{
    cg_buf_add(buf, s.bytes, s.length);
}
static inline void cg_buf_add_char(struct cg_buf *buf, char c)
{
    cg_buf_add(buf, &c, 1);
}
/* A string literal, whose length is then known, or other NUL-terminated text. */
static inline void cg_buf_add_text(struct cg_buf *buf, const char *text)
{
    cg_buf_add(buf, text, strlen(text));
}
void cg_buf_printf(struct cg_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* In digits. */
void cg_buf_add_decimal(struct cg_buf *buf, uint64_t value);
void cg_buf_add_u8(struct cg_buf *buf, uint8_t value);
/* Little-endian. */
void cg_buf_add_u32(struct cg_buf *buf, uint32_t value);
void cg_buf_add_u64(struct cg_buf *buf, uint64_t value);
/* A u32 length and the bytes: the self-delimiting form that keys and codecs use. */
void cg_buf_add_prefixed(struct cg_buf *buf, struct cg_str s);

/* Drops the first `length` bytes (clamped). */
void cg_buf_consume(struct cg_buf *buf, size_t length);

static inline struct cg_str cg_buf_str(const struct cg_buf *buf)
{
    return (struct cg_str){buf->bytes, buf->length};
}

/*
 * The reader of the forms above. `bytes` borrowed. A read past the end sets `failed` and returns 0
 * or an empty slice, as does every later read: ask once at the end.
 */
struct cg_reader {
    struct cg_str rest;
    bool failed;
};

static inline struct cg_str cg_read_bytes(struct cg_reader *reader, size_t length)
{
    if (reader->failed || length > reader->rest.length) {
        reader->failed = true;
        return (struct cg_str){NULL, 0};
    }
    struct cg_str bytes = {reader->rest.bytes, length};
    if (length > 0) /* NULL + 0 is not defined in C17 */
        reader->rest = (struct cg_str){bytes.bytes + length, reader->rest.length - length};
    return bytes;
}

/* Of a width that is known where it is called, so that it is one load. */
static inline uint64_t cg_read_little_endian(struct cg_reader *reader, size_t width)
{
    struct cg_str bytes = cg_read_bytes(reader, width);
    uint64_t value = 0;
    if (bytes.length < width)
        return 0;
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)(uint8_t)bytes.bytes[i] << (8 * i);
    return value;
}

static inline uint8_t cg_read_u8(struct cg_reader *reader)
{
    return (uint8_t)cg_read_little_endian(reader, 1);
}

static inline uint32_t cg_read_u32(struct cg_reader *reader)
{
    return (uint32_t)cg_read_little_endian(reader, 4);
}

static inline uint64_t cg_read_u64(struct cg_reader *reader)
{
    return cg_read_little_endian(reader, 8);
}

static inline struct cg_str cg_read_prefixed(struct cg_reader *reader)
{
    uint32_t length = cg_read_u32(reader);
    return cg_read_bytes(reader, length);
}

#endif
