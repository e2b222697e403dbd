/* First byte: a bound; the rest: a value. Whatever it is, the line stays one line of printable
 * ASCII, within the bound, and a JSON parser reads it. */
#include "cachegate/assert.h"
#include "cachegate/log_text.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct cg_str line, size_t bytes_max)
{
    CG_ASSERT(line.length >= 2 && line.length <= bytes_max + 2);
    CG_ASSERT(line.bytes[0] == '"' && line.bytes[line.length - 1] == '"');
    for (size_t i = 0; i < line.length; i++)
        CG_ASSERT(line.bytes[i] >= ' ' && line.bytes[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_buf out;
    if (size == 0 || size > 4096)
        return 0;
    size_t bytes_max = 8 + (size_t)data[0] * 8;
    struct cg_str value = cg_str_of((const char *)data + 1, size - 1);
    cg_buf_init(&out, 1 << 16);
    cg_json_string_print(&out, value, bytes_max);
    check(cg_buf_str(&out), bytes_max);
    json_t *json = json_loadb(out.bytes, out.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    CG_ASSERT(json_is_string(json));
    json_decref(json);
    cg_buf_clear(&out);
    cg_quoted_print(&out, value, bytes_max);
    check(cg_buf_str(&out), bytes_max);
    for (size_t i = 1; i + 1 < out.length; i++)
        CG_ASSERT(out.bytes[i] != '"');
    cg_buf_fini(&out);
    return 0;
}
