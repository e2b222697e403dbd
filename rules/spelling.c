#include "rules/spelling.h"

#include "cachegate/assert.h"

void cg_spelling_init(struct cg_spelling *spelling, struct cg_arena *arena, size_t expected)
{
    size_t capacity = expected < 32 ? 32 : expected;
    *spelling = (struct cg_spelling){
        .arena = arena, .bytes = cg_arena_alloc(arena, capacity), .capacity = capacity};
}

static char *make_room(struct cg_spelling *spelling, size_t more)
{
    CG_ASSERT(more <= SIZE_MAX / 4 && spelling->length <= SIZE_MAX / 4);
    size_t needed = spelling->length + more;
    if (needed > spelling->capacity) {
        size_t capacity = spelling->capacity * 2 > needed ? spelling->capacity * 2 : needed;
        char *bytes = cg_arena_alloc(spelling->arena, capacity);
        memcpy(bytes, spelling->bytes, spelling->length);
        spelling->bytes = bytes;
        spelling->capacity = capacity;
    }
    char *room = spelling->bytes + spelling->length;
    spelling->length = needed;
    return room;
}

void cg_spelling_add(struct cg_spelling *spelling, struct cg_str s)
{
    if (s.length > 0)
        memcpy(make_room(spelling, s.length), s.bytes, s.length);
}

void cg_spelling_add_char(struct cg_spelling *spelling, char c)
{
    *make_room(spelling, 1) = c;
}

void cg_spelling_add_u32(struct cg_spelling *spelling, uint32_t value)
{
    char *room = make_room(spelling, 4);
    for (unsigned i = 0; i < 4; i++)
        room[i] = (char)(unsigned char)(value >> (8 * i));
}

void cg_spelling_add_prefixed(struct cg_spelling *spelling, struct cg_str s)
{
    CG_ASSERT(s.length <= UINT32_MAX);
    cg_spelling_add_u32(spelling, (uint32_t)s.length);
    cg_spelling_add(spelling, s);
}

void cg_spelling_add_optional(struct cg_spelling *spelling, bool present, struct cg_str s)
{
    cg_spelling_add_char(spelling, present ? 1 : 0);
    if (present)
        cg_spelling_add_prefixed(spelling, s);
}

void cg_spelling_add_encoded(struct cg_spelling *spelling, struct cg_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.length; i++) {
        unsigned char byte = (unsigned char)s.bytes[i];
        if (cg_is_unreserved(s.bytes[i])) {
            cg_spelling_add_char(spelling, s.bytes[i]);
        } else {
            char *room = make_room(spelling, 3);
            room[0] = '%';
            room[1] = digits[byte >> 4];
            room[2] = digits[byte & 15];
        }
    }
}

struct cg_str cg_spelling_str(const struct cg_spelling *spelling)
{
    return cg_str_of(spelling->bytes, spelling->length);
}
