/*
 * spelling: text that is put together piece by piece in an arena. Internal to rules/.
 *
 * Unlike buf it needs no clean-up and no ceiling of its own: what is spelled is derived from a
 * request whose size was checked, or from rules. Everything it returns lives in the arena.
 */
#ifndef RULES_SPELLING_H
#define RULES_SPELLING_H

#include "cachegate/arena.h"
#include "cachegate/str.h"

struct cg_spelling {
    struct cg_arena *arena; /* borrowed */
    char *bytes;
    size_t length;
    size_t capacity;
};

/* `expected`: about how many bytes will be added. */
void cg_spelling_init(struct cg_spelling *spelling, struct cg_arena *arena, size_t expected);
void cg_spelling_add(struct cg_spelling *spelling, struct cg_str s);
void cg_spelling_add_char(struct cg_spelling *spelling, char c);
/* Little-endian. */
void cg_spelling_add_u32(struct cg_spelling *spelling, uint32_t value);
/* A u32 length and the bytes, so that neighbours cannot run into each other. */
void cg_spelling_add_prefixed(struct cg_spelling *spelling, struct cg_str s);
/* Whether there is a value, and the value: absent and empty differ. */
void cg_spelling_add_optional(struct cg_spelling *spelling, bool present, struct cg_str s);
/* Everything but unreserved characters percent-encoded (RFC 3986 2.3). */
void cg_spelling_add_encoded(struct cg_spelling *spelling, struct cg_str s);
/* Ends with the next addition. */
struct cg_str cg_spelling_str(const struct cg_spelling *spelling);

/* RFC 3986 2.3. */
static inline bool cg_is_unreserved(char c)
{
    return cg_is_alpha(c) || cg_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

#endif
