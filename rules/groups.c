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

void cg_groups_invalidated(struct cg_str method, const struct cg_fields *answer,
                           struct cg_arena *arena, struct cg_groups *ret_groups)
{
    *ret_groups = (struct cg_groups){0};
    if (!cg_method_is_safe(method))
        add_strings(ret_groups, answer, CG_STR("cache-group-invalidation"), arena);
}
