#include "cachegate/path.h"

#include "rules/spelling.h"

void cg_target_split(struct cg_str target, struct cg_str *ret_path, struct cg_str *ret_query,
                     bool *ret_has_query)
{
    size_t mark = cg_str_find(target, '?');
    *ret_path = cg_str_sub(target, 0, mark);
    *ret_has_query = mark < target.length;
    *ret_query = *ret_has_query ? cg_str_skip(target, mark + 1) : (struct cg_str){NULL, 0};
}

/* The byte that `%` at `at` stands for, or -1. */
static int decode_escape(struct cg_str s, size_t at)
{
    if (s.length - at < 3)
        return -1;
    int high = cg_hex_digit(s.bytes[at + 1]), low = cg_hex_digit(s.bytes[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Of which nothing is to be decoded or refused, as in most targets. */
static bool is_plain(struct cg_str text)
{
    const unsigned special =
        CG_BYTE_CONTROL | CG_BYTE_BLANK | CG_BYTE_HIGH | CG_BYTE_FRAGMENT | CG_BYTE_ESCAPING;
    return (cg_str_classes(text) & special) == 0;
}

/* What needs no decoding is not copied. False: a broken escape, a NUL, or a byte that no target
 * holds in plain (it would be written to the upstream's connection as it is). */
static bool decode(struct cg_str raw, bool plus_is_space, struct cg_arena *arena,
                   struct cg_str *ret_text)
{
    bool same = true;
    for (size_t i = 0; i < raw.length; i++) {
        unsigned char byte = (unsigned char)raw.bytes[i];
        if (byte <= ' ' || byte == 0x7f || byte == '#')
            return false;
        if (byte == '%' || (byte == '+' && plus_is_space))
            same = false;
    }
    *ret_text = raw;
    if (same)
        return true;
    char *text = cg_arena_raw(arena, raw.length);
    size_t length = 0;
    for (size_t i = 0; i < raw.length; i++) {
        char c = raw.bytes[i];
        if (c == '%') {
            int byte = decode_escape(raw, i);
            if (byte <= 0)
                return false;
            text[length++] = (char)(unsigned char)byte;
            i += 2;
        } else {
            text[length++] = c == '+' && plus_is_space ? ' ' : c;
        }
    }
    *ret_text = cg_str_of(text, length);
    return true;
}

/* Overlong UTF-8 of ASCII, which is no UTF-8 (RFC 3629 3): decoders exist that make a dot or a
 * slash of it. Other bytes that are no UTF-8 pass: paths in other encodings are seen in the wild.
 */
static bool has_overlong(struct cg_str text)
{
    for (size_t i = 0; i + 1 < text.length; i++) {
        unsigned char lead = (unsigned char)text.bytes[i], next = (unsigned char)text.bytes[i + 1];
        bool continued = (next & 0xc0) == 0x80;
        if (((lead == 0xc0 || lead == 0xc1) && continued) ||
            (lead == 0xe0 && continued && next < 0xa0) ||
            (lead == 0xf0 && continued && next < 0x90))
            return true;
    }
    return false;
}

/* Also behind an encoded slash, and with path parameters: servers exist that resolve `a%2F..` and
 * `..;x`. */
static bool has_dot_segment(struct cg_str segment)
{
    struct cg_str rest = segment, piece;
    if (cg_str_find(segment, '.') == segment.length)
        return false;
    while (cg_str_split(&rest, '/', &piece)) {
        struct cg_str name = cg_str_sub(piece, 0, cg_str_find(piece, ';'));
        if (cg_str_eq(name, CG_STR(".")) || cg_str_eq(name, CG_STR("..")))
            return true;
    }
    return false;
}

/* At most `max`, with a small counter, for the compiler to do many bytes at once. */
static size_t count_byte(struct cg_str s, char byte, size_t max)
{
    size_t count = 0;
    while (s.length > 0 && count < max) {
        struct cg_str part = cg_str_sub(s, 0, UINT8_MAX);
        uint8_t found = 0;
        for (size_t i = 0; i < part.length; i++)
            found = (uint8_t)(found + (part.bytes[i] == byte));
        count += found;
        s = cg_str_skip(s, part.length);
    }
    return count < max ? count : max;
}

static enum cg_path_error parse_segments(struct cg_str path, struct cg_arena *arena,
                                         struct cg_path *ret_path)
{
    size_t room = count_byte(path, '/', CG_PATH_SEGMENTS_MAX);
    bool plain = is_plain(path);
    ret_path->segments = CG_ARENA_RAW_ARRAY(arena, struct cg_str, room);
    ret_path->count = 0;
    if (cg_str_empty(path) || path.bytes[0] != '/')
        return CG_PATH_BAD_ENCODING;
    struct cg_str rest = cg_str_skip(path, 1), raw, segment;
    while (cg_str_split(&rest, '/', &raw)) {
        if (cg_str_empty(raw))
            continue;
        segment = raw;
        if (!plain && (!decode(raw, false, arena, &segment) ||
                       cg_str_find(segment, '\\') < segment.length || has_overlong(segment)))
            return CG_PATH_BAD_ENCODING;
        if (has_dot_segment(segment))
            return CG_PATH_DOT_SEGMENT;
        if (ret_path->count == room)
            return CG_PATH_TOO_COMPLEX;
        ret_path->segments[ret_path->count++] = segment;
    }
    return CG_PATH_OK;
}

enum cg_path_error cg_query_parse(struct cg_str query, struct cg_arena *arena,
                                  struct cg_query *ret_query)
{
    *ret_query = (struct cg_query){0};
    if (cg_str_empty(query))
        return CG_PATH_OK;
    size_t room = count_byte(query, '&', CG_QUERY_PARAMS_MAX - 1) + 1;
    bool plain = is_plain(query);
    ret_query->params = CG_ARENA_RAW_ARRAY(arena, struct cg_query_param, room);
    struct cg_str rest = query, piece;
    while (cg_str_split(&rest, '&', &piece)) {
        if (cg_str_empty(piece))
            continue;
        size_t equals = cg_str_find(piece, '=');
        struct cg_query_param param = {
            .raw_name = cg_str_sub(piece, 0, equals),
            .raw_value = cg_str_skip(piece, equals + 1),
            .has_value = equals < piece.length,
        };
        param.name = param.raw_name;
        param.value = param.raw_value;
        if (!plain && (!decode(param.raw_name, true, arena, &param.name) ||
                       !decode(param.raw_value, true, arena, &param.value)))
            return CG_PATH_BAD_ENCODING;
        if (ret_query->count == room)
            return CG_PATH_TOO_COMPLEX;
        ret_query->params[ret_query->count++] = param;
    }
    return CG_PATH_OK;
}

enum cg_path_error cg_path_parse(struct cg_str target, struct cg_arena *arena,
                                 struct cg_path *ret_path, struct cg_query *ret_query)
{
    struct cg_str path, query;
    bool has_query;
    cg_target_split(target, &path, &query, &has_query);
    *ret_query = (struct cg_query){0};
    enum cg_path_error error = parse_segments(path, arena, ret_path);
    return error == CG_PATH_OK ? cg_query_parse(query, arena, ret_query) : error;
}

struct cg_str cg_percent_encode(struct cg_arena *arena, struct cg_str s)
{
    struct cg_spelling spelling;
    cg_spelling_init(&spelling, arena, s.length + 16);
    cg_spelling_add_encoded(&spelling, s);
    return cg_spelling_str(&spelling);
}
