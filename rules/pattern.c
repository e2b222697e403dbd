#include "cachegate/ruleset.h"

enum { HOLE_NAME_BYTES_MAX = 256 };

/* One compilation. */
struct compiler {
    struct cg_pattern *pattern;
    struct cg_arena *arena;
    struct cg_problems *problems;
    const struct cg_node *where;
    struct cg_str text;
    bool names_are_expressions;
};

#define FAIL(compiler, ...)                                                                        \
    (cg_problem_add((compiler)->problems, CG_PROBLEM_ERROR, (compiler)->where, __VA_ARGS__), false)

/* ---- holes ---- */

static const char *const type_names[] = {"int", "uuid", "nocase"};
static const enum cg_hole_type types[] = {CG_HOLE_INT, CG_HOLE_UUID, CG_HOLE_NOCASE};
enum { TYPE_COUNT = sizeof type_names / sizeof *type_names };

/* Letters, digits and what JSON paths, field names and parameters need: nothing that could be a
 * part of the pattern around it. */
static bool is_name_char(char c, bool in_expression)
{
    if (cg_is_alpha(c) || cg_is_digit(c) || c == '_' || c == '-')
        return true;
    return in_expression && (c == '.' || c == '[' || c == ']' || c == '*');
}

static bool is_hole_name(struct cg_str name, bool in_expression)
{
    if (name.length == 0 || name.length > HOLE_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.length; i++)
        if (!is_name_char(name.bytes[i], in_expression))
            return false;
    return true;
}

/* `inside` is what stands between the braces. */
static bool add_hole(struct compiler *compiler, struct cg_str inside, unsigned *ret_hole)
{
    struct cg_pattern *pattern = compiler->pattern;
    size_t colon = cg_str_find(inside, ':');
    struct cg_str name = cg_str_sub(inside, 0, colon);
    enum cg_hole_type type = CG_HOLE_TEXT;
    if (colon < inside.length) {
        struct cg_str type_name = cg_str_skip(inside, colon + 1);
        size_t i = 0;
        while (i < TYPE_COUNT && !cg_str_eq(type_name, cg_str_from(type_names[i])))
            i++;
        const char *nearest = cg_nearest_name(type_name, type_names, TYPE_COUNT);
        if (i == TYPE_COUNT)
            return FAIL(compiler, "`{%.*s}`: unknown type `%.*s`; %s%s", CG_STR_SHOWN(inside),
                        CG_STR_SHOWN(type_name),
                        nearest == NULL ? "expected int, uuid or nocase" : "did you mean ",
                        nearest == NULL ? "" : nearest);
        type = types[i];
    }
    if (!is_hole_name(name, compiler->names_are_expressions))
        return FAIL(compiler, "`{%.*s}` is no placeholder; expected %s", CG_STR_SHOWN(inside),
                    compiler->names_are_expressions
                        ? "{name}, {query.name}, {header.name}, {user}, {request.a.b} or "
                          "{response.a.b}"
                        : "{name} of letters, digits, `_` and `-`, or {name:int}");
    if (pattern->hole_count == CG_HOLES_MAX)
        return FAIL(compiler, "`%.*s` has more than %d placeholders", CG_STR_SHOWN(compiler->text),
                    (int)CG_HOLES_MAX);
    pattern->hole_names[pattern->hole_count] = name;
    pattern->hole_types[pattern->hole_count] = type;
    *ret_hole = pattern->hole_count++;
    return true;
}

/* Whether `part` is `{…}` from end to end. */
static bool is_braced(struct cg_str part)
{
    return part.length >= 2 && part.bytes[0] == '{' && part.bytes[part.length - 1] == '}' &&
           cg_str_find(cg_str_skip(part, 1), '{') == part.length - 1 &&
           cg_str_find(part, '}') == part.length - 1;
}

static bool has_special(struct cg_str part)
{
    return cg_str_find(part, '{') < part.length || cg_str_find(part, '}') < part.length ||
           cg_str_find(part, '*') < part.length;
}

/* ---- literals ---- */

