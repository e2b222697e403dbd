#include "cachegate/cache_control.h"

#include "cachegate/structured.h"

/* One directive, taken apart. */
struct directive {
    struct cg_str name;
    struct cg_str argument; /* without its quotes; escapes are left in */
    bool has_argument;
    bool quoted;
};

/* `token [ "=" ( token / quoted-string ) ]`. False when a quote is open or stands elsewhere. */
static bool take_apart(struct cg_str member, struct directive *ret)
{
    size_t equals = cg_str_find(member, '=');
    *ret = (struct directive){
        .name = cg_str_trim(cg_str_sub(member, 0, equals)),
        .argument = cg_str_skip(member, equals + 1),
        .has_argument = equals < member.length,
    };
    if (cg_str_find(ret->name, '"') < ret->name.length)
        return false;
    struct cg_str argument = ret->argument;
    size_t quote = cg_str_find(argument, '"');
    if (quote == argument.length)
        return true;
    if (quote != 0)
        return false;
    size_t end = 1;
    while (end < argument.length && argument.bytes[end] != '"')
        end += argument.bytes[end] == '\\' ? 2 : 1;
    if (end + 1 != argument.length)
        return false;
    ret->argument = cg_str_sub(argument, 1, end - 1);
    ret->quoted = true;
    return true;
}

/* Seconds, cut at the maximum; -1 when malformed or missing. */
static int64_t seconds_of(const struct directive *directive)
{
    uint64_t seconds;
    struct cg_str digits = directive->argument;
    if (cg_str_to_u64(digits, (uint64_t)CG_DELTA_SECONDS_MAX, &seconds))
        return (int64_t)seconds;
    for (size_t i = 0; i < digits.length; i++)
        if (!cg_is_digit(digits.bytes[i]))
            return -1;
    return cg_str_empty(digits) ? -1 : CG_DELTA_SECONDS_MAX;
}

/* A lifetime or window: the smallest counts, a malformed one is 0. */
static void keep_smallest(const struct directive *directive, bool *has, int64_t *value)
{
    int64_t seconds = seconds_of(directive);
    if (seconds < 0)
        seconds = 0;
    if (!*has || seconds < *value)
        *value = seconds;
    *has = true;
}

/* What a client asks for at least: the largest counts, a malformed one says nothing. */
static void keep_largest(const struct directive *directive, bool *has, int64_t *value)
{
    int64_t seconds = seconds_of(directive);
    if (seconds < 0)
        return;
    if (!*has || seconds > *value)
        *value = seconds;
    *has = true;
}

/* Whether the argument is a list of field names. */
static bool names_fields(const struct directive *directive)
{
    struct cg_str rest = directive->argument, name;
    size_t count = 0;
    if (!directive->quoted)
        return cg_is_token(rest);
    for (; cg_list_next(&rest, &name); count++)
        if (!cg_is_token(name))
            return false;
    return count > 0;
}

/* The qualified form limits the directive only if no unqualified one stands beside it. */
static void keep_qualified(const struct directive *directive, bool *flag, bool *flag_names_fields,
                           struct cg_name_lists *lists)
{
    bool qualified = names_fields(directive) && lists->count < CG_NAME_LISTS_MAX;
    *flag_names_fields = qualified && (!*flag || *flag_names_fields);
    *flag = true;
    if (*flag_names_fields)
        lists->items[lists->count++] = directive->argument;
    else
        lists->count = 0;
}

static bool keep_prohibition(const struct directive *directive, struct cg_cache_control *control)
{
    struct cg_str name = directive->name;
    if (cg_str_eq_ci(name, CG_STR("no-store")))
        control->no_store = true;
    else if (cg_str_eq_ci(name, CG_STR("no-cache")))
        keep_qualified(directive, &control->no_cache, &control->no_cache_names_fields,
                       &control->no_cache_names);
    else if (cg_str_eq_ci(name, CG_STR("private")))
        keep_qualified(directive, &control->is_private, &control->private_names_fields,
                       &control->private_names);
    else if (cg_str_eq_ci(name, CG_STR("must-revalidate")))
        control->must_revalidate = true;
    else if (cg_str_eq_ci(name, CG_STR("proxy-revalidate")))
        control->proxy_revalidate = true;
    else if (cg_str_eq_ci(name, CG_STR("no-transform")))
        control->no_transform = true;
    else if (cg_str_eq_ci(name, CG_STR("only-if-cached")))
        control->only_if_cached = true;
    else
        return false;
    return true;
}

