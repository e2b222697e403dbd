#include "gateway/store/near_parts.h"

/*
 * Changes of this process count as pushes (near_watch.h). Without anybody who watches they go
 * straight to the inner store.
 */

static void apply(const struct cg_near_question *question)
{
    struct cg_near_watch *watch = question->handle->near->watch;
    for (size_t i = 0; i < question->count; i++)
        cg_near_watch_instance_changed(watch, &question->instances[i]);
    if (question->open_purges)
        cg_near_watch_epoch_changed(watch);
}

/* Also when it failed: it may have been executed all the same. */
static void on_changed(void *owner, enum cg_store_result result)
{
    struct cg_near_question *question = owner;
    apply(question);
    cg_near_tell_done(question, result);
}

/* Before it is sent too: what is certain to be dead soon is no longer served. */
static struct cg_near_question *change(struct cg_near_handle *handle,
                                       const struct cg_instance *instances, size_t count,
                                       bool open_purges, cg_store_done_fn answer, void *owner)
{
    struct cg_near_question *question = cg_near_ask(handle, owner);
    question->instances = instances;
    question->count = count;
    question->open_purges = open_purges;
    question->answer_done = answer;
    apply(question);
    return question;
}

void cg_near_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                   cg_store_done_fn answer, void *owner)
{
    struct cg_near_handle *handle = cg_near_handle_of(store);
    struct cg_store *inner = handle->inner;
    if (handle->near->watch == NULL)
        inner->port->purge(inner, instances, count, answer, owner);
    else
        inner->port->purge(inner, instances, count, on_changed,
                           change(handle, instances, count, false, answer, owner));
}

void cg_near_mark(struct cg_store *store, const struct cg_instance *instances, size_t count,
                  const struct cg_writer *writer, int64_t deadline_ms, cg_store_done_fn answer,
                  void *owner)
{
    struct cg_near_handle *handle = cg_near_handle_of(store);
    struct cg_store *inner = handle->inner;
    if (handle->near->watch == NULL)
        inner->port->mark(inner, instances, count, writer, deadline_ms, answer, owner);
    else
        inner->port->mark(inner, instances, count, writer, deadline_ms, on_changed,
                          change(handle, instances, count, false, answer, owner));
}

void cg_near_release(struct cg_store *store, const struct cg_instance *instances, const bool *renew,
                     size_t count, const struct cg_writer *writer, cg_store_done_fn answer,
                     void *owner)
{
    struct cg_near_handle *handle = cg_near_handle_of(store);
    struct cg_store *inner = handle->inner;
    if (handle->near->watch == NULL)
        inner->port->release(inner, instances, renew, count, writer, answer, owner);
    else
        inner->port->release(inner, instances, renew, count, writer, on_changed,
                             change(handle, instances, count, false, answer, owner));
}

void cg_near_ban(struct cg_store *store, const struct cg_ban *bans, size_t count,
                 cg_store_done_fn answer, void *owner)
{
    struct cg_near_handle *handle = cg_near_handle_of(store);
    struct cg_store *inner = handle->inner;
    if (handle->near->watch == NULL)
        inner->port->ban(inner, bans, count, answer, owner);
    else
        inner->port->ban(inner, bans, count, on_changed,
                         change(handle, NULL, 0, true, answer, owner));
}

void cg_near_flush(struct cg_store *store, cg_store_done_fn answer, void *owner)
{
    struct cg_near_handle *handle = cg_near_handle_of(store);
    struct cg_store *inner = handle->inner;
    if (handle->near->watch == NULL)
        inner->port->flush(inner, answer, owner);
    else
        inner->port->flush(inner, on_changed, change(handle, NULL, 0, true, answer, owner));
}
