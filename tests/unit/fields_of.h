/* fields_of: field sections for tests, written as "name: value" lines, each ended by a newline. */
#ifndef TESTS_UNIT_FIELDS_OF_H
#define TESTS_UNIT_FIELDS_OF_H

#include "cachegate/fields.h"

static inline struct cg_fields fields_of(const char *text, struct cg_arena *arena)
{
    struct cg_fields fields = {0};
    struct cg_str rest = cg_str_from(text), line;
    while (cg_str_split(&rest, '\n', &line)) {
        size_t colon = cg_str_find(line, ':');
        if (colon < line.length)
            (void)cg_fields_add(&fields, arena, cg_str_sub(line, 0, colon),
                                cg_str_trim(cg_str_skip(line, colon + 1)));
    }
    return fields;
}

/* The inverse. */
static inline const char *text_of(const struct cg_fields *fields, struct cg_arena *arena)
{
    struct cg_str text = cg_arena_printf(arena, "%s", "");
    for (size_t i = 0; i < fields->count; i++)
        text =
            cg_arena_printf(arena, "%.*s%.*s: %.*s\n", CG_STR_ARG(text),
                            CG_STR_ARG(fields->items[i].name), CG_STR_ARG(fields->items[i].value));
    return text.bytes;
}

#endif
