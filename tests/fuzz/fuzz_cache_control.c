/* Seconds stay in their range, and adding a prohibition is never overheard. */
#include "cachegate/assert.h"
#include "cachegate/cache_control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_seconds(bool has, int64_t seconds)
{
    CG_ASSERT(seconds >= 0 && seconds <= CG_DELTA_SECONDS_MAX);
    CG_ASSERT(has || seconds == 0);
}

static void check_all(const struct cg_cache_control *control)
{
    check_seconds(control->has_max_age, control->max_age_s);
    check_seconds(control->has_s_maxage, control->s_maxage_s);
    check_seconds(control->has_swr, control->stale_while_revalidate_s);
    check_seconds(control->has_sie, control->stale_if_error_s);
    check_seconds(control->has_max_stale, control->max_stale_s);
    check_seconds(control->has_min_fresh, control->min_fresh_s);
    CG_ASSERT(control->no_cache || !control->no_cache_names_fields);
    CG_ASSERT(control->is_private || !control->private_names_fields);
    CG_ASSERT((control->no_cache_names.count > 0) == control->no_cache_names_fields);
    CG_ASSERT((control->private_names.count > 0) == control->private_names_fields);
}

/* A targeted field is used whole or not at all. */
static void check_targeted(struct cg_str value)
{
    struct cg_field items[] = {
        {CG_STR("cdn-cache-control"), value},
        {CG_STR("cache-control"), CG_STR("no-store")},
    };
    struct cg_fields fields = {.items = items, .count = 2, .capacity = 2};
    struct cg_cache_control control;
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 20);
    cg_cache_control_of_answer(&fields, &arena, &control);
    check_all(&control);
    CG_ASSERT(control.targeted || control.no_store);
    cg_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_cache_control control;
    struct cg_field items[] = {
        {CG_STR("cache-control"), cg_str_of((const char *)data, size)},
        {CG_STR("cache-control"), CG_STR("no-store, private")},
    };
    struct cg_fields fields = {.items = items, .count = 2, .capacity = 2};
    cg_cache_control_parse_value(items[0].value, &control);
    check_all(&control);
    check_targeted(items[0].value);
    cg_cache_control_parse(&fields, items[0].name, &control);
    CG_ASSERT(control.no_store && control.is_private && !control.private_names_fields);
    return 0;
}
