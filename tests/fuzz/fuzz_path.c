/* Any bytes as a target. What is accepted keeps what path.h promises, and survives being spelled
 * again. */
#include "cachegate/assert.h"
#include "cachegate/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_spelling(const struct cg_path *path, struct cg_arena *arena)
{
    struct cg_path again;
    struct cg_query none;
    struct cg_str spelled = CG_STR("/");
    for (size_t i = 0; i < path->count; i++) {
        struct cg_str segment = cg_percent_encode(arena, path->segments[i]);
        spelled = cg_arena_printf(arena, "%.*s/%.*s", CG_STR_ARG(spelled), CG_STR_ARG(segment));
    }
    CG_ASSERT(cg_path_parse(spelled, arena, &again, &none) == CG_PATH_OK);
    CG_ASSERT(again.count == path->count);
    for (size_t i = 0; i < path->count; i++)
        CG_ASSERT(cg_str_eq(path->segments[i], again.segments[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_arena arena;
    struct cg_path path;
    struct cg_query query;
    if (size > 4096)
        return 0;
    cg_arena_init(&arena, 16 << 20);
    struct cg_str target = cg_str_of((const char *)data, size);
    if (cg_path_parse(target, &arena, &path, &query) == CG_PATH_OK) {
        CG_ASSERT(path.count <= CG_PATH_SEGMENTS_MAX && query.count <= CG_QUERY_PARAMS_MAX);
        for (size_t i = 0; i < path.count; i++) {
            struct cg_str segment = path.segments[i];
            CG_ASSERT(!cg_str_empty(segment));
            CG_ASSERT(!cg_str_eq(segment, CG_STR(".")) && !cg_str_eq(segment, CG_STR("..")));
            CG_ASSERT(cg_str_find(segment, '\0') == segment.length);
            CG_ASSERT(cg_str_find(segment, '\\') == segment.length);
        }
        check_spelling(&path, &arena);
    }
    cg_arena_fini(&arena);
    return 0;
}
