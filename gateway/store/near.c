#include "gateway/store/near.h"

#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/near_parts.h"

/* A token with its slot, and the part of the bound that all of them may take. */
enum { TOKEN_BYTES = 96, TOKEN_SHARE = 8, SPARE_MAX = 256 };

/* ---- questions ---- */

struct cg_near_question *cg_near_ask(struct cg_near_handle *handle, void *owner)
{
    struct cg_near_question *question = handle->spare;
    if (question != NULL) {
        handle->spare = question->next;
        handle->spare_count--;
    } else {
        question = malloc(sizeof(*question));
        CG_ASSERT(question != NULL);
    }
    *question = (struct cg_near_question){.next = handle->first, .handle = handle, .owner = owner};
    if (handle->first != NULL)
        handle->first->previous = question;
    handle->first = question;
    return question;
}

/* Before its answer is told, which may ask again; what is needed of it was copied. */
static void forget(struct cg_near_question *question)
{
    struct cg_near_handle *handle = question->handle;
    if (question->previous != NULL)
        question->previous->next = question->next;
    else
        handle->first = question->next;
    if (question->next != NULL)
        question->next->previous = question->previous;
    cg_near_copy_unref(question->copy);
    cg_blob_unref(question->entry);
    if (handle->spare_count == SPARE_MAX) {
        free(question);
        return;
    }
    question->next = handle->spare;
    handle->spare = question;
    handle->spare_count++;
}

static void tell_view(struct cg_near_question *question, const struct cg_store_view *view)
{
    cg_store_view_fn answer = question->answer_view;
    void *owner = question->owner;
    forget(question);
    answer(owner, view);
}

void cg_near_tell_done(struct cg_near_question *question, enum cg_store_result result)
{
    cg_store_done_fn answer = question->answer_done;
    void *owner = question->owner;
    forget(question);
    answer(owner, result);
}

/* ---- lookup ---- */

static bool is_pushed(const struct cg_near *near, const struct cg_key *key)
{
    return near->watch != NULL && key->pushed;
}

static void learn(struct cg_near_question *question, const struct cg_store_view *view)
{
    if (question->pushed && view->result == CG_STORE_OK && view->stand_in == NULL)
        cg_near_watch_learn(question->handle->near->watch, question->moment, question->instances,
                            view, question->count);
}

enum state {
    CURRENT,  /* it answers */
    OUTDATED, /* the store may have a newer one */
    UNKNOWN,  /* it may be dead, but no entry can be used now: the verdict is a pass or a miss */
};

static enum state judge(const struct cg_near_copy *copy, const struct cg_store_view *view)
{
    bool known = true, same = true;
    for (size_t i = 0; i < copy->count; i++) {
        known = known && view->versions[i].state == CG_VERSION_CURRENT;
        same = same && cg_token_eq(&view->versions[i].token, &copy->stamps[i].token);
    }
    if (!known)
        return UNKNOWN;
    return same && cg_epoch_eq(copy->seen_at, view->epoch) ? CURRENT : OUTDATED;
}

/* What the store has replaces the copy. A dead entry is not kept: it would cost every lookup a
 * second trip. */
static void on_full(void *owner, const struct cg_store_view *view)
{
    struct cg_near_question *question = owner;
    struct cg_near_handle *handle = question->handle;
    learn(question, view);
    if (view->result == CG_STORE_OK && view->stand_in == NULL) {
        struct cg_near_copy *copy = NULL;
        if (view->entry != NULL)
            copy = cg_near_copy_create(view->entry, handle->inner->port->seals, &view->epoch);
        if (copy != NULL && (!cg_near_copy_is_for(copy, question->instances, question->count) ||
                             judge(copy, view) != CURRENT))
            copy = cg_near_copy_unref(copy);
        cg_near_copies_put(handle->near->copies, question->key, copy, cg_now_ms(handle->clock));
    }
    tell_view(question, view);
}

static void look_up_in_full(struct cg_near_question *question)
{
    struct cg_store *inner = question->handle->inner;
    struct cg_near_watch *watch = question->handle->near->watch;
    question->copy = cg_near_copy_unref(question->copy);
    if (question->pushed)
        question->moment = cg_near_watch_moment(watch);
    inner->port->lookup(inner, question->key, question->instances, question->count, on_full,
                        question);
}

