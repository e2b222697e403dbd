#include "rules/spelling.h"

#include "cachegate/assert.h"

void cg_spelling_init(struct cg_spelling *spelling, struct cg_arena *arena, size_t expected)
{
    size_t capacity = expected < 32 ? 32 : expected;
    *spelling = (struct cg_spelling){
        .arena = arena, .bytes = cg_arena_raw(arena, capacity), .capacity = capacity};
}

void cg_spelling_grow(struct cg_spelling *spelling, size_t more)
{
    CG_ASSERT(more <= SIZE_MAX / 4 && spelling->length <= SIZE_MAX / 4);
    size_t needed = spelling->length + more;
    size_t capacity = spelling->capacity * 2 > needed ? spelling->capacity * 2 : needed;
    char *bytes = cg_arena_raw(spelling->arena, capacity);
    memcpy(bytes, spelling->bytes, spelling->length);
    spelling->bytes = bytes;
    spelling->capacity = capacity;
}

void cg_spelling_add_encoded(struct cg_spelling *spelling, struct cg_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.length; i++) {
        unsigned char byte = (unsigned char)s.bytes[i];
        if (cg_is_unreserved(s.bytes[i])) {
            cg_spelling_add_char(spelling, s.bytes[i]);
        } else {
            char *room = cg_spelling_room(spelling, 3);
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
