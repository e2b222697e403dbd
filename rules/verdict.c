#include "cachegate/verdict.h"

#include "cachegate/cache_control.h"
#include "cachegate/freshness.h"
#include "cachegate/validator.h"
#include "cachegate/wishes.h"

static struct cg_verdict miss(enum cg_reason reason)
{
    return (struct cg_verdict){.kind = CG_VERDICT_MISS, .reason = reason};
}

static bool any_busy(const struct cg_version *versions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (versions[i].state == CG_VERSION_BUSY)
            return true;
    return false;
}

/* The same instances in the same order, each under the token that is current now. An instance that
 * the rules added or dropped since makes the entry as dead as a purge does. */
static bool versions_hold(const struct cg_entry *entry, const struct cg_plan *plan,
                          const struct cg_version *versions)
{
    if (entry->instance_count != plan->instance_count)
        return false;
    for (size_t i = 0; i < plan->instance_count; i++)
        if (versions[i].state != CG_VERSION_CURRENT ||
            !cg_instance_eq(&entry->instances[i], &plan->instances[i]) ||
            !cg_token_eq(&entry->tokens[i], &versions[i].token))
            return false;
    return true;
}

static bool is_banned(const struct cg_entry *entry, const struct cg_plan *plan,
                      struct cg_epoch epoch, const struct cg_bans *bans)
{
    /* Nothing was banned since: the usual case, without a walk over the list. */
    if (cg_epoch_eq(entry->epoch, epoch))
        return false;
    /* A list that does not reach up to the epoch cannot acquit (CONSISTENCY row 9). */
    if (bans == NULL || !cg_epoch_eq(cg_bans_epoch(bans), epoch))
        return true;
    return cg_bans_cover(bans, entry->epoch, &plan->path, &plan->query, plan->identity.user);
}

/* RFC 9110 13.2.1: an origin ignores conditions where it would not answer 2xx. */
static bool can_be_asked_about(const struct cg_entry *entry)
{
    return entry->status >= 200 && entry->status < 300 &&
           cg_has_validator(&entry->fields, entry->stored_at_ms);
}

/* It says that waiting for another's fetch is of no use, and nothing else. */
static struct cg_verdict judge_pass_marker(const struct cg_entry *entry, int64_t now_ms)
{
    int64_t age_ms = now_ms - entry->stored_at_ms;
    bool holds = age_ms >= 0 && (uint64_t)age_ms < entry->lifetime_ms;
    return miss(holds ? CG_REASON_HIT_FOR_MISS : CG_REASON_ABSENT);
}

static struct cg_verdict judge_age(const struct cg_entry *entry, int64_t now_ms)
{
    uint64_t age_ms = cg_current_age_ms(entry->initial_age_ms, entry->stored_at_ms, now_ms);
    struct cg_freshness freshness = cg_freshness_of(entry->lifetime_ms, age_ms);
    struct cg_verdict verdict = {
        .kind = CG_VERDICT_HIT,
        .reason = CG_REASON_FRESH,
        .age_s = age_ms / 1000,
        .ttl_s = freshness.ttl_s,
        .alive = true,
    };
    if (freshness.fresh)
        return verdict;
    verdict.may_validate = can_be_asked_about(entry);
    bool may_be_stale = !entry->must_revalidate;
    if (may_be_stale && freshness.stale_ms < entry->stale_while_revalidate_ms) {
        verdict.kind = CG_VERDICT_STALE;
        verdict.reason = CG_REASON_STALE_WHILE_REVALIDATE;
        return verdict;
    }
    verdict.kind = CG_VERDICT_MISS;
    verdict.reason = CG_REASON_EXPIRED;
    verdict.usable_if_error = may_be_stale && freshness.stale_ms < entry->stale_if_error_ms;
    return verdict;
}

