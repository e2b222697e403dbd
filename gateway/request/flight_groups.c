/*
 * What a fetch does when its answer names groups (CONSISTENCY row 1): their versions are read only
 * now, after the fetch, so it then looks whether the counter of the upstream's groups is still what
 * it was before. If not, some group was purged in between, perhaps one of these: nothing is stored.
 */
#include "cachegate/groups.h"
#include "gateway/base/clock.h"
#include "gateway/request/machine.h"

bool cg_flight_find_groups(struct cg_flight *flight)
{
    const struct cg_request *founder = flight->founder;
    const struct cg_plan *plan = &founder->plan;
    struct cg_groups names;
    flight->group_count = 0;
    if (plan->route->groups == CG_GROUPS_IGNORE)
        return true;
    cg_groups_of(&flight->fields, &flight->arena, &names);
    if (names.count == 0 && !names.overflowed)
        return true;
    if (names.overflowed || plan->watched_count == plan->instance_count ||
        flight->versions[plan->instance_count].state != CG_VERSION_CURRENT)
        return false;
    flight->groups = CG_ARENA_ARRAY(&flight->arena, struct cg_instance, names.count);
    flight->group_versions = CG_ARENA_ARRAY(&flight->arena, struct cg_version, names.count);
    for (size_t i = 0; i < names.count; i++)
        cg_instance_of_group(flight->founder->regime->ruleset, plan->upstream, names.names[i],
                             &flight->arena, &flight->groups[i]);
    flight->group_count = names.count;
    return true;
}

static void on_versions(void *owner, const struct cg_store_view *view)
{
    struct cg_flight *flight = cg_flight_of(owner);
    bool known = view->result == CG_STORE_OK;
    for (size_t i = 0; i < flight->group_count; i++)
        flight->group_versions[i] =
            known ? view->versions[i] : (struct cg_version){.state = CG_VERSION_ABSENT};
    cg_flight_answered(flight);
}

enum cg_step_result cg_flight_step_groups(struct cg_flight *flight)
{
    struct cg_store *store = flight->store;
    cg_flight_go(flight, CG_FLIGHT_group_counter);
    cg_flight_await(flight);
    store->port->prepare(store, flight->groups, flight->group_count, on_versions, flight);
    return CG_WAIT;
}

static void on_counter(void *owner, const struct cg_store_view *view)
{
    struct cg_flight *flight = cg_flight_of(owner);
    const struct cg_plan *plan = &flight->founder->plan;
    flight->groups_hold =
        view->result == CG_STORE_OK &&
        cg_versions_same(view->versions, &flight->versions[plan->instance_count], 1);
    cg_flight_answered(flight);
}

enum cg_step_result cg_flight_step_group_counter(struct cg_flight *flight)
{
    struct cg_store *store = flight->store;
    const struct cg_plan *plan = &flight->founder->plan;
    cg_flight_go(flight, CG_FLIGHT_group_store);
    if (!cg_versions_concrete(flight->group_versions, flight->group_count))
        return CG_CONTINUE;
    cg_flight_await(flight);
    store->port->lookup(store, NULL, &plan->instances[plan->instance_count], 1, on_counter, flight);
    return CG_WAIT;
}

enum cg_step_result cg_flight_step_group_store(struct cg_flight *flight)
{
    cg_flight_go(flight, CG_FLIGHT_done);
    if (flight->groups_hold)
        cg_flight_put_in_store(flight);
    else
        cg_count_reason(flight->machine->sheet, CG_REASON_STORE_REFUSED);
    return CG_CONTINUE;
}
