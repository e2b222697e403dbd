#include "cachegate/http1_syntax.h"

#include "cachegate/assert.h"

enum cg_http1_line cg_http1_line_find(struct cg_str input, size_t bytes_max,
                                      struct cg_str *ret_line)
{
    struct cg_str window = cg_str_sub(input, 0, bytes_max);
    size_t end = cg_str_find(window, '\n');
    if (end == window.length)
        return window.length < bytes_max ? CG_HTTP1_LINE_INCOMPLETE : CG_HTTP1_LINE_TOO_LONG;
    if (end == 0 || window.bytes[end - 1] != '\r')
        return CG_HTTP1_LINE_BARE_LF;
    *ret_line = cg_str_sub(window, 0, end - 1);
    return CG_HTTP1_LINE_FOUND;
}

enum cg_http1_line cg_http1_head_find(struct cg_str input, size_t bytes_max,
                                      struct cg_str *ret_head)
{
    size_t used = 0;
    for (;;) {
        struct cg_str line;
        enum cg_http1_line found =
            cg_http1_line_find(cg_str_skip(input, used), bytes_max - used, &line);
        if (found != CG_HTTP1_LINE_FOUND)
            return found;
        used += line.length + 2;
        if (cg_str_empty(line))
            break;
    }
    *ret_head = cg_str_sub(input, 0, used);
    return CG_HTTP1_LINE_FOUND;
}

bool cg_http1_line_next(struct cg_str *head, struct cg_str *ret_line)
{
    if (cg_str_empty(*head))
        return false;
    size_t end = cg_str_find(*head, '\n');
    CG_ASSERT(end > 0 && end < head->length && head->bytes[end - 1] == '\r');
    *ret_line = cg_str_sub(*head, 0, end - 1);
    *head = cg_str_skip(*head, end + 1);
    return true;
}

bool cg_http1_field_split(struct cg_str line, struct cg_str *ret_name, struct cg_str *ret_value)
{
    size_t colon = cg_str_find(line, ':');
    if (colon == line.length)
        return false;
    struct cg_str name = cg_str_sub(line, 0, colon);
    struct cg_str value = cg_str_trim(cg_str_skip(line, colon + 1));
    if (!cg_is_token(name) || !cg_field_value_valid(value))
        return false;
    *ret_name = name;
    *ret_value = value;
    return true;
}

bool cg_field_value_valid(struct cg_str value)
{
    return (cg_str_classes(value) & CG_BYTE_CONTROL) == 0;
}
