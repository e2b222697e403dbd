#include "cachegate/freshness.h"

#include "cachegate/httpdate.h"

enum {
    MS_PER_S = 1000,
    HEURISTIC_PART = 10, /* RFC 9111 4.2.2: a tenth of the time since Last-Modified */
};

/* Exact for any two readings; 0 when `later` is the earlier one. */
static uint64_t elapsed_ms(int64_t earlier_ms, int64_t later_ms)
{
    return later_ms <= earlier_ms ? 0 : (uint64_t)later_ms - (uint64_t)earlier_ms;
}

/* Dates are whole seconds within the years 0 to 9999, so this cannot overflow. */
static bool read_date_ms(const struct cg_fields *fields, struct cg_str name, int64_t response_at_ms,
                         int64_t *ret_ms)
{
    const struct cg_field *field = cg_fields_find(fields, name);
    int64_t seconds;
    if (field == NULL || !cg_httpdate_parse(field->value, response_at_ms / MS_PER_S, &seconds))
        return false;
    *ret_ms = seconds * MS_PER_S;
    return true;
}

static uint64_t read_age_ms(const struct cg_fields *fields)
{
    struct cg_list_walk walk = {0};
    struct cg_str member;
    uint64_t seconds = 0;
    if (!cg_fields_next_member(fields, CG_STR("age"), &walk, &member))
        return 0;
    for (size_t i = 0; i < member.length; i++)
        if (!cg_is_digit(member.bytes[i]))
            return 0;
    /* Digits that do not fit are an age beyond all lifetimes, not an invalid one (1.2.2). */
    if (!cg_str_to_u64(member, CG_DELTA_SECONDS_MAX, &seconds))
        seconds = CG_DELTA_SECONDS_MAX;
    return seconds * MS_PER_S;
}

uint64_t cg_initial_age_ms(const struct cg_fields *fields, int64_t request_at_ms,
                           int64_t response_at_ms)
{
    int64_t date_ms;
    uint64_t apparent_age_ms = 0;
    if (read_date_ms(fields, CG_STR("date"), response_at_ms, &date_ms))
        apparent_age_ms = elapsed_ms(date_ms, response_at_ms);
    uint64_t corrected_age_ms =
        cg_add_ms(read_age_ms(fields), elapsed_ms(request_at_ms, response_at_ms));
    return apparent_age_ms > corrected_age_ms ? apparent_age_ms : corrected_age_ms;
}

uint64_t cg_current_age_ms(uint64_t initial_age_ms, int64_t stored_at_ms, int64_t now_ms)
{
    return cg_add_ms(initial_age_ms, elapsed_ms(stored_at_ms, now_ms));
}

static uint64_t seconds_to_ms(int64_t seconds)
{
    return seconds <= 0 ? 0 : (uint64_t)seconds * MS_PER_S;
}

bool cg_explicit_lifetime_ms(const struct cg_cache_control *control, const struct cg_fields *fields,
                             int64_t response_at_ms, uint64_t *ret_lifetime_ms)
{
    if (control->has_s_maxage || control->has_max_age) {
        *ret_lifetime_ms =
            seconds_to_ms(control->has_s_maxage ? control->s_maxage_s : control->max_age_s);
        return true;
    }
    if (control->targeted || cg_fields_find(fields, CG_STR("expires")) == NULL)
        return false;
    int64_t expires_ms, date_ms;
    if (!read_date_ms(fields, CG_STR("date"), response_at_ms, &date_ms))
        date_ms = response_at_ms;
    if (!read_date_ms(fields, CG_STR("expires"), response_at_ms, &expires_ms))
        *ret_lifetime_ms = 0;
    else
        *ret_lifetime_ms = elapsed_ms(date_ms, expires_ms);
    return true;
}

bool cg_heuristic_lifetime_ms(const struct cg_fields *fields, int64_t response_at_ms,
                              uint64_t ceiling_ms, uint64_t *ret_lifetime_ms)
{
    int64_t date_ms, modified_ms;
    if (!read_date_ms(fields, CG_STR("last-modified"), response_at_ms, &modified_ms))
        return false;
    if (!read_date_ms(fields, CG_STR("date"), response_at_ms, &date_ms))
        date_ms = response_at_ms;
    uint64_t lifetime_ms = elapsed_ms(modified_ms, date_ms) / HEURISTIC_PART;
    *ret_lifetime_ms = lifetime_ms < ceiling_ms ? lifetime_ms : ceiling_ms;
    return true;
}

struct cg_freshness cg_freshness_of(uint64_t lifetime_ms, uint64_t age_ms)
{
    struct cg_freshness freshness = {.fresh = lifetime_ms > age_ms};
    if (freshness.fresh) {
        freshness.ttl_s = (int64_t)((lifetime_ms - age_ms) / MS_PER_S);
        return freshness;
    }
    freshness.stale_ms = age_ms - lifetime_ms;
    uint64_t stale_s = freshness.stale_ms / MS_PER_S + (freshness.stale_ms % MS_PER_S != 0);
    freshness.ttl_s = stale_s == 0 ? -1 : -(int64_t)stale_s;
    return freshness;
}
