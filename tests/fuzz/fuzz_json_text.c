/* The first line of the input is a path, the rest a body. */
#include "cachegate/assert.h"
#include "cachegate/json_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUES_MAX = 8 };

static void select_all(const struct cg_json *json, struct cg_str path, size_t body_length)
{
    struct cg_arena arena;
    struct cg_str values[VALUES_MAX];
    size_t count = 4711;
    cg_arena_init(&arena, body_length + 48 * VALUES_MAX); /* as the header promises */
    enum cg_json_outcome outcome = cg_json_select(json, path, &arena, values, VALUES_MAX, &count);
    CG_ASSERT(outcome == CG_JSON_FOUND ? count <= VALUES_MAX : count == 0);
    CG_ASSERT(cg_json_path_valid(path) || outcome == CG_JSON_NOT_FOUND);
    for (size_t i = 0; i < count; i++)
        CG_ASSERT(values[i].bytes != NULL && values[i].bytes[values[i].length] == '\0');
    cg_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_str input = cg_str_of((const char *)data, size);
    size_t end = cg_str_find(input, '\n');
    struct cg_str body = cg_str_skip(input, end + 1);
    struct cg_json json;
    if (cg_json_parse(body, 20, &json) == CG_JSON_FOUND) {
        select_all(&json, cg_str_sub(input, 0, end), body.length);
        select_all(&json, CG_STR("[*]"), body.length);
    }
    cg_json_free(&json);
    return 0;
}
