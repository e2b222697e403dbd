#include "cachegate/assert.h"
#include "gateway/admin/refresh.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/recent.h"

#include <stdlib.h>

/*
 * One purge on its way to the store. The client may leave before the store has answered: the purge
 * goes on, only nobody is told.
 */
struct operation {
    struct cg_admin *admin;
    h2o_req_t *request; /* NULL once the client has left */
    struct tie *tie;    /* NULL likewise, and before the store was asked */
    struct cg_arena arena;
    struct cg_purge_set set; /* in the arena */
    unsigned pending;
    enum cg_store_result result; /* the first that was not OK */
    bool refreshes;
    struct cg_refresh refresh; /* what is fetched afterwards */
};

/* Lives in the request's pool, and so learns of its end. */
struct tie {
    struct operation *operation;
};

static void on_request_end(void *data)
{
    struct tie *tie = data;
    if (tie->operation == NULL)
        return;
    tie->operation->request = NULL;
    tie->operation->tie = NULL;
}

static struct operation *begin(const struct cg_admin_call *call)
{
    struct operation *operation = calloc(1, sizeof *operation);
    CG_ASSERT(operation != NULL);
    operation->admin = call->admin;
    operation->request = call->request;
    cg_arena_init(&operation->arena, CG_ADMIN_ARENA_BYTES);
    call->admin->operation_count++;
    return operation;
}

static void end(struct operation *operation)
{
    operation->admin->operation_count--;
    if (operation->tie != NULL)
        operation->tie->operation = NULL;
    cg_warm_order_destroy(operation->refresh.order);
    cg_arena_fini(&operation->arena);
    free(operation);
}

/* For requests that turn out to purge nothing. */
static void refuse(struct operation *operation, unsigned status, const char *error,
                   const char *remedy)
{
    cg_admin_answer_error(operation->request, status, cg_str_from(error), cg_str_from(remedy));
    end(operation);
}

static void log_outcome(const struct operation *operation)
{
    char purged[24], banned[24];
    snprintf(purged, sizeof purged, "%zu", operation->set.instance_count);
    snprintf(banned, sizeof banned, "%zu", operation->set.ban_count);
    struct cg_log_pair pairs[] = {
        {"purged", cg_str_from(purged)},
        {"banned", cg_str_from(banned)},
        {"result", operation->result == CG_STORE_OK ? CG_STR("ok") : CG_STR("failed")},
    };
    cg_log_pairs(operation->result == CG_STORE_OK ? CG_LOG_INFO : CG_LOG_WARN, "purge", pairs, 3);
}

static void answer(struct operation *operation)
{
    json_t *object = json_object();
    json_object_set_new(object, "purged", json_integer((json_int_t)operation->set.instance_count));
    json_object_set_new(object, "banned", json_integer((json_int_t)operation->set.ban_count));
    if (operation->set.widened > 0)
        json_object_set_new(object, "widened", cg_admin_json_text(operation->set.widened_detail));
    if (operation->refreshes) {
        const struct cg_refresh *refresh = &operation->refresh;
        json_object_set_new(object, "fetching", json_integer((json_int_t)refresh->fetched));
        json_object_set_new(object, "left", json_integer((json_int_t)refresh->left));
    }
    cg_admin_answer(operation->request, operation->refreshes ? 202 : 200, object);
}

/* Only what was acknowledged is fetched anew: before, the old answer could still be found. */
static bool fetch(struct operation *operation)
{
    const struct cg_admin_world *world = &operation->admin->world;
    struct cg_warm_order *order = operation->refresh.order;
    if (order == NULL)
        return true;
    if (!world->fetch(world->owner, order))
        return false;
    operation->refresh.order = NULL;
    return true;
}

static void finish(struct operation *operation)
{
    bool taken = operation->result == CG_STORE_OK && fetch(operation);
    if (operation->request == NULL)
        return;
    if (taken)
        answer(operation);
    else if (operation->result == CG_STORE_OK)
        cg_admin_answer_error(operation->request, 503,
                              CG_STR("all was purged, but too much is being fetched already"),
                              CG_STR("ask again when the log says that the fetches are through"));
    else
        cg_admin_answer_error(operation->request, 503, CG_STR("the store did not take the purge"),
                              CG_STR("try again; GET /cache/health says how the store is"));
}

/* Into the list of recent purges: what the rules name, never what somebody typed. */
static void list_purge(const struct operation *operation)
{
    const struct cg_purge_set *set = &operation->set;
    bool flush = set->causes[CG_PURGE_FLUSH] > 0;
    const struct cg_recent_note note = {
        .at_ms = cg_now_ms(operation->admin->clock),
        .cause = cg_purge_cause_word(flush ? CG_PURGE_FLUSH : CG_PURGE_ADMIN),
        .shapes = set->shapes,
        .shape_count = set->shape_count,
        .instances = set->instance_count,
        .open = set->ban_count,
        .widened = set->widened > 0,
    };
    cg_recent_add(cg_recent_process(), &note);
}

