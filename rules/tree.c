#include "cachegate/tree.h"

#include <stdarg.h>
#include <stdio.h>

enum { NAME_BYTES_MAX = 64 };

const struct cg_node *cg_node_get(const struct cg_node *map, const char *name)
{
    if (map == NULL || map->kind != CG_NODE_MAP)
        return NULL;
    struct cg_str wanted = cg_str_from(name);
    for (size_t i = 0; i < map->count; i++)
        if (cg_str_eq(map->keys[i]->text, wanted))
            return map->items[i];
    return NULL;
}

const char *cg_node_kind_text(enum cg_node_kind kind)
{
    switch (kind) {
    case CG_NODE_NULL:
        return "nothing";
    case CG_NODE_SCALAR:
        return "text";
    case CG_NODE_LIST:
        return "a list";
    case CG_NODE_MAP:
        return "a map";
    }
    return "nothing";
}

/* ---- problems ---- */

/* The place for one more problem, or NULL when it can only be counted. */
static struct cg_problem *new_problem(struct cg_problems *problems, enum cg_severity severity)
{
    if (problems->count == CG_PROBLEMS_MAX) {
        if (severity == CG_PROBLEM_WARNING)
            return NULL;
        for (size_t i = problems->count; i > 0; i--)
            if (problems->items[i - 1].severity == CG_PROBLEM_WARNING)
                return &problems->items[i - 1];
        return NULL;
    }
    if (problems->count == problems->capacity) {
        size_t capacity = problems->capacity == 0 ? 16 : problems->capacity * 2;
        struct cg_problem *items = CG_ARENA_ARRAY(problems->arena, struct cg_problem, capacity);
        if (problems->count > 0)
            memcpy(items, problems->items, problems->count * sizeof *items);
        problems->items = items;
        problems->capacity = capacity;
    }
    return &problems->items[problems->count++];
}

void cg_problem_add(struct cg_problems *problems, enum cg_severity severity,
                    const struct cg_node *where, const char *format, ...)
{
    if (severity == CG_PROBLEM_ERROR)
        problems->error_count++;
    struct cg_problem *problem = new_problem(problems, severity);
    if (problem == NULL)
        return;
    char text[CG_PROBLEM_BYTES_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t kept = length < 0 ? 0 : (size_t)length;
    if (kept >= sizeof text)
        kept = sizeof text - 1;
    for (size_t i = 0; i < kept; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
    problem->severity = severity;
    problem->file = where == NULL || where->file == NULL ? "" : where->file;
    problem->line = where == NULL ? 0 : where->line;
    problem->path = where == NULL ? (struct cg_str){"", 0} : where->path;
    problem->message = cg_arena_copy(problems->arena, cg_str_of(text, kept));
}

/* ---- names ---- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: a swap of neighbours counts once, the commonest slip of the hand. */
static size_t edit_distance(struct cg_str a, struct cg_str b)
{
    size_t rows[3][NAME_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.length; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.length; j++) {
            char x = cg_lower(a.bytes[i - 1]), y = cg_lower(b.bytes[j - 1]);
            row[j] = smaller(smaller(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == cg_lower(b.bytes[j - 2]) && y == cg_lower(a.bytes[i - 2]))
                row[j] = smaller(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a.length % 3][b.length];
}

const char *cg_nearest_name(struct cg_str name, const char *const *candidates, size_t count)
{
    if (name.length == 0 || name.length > NAME_BYTES_MAX)
        return NULL;
    /* In a very short name two slips leave nothing of it. */
    size_t limit = name.length <= 3 ? 1 : name.length / 3 > 2 ? name.length / 3 : 2;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        struct cg_str candidate = cg_str_from(candidates[i]);
        if (candidate.length > NAME_BYTES_MAX)
            continue;
        size_t distance = edit_distance(name, candidate);
        if (distance > limit || (nearest != NULL && distance == limit))
            continue;
        nearest = candidates[i];
        limit = distance;
    }
    return nearest;
}

/* "a, b, c": cut when it does not fit. */
static void join_names(const char *const *names, size_t count, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++) {
        int length = snprintf(text + used, size - used, "%s%s", i == 0 ? "" : ", ", names[i]);
        used += length < 0 ? 0 : (size_t)length;
    }
}

bool cg_node_known_keys(const struct cg_node *map, const char *const *names, size_t count,
                        struct cg_problems *problems)
{
    bool known = true;
    for (size_t i = 0; map->kind == CG_NODE_MAP && i < map->count; i++) {
        struct cg_str key = map->keys[i]->text;
        size_t j = 0;
        while (j < count && !cg_str_eq(key, cg_str_from(names[j])))
            j++;
        if (j < count)
            continue;
        known = false;
        const char *nearest = cg_nearest_name(key, names, count);
        char all[512];
        join_names(names, count, all, sizeof all);
        if (nearest != NULL)
            cg_problem_add(problems, CG_PROBLEM_ERROR, map->keys[i],
                           "unknown key `%.*s`; did you mean `%s`?", CG_STR_SHOWN(key), nearest);
        else
            cg_problem_add(problems, CG_PROBLEM_ERROR, map->keys[i],
                           "unknown key `%.*s`; expected one of: %s", CG_STR_SHOWN(key), all);
    }
    return known;
}

/* ---- readers ---- */

bool cg_node_expect(const struct cg_node *node, enum cg_node_kind kind,
                    struct cg_problems *problems)
{
    if (node->kind == kind)
        return true;
    if (problems != NULL)
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "expected %s, found %s",
                       cg_node_kind_text(kind), cg_node_kind_text(node->kind));
    return false;
}

bool cg_node_choice(const struct cg_node *node, const char *const *names, size_t count,
                    struct cg_problems *problems, size_t *ret_index)
{
    char all[512];
    join_names(names, count, all, sizeof all);
    if (node->kind != CG_NODE_SCALAR) {
        if (problems != NULL)
            cg_problem_add(problems, CG_PROBLEM_ERROR, node, "expected one of: %s; found %s", all,
                           cg_node_kind_text(node->kind));
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (cg_str_eq(node->text, cg_str_from(names[i]))) {
            *ret_index = i;
            return true;
        }
    if (problems == NULL)
        return false;
    const char *nearest = cg_nearest_name(node->text, names, count);
    if (nearest != NULL)
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "`%.*s`: did you mean `%s`?",
                       CG_STR_SHOWN(node->text), nearest);
    else
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "`%.*s`: expected one of: %s",
                       CG_STR_SHOWN(node->text), all);
    return false;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* The number, and its unit's factor; a bare number counts in `bare`. False on anything else. */
static bool read_quantity(struct cg_str text, const struct unit *units, size_t unit_count,
                          uint64_t bare, uint64_t max, uint64_t *ret_value)
{
    size_t digits = 0;
    while (digits < text.length && cg_is_digit(text.bytes[digits]))
        digits++;
    struct cg_str unit = cg_str_skip(text, digits);
    uint64_t factor = unit.length == 0 ? bare : 0;
    for (size_t i = 0; i < unit_count; i++)
        if (cg_str_eq_ci(unit, cg_str_from(units[i].name)))
            factor = units[i].factor;
    uint64_t number;
    if (factor == 0 || !cg_str_to_u64(cg_str_sub(text, 0, digits), UINT64_MAX, &number))
        return false;
    /* A number beyond all bounds is over the maximum, not a spelling mistake. */
    *ret_value = number > max / factor ? UINT64_MAX : number * factor;
    return true;
}

bool cg_node_duration_ms(const struct cg_node *node, uint64_t max_ms, struct cg_problems *problems,
                         uint64_t *ret_ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    uint64_t value = 0;
    bool valid =
        node->kind == CG_NODE_SCALAR &&
        read_quantity(node->text, units, sizeof units / sizeof *units, 1000, max_ms, &value);
    if (valid && value <= max_ms) {
        *ret_ms = value;
        return true;
    }
    if (problems == NULL)
        return false;
    if (valid)
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "`%.*s` is more than the longest, %llus",
                       CG_STR_SHOWN(node->text), (unsigned long long)(max_ms / 1000));
    else if (node->kind == CG_NODE_SCALAR)
        cg_problem_add(problems, CG_PROBLEM_ERROR, node,
                       "`%.*s` is no duration; expected 250ms, 30s, 5m, 1h or 1d",
                       CG_STR_SHOWN(node->text));
    else
        cg_problem_add(problems, CG_PROBLEM_ERROR, node,
                       "expected a duration (250ms, 30s, 5m, 1h, 1d), found %s",
                       cg_node_kind_text(node->kind));
    return false;
}

