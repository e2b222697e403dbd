/*
 * POST /reload, and which generation of settings the API speaks of.
 *
 * An attempt runs on a thread of its own, and needs this one to go on turning; so whoever asks is
 * answered later, with what became of it.
 */
#include "gateway/admin/parts.h"

#include "cachegate/assert.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One request for an attempt; in the admin's list until it was answered. */
struct cg_admin_reload {
    struct cg_admin *admin;
    struct cg_admin_reload *next;
    h2o_req_t *request; /* of the admin thread; NULL: the client has left */
    struct tie *tie;
    /* Under the admin's lock. */
    bool done, good;
    char *report; /* owned */
};

/* Lives in the request's pool, and so learns of its end. */
struct tie {
    struct cg_admin_reload *reload;
};

/* ---- which generation ---- */

static void lock(struct cg_admin *admin)
{
    CG_ASSERT(pthread_mutex_lock(&admin->lock) == 0);
}

static void unlock(struct cg_admin *admin)
{
    CG_ASSERT(pthread_mutex_unlock(&admin->lock) == 0);
}

void cg_admin_obey(struct cg_admin *admin, struct cg_generation *generation,
                   struct cg_generation *other)
{
    lock(admin);
    struct cg_generation *before = admin->next_generation, *other_before = admin->next_other;
    admin->next_generation = cg_generation_ref(generation);
    admin->next_other = other == NULL ? NULL : cg_generation_ref(other);
    unlock(admin);
    cg_generation_unref(before);
    cg_generation_unref(other_before);
    uint64_t one = 1; /* so that it lets go of the one before */
    CG_ASSERT(write(admin->wake, &one, sizeof one) == (ssize_t)sizeof one);
}

void cg_admin_follow(struct cg_admin *admin)
{
    struct cg_generation *before = admin->generation, *other_before = admin->other;
    lock(admin);
    admin->generation = cg_generation_ref(admin->next_generation);
    admin->other = admin->next_other == NULL ? NULL : cg_generation_ref(admin->next_other);
    unlock(admin);
    admin->settings = admin->generation->settings;
    cg_generation_unref(before);
    cg_generation_unref(other_before);
}

void cg_admin_forget_generations(struct cg_admin *admin)
{
    cg_generation_unref(admin->generation);
    cg_generation_unref(admin->other);
    cg_generation_unref(admin->next_generation);
    cg_generation_unref(admin->next_other);
    while (admin->reloads != NULL) {
        struct cg_admin_reload *reload = admin->reloads;
        admin->reloads = reload->next;
        free(reload->report);
        free(reload);
    }
}

/* ---- POST /reload ---- */

static void on_request_end(void *data)
{
    struct tie *tie = data;
    if (tie->reload != NULL)
        tie->reload->request = NULL;
}

/* On whatever thread the attempt ended. */
static void on_done(void *owner, bool good, struct cg_str report)
{
    struct cg_admin_reload *reload = owner;
    struct cg_admin *admin = reload->admin;
    uint64_t one = 1;
    lock(admin);
    reload->report = strndup(report.bytes == NULL ? "" : report.bytes, report.length);
    CG_ASSERT(reload->report != NULL);
    reload->good = good;
    reload->done = true;
    CG_ASSERT(write(admin->wake, &one, sizeof one) == (ssize_t)sizeof one);
    unlock(admin);
}

void cg_admin_reload(const struct cg_admin_call *call)
{
    struct cg_admin *admin = call->admin;
    struct cg_admin_reload *reload = calloc(1, sizeof *reload);
    CG_ASSERT(reload != NULL);
    reload->admin = admin;
    reload->request = call->request;
    reload->tie = h2o_mem_alloc_shared(&call->request->pool, sizeof *reload->tie, on_request_end);
    reload->tie->reload = reload;
    lock(admin);
    reload->next = admin->reloads;
    admin->reloads = reload;
    unlock(admin);
    admin->world.reload(admin->world.owner, on_done, reload);
}

static void answer(const struct cg_admin *admin, const struct cg_admin_reload *reload)
{
    json_t *object = json_object(), *lines = json_array();
    struct cg_str rest = cg_str_from(reload->report), line;
    while (cg_str_split(&rest, '\n', &line))
        if (!cg_str_empty(line))
            json_array_append_new(lines, cg_admin_json_name(line));
    if (!reload->good) {
        json_object_set_new(object, "error", json_string("the new configuration is refused"));
        json_object_set_new(object, "remedy",
                            json_string("what was in force stays; correct it and ask again"));
    }
    json_object_set_new(object, reload->good ? "warnings" : "problems", lines);
    json_object_set_new(object, "generation", json_integer((json_int_t)admin->generation->number));
    cg_admin_answer(reload->request, reload->good ? 200 : 422, object);
}

/* Takes one that has ended out of the list; NULL: none has. */
static struct cg_admin_reload *take_done(struct cg_admin *admin)
{
    lock(admin);
    struct cg_admin_reload **at = &admin->reloads;
    while (*at != NULL && !(*at)->done)
        at = &(*at)->next;
    struct cg_admin_reload *reload = *at;
    if (reload != NULL)
        *at = reload->next;
    unlock(admin);
    return reload;
}

void cg_admin_reloads_answer(struct cg_admin *admin)
{
    struct cg_admin_reload *reload;
    cg_admin_follow(admin);
    while ((reload = take_done(admin)) != NULL) {
        if (reload->request != NULL) {
            reload->tie->reload = NULL;
            answer(admin, reload);
        }
        free(reload->report);
        free(reload);
    }
}
