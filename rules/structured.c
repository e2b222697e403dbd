#include "cachegate/structured.h"

#include "rules/spelling.h"

enum {
    INTEGER_DIGITS_MAX = 15,
    WHOLE_DIGITS_MAX = 12, /* of a decimal, before its point */
    FRACTION_DIGITS_MAX = 3,
};

static char first(struct cg_str s)
{
    return cg_str_empty(s) ? '\0' : s.bytes[0];
}

/* Cuts `length` bytes off the front. */
static struct cg_str take(struct cg_str *rest, size_t length)
{
    struct cg_str taken = cg_str_sub(*rest, 0, length);
    *rest = cg_str_skip(*rest, length);
    return taken;
}

static bool take_char(struct cg_str *rest, char c)
{
    if (cg_str_empty(*rest) || rest->bytes[0] != c)
        return false;
    (void)take(rest, 1);
    return true;
}

static void skip_spaces(struct cg_str *rest)
{
    while (take_char(rest, ' '))
        ;
}

static void skip_white_space(struct cg_str *rest)
{
    while (take_char(rest, ' ') || take_char(rest, '\t'))
        ;
}

static size_t count_digits(struct cg_str s)
{
    size_t count = 0;
    while (count < s.length && cg_is_digit(s.bytes[count]))
        count++;
    return count;
}

/* ---- bare items (RFC 8941 3.3) ---- */

static bool take_number(struct cg_str *rest, struct cg_sf_value *value)
{
    struct cg_str whole = *rest;
    bool negative = take_char(rest, '-');
    size_t digits = count_digits(*rest);
    uint64_t number;
    if (digits > INTEGER_DIGITS_MAX ||
        !cg_str_to_u64(take(rest, digits), (uint64_t)INT64_MAX, &number))
        return false;
    value->type = CG_SF_INTEGER;
    value->integer = negative ? -(int64_t)number : (int64_t)number;
    if (!take_char(rest, '.'))
        return true;
    size_t fraction = count_digits(*rest);
    (void)take(rest, fraction);
    value->type = CG_SF_DECIMAL;
    value->integer = 0;
    value->text = cg_str_sub(whole, 0, whole.length - rest->length);
    return digits <= WHOLE_DIGITS_MAX && fraction > 0 && fraction <= FRACTION_DIGITS_MAX;
}

static bool take_string(struct cg_str *rest, struct cg_sf_value *value)
{
    size_t end = 0;
    (void)take(rest, 1);
    for (; end < rest->length && rest->bytes[end] != '"'; end++) {
        unsigned char c = (unsigned char)rest->bytes[end];
        if (c < 0x20 || c >= 0x7f)
            return false;
        if (c != '\\')
            continue;
        end++;
        if (end == rest->length || (rest->bytes[end] != '"' && rest->bytes[end] != '\\'))
            return false;
    }
    if (end == rest->length)
        return false;
    value->type = CG_SF_STRING;
    value->text = take(rest, end);
    (void)take(rest, 1);
    return true;
}

static bool take_token(struct cg_str *rest, struct cg_sf_value *value)
{
    size_t end = 1;
    while (end < rest->length &&
           (cg_is_tchar(rest->bytes[end]) || rest->bytes[end] == ':' || rest->bytes[end] == '/'))
        end++;
    value->type = CG_SF_TOKEN;
    value->text = take(rest, end);
    return true;
}

/* Only the alphabet is looked at: nobody here decodes them. */
static bool take_bytes(struct cg_str *rest, struct cg_sf_value *value)
{
    (void)take(rest, 1);
    size_t end = cg_str_find(*rest, ':');
    if (end == rest->length)
        return false;
    value->type = CG_SF_BYTES;
    value->text = take(rest, end);
    (void)take(rest, 1);
    for (size_t i = 0; i < value->text.length; i++) {
        char c = value->text.bytes[i];
        if (!cg_is_alpha(c) && !cg_is_digit(c) && c != '+' && c != '/' && c != '=')
            return false;
    }
    return true;
}

static bool take_boolean(struct cg_str *rest, struct cg_sf_value *value)
{
    (void)take(rest, 1);
    value->type = CG_SF_BOOLEAN;
    value->boolean = first(*rest) == '1';
    return take_char(rest, '0') || take_char(rest, '1');
}

static bool take_bare_item(struct cg_str *rest, struct cg_sf_value *value)
{
    char c = first(*rest);
    *value = (struct cg_sf_value){0};
    if (c == '-' || cg_is_digit(c))
        return take_number(rest, value);
    if (c == '"')
        return take_string(rest, value);
    if (c == '*' || cg_is_alpha(c))
        return take_token(rest, value);
    if (c == ':')
        return take_bytes(rest, value);
    return c == '?' && take_boolean(rest, value);
}