static bool keep_seconds(const struct directive *directive, struct cg_cache_control *control)
{
    struct cg_str name = directive->name;
    if (cg_str_eq_ci(name, CG_STR("max-age")))
        keep_smallest(directive, &control->has_max_age, &control->max_age_s);
    else if (cg_str_eq_ci(name, CG_STR("s-maxage")))
        keep_smallest(directive, &control->has_s_maxage, &control->s_maxage_s);
    else if (cg_str_eq_ci(name, CG_STR("stale-while-revalidate")))
        keep_smallest(directive, &control->has_swr, &control->stale_while_revalidate_s);
    else if (cg_str_eq_ci(name, CG_STR("stale-if-error")))
        keep_smallest(directive, &control->has_sie, &control->stale_if_error_s);
    else if (cg_str_eq_ci(name, CG_STR("max-stale")) && directive->has_argument)
        keep_smallest(directive, &control->has_max_stale, &control->max_stale_s);
    else if (cg_str_eq_ci(name, CG_STR("min-fresh")))
        keep_largest(directive, &control->has_min_fresh, &control->min_fresh_s);
    else
        return false;
    return true;
}

/* What allows more takes no argument; with one it is some other directive, and ignored. */
static void keep_permission(const struct directive *directive, struct cg_cache_control *control)
{
    struct cg_str name = directive->name;
    if (directive->has_argument)
        return;
    if (cg_str_eq_ci(name, CG_STR("public"))) {
        control->is_public = true;
    } else if (cg_str_eq_ci(name, CG_STR("must-understand"))) {
        control->must_understand = true;
    } else if (cg_str_eq_ci(name, CG_STR("immutable"))) {
        control->immutable = true;
    } else if (cg_str_eq_ci(name, CG_STR("max-stale")) && !control->has_max_stale) {
        control->has_max_stale = true;
        control->max_stale_s = CG_DELTA_SECONDS_MAX;
    }
}

/* False when the member cannot be read. */
static bool keep_member(struct cg_str member, struct cg_cache_control *control)
{
    struct directive directive;
    if (!take_apart(member, &directive))
        return false;
    if (!keep_prohibition(&directive, control) && !keep_seconds(&directive, control))
        keep_permission(&directive, control);
    return true;
}

/* must-understand would lift the no-store again (RFC 9111 5.2.2.3). */
static void forbid_storing(struct cg_cache_control *control)
{
    control->no_store = true;
    control->must_understand = false;
}

void cg_cache_control_parse(const struct cg_fields *fields, struct cg_str name,
                            struct cg_cache_control *ret_control)
{
    struct cg_list_walk walk = {0};
    struct cg_str member;
    bool readable = true;
    *ret_control = (struct cg_cache_control){0};
    while (cg_fields_next_member(fields, name, &walk, &member))
        readable = keep_member(member, ret_control) && readable;
    if (!readable)
        forbid_storing(ret_control);
}

void cg_cache_control_parse_value(struct cg_str value, struct cg_cache_control *ret_control)
{
    struct cg_field item = {CG_STR("cache-control"), value};
    struct cg_fields fields = {.items = &item, .count = 1, .capacity = 1};
    cg_cache_control_parse(&fields, item.name, ret_control);
}

bool cg_name_lists_have(const struct cg_name_lists *lists, struct cg_str name)
{
    for (size_t i = 0; i < lists->count; i++) {
        struct cg_str rest = lists->items[i], item;
        while (cg_list_next(&rest, &item))
            if (cg_str_eq_ci(item, name))
                return true;
    }
    return false;
}

/* ---- targeted fields (RFC 9213) ---- */

static void set_seconds(int64_t seconds, bool *has, int64_t *value)
{
    *has = true;
    *value = seconds < 0 ? 0 : seconds > CG_DELTA_SECONDS_MAX ? CG_DELTA_SECONDS_MAX : seconds;
}

