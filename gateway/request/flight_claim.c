/*
 * What a flight does before it may fetch for the store: it creates the versions that are absent,
 * and asks whether somebody else fetches the same, on another thread or gateway. Both in one trip,
 * so that a miss costs what it did without.
 *
 * Nothing here is needed for a right answer (CONSISTENCY row 15): a flight that is woken dissolves,
 * and all its waiters look the whole thing up again. They share the flight while it waits, so a
 * thousand clients of one thread cost one claim.
 */
#include "gateway/base/clock.h"
#include "gateway/request/machine.h"

/* ---- the claim ---- */

static void on_claim_wake(void *owner)
{
    struct cg_flight *flight = cg_flight_of(owner);
    flight->woken_by_claim = true;
    cg_flight_wake(flight);
}

static void renew_later(struct cg_flight *flight)
{
    uint32_t third_ms = flight->claim.lives_ms / 3;
    cg_timer_arm(flight->machine->clock, &flight->claim_timer, third_ms == 0 ? 1 : third_ms);
}

static void on_claim_timer(void *owner)
{
    struct cg_flight *flight = cg_flight_of(owner);
    if (!flight->leads) {
        on_claim_wake(flight);
        return;
    }
    flight->claims->port->renew(flight->claims, &flight->claim);
    renew_later(flight);
}

void cg_flight_claims(struct cg_flight *flight)
{
    struct cg_store *store = flight->machine->store;
    if (flight->store != store || store->port->claims == NULL ||
        !flight->founder->plan.route->coalesces)
        return;
    flight->claims = store->port->claims(store);
    memcpy(flight->claim.id, flight->founder->variant_key.id, CG_DIGEST_BYTES);
    flight->claim.lives_ms = flight->founder->regime->limits.flight_claim_ms;
    flight->claim.on_wake = on_claim_wake;
    flight->claim.owner = flight;
    flight->claim.insists = flight->founder->looked_again;
    flight->claim_timer = (struct cg_timer){.on_expiry = on_claim_timer, .owner = flight};
}

/* Of what it would fetch under; as good as the versions themselves to tell whether they differ. */
static void write_digest(struct cg_flight *flight)
{
    size_t count = flight->founder->plan.watched_count;
    uint8_t bytes[CG_INSTANCES_MAX * CG_DIGEST_BYTES + sizeof(flight->epoch)];
    size_t length = 0;
    struct cg_instance digest;
    if (!cg_versions_concrete(flight->versions, count))
        return;
    for (size_t i = 0; i < count; i++, length += CG_DIGEST_BYTES)
        memcpy(bytes + length, flight->versions[i].token.bytes, CG_DIGEST_BYTES);
    memcpy(bytes + length, &flight->epoch.generation, sizeof(flight->epoch.generation));
    length += sizeof(flight->epoch.generation);
    memcpy(bytes + length, &flight->epoch.counter, sizeof(flight->epoch.counter));
    length += sizeof(flight->epoch.counter);
    cg_instance_of(&flight->founder->regime->ruleset->keys, cg_str_of((const char *)bytes, length),
                   &digest);
    memcpy(flight->claim.digest, digest.id, CG_DIGEST_BYTES);
}

static void on_claimed(void *owner, const struct cg_claim_answer *answer)
{
    struct cg_flight *flight = cg_flight_of(owner);
    flight->claimed = *answer;
    flight->leads = answer->state == CG_CLAIM_GRANTED;
    flight->waits = answer->state == CG_CLAIM_HELD;
    cg_flight_answered(flight);
}

static void claim(struct cg_flight *flight)
{
    write_digest(flight);
    flight->machine->random_bytes(flight->claim.holder, sizeof(flight->claim.holder));
    cg_flight_await(flight);
    flight->claims->port->claim(flight->claims, &flight->claim, on_claimed, flight);
}

static void end_claim(struct cg_flight *flight)
{
    enum cg_claim_end how = !flight->leads   ? CG_CLAIM_WITHDRAWN
                            : flight->stored ? CG_CLAIM_STORED
                                             : CG_CLAIM_GIVEN_UP;
    if (!flight->leads && !flight->waits)
        return;
    flight->leads = flight->waits = false;
    cg_timer_disarm(flight->machine->clock, &flight->claim_timer);
    flight->claims->port->end(flight->claims, &flight->claim, how);
}

void cg_flight_disclaim(struct cg_flight *flight)
{
    bool settled = flight->finished || !flight->shareable;
    if (flight->fills == 0 && settled && (flight->finished || flight->has_head))
        end_claim(flight);
}

/* ---- the steps ---- */

