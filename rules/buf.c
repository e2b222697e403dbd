#include "cachegate/buf.h"

#include "cachegate/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void cg_buf_init(struct cg_buf *buf, size_t ceiling)
{
    *buf = (struct cg_buf){.ceiling = ceiling};
}

void cg_buf_fini(struct cg_buf *buf)
{
    free(buf->bytes);
    *buf = (struct cg_buf){.ceiling = buf->ceiling};
}

void cg_buf_clear(struct cg_buf *buf)
{
    buf->length = 0;
    buf->overflowed = false;
}

/* Makes room for `more` bytes, or marks the overflow. */
static bool reserve(struct cg_buf *buf, size_t more)
{
    if (buf->overflowed || more > buf->ceiling - buf->length) {
        buf->overflowed = true;
        return false;
    }
    size_t needed = buf->length + more;
    if (needed <= buf->capacity)
        return true;
    size_t capacity = buf->capacity < 64 ? 64 : buf->capacity;
    if (capacity > buf->ceiling)
        capacity = buf->ceiling;
    while (capacity < needed)
        capacity = capacity > buf->ceiling / 2 ? needed : capacity * 2;
    char *bytes = realloc(buf->bytes, capacity);
    CG_ASSERT(bytes != NULL);
    buf->bytes = bytes;
    buf->capacity = capacity;
    return true;
}

void cg_buf_reserve(struct cg_buf *buf, size_t more)
{
    if (!buf->overflowed && more <= buf->ceiling - buf->length)
        (void)reserve(buf, more);
}

void cg_buf_add_with_room(struct cg_buf *buf, const void *bytes, size_t length)
{
    if (!reserve(buf, length))
        return;
    memcpy(buf->bytes + buf->length, bytes, length);
    buf->length += length;
}

void cg_buf_printf(struct cg_buf *buf, const char *format, ...)
{
    char small[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    CG_ASSERT(length >= 0);
    if ((size_t)length < sizeof small) {
        cg_buf_add(buf, small, (size_t)length);
        return;
    }
    if (!reserve(buf, (size_t)length))
        return;
    /* Not printed in place: the NUL could lie behind the ceiling. */
    char *text = malloc((size_t)length + 1);
    CG_ASSERT(text != NULL);
    va_start(arguments, format);
    int written = vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    CG_ASSERT(written == length);
    cg_buf_add(buf, text, (size_t)length);
    free(text);
}

void cg_buf_add_decimal(struct cg_buf *buf, uint64_t value)
{
    char digits[CG_DECIMAL_MAX];
    cg_buf_add_str(buf, cg_str_from_u64(value, digits));
}

void cg_buf_add_u8(struct cg_buf *buf, uint8_t value)
{
    cg_buf_add(buf, &value, 1);
}

static void add_little_endian(struct cg_buf *buf, uint64_t value, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    cg_buf_add(buf, bytes, width);
}

void cg_buf_add_u32(struct cg_buf *buf, uint32_t value)
{
    add_little_endian(buf, value, 4);
}

void cg_buf_add_u64(struct cg_buf *buf, uint64_t value)
{
    add_little_endian(buf, value, 8);
}

void cg_buf_add_prefixed(struct cg_buf *buf, struct cg_str s)
{
    /* All or nothing: a length without its bytes would let two sequences spell the same. */
    if (s.length > UINT32_MAX || !reserve(buf, s.length + 4)) {
        buf->overflowed = true;
        return;
    }
    cg_buf_add_u32(buf, (uint32_t)s.length);
    cg_buf_add_str(buf, s);
}

void cg_buf_consume(struct cg_buf *buf, size_t length)
{
    if (length >= buf->length) {
        buf->length = 0;
        return;
    }
    if (length == 0)
        return;
    memmove(buf->bytes, buf->bytes + length, buf->length - length);
    buf->length -= length;
}
