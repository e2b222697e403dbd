#include "cachegate/fields.h"

#include "cachegate/assert.h"

static void grow(struct cg_fields *fields, struct cg_arena *arena)
{
    size_t capacity = fields->capacity == 0 ? 32 : fields->capacity * 2;
    struct cg_field *items = CG_ARENA_RAW_ARRAY(arena, struct cg_field, capacity);
    if (fields->count > 0)
        memcpy(items, fields->items, fields->count * sizeof *items);
    fields->items = items;
    fields->capacity = capacity;
}

bool cg_fields_add(struct cg_fields *fields, struct cg_arena *arena, struct cg_str name,
                   struct cg_str value)
{
    if (fields->count >= CG_FIELDS_MAX)
        return false;
    if (fields->count >= fields->capacity)
        grow(fields, arena);
    CG_ASSERT(fields->count < fields->capacity);
    fields->items[fields->count++] = (struct cg_field){name, value};
    return true;
}

static struct cg_str put(char **at, struct cg_str s)
{
    char *bytes = *at;
    if (s.length > 0)
        memcpy(bytes, s.bytes, s.length);
    *at += s.length;
    return cg_str_of(bytes, s.length);
}

void cg_fields_copy(const struct cg_fields *from, struct cg_arena *arena, struct cg_fields *ret_to)
{
    size_t bytes = 0;
    for (size_t i = 0; i < from->count; i++)
        bytes += from->items[i].name.length + from->items[i].value.length;
    char *at = cg_arena_raw(arena, bytes);
    ret_to->count = from->count;
    ret_to->capacity = from->count + CG_FIELDS_OWN;
    ret_to->items = CG_ARENA_RAW_ARRAY(arena, struct cg_field, ret_to->capacity);
    for (size_t i = 0; i < from->count; i++) {
        ret_to->items[i].name = put(&at, from->items[i].name);
        ret_to->items[i].value = put(&at, from->items[i].value);
    }
}

const struct cg_field *cg_fields_find(const struct cg_fields *fields, struct cg_str name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (cg_str_eq(fields->items[i].name, name))
            return &fields->items[i];
    return NULL;
}

size_t cg_fields_count(const struct cg_fields *fields, struct cg_str name)
{
    size_t count = 0;
    for (size_t i = 0; i < fields->count; i++)
        count += cg_str_eq(fields->items[i].name, name);
    return count;
}

struct cg_str cg_fields_value(const struct cg_fields *fields, struct cg_str name)
{
    const struct cg_field *field = cg_fields_find(fields, name);
    return field == NULL ? (struct cg_str){NULL, 0} : field->value;
}

/* Index of the comma that ends the first member, or the length. A quote that is never closed takes
 * the rest of the value: what follows it must not be read as members of its own. */
static size_t find_member_end(struct cg_str s)
{
    bool quoted = false;
    for (size_t i = 0; i < s.length; i++) {
        char c = s.bytes[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == ',' && !quoted)
            return i;
    }
    return s.length;
}

bool cg_list_next(struct cg_str *rest, struct cg_str *ret_member)
{
    while (rest->length > 0) {
        size_t end = find_member_end(*rest);
        struct cg_str member = cg_str_trim(cg_str_sub(*rest, 0, end));
        *rest = cg_str_skip(*rest, end + 1);
        if (!cg_str_empty(member)) {
            *ret_member = member;
            return true;
        }
    }
    return false;
}

bool cg_fields_next_member(const struct cg_fields *fields, struct cg_str name,
                           struct cg_list_walk *walk, struct cg_str *ret_member)
{
    while (!cg_list_next(&walk->rest, ret_member)) {
        if (walk->started)
            walk->line++;
        walk->started = true;
        while (walk->line < fields->count && !cg_str_eq(fields->items[walk->line].name, name))
            walk->line++;
        if (walk->line >= fields->count)
            return false;
        walk->rest = fields->items[walk->line].value;
    }
    return true;
}

bool cg_fields_has_member(const struct cg_fields *fields, struct cg_str name, struct cg_str member)
{
    struct cg_list_walk walk = {0};
    struct cg_str found;
    while (cg_fields_next_member(fields, name, &walk, &found))
        if (cg_str_eq_ci(found, member))
            return true;
    return false;
}

/* By length first: most names have none of these. */
bool cg_field_is_always_hop_by_hop(struct cg_str name)
{
    switch (name.length) {
    case 2:
        return cg_str_eq_ci(name, CG_STR("te"));
    case 7:
        return cg_str_eq_ci(name, CG_STR("trailer")) || cg_str_eq_ci(name, CG_STR("upgrade"));
    case 10:
        return cg_str_eq_ci(name, CG_STR("connection")) || cg_str_eq_ci(name, CG_STR("keep-alive"));
    case 14:
        return cg_str_eq_ci(name, CG_STR("http2-settings"));
    case 16:
        return cg_str_eq_ci(name, CG_STR("proxy-connection"));
    case 17:
        return cg_str_eq_ci(name, CG_STR("transfer-encoding"));
    }
    return false;
}

bool cg_field_is_hop_by_hop(const struct cg_fields *fields, struct cg_str name)
{
    return cg_field_is_always_hop_by_hop(name) ||
           cg_fields_has_member(fields, CG_STR("connection"), name);
}