static void on_prepared(void *owner, const struct cg_store_view *view)
{
    struct cg_flight *flight = cg_flight_of(owner);
    flight->prepared = view->result;
    if (view->result != CG_STORE_OK)
        cg_count_store_error(flight->machine->sheet, CG_OPERATION_PREPARE);
    if (view->result == CG_STORE_OK) {
        memcpy(flight->versions, view->versions,
               flight->founder->plan.watched_count * sizeof(flight->versions[0]));
        flight->epoch = view->epoch;
        flight->store = view->stand_in != NULL ? view->stand_in : flight->machine->store;
    }
    cg_flight_answered(flight);
}

enum cg_step_result cg_flight_step_prepare(struct cg_flight *flight)
{
    const struct cg_plan *plan = &flight->founder->plan;
    struct cg_store *store = flight->machine->store;
    cg_flight_go(flight, CG_FLIGHT_prepared);
    flight->prepared = CG_STORE_OK;
    if (!cg_versions_concrete(flight->versions, plan->watched_count)) {
        cg_flight_await(flight);
        store->port->prepare(store, plan->instances, plan->watched_count, on_prepared, flight);
    }
    if (flight->claims != NULL)
        claim(flight);
    return CG_CONTINUE; /* with the answers */
}

static enum cg_step_result dissolve(struct cg_flight *flight, enum cg_dissolved why)
{
    flight->dissolved = why;
    cg_flight_go(flight, CG_FLIGHT_done);
    return CG_CONTINUE;
}

/* Somebody fetches, but under other versions, which our claim did not know yet. */
static bool is_theirs_another(const struct cg_flight *flight)
{
    return !flight->claimed_twice &&
           cg_claim_digests_differ(flight->claim.digest, flight->claimed.digest);
}

static enum cg_step_result wait_for_other(struct cg_flight *flight)
{
    struct cg_machine *machine = flight->machine;
    if (is_theirs_another(flight)) {
        flight->claimed_twice = true;
        end_claim(flight);
        claim(flight);
        return CG_CONTINUE;
    }
    /* It is being refreshed, or has just been stored. */
    if ((flight->refreshes && flight->waiter_count == 0) || flight->claimed.left_ms == 0)
        return dissolve(flight, CG_DISSOLVED_LOOK_AGAIN);
    cg_count(machine->sheet, CG_METRIC_CLAIMS_HELD, 1);
    cg_timer_arm(machine->clock, &flight->claim_timer, flight->claimed.left_ms);
    cg_flight_go(flight, CG_FLIGHT_wait);
    return CG_CONTINUE;
}

/* The versions are known by now, perhaps only since the claim was sent. */
static void lead(struct cg_flight *flight)
{
    bool known = cg_claim_digest_known(flight->claim.digest);
    write_digest(flight);
    if (!known)
        flight->claims->port->renew(flight->claims, &flight->claim);
    renew_later(flight);
}

static void choose_lane(struct cg_flight *flight)
{
    struct cg_machine *machine = flight->machine;
    size_t upstream = flight->founder->plan.upstream;
    bool in_outage = flight->store != machine->store;
    flight->lane = NULL;
    flight->capped = !in_outage && machine->caps[upstream].places_max > 0;
    if (in_outage)
        flight->lane = &machine->lanes[upstream];
    else if (flight->capped)
        flight->lane = &machine->caps[upstream];
}

enum cg_step_result cg_flight_step_prepared(struct cg_flight *flight)
{
    struct cg_machine *machine = flight->machine;
    if (flight->prepared != CG_STORE_OK)
        return dissolve(flight, CG_DISSOLVED_OUTAGE);
    /* A write began in between: its readers pass. */
    if (!cg_versions_concrete(flight->versions, flight->founder->plan.watched_count))
        return dissolve(flight, CG_DISSOLVED_BUSY);
    if (flight->waits) {
        if (!cg_claim_digest_known(flight->claim.digest))
            write_digest(flight);
        return wait_for_other(flight);
    }
    if (flight->leads)
        lead(flight);
    if (flight->refreshes)
        cg_count(machine->sheet, CG_METRIC_REFRESHES, 1);
    choose_lane(flight);
    cg_flight_go(flight, CG_FLIGHT_enter);
    return CG_CONTINUE;
}

enum cg_step_result cg_flight_step_wait(struct cg_flight *flight)
{
    bool is_left = flight->waiter_count == 0;
    if (!flight->woken_by_claim && !is_left) {
        cg_flight_notify(flight); /* how long they wait is theirs to say */
        return CG_WAIT;
    }
    return dissolve(flight, CG_DISSOLVED_LOOK_AGAIN);
}
