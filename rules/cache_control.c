#include "cachegate/cache_control.h"

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
static void keep_qualified(const struct directive *directive, bool *flag, bool *flag_names_fields)
{
    *flag_names_fields = names_fields(directive) && (!*flag || *flag_names_fields);
    *flag = true;
}

static bool keep_prohibition(const struct directive *directive, struct cg_cache_control *control)
{
    struct cg_str name = directive->name;
    if (cg_str_eq_ci(name, CG_STR("no-store")))
        control->no_store = true;
    else if (cg_str_eq_ci(name, CG_STR("no-cache")))
        keep_qualified(directive, &control->no_cache, &control->no_cache_names_fields);
    else if (cg_str_eq_ci(name, CG_STR("private")))
        keep_qualified(directive, &control->is_private, &control->private_names_fields);
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
