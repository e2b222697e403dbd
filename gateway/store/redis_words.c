#include "gateway/store/redis_words.h"

#include "cachegate/assert.h"

void cg_redis_words_add(struct cg_redis_words *words, struct cg_str word)
{
    CG_ASSERT(words->count < CG_REDIS_WORDS_MAX);
    words->items[words->count] = word.bytes == NULL ? "" : word.bytes;
    words->lengths[words->count++] = word.length;
}

static void spell_length(struct cg_buf *buf, char kind, size_t length)
{
    cg_buf_add_char(buf, kind);
    cg_buf_add_decimal(buf, length);
    cg_buf_add_text(buf, "\r\n");
}

void cg_redis_words_spell(const struct cg_redis_words *words, struct cg_buf *buf)
{
    spell_length(buf, '*', words->count);
    for (size_t i = 0; i < words->count; i++) {
        spell_length(buf, '$', words->lengths[i]);
        cg_buf_add(buf, words->items[i], words->lengths[i]);
        cg_buf_add_text(buf, "\r\n");
    }
}

size_t cg_redis_words_length(const struct cg_redis_words *words)
{
    enum { LINE_BYTES = 1 + CG_DECIMAL_MAX + 2, END_BYTES = 2 };
    size_t length = LINE_BYTES;
    for (size_t i = 0; i < words->count; i++) {
        CG_ASSERT(words->lengths[i] <= SIZE_MAX / 2 - length);
        length += LINE_BYTES + words->lengths[i] + END_BYTES;
    }
    return length;
}