bool cg_node_size(const struct cg_node *node, uint64_t max_bytes, struct cg_problems *problems,
                  uint64_t *ret_bytes)
{
    static const struct unit units[] = {{"B", 1},
                                        {"KB", UINT64_C(1) << 10},
                                        {"MB", UINT64_C(1) << 20},
                                        {"GB", UINT64_C(1) << 30},
                                        {"TB", UINT64_C(1) << 40}};
    uint64_t value = 0;
    bool valid =
        node->kind == CG_NODE_SCALAR &&
        read_quantity(node->text, units, sizeof units / sizeof *units, 1, max_bytes, &value);
    if (valid && value <= max_bytes) {
        *ret_bytes = value;
        return true;
    }
    if (problems == NULL)
        return false;
    if (valid)
        cg_problem_add(problems, CG_PROBLEM_ERROR, node,
                       "`%.*s` is more than the largest, %llu bytes", CG_STR_SHOWN(node->text),
                       (unsigned long long)max_bytes);
    else if (node->kind == CG_NODE_SCALAR)
        cg_problem_add(problems, CG_PROBLEM_ERROR, node,
                       "`%.*s` is no size; expected 64KB, 256MB or 1GB", CG_STR_SHOWN(node->text));
    else
        cg_problem_add(problems, CG_PROBLEM_ERROR, node,
                       "expected a size (64KB, 256MB, 1GB), found %s",
                       cg_node_kind_text(node->kind));
    return false;
}

bool cg_node_bool(const struct cg_node *node, struct cg_problems *problems, bool *ret_value)
{
    static const char *const names[2][4] = {{"off", "false", "no", "0"},
                                            {"on", "true", "yes", "1"}};
    if (node->kind == CG_NODE_SCALAR && !node->quoted)
        for (size_t i = 0; i < 4; i++)
            for (size_t value = 0; value < 2; value++)
                if (cg_str_eq_ci(node->text, cg_str_from(names[value][i]))) {
                    *ret_value = value == 1;
                    return true;
                }
    if (problems == NULL)
        return false;
    if (node->kind == CG_NODE_SCALAR && node->quoted)
        cg_problem_add(problems, CG_PROBLEM_ERROR, node,
                       "`%.*s` in quotes is text; expected on or off without quotes",
                       CG_STR_SHOWN(node->text));
    else if (node->kind == CG_NODE_SCALAR)
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "`%.*s`: expected on or off",
                       CG_STR_SHOWN(node->text));
    else
        cg_problem_add(problems, CG_PROBLEM_ERROR, node, "expected on or off, found %s",
                       cg_node_kind_text(node->kind));
    return false;
}
