/*
 * spelling: text that is put together piece by piece in an arena. Internal to rules/.
 *
 * Unlike buf it needs no clean-up and no ceiling of its own: what is spelled is derived from a
 * request whose size was checked, or from rules. Everything it returns lives in the arena.
 */
#ifndef RULES_SPELLING_H
#define RULES_SPELLING_H

#include "cachegate/arena.h"
#include "cachegate/assert.h"
#include "cachegate/str.h"

struct cg_spelling {
    struct cg_arena *arena; /* borrowed */
    char *bytes;
    size_t length;
    size_t capacity;
};

/* `expected`: about how many bytes will be added. */
void cg_spelling_init(struct cg_spelling *spelling, struct cg_arena *arena, size_t expected);
/* Makes room for `more` bytes: for cg_spelling_room alone. */
void cg_spelling_grow(struct cg_spelling *spelling, size_t more);

/* Adds bytes that the caller fills in. */
static inline char *cg_spelling_room(struct cg_spelling *spelling, size_t more)
{
    if (more > spelling->capacity - spelling->length)
        cg_spelling_grow(spelling, more);
    char *room = spelling->bytes + spelling->length;
    spelling->length += more;
    return room;
}

static inline void cg_spelling_add(struct cg_spelling *spelling, struct cg_str s)
{
    if (s.length > 0)
        memcpy(cg_spelling_room(spelling, s.length), s.bytes, s.length);
}

static inline void cg_spelling_add_char(struct cg_spelling *spelling, char c)
{
    *cg_spelling_room(spelling, 1) = c;
}

/* Little-endian. */
static inline void cg_spelling_add_u32(struct cg_spelling *spelling, uint32_t value)
{
    char *room = cg_spelling_room(spelling, 4);
    for (unsigned i = 0; i < 4; i++)
        room[i] = (char)(unsigned char)(value >> (8 * i));
}

/* A u32 length and the bytes, so that neighbours cannot run into each other. */
static inline void cg_spelling_add_prefixed(struct cg_spelling *spelling, struct cg_str s)
{
    CG_ASSERT(s.length <= UINT32_MAX);
    cg_spelling_add_u32(spelling, (uint32_t)s.length);
    cg_spelling_add(spelling, s);
}

/* Whether there is a value, and the value: absent and empty differ. */
static inline void cg_spelling_add_optional(struct cg_spelling *spelling, bool present,
                                            struct cg_str s)
{
    cg_spelling_add_char(spelling, present ? 1 : 0);
    if (present)
        cg_spelling_add_prefixed(spelling, s);
}

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