/* Percent-decoded; false and a problem when no request could have it. */
static bool decode_literal(struct compiler *compiler, struct cg_str part, bool in_query,
                           struct cg_str *ret_text)
{
    char *bytes = cg_arena_alloc(compiler->arena, part.length + 1);
    size_t length = 0;
    for (size_t i = 0; i < part.length; i++) {
        char c = part.bytes[i];
        if (c == '%') {
            bool room = part.length - i > 2;
            int high = room ? cg_hex_digit(part.bytes[i + 1]) : -1;
            int low = room ? cg_hex_digit(part.bytes[i + 2]) : -1;
            if (high < 0 || low < 0)
                return FAIL(compiler, "`%.*s`: a `%%` is not followed by two hexadecimal digits",
                            CG_STR_SHOWN(part));
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && in_query) {
            c = ' ';
        }
        if (c == '\0' || (c == '\\' && !in_query))
            return FAIL(compiler, "`%.*s`: no request may have a NUL or a backslash there",
                        CG_STR_SHOWN(part));
        bytes[length++] = c;
    }
    *ret_text = cg_str_of(bytes, length);
    return true;
}

static bool compile_segment(struct compiler *compiler, struct cg_str part,
                            struct cg_segment *segment)
{
    if (cg_str_eq(part, CG_STR("**"))) {
        segment->kind = CG_SEGMENT_REST;
        return true;
    }
    if (cg_str_eq(part, CG_STR("*"))) {
        segment->kind = CG_SEGMENT_ANY;
        return true;
    }
    if (is_braced(part)) {
        segment->kind = CG_SEGMENT_HOLE;
        return add_hole(compiler, cg_str_sub(part, 1, part.length - 2), &segment->hole);
    }
    if (has_special(part))
        return FAIL(compiler,
                    "`%.*s`: a placeholder or wildcard takes a whole segment ({name}, *, ** at the "
                    "end); write %%2A, %%7B, %%7D for literal characters",
                    CG_STR_SHOWN(part));
    segment->kind = CG_SEGMENT_LITERAL;
    if (!decode_literal(compiler, part, false, &segment->text))
        return false;
    if (cg_str_eq(segment->text, CG_STR(".")) || cg_str_eq(segment->text, CG_STR("..")))
        return FAIL(compiler,
                    "`%.*s`: requests with dot segments are refused, so this never matches",
                    CG_STR_SHOWN(compiler->text));
    return true;
}

static bool compile_path(struct compiler *compiler, struct cg_str path)
{
    struct cg_pattern *pattern = compiler->pattern;
    size_t most = 1;
    for (size_t i = 0; i < path.length && most < CG_PATTERN_SEGMENTS_MAX; i++)
        most += path.bytes[i] == '/';
    pattern->segments = CG_ARENA_ARRAY(compiler->arena, struct cg_segment, most);
    struct cg_str part, rest = path;
    while (cg_str_split(&rest, '/', &part)) {
        if (part.length == 0)
            continue; /* as in cg_path_parse: `//` is `/` */
        if (pattern->segment_count == CG_PATTERN_SEGMENTS_MAX)
            return FAIL(compiler, "`%.*s` has more than %d segments", CG_STR_SHOWN(compiler->text),
                        (int)CG_PATTERN_SEGMENTS_MAX);
        if (pattern->segment_count > 0 &&
            pattern->segments[pattern->segment_count - 1].kind == CG_SEGMENT_REST)
            return FAIL(compiler, "`%.*s`: `**` is the rest of the path, so nothing can follow it",
                        CG_STR_SHOWN(compiler->text));
        if (!compile_segment(compiler, part, &pattern->segments[pattern->segment_count]))
            return false;
        pattern->segment_count++;
    }
    return true;
}

/* ---- query terms ---- */

/* `name=value`, split; both as written. */
struct raw_term {
    struct cg_str name; /* decoded */
    struct cg_str value;
};

