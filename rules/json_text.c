#include "cachegate/json_text.h"

#include "cachegate/assert.h"

#include <jansson.h>

enum { INDEX_DIGITS_MAX = 9 };

const char *cg_json_outcome_text(enum cg_json_outcome outcome)
{
    switch (outcome) {
    case CG_JSON_FOUND:
        return "the value was found";
    case CG_JSON_NOT_JSON:
        return "the body is not JSON that can be read in one way only";
    case CG_JSON_TOO_DEEP:
        return "the JSON body is nested too deep";
    case CG_JSON_NOT_FOUND:
        return "the JSON body has nothing there";
    case CG_JSON_UNCLEAR:
        return "the JSON body has something else than one text, integer or boolean there";
    case CG_JSON_TOO_MANY:
        return "the JSON body has too many values there";
    }
    CG_UNREACHABLE();
}

/* Counted before parsing, because the parser recurses. Brackets in strings do not count. */
static bool is_deeper_than(struct cg_str body, size_t depth_max)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < body.length; i++) {
        char c = body.bytes[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '[' || c == '{') && ++depth > depth_max)
            return true;
        else if (!quoted && (c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return false;
}

enum cg_json_outcome cg_json_parse(struct cg_str body, size_t depth_max, struct cg_json *ret_json)
{
    ret_json->root = NULL;
    if (is_deeper_than(body, depth_max))
        return CG_JSON_TOO_DEEP;
    if (cg_str_empty(body))
        return CG_JSON_NOT_JSON;
    ret_json->root =
        json_loadb(body.bytes, body.length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    return ret_json->root == NULL ? CG_JSON_NOT_JSON : CG_JSON_FOUND;
}

void cg_json_free(struct cg_json *json)
{
    json_decref(json->root);
    json->root = NULL;
}

enum step_kind { STEP_NAME, STEP_INDEX, STEP_EACH };

struct step {
    enum step_kind kind;
    struct cg_str name;
    size_t index;
};

static bool is_name_byte(char c)
{
    struct cg_str excluded = CG_STR(".[]{}\"\\");
    unsigned char byte = (unsigned char)c;
    return byte > 0x20 && byte != 0x7f && cg_str_find(excluded, c) == excluded.length;
}

/* `[*]` or `[7]`, cut off `*rest`, which starts with the bracket. */
static bool take_index(struct cg_str *rest, struct step *ret_step)
{
    size_t end = cg_str_find(*rest, ']');
    if (end == rest->length)
        return false;
    struct cg_str text = cg_str_sub(*rest, 1, end - 1);
    uint64_t index = 0;
    *rest = cg_str_skip(*rest, end + 1);
    if (cg_str_eq(text, CG_STR("*"))) {
        *ret_step = (struct step){.kind = STEP_EACH};
        return true;
    }
    if (text.length > INDEX_DIGITS_MAX || !cg_str_to_u64(text, UINT32_MAX, &index))
        return false;
    *ret_step = (struct step){.kind = STEP_INDEX, .index = (size_t)index};
    return true;
}

static bool take_name(struct cg_str *rest, struct step *ret_step)
{
    size_t length = 0;
    while (length < rest->length && is_name_byte(rest->bytes[length]))
        length++;
    *ret_step = (struct step){.kind = STEP_NAME, .name = cg_str_sub(*rest, 0, length)};
    *rest = cg_str_skip(*rest, length);
    return length > 0;
}

/* The number of steps, or 0 when the path is not valid. */
static size_t parse_path(struct cg_str path, struct step steps[CG_JSON_PATH_STEPS_MAX])
{
    size_t count = 0;
    while (!cg_str_empty(path) && count < CG_JSON_PATH_STEPS_MAX) {
        bool dotted = count > 0 && path.bytes[0] == '.';
        if (dotted)
            path = cg_str_skip(path, 1);
        bool bracketed = !cg_str_empty(path) && path.bytes[0] == '[';
        /* A name follows a dot or begins the path, an index follows directly. */
        if (bracketed == dotted && count > 0)
            return 0;
        if (!(bracketed ? take_index(&path, &steps[count]) : take_name(&path, &steps[count])))
            return 0;
        count++;
    }
    return cg_str_empty(path) ? count : 0;
}

bool cg_json_path_valid(struct cg_str path)
{
    struct step steps[CG_JSON_PATH_STEPS_MAX];
    return parse_path(path, steps) > 0;
}

struct selection {
    const struct step *steps;
    size_t steps_count;
    struct cg_arena *arena;
    struct cg_str *values;
    size_t values_max;
    size_t count;
};

/* False when the value has no text. */
static bool print_scalar(const json_t *value, struct cg_arena *arena, struct cg_str *ret_text)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        *ret_text =
            cg_arena_copy(arena, cg_str_of(json_string_value(value), json_string_length(value)));
        return true;
    case JSON_INTEGER:
        *ret_text = cg_arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return true;
    case JSON_TRUE:
        *ret_text = CG_STR("true");
        return true;
    case JSON_FALSE:
        *ret_text = CG_STR("false");
        return true;
    case JSON_REAL: /* 0.1 and 0.10 are one number and two spellings: which stands in URLs? */
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        return false;
    }
    return false;
}

static enum cg_json_outcome add_value(const json_t *value, struct selection *selection)
{
    struct cg_str text;
    if (json_is_null(value))
        return CG_JSON_NOT_FOUND;
    if (!print_scalar(value, selection->arena, &text))
        return CG_JSON_UNCLEAR;
    if (selection->count == selection->values_max)
        return CG_JSON_TOO_MANY;
    selection->values[selection->count++] = text;
    return CG_JSON_FOUND;
}

/* Recurses once for each step of the path, so at most CG_JSON_PATH_STEPS_MAX deep. */
static enum cg_json_outcome select_from(const json_t *value, size_t step_index,
                                        struct selection *selection)
{
    enum cg_json_outcome outcome = CG_JSON_FOUND;
    if (value == NULL)
        return CG_JSON_NOT_FOUND;
    if (step_index == selection->steps_count)
        return add_value(value, selection);
    const struct step *step = &selection->steps[step_index];
    switch (step->kind) {
    case STEP_NAME:
        return select_from(json_object_getn(value, step->name.bytes, step->name.length),
                           step_index + 1, selection);
    case STEP_INDEX:
        return select_from(json_array_get(value, step->index), step_index + 1, selection);
    case STEP_EACH:
        if (!json_is_array(value))
            return json_is_null(value) ? CG_JSON_NOT_FOUND : CG_JSON_UNCLEAR;
        for (size_t i = 0; i < json_array_size(value) && outcome == CG_JSON_FOUND; i++)
            outcome = select_from(json_array_get(value, i), step_index + 1, selection);
        /* What one element lacks others may have: the list as a whole does not say no. */
        return outcome == CG_JSON_NOT_FOUND ? CG_JSON_UNCLEAR : outcome;
    }
    CG_UNREACHABLE();
}

enum cg_json_outcome cg_json_select(const struct cg_json *json, struct cg_str path,
                                    struct cg_arena *arena, struct cg_str *values,
                                    size_t values_max, size_t *ret_count)
{
    struct step steps[CG_JSON_PATH_STEPS_MAX];
    struct selection selection = {
        .steps = steps,
        .steps_count = parse_path(path, steps),
        .arena = arena,
        .values = values,
        .values_max = values_max,
    };
    *ret_count = 0;
    if (selection.steps_count == 0)
        return CG_JSON_NOT_FOUND;
    enum cg_json_outcome outcome = select_from(json->root, 0, &selection);
    if (outcome == CG_JSON_FOUND)
        *ret_count = selection.count;
    return outcome;
}