static void on_versions(void *owner, const struct cg_store_view *view)
{
    struct cg_near_question *question = owner;
    struct cg_near_handle *handle = question->handle;
    if (view->result != CG_STORE_OK || view->stand_in != NULL) {
        tell_view(question, view);
        return;
    }
    learn(question, view);
    enum state state = judge(question->copy, view);
    if (state == OUTDATED) {
        look_up_in_full(question);
        return;
    }
    if (state == CURRENT)
        cg_count(handle->sheet, CG_METRIC_NEAR_HITS, 1);
    struct cg_store_view ours; /* large: only what was asked for is filled in */
    ours.result = CG_STORE_OK;
    ours.entry = cg_blob_ref(question->copy->blob);
    ours.given = NULL;
    ours.epoch = view->epoch;
    ours.bans = view->bans;
    ours.stand_in = NULL;
    memcpy(ours.versions, view->versions, question->count * sizeof(ours.versions[0]));
    struct cg_blob *entry = ours.entry;
    tell_view(question, &ours);
    cg_blob_unref(entry);
}

/* Answers from what was pushed, asking nobody. */
static bool answer_pushed(struct cg_near_handle *handle, struct cg_near_copy *copy,
                          cg_store_view_fn answer, void *owner)
{
    struct cg_near *near = handle->near;
    struct cg_store_view view;
    if (!handle->inner->port->reachable(handle->inner) ||
        !cg_near_watch_confirms(near->watch, &handle->sight, copy, near->server_of(handle->inner),
                                &view))
        return false;
    view.result = CG_STORE_OK;
    view.entry = copy->blob;
    view.given = NULL;
    view.stand_in = NULL;
    cg_count(handle->sheet, CG_METRIC_PUSHED_HITS, 1);
    answer(owner, &view);
    cg_bans_unref(view.bans);
    return true;
}

static void near_lookup(struct cg_store *store, const struct cg_key *key,
                        const struct cg_instance *instances, size_t count, cg_store_view_fn answer,
                        void *owner)
{
    struct cg_near_handle *handle = cg_near_handle_of(store);
    struct cg_near *near = handle->near;
    CG_ASSERT(count <= CG_INSTANCES_MAX);
    if (key == NULL) {
        handle->inner->port->lookup(handle->inner, NULL, instances, count, answer, owner);
        return;
    }
    bool pushed = is_pushed(near, key);
    struct cg_near_copy *copy = cg_near_copies_find(near->copies, key, cg_now_ms(handle->clock));
    if (copy != NULL && !cg_near_copy_is_for(copy, instances, count))
        copy = cg_near_copy_unref(copy);
    /* What is watched besides is not known from pushes. */
    bool knows_all = copy != NULL && copy->count == count;
    if (knows_all && pushed && answer_pushed(handle, copy, answer, owner)) {
        cg_near_copy_unref(copy);
        return;
    }
    struct cg_near_question *question = cg_near_ask(handle, owner);
    question->key = key;
    question->instances = instances;
    question->count = count;
    question->copy = copy;
    question->answer_view = answer;
    question->pushed = pushed;
    if (pushed)
        question->moment = cg_near_watch_moment(near->watch);
    handle->inner->port->lookup(handle->inner, copy == NULL ? key : NULL, instances, count,
                                copy == NULL ? on_full : on_versions, question);
}

static void near_prepare(struct cg_store *store, const struct cg_instance *instances, size_t count,
                         cg_store_view_fn answer, void *owner)
{
    struct cg_store *inner = cg_near_handle_of(store)->inner;
    inner->port->prepare(inner, instances, count, answer, owner);
}

/* ---- fill ---- */

static void on_filled(void *owner, enum cg_store_result result)
{
    struct cg_near_question *question = owner;
    struct cg_near_handle *handle = question->handle;
    if (result == CG_STORE_OK)
        cg_near_copies_put(handle->near->copies, question->key,
                           cg_near_copy_create(question->entry, handle->inner->port->seals, NULL),
                           cg_now_ms(handle->clock));
    cg_near_tell_done(question, result);
}

static void near_fill(struct cg_store *store, const struct cg_key *key, struct cg_blob *entry,
                      uint64_t lifetime_ms, cg_store_done_fn answer, void *owner)
{
    struct cg_near_handle *handle = cg_near_handle_of(store);
    struct cg_near_question *question = cg_near_ask(handle, owner);
    question->key = key;
    question->entry = cg_blob_ref(entry);
    question->answer_done = answer;
    /* Who asks from now on finds the new one behind it, and not a copy that it replaces. */
    cg_near_copies_put(handle->near->copies, key, NULL, cg_now_ms(handle->clock));
    handle->inner->port->fill(handle->inner, key, entry, lifetime_ms, on_filled, question);
}

/* ---- what is reported ---- */

static bool near_reachable(struct cg_store *store)
{
    struct cg_store *inner = cg_near_handle_of(store)->inner;
    return inner->port->reachable(inner);
}