/* False and a problem, or *ret_empty when the term constrains nothing. */
static bool read_term(struct compiler *compiler, struct cg_str part, struct raw_term *term,
                      bool *ret_empty)
{
    size_t equals = cg_str_find(part, '=');
    struct cg_str name = cg_str_sub(part, 0, equals);
    *ret_empty = false;
    if (equals == part.length)
        return FAIL(compiler, "`%.*s`: a query term is name={value}, name=literal or name=*",
                    CG_STR_SHOWN(part));
    if (name.length == 0 || has_special(name))
        return FAIL(compiler, "`%.*s`: the name of a query term is literal text",
                    CG_STR_SHOWN(part));
    term->value = cg_str_skip(part, equals + 1);
    *ret_empty = cg_str_eq(term->value, CG_STR("*"));
    if (!is_braced(term->value) && !*ret_empty && has_special(term->value))
        return FAIL(compiler, "`%.*s`: a placeholder or wildcard is the whole value of a term",
                    CG_STR_SHOWN(part));
    return decode_literal(compiler, name, true, &term->name);
}

static bool compile_query(struct compiler *compiler, struct cg_str query)
{
    struct cg_pattern *pattern = compiler->pattern;
    struct raw_term terms[CG_PATTERN_TERMS_MAX];
    size_t count = 0;
    struct cg_str part, rest = query;
    while (cg_str_split(&rest, '&', &part)) {
        struct raw_term term;
        bool empty;
        if (part.length == 0)
            continue;
        if (!read_term(compiler, part, &term, &empty))
            return false;
        if (empty)
            continue;
        /* Sorted by name before holes are numbered: the order in which they were written makes no
         * difference, so it must not make another shape. */
        size_t at = count;
        while (at > 0 && cg_str_cmp(terms[at - 1].name, term.name) > 0)
            at--;
        if (at > 0 && cg_str_eq(terms[at - 1].name, term.name))
            return FAIL(compiler, "`%.*s` names the query parameter `%.*s` twice",
                        CG_STR_SHOWN(compiler->text), CG_STR_SHOWN(term.name));
        if (count == CG_PATTERN_TERMS_MAX)
            return FAIL(compiler, "`%.*s` has more than %d query terms",
                        CG_STR_SHOWN(compiler->text), (int)CG_PATTERN_TERMS_MAX);
        memmove(&terms[at + 1], &terms[at], (count - at) * sizeof *terms);
        terms[at] = term;
        count++;
    }
    pattern->terms = CG_ARENA_ARRAY(compiler->arena, struct cg_term, count);
    pattern->term_count = count;
    for (size_t i = 0; i < count; i++) {
        struct cg_term *term = &pattern->terms[i];
        struct cg_str value = terms[i].value;
        term->name = terms[i].name;
        term->is_hole = is_braced(value);
        if (term->is_hole ? !add_hole(compiler, cg_str_sub(value, 1, value.length - 2), &term->hole)
                          : !decode_literal(compiler, value, true, &term->text))
            return false;
    }
    return true;
}

struct cg_pattern *cg_pattern_compile(struct cg_str text, bool names_are_expressions,
                                      struct cg_arena *arena, struct cg_problems *problems,
                                      const struct cg_node *where)
{
    struct compiler compiler = {.arena = arena,
                                .problems = problems,
                                .where = where,
                                .names_are_expressions = names_are_expressions};
    if (text.length == 0 || text.bytes[0] != '/' || text.length > CG_PATTERN_BYTES_MAX) {
        (void)FAIL(&compiler,
                   "`%.*s` is no pattern; expected a path that begins with `/`, up to %d bytes",
                   CG_STR_SHOWN(text), (int)CG_PATTERN_BYTES_MAX);
        return NULL;
    }
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.bytes[i] <= ' ' || text.bytes[i] == 0x7f || text.bytes[i] == '#') {
            (void)FAIL(&compiler,
                       "`%.*s`: no request's path may have a space, a control character or `#`",
                       CG_STR_SHOWN(text));
            return NULL;
        }
    compiler.text = cg_arena_copy(arena, text);
    compiler.pattern = CG_ARENA_NEW(arena, struct cg_pattern);
    compiler.pattern->text = compiler.text;
    size_t mark = cg_str_find(compiler.text, '?');
    if (!compile_path(&compiler, cg_str_sub(compiler.text, 0, mark)) ||
        !compile_query(&compiler, cg_str_skip(compiler.text, mark + 1)))
        return NULL;
    return compiler.pattern;
}

/* ---- use ---- */