static void on_done(void *owner, enum cg_store_result result)
{
    struct operation *operation = owner;
    struct cg_sheet *sheet = operation->admin->sheet;
    if (operation->result == CG_STORE_OK)
        operation->result = result;
    operation->pending--;
    if (operation->pending > 0)
        return;
    log_outcome(operation);
    if (operation->result == CG_STORE_OK) {
        cg_count(sheet, CG_METRIC_DELETES, operation->set.instance_count);
        cg_count(sheet, CG_METRIC_BANS, operation->set.ban_count);
        cg_count(sheet, CG_METRIC_WIDENED, operation->set.widened);
        for (unsigned i = 0; i < CG_PURGE_CAUSE_COUNT; i++)
            cg_count_purge(sheet, (enum cg_purge_cause)i, operation->set.causes[i]);
        list_purge(operation);
    } else {
        cg_count_store_error(sheet, CG_OPERATION_PURGE);
    }
    finish(operation);
    end(operation);
}

static void hand_over(struct operation *operation, bool flush)
{
    struct cg_store *store = operation->admin->store;
    struct cg_purge_set *set = &operation->set;
    operation->pending = 1; /* until all were handed over: answers may come at once */
    if (flush) {
        operation->pending++;
        store->port->flush(store, on_done, operation);
    }
    if (set->instance_count > 0) {
        operation->pending++;
        store->port->purge(store, set->instances, set->instance_count, on_done, operation);
    }
    if (set->ban_count > 0 && !flush) {
        operation->pending++;
        store->port->ban(store, set->bans, set->ban_count, on_done, operation);
    }
    on_done(operation, CG_STORE_OK);
}

static void on_counters_moved(void *owner, enum cg_store_result result)
{
    struct operation *operation = owner;
    operation->result = result;
    hand_over(operation, false);
}

/* Hands the set to the store; `flush` instead of it when there is none. Counters of groups are
 * acknowledged before any group is purged (CONSISTENCY row 1). */
static void start(struct operation *operation, bool flush)
{
    struct cg_store *store = operation->admin->store;
    const struct cg_purge_set *set = &operation->set;
    for (size_t i = 0; i < set->shape_count; i++) /* the rules may be gone before the answer */
        set->shapes[i] = cg_arena_copy(&operation->arena, set->shapes[i]);
    operation->tie =
        h2o_mem_alloc_shared(&operation->request->pool, sizeof *operation->tie, on_request_end);
    operation->tie->operation = operation;
    if (set->counter_count > 0)
        store->port->purge(store, set->counters, set->counter_count, on_counters_moved, operation);
    else
        hand_over(operation, flush);
}

/* ---- endpoints ---- */

void cg_admin_flush(const struct cg_admin_call *call)
{
    struct operation *operation = begin(call);
    operation->set.bans = CG_ARENA_NEW(&operation->arena, struct cg_ban);
    operation->set.ban_count = 1; /* a flush is the open purge of everything */
    operation->set.causes[CG_PURGE_FLUSH] = 1;
    start(operation, true);
}

void cg_admin_purge_user(const struct cg_admin_call *call)
{
    struct operation *operation = begin(call);
    cg_purge_of_user(call->admin->settings->ruleset, call->path->segments[2], &operation->arena,
                     &operation->set);
    if (call->admin->other != NULL)
        cg_purge_of_user(call->admin->other->settings->ruleset, call->path->segments[2],
                         &operation->arena, &operation->set);
    start(operation, false);
}

/* During an exchange of rules: what the other ones call so. */
static void purge_other_group(const struct cg_admin_call *call, struct operation *operation,
                              struct cg_str name)
{
    const struct cg_ruleset *other = call->admin->other->settings->ruleset;
    const struct cg_group *group = cg_ruleset_group(other, name);
    if (group != NULL && group->param_count == 1)
        cg_purge_of_group(other, group, &call->path->segments[2], &operation->arena,
                          &operation->set);
}

void cg_admin_purge_group(const struct cg_admin_call *call)
{
    const struct cg_ruleset *ruleset = call->admin->settings->ruleset;
    struct cg_str name = call->path->segments[1];
    const struct cg_group *group = cg_ruleset_group(ruleset, name);
    struct operation *operation = begin(call);
    if (group == NULL) {
        refuse(operation, 404, "the rules have no group of that name",
               cg_admin_group_remedy(ruleset, name, call->arena));
    } else if (group->param_count != 1) {
        refuse(operation, 400, "that group does not have exactly one placeholder",
               "name them all in the body of POST /cache/purge");
    } else {
        cg_purge_of_group(ruleset, group, &call->path->segments[2], &operation->arena,
                          &operation->set);
        if (call->admin->other != NULL)
            purge_other_group(call, operation, name);
        start(operation, false);
    }
}

static const struct cg_ruleset *other_rules(const struct cg_admin_call *call)
{
    return call->admin->other == NULL ? NULL : call->admin->other->settings->ruleset;
}

void cg_admin_purge(const struct cg_admin_call *call)
{
    struct operation *operation = begin(call);
    const char *remedy = "";
    struct cg_str body = cg_str_of(call->request->entity.base, call->request->entity.len);
    const char *error = cg_admin_purge_read(call->admin->settings->ruleset, other_rules(call), body,
                                            &operation->arena, &operation->set, &remedy);
    if (error != NULL)
        refuse(operation, 400, error, remedy);
    else
        start(operation, false);
}

void cg_admin_refresh(const struct cg_admin_call *call)
{
    struct operation *operation = begin(call);
    const char *remedy = "";
    struct cg_str body = cg_str_of(call->request->entity.base, call->request->entity.len);
    const char *error =
        cg_admin_refresh_read(call->admin->settings->ruleset, other_rules(call), body,
                              &operation->arena, &operation->set, &operation->refresh, &remedy);
    operation->refreshes = true;
    if (error != NULL)
        refuse(operation, 400, error, remedy);
    else
        start(operation, false);
}
