#include "gateway/run_reload.h"

#include "cachegate/assert.h"
#include "cachegate/purge.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/front/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BANS_ARENA_BYTES = 16 << 20 };

struct cg_run_reload {
    struct cg_run_parts parts;
    struct cg_reload *reload;
    struct cg_generation *start;   /* a reference: what cannot change is the start's */
    struct cg_generation *current; /* a reference; of the reload thread */
    struct cg_generation *loaded;  /* a reference; NULL: nothing is loaded */
    SSL_CTX *tls;                  /* owned; of what is loaded */
    struct cg_arena bans;          /* of the purge that was ordered last */
};

/* ---- reading and judging ---- */

static bool load_tls(struct cg_run_reload *run, const struct cg_settings *settings,
                     struct cg_buf *report)
{
    char *error = NULL;
    for (size_t i = 0; i < settings->listener_count; i++) {
        if (!settings->listeners[i].tls)
            continue;
        run->tls = cg_tls_create(&settings->tls, &error);
        if (run->tls == NULL)
            cg_buf_printf(report, "tls: %s\n", error == NULL ? "no reason is known" : error);
        free(error);
        return run->tls != NULL;
    }
    return true;
}

static struct cg_settings *load_settings(struct cg_run_reload *run, struct cg_arena *arena,
                                         struct cg_buf *report)
{
    const struct cg_settings *current = run->current->settings;
    struct cg_problems problems = {.arena = arena};
    struct cg_settings_source source = *run->parts.source;
    source.running = run->start->settings;
    source.carried_secret = current->secret_given ? NULL : &current->secret;
    struct cg_settings *settings = cg_settings_load(&source, arena, &problems);
    for (size_t i = 0; i < problems.count; i++)
        cg_settings_print_problem(&problems.items[i], report);
    return settings;
}

static void discard(void *owner)
{
    struct cg_run_reload *run = owner;
    cg_generation_unref(run->loaded);
    run->loaded = NULL;
    run->tls = cg_tls_destroy(run->tls);
}

static bool refuse(struct cg_run_reload *run)
{
    cg_book_note_config(run->parts.book, run->current->number, false, 0);
    return false;
}

static bool load(void *owner, struct cg_buf *report)
{
    struct cg_run_reload *run = owner;
    struct cg_arena *arena = malloc(sizeof *arena);
    CG_ASSERT(arena != NULL && run->loaded == NULL);
    cg_arena_init(arena, CG_SETTINGS_ARENA_BYTES);
    struct cg_settings *settings = load_settings(run, arena, report);
    if (settings == NULL) {
        cg_arena_fini(arena);
        free(arena);
        return refuse(run);
    }
    run->loaded = cg_generation_create(settings, arena, run->current->number + 1,
                                       run->parts.generations_alive);
    if (load_tls(run, settings, report))
        return true;
    discard(run);
    return refuse(run);
}

static size_t files(void *owner, const char *const **ret_files)
{
    const struct cg_settings *settings = ((struct cg_run_reload *)owner)->current->settings;
    *ret_files = settings->files;
    return settings->file_count;
}

static bool changed(void *owner)
{
    return cg_settings_changed(((struct cg_run_reload *)owner)->current->settings);
}

/* ---- exchanging ---- */

static void outlive(const struct cg_run_parts *parts, uint64_t lifetime_ms)
{
    if (parts->memory != NULL)
        cg_memory_outlive(parts->memory, lifetime_ms);
    if (parts->outage != NULL)
        cg_outage_memory_outlive(parts->outage, lifetime_ms);
    if (parts->redis != NULL)
        cg_redis_outlive(parts->redis, lifetime_ms);
}

/* Nobody else sees the rules yet. */
static void name_routes(const struct cg_run_parts *parts, struct cg_ruleset *ruleset)
{
    for (size_t i = 0; parts->redis != NULL && i < ruleset->route_count; i++)
        ruleset->routes[i].key_route = cg_redis_route(parts->redis, ruleset->routes[i].name);
}

static bool is_secret_of(const struct cg_secret *secret, const struct cg_settings *settings)
{
    return memcmp(secret, &settings->secret, sizeof *secret) == 0 ||
           (settings->secret_previous_given &&
            memcmp(secret, &settings->secret_previous, sizeof *secret) == 0);
}

/* What is stored under a secret that was not accepted before was not purged meanwhile either. */
static bool brings_secret(const struct cg_settings *before, const struct cg_settings *next)
{
    return !is_secret_of(&next->secret, before) ||
           (next->secret_previous_given && !is_secret_of(&next->secret_previous, before));
}

static bool purge_changes(struct cg_run_reload *run)
{
    const struct cg_settings *before = run->current->settings, *next = run->loaded->settings;
    struct cg_purge_set set = {.cause = CG_PURGE_FLUSH};
    struct cg_arena *arena = &run->bans; /* where it is given up, the thread may still need them */
    bool purged = true;
    cg_arena_fini(arena);
    cg_arena_init(arena, BANS_ARENA_BYTES);
    if (brings_secret(before, next))
        cg_purge_of_everything(arena, &set);
    else
        cg_purge_of_changes(before->ruleset, next->ruleset, arena, &set);
    bool goes_on = cg_server_purge(run->parts.server, set.bans, set.ban_count, &purged);
    if (!purged)
        cg_log(CG_LOG_WARN, "reload",
               "the store did not acknowledge the purge of what the rules "
               "have changed; it is owed, and delivered before the store "
               "is believed again");
    return goes_on;
}