bool cg_pattern_match_path(const struct cg_pattern *pattern, const struct cg_path *path,
                           struct cg_str captures[CG_HOLES_MAX])
{
    size_t i = 0;
    for (; i < pattern->segment_count; i++) {
        const struct cg_segment *segment = &pattern->segments[i];
        if (segment->kind == CG_SEGMENT_REST)
            return true;
        if (i >= path->count)
            return false;
        if (segment->kind == CG_SEGMENT_LITERAL && !cg_str_eq(segment->text, path->segments[i]))
            return false;
        if (segment->kind == CG_SEGMENT_HOLE)
            captures[segment->hole] = path->segments[i];
    }
    return i == path->count;
}

bool cg_patterns_overlap(const struct cg_pattern *a, const struct cg_pattern *b)
{
    size_t i = 0;
    for (; i < a->segment_count && i < b->segment_count; i++) {
        const struct cg_segment *x = &a->segments[i], *y = &b->segments[i];
        if (x->kind == CG_SEGMENT_REST || y->kind == CG_SEGMENT_REST)
            return true;
        if (x->kind == CG_SEGMENT_LITERAL && y->kind == CG_SEGMENT_LITERAL &&
            !cg_str_eq(x->text, y->text))
            return false;
    }
    const struct cg_pattern *longer = i < a->segment_count ? a : b;
    return i == longer->segment_count || longer->segments[i].kind == CG_SEGMENT_REST;
}

static struct cg_str normalise_int(struct cg_str value, struct cg_arena *arena)
{
    struct cg_str digits = cg_str_trim(value);
    bool negative = digits.length > 0 && digits.bytes[0] == '-';
    if (digits.length > 0 && (negative || digits.bytes[0] == '+'))
        digits = cg_str_skip(digits, 1);
    for (size_t i = 0; i < digits.length; i++)
        if (!cg_is_digit(digits.bytes[i]))
            return value;
    if (digits.length == 0)
        return value;
    while (digits.length > 1 && digits.bytes[0] == '0')
        digits = cg_str_skip(digits, 1);
    if (!negative || cg_str_eq(digits, CG_STR("0")))
        return digits;
    char *text = cg_arena_alloc(arena, digits.length + 1);
    text[0] = '-';
    memcpy(text + 1, digits.bytes, digits.length);
    return cg_str_of(text, digits.length + 1);
}

static struct cg_str normalise_case(struct cg_str value, struct cg_arena *arena)
{
    char *text = cg_arena_alloc(arena, value.length + 1);
    for (size_t i = 0; i < value.length; i++)
        text[i] = cg_lower(value.bytes[i]);
    return cg_str_of(text, value.length);
}

/* RFC 9562 4: 32 hexadecimal digits; with hyphens or without, in braces or as a URN. */
static struct cg_str normalise_uuid(struct cg_str value, struct cg_arena *arena)
{
    static const struct cg_str urn = {"urn:uuid:", 9};
    struct cg_str rest = value;
    if (cg_str_eq_ci(cg_str_sub(rest, 0, urn.length), urn))
        rest = cg_str_skip(rest, urn.length);
    if (rest.length > 2 && rest.bytes[0] == '{' && rest.bytes[rest.length - 1] == '}')
        rest = cg_str_sub(rest, 1, rest.length - 2);
    char digits[32];
    size_t count = 0;
    for (size_t i = 0; i < rest.length; i++) {
        if (rest.bytes[i] == '-')
            continue;
        if (count == sizeof digits || cg_hex_digit(rest.bytes[i]) < 0)
            return value;
        digits[count++] = cg_lower(rest.bytes[i]);
    }
    if (count != sizeof digits)
        return value;
    char *text = cg_arena_alloc(arena, 36);
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            text[length++] = '-';
        text[length++] = digits[i];
    }
    return cg_str_of(text, length);
}

struct cg_str cg_hole_normalise(enum cg_hole_type type, struct cg_str value, struct cg_arena *arena)
{
    switch (type) {
    case CG_HOLE_TEXT:
        return value;
    case CG_HOLE_INT:
        return normalise_int(value, arena);
    case CG_HOLE_UUID:
        return normalise_uuid(value, arena);
    case CG_HOLE_NOCASE:
        return normalise_case(value, arena);
    }
    return value;
}
