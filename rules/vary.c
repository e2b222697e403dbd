#include "rules/spelling.h"

#include "cachegate/plan.h"

#include <stdlib.h>

enum { CODINGS_MAX = 24 };

/* One member of Accept-Encoding. */
struct coding {
    struct cg_str name; /* lower-case */
    bool refused;       /* q=0 */
};

/* RFC 9110 12.4.2: whether the parameters say q=0, in any of its spellings. */
static bool is_refused(struct cg_str parameters)
{
    struct cg_str rest = parameters, parameter;
    while (cg_str_split(&rest, ';', &parameter)) {
        parameter = cg_str_trim(parameter);
        if (!cg_str_eq_ci(cg_str_sub(parameter, 0, 2), CG_STR("q=")))
            continue;
        struct cg_str weight = cg_str_trim(cg_str_skip(parameter, 2));
        for (size_t i = 0; i < weight.length; i++)
            if (weight.bytes[i] != '0' && weight.bytes[i] != '.')
                return false;
        return !cg_str_empty(weight);
    }
    return false;
}

static struct cg_str lower(struct cg_str s, struct cg_arena *arena)
{
    char *text = cg_arena_alloc(arena, s.length);
    for (size_t i = 0; i < s.length; i++)
        text[i] = cg_lower(s.bytes[i]);
    return cg_str_of(text, s.length);
}

static int compare_codings(const void *a, const void *b)
{
    const struct coding *x = a, *y = b;
    int order = cg_str_cmp(x->name, y->name);
    return order != 0 ? order : (int)x->refused - (int)y->refused;
}

/* Which codings are accepted and which refused, in one order, without weights: browsers that accept
 * the same share a variant. Codings that we do not know stay: the origin may use them. False when
 * there are too many, then the text is taken as it is. */
static bool fold_accept_encoding(struct cg_str value, struct cg_arena *arena,
                                 struct cg_str *ret_folded)
{
    struct coding codings[CODINGS_MAX];
    size_t count = 0;
    struct cg_str rest = value, member;
    while (cg_list_next(&rest, &member)) {
        size_t end = cg_str_find(member, ';');
        if (count == CODINGS_MAX)
            return false;
        struct cg_str name = lower(cg_str_trim(cg_str_sub(member, 0, end)), arena);
        if (cg_str_eq(name, CG_STR("x-gzip")))
            name = CG_STR("gzip"); /* RFC 9110 8.4.1.3 */
        codings[count++] = (struct coding){name, is_refused(cg_str_skip(member, end + 1))};
    }
    if (count > 1)
        qsort(codings, count, sizeof codings[0], compare_codings);
    struct cg_spelling folded;
    cg_spelling_init(&folded, arena, value.length);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && compare_codings(&codings[i - 1], &codings[i]) == 0)
            continue;
        cg_spelling_add(&folded, codings[i].name);
        if (codings[i].refused)
            cg_spelling_add(&folded, CG_STR(";q=0"));
        cg_spelling_add_char(&folded, ',');
    }
    *ret_folded = cg_spelling_str(&folded);
    return true;
}

/* RFC 9110 12.4.2: the weight in its shortest spelling, empty for 1; text that is none stays. */
static struct cg_str shorten_weight(struct cg_str weight)
{
    size_t point = cg_str_find(weight, '.'), end = weight.length;
    for (size_t i = 0; i < weight.length; i++)
        if (i != point && !cg_is_digit(weight.bytes[i]))
            return weight;
    if (point < weight.length) {
        while (end > point + 1 && weight.bytes[end - 1] == '0')
            end--;
        if (end == point + 1)
            end = point;
    }
    weight = cg_str_sub(weight, 0, end);
    return cg_str_eq(weight, CG_STR("1")) ? CG_STR("") : weight;
}

/* Ranges in lower case and weights in their shortest spelling, without spaces. The order stays:
 * some origins take the first of equals. */
static struct cg_str fold_ranges(struct cg_str value, struct cg_arena *arena)
{
    struct cg_spelling folded;
    struct cg_str rest = value, member, part;
    cg_spelling_init(&folded, arena, value.length);
    while (cg_list_next(&rest, &member)) {
        bool is_range = true;
        for (; cg_str_split(&member, ';', &part); is_range = false) {
            part = lower(cg_str_trim(part), arena);
            bool is_weight = part.length > 2 && cg_str_starts_with(part, CG_STR("q="));
            struct cg_str weight = is_weight ? shorten_weight(cg_str_skip(part, 2)) : part;
            if (is_weight && cg_str_empty(weight))
                continue;
            cg_spelling_add(&folded, is_range ? CG_STR("") : CG_STR(";"));
            cg_spelling_add(&folded, is_weight ? CG_STR("q=") : CG_STR(""));
            cg_spelling_add(&folded, weight);
        }
        cg_spelling_add_char(&folded, ',');
    }
    return cg_spelling_str(&folded);
}

/* All lines of the field, trimmed and joined. A hop-by-hop field is as good as not sent: the
 * upstream does not see it. */
static bool join_lines(const struct cg_fields *fields, struct cg_str name, struct cg_arena *arena,
                       struct cg_str *ret_value)
{
    struct cg_spelling joined;
    size_t lines = 0;
    if (cg_fields_find(fields, name) == NULL || cg_field_is_hop_by_hop(fields, name))
        return false;
    cg_spelling_init(&joined, arena, 64);
    for (size_t i = 0; i < fields->count; i++) {
        if (!cg_str_eq(fields->items[i].name, name))
            continue;
        if (lines++ > 0)
            cg_spelling_add(&joined, CG_STR(", "));
        cg_spelling_add(&joined, cg_str_trim(fields->items[i].value));
    }
    *ret_value = cg_spelling_str(&joined);
    return true;
}

struct cg_str cg_vary_signature(struct cg_str names, const struct cg_fields *fields,
                                struct cg_arena *arena)
{
    struct cg_spelling signature;
    struct cg_str rest = names, name;
    cg_spelling_init(&signature, arena, 128);
    while (cg_list_next(&rest, &name)) {
        struct cg_str value = {NULL, 0};
        bool present = join_lines(fields, name, arena, &value);
        if (present && cg_str_eq(name, CG_STR("accept-encoding")))
            (void)fold_accept_encoding(value, arena, &value);
        /* RFC 9110 12.5.2 and 12.5.4: neither languages nor charsets have a case. */
        if (present && (cg_str_eq(name, CG_STR("accept-language")) ||
                        cg_str_eq(name, CG_STR("accept-charset"))))
            value = fold_ranges(value, arena);
        cg_spelling_add_prefixed(&signature, name);
        cg_spelling_add_optional(&signature, present, value);
    }
    return cg_spelling_str(&signature);
}