static uint32_t near_unpurged_hold_ms(struct cg_store *store)
{
    struct cg_store *inner = cg_near_handle_of(store)->inner;
    return inner->port->unpurged_hold_ms == NULL ? 0 : inner->port->unpurged_hold_ms(inner);
}

static void near_announce(struct cg_store *store, const struct cg_ruleset *ruleset,
                          cg_store_done_fn answer, void *owner)
{
    struct cg_store *inner = cg_near_handle_of(store)->inner;
    if (inner->port->announce == NULL)
        answer(owner, CG_STORE_OK);
    else
        inner->port->announce(inner, ruleset, answer, owner);
}

static struct cg_claims *near_claims(struct cg_store *store)
{
    struct cg_store *inner = cg_near_handle_of(store)->inner;
    return inner->port->claims == NULL ? NULL : inner->port->claims(inner);
}

static void near_stats(struct cg_store *store, struct cg_store_stats *ret_stats)
{
    struct cg_near_handle *handle = cg_near_handle_of(store);
    handle->inner->port->stats(handle->inner, ret_stats);
    cg_near_copies_count(handle->near->copies, &ret_stats->near_entries, &ret_stats->near_bytes);
}

static void near_health(struct cg_store *store, struct cg_store_health *ret_health)
{
    struct cg_near_handle *handle = cg_near_handle_of(store);
    struct cg_near_watch *watch = handle->near->watch;
    handle->inner->port->health(handle->inner, ret_health);
    if (watch != NULL)
        ret_health->tracking = cg_near_watch_is_up(watch) ? "up" : "down";
}

static const struct cg_store_port near_port = {
    .lookup = near_lookup,
    .prepare = near_prepare,
    .fill = near_fill,
    .purge = cg_near_purge,
    .mark = cg_near_mark,
    .release = cg_near_release,
    .ban = cg_near_ban,
    .flush = cg_near_flush,
    .reachable = near_reachable,
    .unpurged_hold_ms = near_unpurged_hold_ms,
    .announce = near_announce,
    .claims = near_claims,
    .stats = near_stats,
    .health = near_health,
};

/* ---- life ---- */

static bool has_pushed_routes(const struct cg_ruleset *ruleset)
{
    for (size_t i = 0; ruleset != NULL && i < ruleset->route_count; i++)
        if (ruleset->routes[i].pushed)
            return true;
    return false;
}

struct cg_near *cg_near_create(const struct cg_settings *settings, struct cg_book *book,
                               cg_near_server_fn server_of)
{
    struct cg_near *near = calloc(1, sizeof(*near));
    CG_ASSERT(near != NULL && settings->near_bytes > 0);
    near->settings = settings;
    near->book = book;
    near->server_of = server_of;
    near->copies = cg_near_copies_create(settings->near_bytes);
    if (server_of != NULL && has_pushed_routes(settings->ruleset))
        near->watch = cg_near_watch_create(settings->near_bytes / TOKEN_SHARE / TOKEN_BYTES,
                                           settings->tracking_timeout_ms);
    return near;
}

struct cg_near *cg_near_destroy(struct cg_near *near)
{
    if (near == NULL)
        return NULL;
    cg_near_copies_destroy(near->copies);
    cg_near_watch_destroy(near->watch);
    free(near);
    return NULL;
}

struct cg_near_watch *cg_near_watch_of(struct cg_near *near)
{
    return near->watch;
}

struct cg_store *cg_near_open(struct cg_near *near, struct cg_store *inner, struct cg_clock *clock)
{
    struct cg_near_handle *handle = calloc(1, sizeof(*handle));
    CG_ASSERT(handle != NULL);
    handle->port = near_port;
    handle->port.seals = inner->port->seals;
    handle->base.port = &handle->port;
    handle->near = near;
    handle->inner = inner;
    handle->clock = clock;
    handle->sheet = cg_book_sheet(near->book);
    return &handle->base;
}

struct cg_store *cg_near_close(struct cg_store *store)
{
    if (store == NULL)
        return NULL;
    struct cg_near_handle *handle = cg_near_handle_of(store);
    while (handle->first != NULL)
        forget(handle->first);
    while (handle->spare != NULL) {
        struct cg_near_question *question = handle->spare;
        handle->spare = question->next;
        free(question);
    }
    cg_near_sight_fini(&handle->sight);
    free(handle);
    return NULL;
}

struct cg_store *cg_near_inner(struct cg_store *store)
{
    return cg_near_handle_of(store)->inner;
}

struct cg_sheet *cg_near_sheet(struct cg_store *store)
{
    return cg_near_handle_of(store)->sheet;
}
