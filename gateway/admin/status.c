#include "gateway/admin/parts.h"

#include "gateway/base/clock.h"

static void set_count(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

/* In percent, to two digits. */
static json_t *hit_rate(uint64_t hits, uint64_t misses)
{
    uint64_t asked = hits + misses;
    return json_real(asked == 0 ? 0 : (double)(hits * 10000 / asked) / 100);
}

/* What statistics and health have in common. */
static void set_counts(json_t *object, const struct cg_admin *admin)
{
    struct cg_book *book = admin->world.book;
    struct cg_store_stats store = {0};
    uint64_t hits = cg_book_sum(book, CG_METRIC_HITS);
    uint64_t misses = cg_book_sum(book, CG_METRIC_MISSES);
    admin->store->port->stats(admin->store, &store);
    json_object_set_new(object, "enabled", json_boolean(admin->world.settings->cache_enabled));
    set_count(object, "hits", hits);
    set_count(object, "misses", misses);
    set_count(object, "sets", cg_book_sum(book, CG_METRIC_SETS));
    set_count(object, "deletes", cg_book_sum(book, CG_METRIC_DELETES));
    json_object_set_new(object, "hit_rate", hit_rate(hits, misses));
    set_count(object, "keys", store.entries);
    json_object_set_new(object, "size_mb",
                        json_real((double)(store.entry_bytes * 100 / (1 << 20)) / 100));
}

static json_t *list_routes(const struct cg_admin *admin)
{
    const struct cg_ruleset *ruleset = admin->world.settings->ruleset;
    struct cg_book *book = admin->world.book;
    json_t *routes = json_array();
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *route = &ruleset->routes[i];
        uint64_t hits = cg_book_sum_route(book, i, CG_ROUTE_HITS);
        uint64_t misses = cg_book_sum_route(book, i, CG_ROUTE_MISSES);
        json_t *object = json_object();
        json_t *name = json_stringn(route->name.bytes, route->name.length);
        json_object_set_new(object, "name", name != NULL ? name : cg_admin_json_text(route->name));
        set_count(object, "hits", hits);
        set_count(object, "misses", misses);
        set_count(object, "sets", cg_book_sum_route(book, i, CG_ROUTE_SETS));
        json_object_set_new(object, "hit_rate", hit_rate(hits, misses));
        json_array_append_new(routes, object);
    }
    return routes;
}

static json_t *list_reasons(const struct cg_admin *admin)
{
    json_t *reasons = json_object();
    for (unsigned i = 0; i < CG_REASON_COUNT; i++) {
        uint64_t count = cg_book_sum_reason(admin->world.book, (enum cg_reason)i);
        if (count > 0)
            set_count(reasons, cg_reason_word((enum cg_reason)i), count);
    }
    return reasons;
}

void cg_admin_stats(const struct cg_admin_call *call)
{
    const struct cg_admin *admin = call->admin;
    struct cg_book *book = admin->world.book;
    json_t *object = json_object();
    set_counts(object, admin);
    set_count(object, "requests", cg_book_sum(book, CG_METRIC_REQUESTS));
    set_count(object, "stale_hits", cg_book_sum(book, CG_METRIC_STALE_HITS));
    set_count(object, "passes", cg_book_sum(book, CG_METRIC_PASSES));
    set_count(object, "writes", cg_book_sum(book, CG_METRIC_WRITES));
    set_count(object, "bans", cg_book_sum(book, CG_METRIC_BANS));
    set_count(object, "widened", cg_book_sum(book, CG_METRIC_WIDENED));
    set_count(object, "upstream_requests", cg_book_sum(book, CG_METRIC_UPSTREAM_REQUESTS));
    set_count(object, "uptime_s", (uint64_t)(cg_clock_monotonic_ms() - admin->started_ms) / 1000);
    json_object_set_new(object, "version", json_string(CACHEGATE_VERSION));
    json_object_set_new(object, "reasons", list_reasons(admin));
    json_object_set_new(object, "routes", list_routes(admin));
    cg_admin_answer(call->request, 200, object);
}

void cg_admin_health(const struct cg_admin_call *call)
{
    const struct cg_admin *admin = call->admin;
    struct cg_store_health health = {.backend = "unknown", .breaker = "closed"};
    admin->store->port->health(admin->store, &health);
    json_t *object = json_object();
    json_object_set_new(object, "status", json_string(health.available ? "ok" : "degraded"));
    json_object_set_new(object, "backend", json_string(health.backend));
    json_object_set_new(object, "latency_ms", json_real(health.latency_ms));
    json_object_set_new(object, "breaker", json_string(health.breaker));
    set_counts(object, admin);
    cg_admin_answer(call->request, 200, object); /* degraded is no failure: requests are served */
}

void cg_admin_livez(const struct cg_admin_call *call)
{
    const struct cg_admin_world *world = &call->admin->world;
    unsigned threads = world->threads(world->owner);
    unsigned alive = world->loops_alive(world->owner, CG_ADMIN_LOOP_TURN_MS);
    json_t *object = json_object();
    json_object_set_new(object, "status", json_string(alive >= threads ? "ok" : "stuck"));
    set_count(object, "threads", threads);
    set_count(object, "alive", alive);
    cg_admin_answer(call->request, alive >= threads ? 200 : 503, object);
}

void cg_admin_readyz(const struct cg_admin_call *call)
{
    bool ready = atomic_load(&call->admin->ready);
    json_t *object = json_object();
    json_object_set_new(object, "status", json_string(ready ? "ok" : "starting or draining"));
    cg_admin_answer(call->request, ready ? 200 : 503, object);
}
