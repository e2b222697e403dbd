/*
 * parts: what the files of admin/ share. Everything but `ready` and `stopping` belongs to the admin
 * thread once it runs. Nobody outside includes it.
 */
#ifndef GATEWAY_ADMIN_PARTS_H
#define GATEWAY_ADMIN_PARTS_H

#include "cachegate/buf.h"
#include "cachegate/purge.h"
#include "gateway/admin/admin.h"
#include "gateway/admin/history.h"
#include "gateway/admin/page.h"

#include <h2o.h>
#include <jansson.h>
#include <pthread.h>
#include <sys/stat.h>

enum {
    CG_ADMIN_BODY_BYTES_MAX = 1 << 20,
    CG_ADMIN_CONNECTIONS_MAX = 256,
    CG_ADMIN_ARENA_BYTES = 256 << 20,
    CG_ADMIN_LOOP_TURN_MS = 10000, /* a loop that did not turn for so long is stuck */
};

struct cg_admin_connection;

struct cg_admin {
    struct cg_admin_world world;
    char *address; /* owned */
    int listener;
    struct stat file; /* of a UNIX socket */
    int wake;         /* eventfd: the loop looks at `stopping` */
    atomic_bool ready;
    atomic_bool was_ready; /* so it is leaving when it is not */
    atomic_bool stopping;
    pthread_t thread;
    pthread_mutex_t lock;
    /* Under the lock: references, what the next request obeys. */
    struct cg_generation *next_generation, *next_other;
    struct cg_admin_reload *reloads; /* under the lock too: asked for, not answered yet */
    /* Of the thread: what this request obeys. */
    struct cg_generation *generation, *other;
    const struct cg_settings *settings; /* the generation's */

    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    struct cg_clock *clock; /* owned, as are the following */
    struct cg_store *store;
    struct cg_sheet *sheet; /* the book's */
    struct cg_admin_connection *connections;
    size_t connection_count;
    size_t operation_count; /* asked of the store, not answered yet */
    int64_t started_ms;
    int64_t started_wall_ms;
    struct cg_history *history; /* owned */
    struct cg_timer history_timer;
    struct cg_page page;
};

/* One request, taken apart. Everything lives as long as `request`'s pool, or in `arena`. */
struct cg_admin_call {
    struct cg_admin *admin;
    h2o_req_t *request;
    const struct cg_path *path;
    const struct cg_query *query;
    struct cg_arena *arena; /* ends when the handler returns */
};

/* ---- answer.c ---- */

/* Answers with the object, which is released. Whitespace for human readers. */
void cg_admin_answer(h2o_req_t *request, unsigned status, json_t *object);
void cg_admin_answer_text(h2o_req_t *request, unsigned status, const char *type,
                          struct cg_str body);
/* {"error": …, "remedy": …}; texts need not be NUL-terminated, `remedy` may be empty. */
void cg_admin_answer_error(h2o_req_t *request, unsigned status, struct cg_str error,
                           struct cg_str remedy);
/* A JSON text of bytes from anywhere: what is not printable ASCII becomes `?`. */
json_t *cg_admin_json_text(struct cg_str text);
/* The same of a name that should be UTF-8: as it is where it is. */
json_t *cg_admin_json_name(struct cg_str name);
/* Wall time as RFC 3339 writes it, in UTC. */
json_t *cg_admin_json_time(int64_t at_ms);
/* The dashboard, which only browsers get. */
void cg_admin_answer_page(h2o_req_t *request, const struct cg_page *page);

/* ---- routes.c ---- */

/* Answers one request: finds its endpoint, asks for the token where one is needed. */
int cg_admin_on_request(h2o_handler_t *handler, h2o_req_t *request);
/* The handler that cg_admin_on_request gets, with the admin behind it. */
struct cg_admin_handler {
    h2o_handler_t super;
    struct cg_admin *admin;
};

/* ---- status.c, lately.c, exposition.c, purge.c: the endpoints ---- */

void cg_admin_stats(const struct cg_admin_call *call);
void cg_admin_health(const struct cg_admin_call *call);
void cg_admin_history(const struct cg_admin_call *call);
void cg_admin_purges(const struct cg_admin_call *call);
void cg_admin_groups(const struct cg_admin_call *call);
void cg_admin_livez(const struct cg_admin_call *call);
void cg_admin_readyz(const struct cg_admin_call *call);
void cg_admin_drain(const struct cg_admin_call *call);
void cg_admin_metrics(const struct cg_admin_call *call);
void cg_admin_flush(const struct cg_admin_call *call);
void cg_admin_purge_user(const struct cg_admin_call *call);
void cg_admin_purge_group(const struct cg_admin_call *call);
void cg_admin_purge(const struct cg_admin_call *call);
void cg_admin_refresh(const struct cg_admin_call *call);

/* ---- reload.c ---- */

void cg_admin_reload(const struct cg_admin_call *call);
/* Answers those whose attempt has ended; on the admin thread, when it was woken. */
void cg_admin_reloads_answer(struct cg_admin *admin);
/* Before a request: what it obeys. */
void cg_admin_follow(struct cg_admin *admin);
/* At the end of the thread. */
void cg_admin_forget_generations(struct cg_admin *admin);

/* ---- purge_body.c ---- */

/*
 * The body of POST /cache/purge → what it purges, added to `set`; by the other rules too, where
 * there are any (NULL), as far as they know the names. NULL, or the answer's error
 * (texts in the arena), with the remedy in *ret_remedy.
 */
const char *cg_admin_purge_read(const struct cg_ruleset *ruleset, const struct cg_ruleset *other,
                                struct cg_str body, struct cg_arena *arena,
                                struct cg_purge_set *set, const char **ret_remedy);
/* The remedy for a group that does not exist. */
const char *cg_admin_group_remedy(const struct cg_ruleset *ruleset, struct cg_str name,
                                  struct cg_arena *arena);

#endif