struct cg_verdict cg_verdict_of(const struct cg_entry *entry, const struct cg_plan *plan,
                                struct cg_str variant, const struct cg_version *versions,
                                struct cg_epoch epoch, const struct cg_bans *bans, int64_t now_ms)
{
    if (any_busy(versions, plan->instance_count))
        return (struct cg_verdict){.kind = CG_VERDICT_PASS, .reason = CG_REASON_WRITE_IN_FLIGHT};
    if (entry == NULL)
        return miss(CG_REASON_ABSENT);
    if (!cg_str_eq(entry->canonical, plan->canonical))
        return miss(CG_REASON_MISMATCH);
    bool is_marker = entry->kind == CG_ENTRY_VARY && cg_str_empty(variant);
    if (!is_marker && (entry->kind == CG_ENTRY_VARY || !cg_str_eq(entry->variant, variant)))
        return miss(CG_REASON_VARY);
    if (!versions_hold(entry, plan, versions))
        return miss(CG_REASON_PURGED);
    if (is_banned(entry, plan, epoch, bans))
        return miss(CG_REASON_BANNED);
    /* A marker outlives its time: the variants behind it have times of their own. */
    if (is_marker)
        return (struct cg_verdict){.kind = CG_VERDICT_SELECT, .reason = CG_REASON_VARY};
    if (entry->kind == CG_ENTRY_PASS)
        return judge_pass_marker(entry, now_ms);
    return judge_age(entry, now_ms);
}

/* ---- what the client wishes (RFC 9111 5.2.1) ---- */

static bool accepts_stale(const struct cg_verdict *verdict, const struct cg_entry *entry,
                          const struct cg_wishes *wishes)
{
    return verdict->alive && verdict->kind == CG_VERDICT_MISS && !entry->must_revalidate &&
           wishes->has_max_stale && -verdict->ttl_s <= wishes->max_stale_s;
}

/* Of a verdict that would be served: whether the client wants one that is newer, or lasts longer.
 */
static bool wants_fresher(const struct cg_verdict *verdict, const struct cg_wishes *wishes)
{
    if (wishes->no_cache)
        return true;
    if (wishes->has_max_age && verdict->age_s > (uint64_t)wishes->max_age_s)
        return true;
    if (wishes->has_min_fresh && verdict->ttl_s < wishes->min_fresh_s)
        return true;
    /* 5.2.1.1: who gives an age wants nothing stale, unless it says so. */
    return wishes->has_max_age && verdict->ttl_s < 0 &&
           !(wishes->has_max_stale && -verdict->ttl_s <= wishes->max_stale_s);
}

/* RFC 8246 2: while it is fresh, only an outright no-cache is worth asking for. */
static bool is_immutable(const struct cg_verdict *verdict, const struct cg_entry *entry,
                         const struct cg_wishes *wishes)
{
    struct cg_cache_control control;
    if (wishes->no_cache || verdict->ttl_s < 0)
        return false;
    cg_cache_control_parse(&entry->fields, CG_STR("cache-control"), &control);
    return control.immutable;
}

struct cg_verdict cg_verdict_for(struct cg_verdict verdict, const struct cg_entry *entry,
                                 const struct cg_wishes *wishes)
{
    if (accepts_stale(&verdict, entry, wishes)) {
        verdict.kind = CG_VERDICT_HIT;
        verdict.reason = CG_REASON_MAX_STALE;
        verdict.usable_if_error = verdict.may_validate = false;
    }
    bool is_served = verdict.kind == CG_VERDICT_HIT || verdict.kind == CG_VERDICT_STALE;
    if (is_served && wants_fresher(&verdict, wishes) && !is_immutable(&verdict, entry, wishes)) {
        bool was_fresh = verdict.ttl_s >= 0;
        verdict.kind = CG_VERDICT_MISS;
        verdict.reason = CG_REASON_CLIENT_FRESHER;
        verdict.may_validate = can_be_asked_about(entry);
        /* A fresh answer is better than an error, except where the client ruled it out. */
        verdict.usable_if_error = was_fresh && !wishes->no_cache;
    }
    verdict.refused = wishes->only_if_cached &&
                      (verdict.kind == CG_VERDICT_MISS || verdict.kind == CG_VERDICT_PASS);
    return verdict;
}
