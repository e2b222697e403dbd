/*
 * redis_words: a command for Redis under construction, and its spelling on the wire (RESP2, an
 * array of bulk strings). The words are borrowed while it is put together and spelled. No I/O.
 */
#ifndef GATEWAY_STORE_REDIS_WORDS_H
#define GATEWAY_STORE_REDIS_WORDS_H

#include "cachegate/buf.h"

enum { CG_REDIS_WORDS_MAX = 96 };

struct cg_redis_words {
    size_t count;
    const char *items[CG_REDIS_WORDS_MAX];
    size_t lengths[CG_REDIS_WORDS_MAX];
};
void cg_redis_words_add(struct cg_redis_words *words, struct cg_str word);
/* At most how many bytes it has when it is spelled. */
size_t cg_redis_words_length(const struct cg_redis_words *words);
void cg_redis_words_spell(const struct cg_redis_words *words, struct cg_buf *buf);

#endif