/* ---- what is made of them ---- */

static bool take_key(struct cg_str *rest, struct cg_str *ret_key)
{
    size_t end = 0;
    for (; end < rest->length; end++) {
        char c = rest->bytes[end];
        bool starts = (c >= 'a' && c <= 'z') || c == '*';
        bool follows = cg_is_digit(c) || c == '_' || c == '-' || c == '.';
        if (!starts && (end == 0 || !follows))
            break;
    }
    *ret_key = take(rest, end);
    return end > 0;
}

static bool skip_parameters(struct cg_str *rest)
{
    struct cg_str key;
    struct cg_sf_value value;
    while (take_char(rest, ';')) {
        skip_spaces(rest);
        if (!take_key(rest, &key))
            return false;
        if (take_char(rest, '=') && !take_bare_item(rest, &value))
            return false;
    }
    return true;
}

static bool take_inner_list(struct cg_str *rest, struct cg_sf_value *value)
{
    struct cg_str whole = *rest;
    struct cg_sf_value item;
    (void)take(rest, 1);
    for (;;) {
        skip_spaces(rest);
        if (take_char(rest, ')'))
            break;
        if (!take_bare_item(rest, &item) || !skip_parameters(rest))
            return false;
        if (first(*rest) != ' ' && first(*rest) != ')')
            return false;
    }
    *value = (struct cg_sf_value){
        .type = CG_SF_INNER_LIST,
        .text = cg_str_sub(whole, 0, whole.length - rest->length),
    };
    return true;
}

static bool take_member(struct cg_str *rest, struct cg_sf_value *value)
{
    bool taken = first(*rest) == '(' ? take_inner_list(rest, value) : take_bare_item(rest, value);
    return taken && skip_parameters(rest);
}

/* What stands before a member: nothing, or a comma. MEMBER when one must follow. */
static enum cg_sf_step begin_member(struct cg_sf_walk *walk)
{
    struct cg_str *rest = &walk->rest;
    bool is_first = !walk->started;
    walk->started = true;
    if (is_first) {
        skip_spaces(rest);
        return cg_str_empty(*rest) ? CG_SF_END : CG_SF_MEMBER;
    }
    skip_white_space(rest);
    if (cg_str_empty(*rest))
        return CG_SF_END;
    if (!take_char(rest, ','))
        return CG_SF_MALFORMED;
    skip_white_space(rest);
    return cg_str_empty(*rest) ? CG_SF_MALFORMED : CG_SF_MEMBER;
}

enum cg_sf_step cg_sf_next_in_list(struct cg_sf_walk *walk, struct cg_sf_value *ret_value)
{
    enum cg_sf_step step = begin_member(walk);
    if (step == CG_SF_MEMBER && !take_member(&walk->rest, ret_value))
        return CG_SF_MALFORMED;
    return step;
}

enum cg_sf_step cg_sf_next_in_dictionary(struct cg_sf_walk *walk, struct cg_str *ret_key,
                                         struct cg_sf_value *ret_value)
{
    enum cg_sf_step step = begin_member(walk);
    if (step != CG_SF_MEMBER)
        return step;
    if (!take_key(&walk->rest, ret_key))
        return CG_SF_MALFORMED;
    if (take_char(&walk->rest, '='))
        return take_member(&walk->rest, ret_value) ? CG_SF_MEMBER : CG_SF_MALFORMED;
    *ret_value = (struct cg_sf_value){.type = CG_SF_BOOLEAN, .boolean = true};
    return skip_parameters(&walk->rest) ? CG_SF_MEMBER : CG_SF_MALFORMED;
}

struct cg_str cg_sf_join(const struct cg_fields *fields, struct cg_str name, struct cg_arena *arena)
{
    struct cg_spelling joined;
    bool begun = false;
    if (cg_fields_count(fields, name) <= 1)
        return cg_fields_value(fields, name);
    cg_spelling_init(&joined, arena, 128);
    for (size_t i = 0; i < fields->count; i++) {
        if (!cg_str_eq(fields->items[i].name, name))
            continue;
        cg_spelling_add(&joined, begun ? CG_STR(", ") : CG_STR(""));
        cg_spelling_add(&joined, fields->items[i].value);
        begun = true;
    }
    return cg_spelling_str(&joined);
}

struct cg_str cg_sf_unescape(struct cg_str text, struct cg_arena *arena)
{
    if (cg_str_find(text, '\\') == text.length)
        return text;
    char *plain = cg_arena_alloc(arena, text.length);
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.bytes[i] == '\\' && i + 1 < text.length)
            i++;
        plain[length++] = text.bytes[i];
    }
    return cg_str_of(plain, length);
}
