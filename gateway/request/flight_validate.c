/*
 * What a fetch has to do with an answer that is stored already (RFC 9111 4.3): it asks the origin
 * about one that is only expired, and takes a 304 for it; and the answer to a HEAD renews, or
 * ends, the stored GET.
 *
 * The base is always the founder's entry, by the founder's verdict, and only while the flight's
 * versions are the entry's own: what a write made wrong never comes back (CONSISTENCY row 4).
 * Should a write come after that, what is confirmed is stored under versions that are no longer
 * current, which makes it dead on arrival.
 */
#include "gateway/base/clock.h"
#include "gateway/request/machine.h"

enum { DEAD_ENTRY_MS = 1000 };

/* Nothing was purged since the founder looked: a flight may be founded long before it is sent. */
static bool still_stands(const struct cg_flight *flight)
{
    const struct cg_request *founder = flight->founder;
    const struct cg_plan *plan = &founder->plan;
    size_t own = plan->instance_count; /* what follows counts purges of the groups that it names */
    if (!cg_versions_same(&flight->versions[own], &founder->view.versions[own],
                          plan->watched_count - own))
        return false;
    for (size_t i = 0; i < founder->entry.instance_count; i++)
        if (flight->versions[i].state != CG_VERSION_CURRENT ||
            !cg_token_eq(&flight->versions[i].token, &founder->entry.tokens[i]))
            return false;
    return cg_epoch_eq(flight->epoch, founder->view.epoch);
}

void cg_flight_ask_about_entry(struct cg_flight *flight)
{
    struct cg_request *founder = flight->founder;
    /* The body becomes the flight's own, so it must fit. */
    flight->validates = flight->may_store && !flight->asks_for_whole &&
                        founder->verdict.may_validate &&
                        founder->entry.body.length <= flight->keep_max && still_stands(flight) &&
                        cg_validation_fields(&founder->verdict, &founder->entry, &founder->arena,
                                             &flight->forwarded);
}

/* The origin stands by what is stored: from here on it is this flight's answer, renewed. */
static bool confirm(struct cg_flight *flight)
{
    const struct cg_request *founder = flight->founder;
    const struct cg_entry *entry = &founder->entry;
    struct cg_fields merged = {0};
    if (!cg_merged_fields(&founder->verdict, entry, &flight->fields, &flight->arena, &merged))
        return false;
    flight->confirmed = true;
    flight->fields = merged;
    flight->status = entry->status;
    flight->has_length = true;
    flight->content_length = entry->body.length;
    flight->no_body = false;
    cg_buf_clear(&flight->body);
    cg_buf_add_str(&flight->body, entry->body);
    flight->received = entry->body.length;
    return true;
}

bool cg_flight_take_validation(struct cg_flight *flight)
{
    const struct cg_request *founder = flight->founder;
    if (!flight->validates)
        return true;
    switch (cg_validation_of(&founder->verdict, &founder->entry, flight->status, &flight->fields)) {
    case CG_VALIDATION_CONFIRMED:
        return confirm(flight);
    case CG_VALIDATION_REPLACED:
        return true;
    case CG_VALIDATION_OTHER:
        return false;
    }
    CG_UNREACHABLE();
}

enum cg_step_result cg_flight_ask_again(struct cg_flight *flight)
{
    CG_ASSERT(flight->validates && !flight->asks_for_whole && flight->received == 0);
    if (flight->exchange != NULL)
        flight->machine->origin->port->cancel(flight->exchange);
    flight->exchange = NULL;
    flight->has_head = flight->ended = flight->validates = false;
    flight->asks_for_whole = true;
    flight->fields = (struct cg_fields){0};
    flight->forwarded = (struct cg_fields){0};
    cg_flight_go(flight, CG_FLIGHT_ask);
    return CG_CONTINUE;
}

/* ---- HEAD (RFC 9111 4.3.5) ---- */

/* The stored GET with what HEAD said of it in place, as far as that may be stored. */
static bool renew(struct cg_flight *flight, struct cg_entry *entry, uint64_t *ret_after_ms)
{
    struct cg_request *founder = flight->founder;
    struct cg_plan plan = founder->plan;
    struct cg_fields merged;
    struct cg_storable storable;
    /* What it says of groups would have to be read first, as for a GET. */
    if (plan.route->groups != CG_GROUPS_IGNORE)
        return false;
    plan.kind = CG_PLAN_LOOKUP; /* as which it was stored; it is forwarded as a pass */
    if (!cg_merged_fields(&founder->verdict, entry, &flight->fields, &flight->arena, &merged))
        return false;
    cg_storable_of(&plan, founder->facts, entry->status, &merged, flight->asked_at_ms,
                   flight->head_at_ms, &founder->arena, &storable);
    if (!storable.store && !storable.store_expired)
        return false;
    struct cg_str signature =
        cg_str_empty(storable.vary)
            ? CG_STR("")
            : cg_vary_signature(storable.vary, founder->facts->fields, &founder->arena);
    if (!cg_str_eq(signature, entry->variant)) /* it would stand under another key */
        return false;
    entry->stored_at_ms = flight->head_at_ms;
    entry->initial_age_ms = storable.initial_age_ms;
    entry->lifetime_ms = storable.lifetime_ms;
    entry->stale_while_revalidate_ms = storable.stale_while_revalidate_ms;
    entry->stale_if_error_ms = storable.stale_if_error_ms;
    entry->must_revalidate = storable.must_revalidate;
    *ret_after_ms = cg_storable_after_ms(&storable);
    return cg_stored_fields_on(plan.route, &merged, &flight->arena, &entry->fields);
}

void cg_flight_learn_from_head(struct cg_flight *flight)
{
    const struct cg_request *founder = flight->founder;
    if (!founder->plan.head || founder->reason != CG_REASON_HEAD_MISS || !founder->verdict.alive)
        return;
    struct cg_entry entry = founder->entry; /* large: not for every answer */
    uint64_t after_ms = 0;
    entry.epoch = founder->view.epoch;
    switch (
        cg_head_effect_of(&founder->verdict, &founder->entry, flight->status, &flight->fields)) {
    case CG_HEAD_NOTHING:
        return;
    case CG_HEAD_UPDATE:
        if (renew(flight, &entry, &after_ms))
            cg_flight_fill(flight, &founder->variant_key, &entry, after_ms);
        return;
    case CG_HEAD_INVALIDATE:
        cg_count_purge(flight->machine->sheet, CG_PURGE_HEAD, 1);
        entry.lifetime_ms = entry.stale_while_revalidate_ms = entry.stale_if_error_ms = 0;
        entry.fields.count = 0; /* nobody asks about it either */
        entry.body = CG_STR("");
        cg_flight_fill(flight, &founder->variant_key, &entry, DEAD_ENTRY_MS);
        return;
    }
    CG_UNREACHABLE();
}
