/*
 * make_request: the facts of a request from two texts, for tests of every ring.
 */
#ifndef TESTS_MAKE_REQUEST_H
#define TESTS_MAKE_REQUEST_H

#include "cachegate/plan.h"

/*
 * `line` is "GET /path?query"; `fields` has one "Name: value" per line, or is NULL. A body follows
 * the fields behind an empty line. Everything lives in the arena.
 */
static inline struct cg_request_facts make_request(struct cg_arena *arena, const char *line,
                                                   const char *fields)
{
    struct cg_fields *list = CG_ARENA_NEW(arena, struct cg_fields);
    struct cg_request_facts facts = {
        .scheme = CG_STR("http"),
        .authority = CG_STR("api.test"),
        .fields = list,
        .peer_address = CG_STR("192.0.2.1"),
    };
    struct cg_str target = cg_arena_copy(arena, cg_str_from(line));
    size_t space = cg_str_find(target, ' ');
    facts.method = cg_str_sub(target, 0, space);
    facts.target = cg_str_skip(target, space + 1);
    struct cg_str rest = cg_arena_copy(arena, cg_str_from(fields)), text;
    while (cg_str_split(&rest, '\n', &text)) {
        if (cg_str_empty(text) && rest.bytes != NULL) {
            facts.has_body = true;
            facts.body = rest;
            break;
        }
        size_t colon = cg_str_find(text, ':');
        if (colon == text.length)
            continue;
        char *name = cg_arena_alloc(arena, colon);
        for (size_t i = 0; i < colon; i++)
            name[i] = cg_lower(text.bytes[i]);
        (void)cg_fields_add(list, arena, cg_str_of(name, colon),
                            cg_str_trim(cg_str_skip(text, colon + 1)));
    }
    return facts;
}

#endif