static void set_log(const struct cg_settings *settings)
{
    enum cg_log_level level = CG_LOG_INFO;
    cg_log_level_from(cg_str_from(settings->log_level), &level);
    cg_log_set_level(level);
}

static void log_exchanged(const struct cg_run_reload *run, const struct cg_generation *before)
{
    const struct cg_ruleset *ruleset = run->current->settings->ruleset;
    size_t changed = 0;
    for (size_t i = 0; i < ruleset->route_count; i++)
        changed += cg_ruleset_route_like(before->settings->ruleset, &ruleset->routes[i]) == NULL;
    char numbers[3][24];
    snprintf(numbers[0], sizeof numbers[0], "%llu", (unsigned long long)run->current->number);
    snprintf(numbers[1], sizeof numbers[1], "%zu", ruleset->route_count);
    snprintf(numbers[2], sizeof numbers[2], "%zu", changed);
    struct cg_log_pair pairs[] = {{"generation", cg_str_from(numbers[0])},
                                  {"routes", cg_str_from(numbers[1])},
                                  {"changed", cg_str_from(numbers[2])}};
    cg_log_pairs(CG_LOG_NOTICE, "reloaded", pairs, 3);
}

/* Every step is taken by all threads before the next one begins. */
static bool exchange(void *owner)
{
    struct cg_run_reload *run = owner;
    struct cg_server *server = run->parts.server;
    struct cg_generation *before = run->current, *next = run->loaded;
    outlive(&run->parts, next->settings->ruleset->lifetime_max_ms);
    name_routes(&run->parts, next->owned->ruleset);
    if (run->parts.admin != NULL)
        cg_admin_obey(run->parts.admin, before, next);
    if (!cg_server_announce(server, next) || !purge_changes(run))
        return false;
    SSL_CTX *tls = run->tls;
    run->tls = NULL;
    if (!cg_server_adopt(server, tls))
        return false;
    set_log(next->settings);
    if (run->parts.admin != NULL)
        cg_admin_obey(run->parts.admin, next, before);
    if (!cg_server_forget(server))
        return false;
    if (run->parts.admin != NULL)
        cg_admin_obey(run->parts.admin, next, NULL);
    run->current = next;
    run->loaded = NULL;
    log_exchanged(run, before);
    cg_book_note_config(run->parts.book, next->number, true, cg_clock_wall_ms());
    cg_generation_unref(before);
    return true;
}

/* ---- life ---- */

static enum cg_reload_watch watch_of(const char *word)
{
    if (strcmp(word, "off") == 0)
        return CG_RELOAD_WATCH_OFF;
    return strcmp(word, "poll") == 0 ? CG_RELOAD_WATCH_POLL : CG_RELOAD_WATCH_ON;
}

struct cg_run_reload *cg_run_reload_start(const struct cg_run_parts *parts,
                                          struct cg_generation *generation)
{
    struct cg_run_reload *run = calloc(1, sizeof *run);
    CG_ASSERT(run != NULL);
    const struct cg_settings *settings = generation->settings;
    run->parts = *parts;
    cg_arena_init(&run->bans, BANS_ARENA_BYTES);
    run->start = cg_generation_ref(generation);
    run->current = cg_generation_ref(generation);
    struct cg_reload_hooks hooks = {.owner = run,
                                    .load = load,
                                    .exchange = exchange,
                                    .discard = discard,
                                    .files = files,
                                    .changed = changed};
    run->reload = cg_reload_start(&hooks, watch_of(settings->reload_watch),
                                  settings->reload_debounce_ms, settings->reload_poll_ms);
    return run;
}

void cg_run_reload_ask(struct cg_run_reload *run, cg_reload_done_fn on_done, void *owner)
{
    cg_reload_ask(run->reload, on_done, owner);
}

void cg_run_reload_status(struct cg_run_reload *run, struct cg_admin_reload_status *ret_status)
{
    struct cg_reload_status status;
    cg_reload_status(run->reload, &status);
    ret_status->successful = status.successful;
    ret_status->since_ms = status.since_ms;
    _Static_assert(sizeof ret_status->error == sizeof status.error, "one text");
    memcpy(ret_status->error, status.error, sizeof status.error);
    ret_status->alive = atomic_load(run->parts.generations_alive);
}

const struct cg_settings *cg_run_reload_settings(const struct cg_run_reload *run)
{
    return run->current->settings;
}

void cg_run_reload_stop(struct cg_run_reload *run)
{
    if (run == NULL)
        return;
    cg_server_cancel_exchange(run->parts.server);
    cg_reload_stop(run->reload);
}

struct cg_run_reload *cg_run_reload_destroy(struct cg_run_reload *run)
{
    if (run == NULL)
        return NULL;
    run->reload = cg_reload_destroy(run->reload);
    discard(run);
    cg_generation_unref(run->current);
    cg_generation_unref(run->start);
    cg_arena_fini(&run->bans);
    free(run);
    return NULL;
}