/* The directives that take seconds. False when `key` is another one. */
static bool find_seconds(struct cg_str key, struct cg_cache_control *control, bool **ret_has,
                         int64_t **ret_value)
{
    const struct {
        struct cg_str name;
        bool *has;
        int64_t *value;
    } rows[] = {
        {CG_STR("max-age"), &control->has_max_age, &control->max_age_s},
        {CG_STR("s-maxage"), &control->has_s_maxage, &control->s_maxage_s},
        {CG_STR("stale-while-revalidate"), &control->has_swr, &control->stale_while_revalidate_s},
        {CG_STR("stale-if-error"), &control->has_sie, &control->stale_if_error_s},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (cg_str_eq(rows[i].name, key)) {
            *ret_has = rows[i].has;
            *ret_value = rows[i].value;
            return true;
        }
    return false;
}

static bool *find_flag(struct cg_str key, struct cg_cache_control *control)
{
    const struct {
        struct cg_str name;
        bool *flag;
    } rows[] = {
        {CG_STR("no-store"), &control->no_store},
        {CG_STR("must-revalidate"), &control->must_revalidate},
        {CG_STR("proxy-revalidate"), &control->proxy_revalidate},
        {CG_STR("must-understand"), &control->must_understand},
        {CG_STR("no-transform"), &control->no_transform},
        {CG_STR("public"), &control->is_public},
        {CG_STR("immutable"), &control->immutable},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (cg_str_eq(rows[i].name, key))
            return rows[i].flag;
    return NULL;
}

/* no-cache and private: true, or text that names fields. The last one counts (RFC 8941 3.2). */
static bool set_qualified(const struct cg_sf_value *value, bool *flag, bool *flag_names_fields,
                          struct cg_name_lists *lists)
{
    struct directive directive = {.argument = value->text, .quoted = value->type == CG_SF_STRING};
    *flag = *flag_names_fields = false;
    lists->count = 0;
    if (value->type == CG_SF_BOOLEAN) {
        *flag = value->boolean;
        return true;
    }
    if (value->type != CG_SF_STRING && value->type != CG_SF_TOKEN)
        return false;
    keep_qualified(&directive, flag, flag_names_fields, lists);
    return true;
}

/* False when the directive does not take a value of that type. */
static bool set_targeted(struct cg_str key, const struct cg_sf_value *value,
                         struct cg_cache_control *control)
{
    bool *flag = find_flag(key, control), *has;
    int64_t *seconds;
    if (cg_str_eq(key, CG_STR("no-cache")))
        return set_qualified(value, &control->no_cache, &control->no_cache_names_fields,
                             &control->no_cache_names);
    if (cg_str_eq(key, CG_STR("private")))
        return set_qualified(value, &control->is_private, &control->private_names_fields,
                             &control->private_names);
    if (find_seconds(key, control, &has, &seconds)) {
        set_seconds(value->integer, has, seconds);
        return value->type == CG_SF_INTEGER;
    }
    if (flag == NULL)
        return true;
    *flag = value->boolean;
    return value->type == CG_SF_BOOLEAN;
}

/* False: not sent, empty, or not to be used (RFC 9213 2.1). */
static bool parse_targeted(const struct cg_fields *fields, struct cg_str name,
                           struct cg_arena *arena, struct cg_cache_control *control)
{
    struct cg_sf_walk walk = {0};
    struct cg_sf_value value;
    struct cg_str key;
    enum cg_sf_step step;
    size_t members = 0;
    if (cg_fields_find(fields, name) == NULL)
        return false;
    *control = (struct cg_cache_control){.targeted = true};
    walk.rest = cg_sf_join(fields, name, arena);
    for (; (step = cg_sf_next_in_dictionary(&walk, &key, &value)) == CG_SF_MEMBER; members++)
        if (!set_targeted(key, &value, control))
            return false;
    return step == CG_SF_END && members > 0;
}

void cg_cache_control_of_answer(const struct cg_fields *fields, struct cg_arena *arena,
                                struct cg_cache_control *ret_control)
{
    static const struct cg_str targets[] = {
        {"cachegate-cache-control", 23},
        {"cdn-cache-control", 17},
        {"surrogate-control", 17},
    };
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        if (parse_targeted(fields, targets[i], arena, ret_control))
            return;
    cg_cache_control_parse(fields, CG_STR("cache-control"), ret_control);
}
