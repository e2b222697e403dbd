#include "cachegate/groups.h"

#include "cachegate/structured.h"
#include "rules/plan_build.h"

static void add(struct cg_groups *groups, struct cg_str name)
{
    size_t place = 0;
    while (place < groups->count && cg_str_cmp(groups->names[place], name) < 0)
        place++;
    if (place < groups->count && cg_str_eq(groups->names[place], name))
        return;
    if (groups->count == CG_GROUPS_MAX || name.length > CG_GROUP_NAME_BYTES_MAX) {
        groups->overflowed = true;
        return;
    }
    for (size_t i = groups->count; i > place; i--)
        groups->names[i] = groups->names[i - 1];
    groups->names[place] = name;
    groups->count++;
}

/* False: the field does not parse, or holds something else than strings. */
static bool is_list_of_strings(struct cg_str value)
{
    struct cg_sf_walk walk = {.rest = value};
    struct cg_sf_value item;
    enum cg_sf_step step;
    while ((step = cg_sf_next_in_list(&walk, &item)) == CG_SF_MEMBER)
        if (item.type != CG_SF_STRING)
            return false;
    return step == CG_SF_END;
}

static void add_strings(struct cg_groups *groups, const struct cg_fields *answer,
                        struct cg_str name, struct cg_arena *arena)
{
    struct cg_str value = cg_sf_join(answer, name, arena);
    struct cg_sf_walk walk = {.rest = value};
    struct cg_sf_value item;
    if (!is_list_of_strings(value)) {
        groups->malformed = true;
        return;
    }
    while (cg_sf_next_in_list(&walk, &item) == CG_SF_MEMBER)
        add(groups, cg_sf_unescape(item.text, arena));
}

/* Up to the next of the two separators, trimmed. False at the end. */
static bool take_word(struct cg_str *rest, char separator, char other, struct cg_str *ret_word)
{
    size_t end = 0;
    if (cg_str_empty(*rest))
        return false;
    while (end < rest->length && rest->bytes[end] != separator && rest->bytes[end] != other)
        end++;
    *ret_word = cg_str_trim(cg_str_sub(*rest, 0, end));
    *rest = cg_str_skip(*rest, end + 1);
    return true;
}

/* Words over all lines of the field; empty ones do not count. */
static void add_words(struct cg_groups *groups, const struct cg_fields *answer, struct cg_str name,
                      char separator, char other)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct cg_str rest = answer->items[i].value, word;
        if (!cg_str_eq(answer->items[i].name, name))
            continue;
        while (take_word(&rest, separator, other, &word))
            if (!cg_str_empty(word))
                add(groups, word);
    }
}

void cg_groups_of(const struct cg_fields *answer, struct cg_arena *arena,
                  struct cg_groups *ret_groups)
{
    *ret_groups = (struct cg_groups){0};
    add_strings(ret_groups, answer, CG_STR("cache-groups"), arena);
    add_words(ret_groups, answer, CG_STR("surrogate-key"), ' ', '\t');
    add_words(ret_groups, answer, CG_STR("cache-tag"), ',', ',');
}

/* Per group: the instance, then the token, in hexadecimal, since fields are text. */
enum { NOTE_HALF = 2 * CG_DIGEST_BYTES, NOTE_ROW = 2 * NOTE_HALF };

static void put_hex(char *to, const uint8_t id[CG_DIGEST_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < CG_DIGEST_BYTES; i++) {
        to[2 * i] = digits[id[i] >> 4];
        to[2 * i + 1] = digits[id[i] & 15];
    }
}

/* What is no digit becomes some token that nothing has: entries are ours, and sealed. */
static void get_hex(const char *from, uint8_t ret_id[CG_DIGEST_BYTES])
{
    for (size_t i = 0; i < CG_DIGEST_BYTES; i++)
        ret_id[i] = (uint8_t)((unsigned)cg_hex_digit(from[2 * i]) << 4 |
                              (unsigned)cg_hex_digit(from[2 * i + 1]));
}

bool cg_group_note_add(const struct cg_instance *instances, const struct cg_version *versions,
                       size_t count, struct cg_arena *arena, struct cg_fields *fields)
{
    char *rows = cg_arena_alloc(arena, count * NOTE_ROW + 1);
    for (size_t i = 0; i < count; i++) {
        put_hex(rows + i * NOTE_ROW, instances[i].id);
        put_hex(rows + i * NOTE_ROW + NOTE_HALF, versions[i].token.bytes);
    }
    return cg_fields_add(fields, arena, CG_STR(CG_GROUP_NOTE), cg_str_of(rows, count * NOTE_ROW));
}

size_t cg_group_note_read(const struct cg_fields *fields,
                          struct cg_instance ret_instances[CG_INSTANCES_MAX],
                          struct cg_token ret_tokens[CG_INSTANCES_MAX])
{
    const struct cg_field *note = cg_fields_find(fields, CG_STR(CG_GROUP_NOTE));
    size_t count = note == NULL ? 0 : note->value.length / NOTE_ROW;
    if (count > CG_INSTANCES_MAX)
        count = CG_INSTANCES_MAX; /* an entry of ours never has more */
    for (size_t i = 0; i < count; i++) {
        get_hex(note->value.bytes + i * NOTE_ROW, ret_instances[i].id);
        get_hex(note->value.bytes + i * NOTE_ROW + NOTE_HALF, ret_tokens[i].bytes);
    }
    return count;
}

void cg_groups_invalidated(struct cg_str method, const struct cg_fields *answer,
                           struct cg_arena *arena, struct cg_groups *ret_groups)
{
    *ret_groups = (struct cg_groups){0};
    if (!cg_method_is_safe(method))
        add_strings(ret_groups, answer, CG_STR("cache-group-invalidation"), arena);
}
