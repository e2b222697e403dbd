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

/* To two digits. */
static json_t *megabytes(uint64_t bytes)
{
    return json_real((double)(bytes * 100 / (1 << 20)) / 100);
}

/* What statistics and health have in common. */
static void set_counts(json_t *object, const struct cg_admin *admin,
                       const struct cg_store_stats *store)
{
    struct cg_book *book = admin->world.book;
    uint64_t hits = cg_book_sum(book, CG_METRIC_HITS);
    uint64_t misses = cg_book_sum(book, CG_METRIC_MISSES);
    json_object_set_new(object, "enabled", json_boolean(admin->settings->cache_enabled));
    set_count(object, "hits", hits);
    set_count(object, "misses", misses);
    set_count(object, "sets", cg_book_sum(book, CG_METRIC_SETS));
    set_count(object, "deletes", cg_book_sum(book, CG_METRIC_DELETES));
    json_object_set_new(object, "hit_rate", hit_rate(hits, misses));
    set_count(object, "keys", store->entries);
    json_object_set_new(object, "size_mb", megabytes(store->entry_bytes));
}

/* Of all gateways on the store, since it began to count. */
static json_t *describe_fleet(const struct cg_store_fleet *fleet)
{
    static const char *const names[CG_FLEET_COUNTERS] = {
        [CG_FLEET_HITS] = "hits",
        [CG_FLEET_MISSES] = "misses",
        [CG_FLEET_STALE_HITS] = "stale_hits",
        [CG_FLEET_SETS] = "sets",
        [CG_FLEET_DELETES] = "deletes",
        [CG_FLEET_BANS] = "bans",
    };
    json_t *object = json_object();
    for (size_t i = 0; i < CG_FLEET_COUNTERS; i++)
        set_count(object, names[i], fleet->counters[i]);
    json_object_set_new(object, "hit_rate",
                        hit_rate(fleet->counters[CG_FLEET_HITS], fleet->counters[CG_FLEET_MISSES]));
    set_count(object, "keys", fleet->keys);
    json_object_set_new(object, "age_s", json_real((double)(fleet->age_ms / 100) / 10));
    return object;
}

static json_t *list_routes(const struct cg_admin *admin, const struct cg_store_fleet *fleet)
{
    const struct cg_ruleset *ruleset = admin->settings->ruleset;
    struct cg_book *book = admin->world.book;
    json_t *routes = json_array();
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *route = &ruleset->routes[i];
        size_t slot = cg_book_route_slot(book, route->name);
        uint64_t hits = cg_book_sum_route(book, slot, CG_ROUTE_HITS);
        uint64_t misses = cg_book_sum_route(book, slot, CG_ROUTE_MISSES);
        json_t *object = json_object();
        json_object_set_new(object, "name", cg_admin_json_name(route->name));
        set_count(object, "hits", hits);
        set_count(object, "misses", misses);
        set_count(object, "sets", cg_book_sum_route(book, slot, CG_ROUTE_SETS));
        json_object_set_new(object, "hit_rate", hit_rate(hits, misses));
        if (fleet != NULL && route->key_route < fleet->route_count)
            set_count(object, "keys", fleet->route_keys[route->key_route]);
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

/* Of copies in front of a shared store (near.h). */
static json_t *describe_near(struct cg_book *book, const struct cg_store_stats *store)
{
    json_t *object = json_object();
    set_count(object, "keys", store->near_entries);
    json_object_set_new(object, "size_mb", megabytes(store->near_bytes));
    set_count(object, "confirmed_hits", cg_book_sum(book, CG_METRIC_NEAR_HITS));
    set_count(object, "pushed_hits", cg_book_sum(book, CG_METRIC_PUSHED_HITS));
    set_count(object, "pushes", cg_book_sum(book, CG_METRIC_PUSHES));
    set_count(object, "tracking_lost", cg_book_sum(book, CG_METRIC_TRACKING_LOST));
    return object;
}

/* In milliseconds; linear within the bucket. */
static json_t *quantile(const struct cg_histogram *histogram, double q)
{
    double rest = (double)histogram->count * q, low = 0;
    if (histogram->count == 0)
        return json_null();
    for (size_t i = 0; i < CG_BOUND_COUNT; i++) {
        double inside = (double)histogram->buckets[i], high = (double)cg_bounds_us[i];
        if (inside > 0 && rest <= inside)
            return json_real((low + (high - low) * rest / inside) / 1000);
        rest -= inside;
        low = high;
    }
    return json_real(low / 1000); /* at least */
}

/* Since the start. */
static json_t *list_upstreams(const struct cg_admin *admin)
{
    const struct cg_settings *settings = admin->world.settings;
    json_t *upstreams = json_array();
    for (size_t i = 0; i < settings->upstream_count; i++) {
        struct cg_histogram histogram;
        uint64_t errors = 0;
        json_t *object = json_object();
        cg_book_histogram(admin->world.book, CG_TIMING_UPSTREAM, i, &histogram);
        for (unsigned error = 0; error < CG_UPSTREAM_ERRORS_MAX; error++)
            errors += cg_book_sum_upstream_errors(admin->world.book, i, error);
        json_object_set_new(object, "name",
                            cg_admin_json_name(cg_str_from(settings->upstreams[i].name)));
        set_count(object, "answers", histogram.count);
        set_count(object, "errors", errors);
        json_object_set_new(object, "median_ms", quantile(&histogram, 0.5));
        json_object_set_new(object, "p99_ms", quantile(&histogram, 0.99));
        json_array_append_new(upstreams, object);
    }
    return upstreams;
}

void cg_admin_stats(const struct cg_admin_call *call)
{
    const struct cg_admin *admin = call->admin;
    struct cg_book *book = admin->world.book;
    struct cg_store_stats store = {0};
    json_t *object = json_object();
    admin->store->port->stats(admin->store, &store);
    set_counts(object, admin, &store);
    set_count(object, "requests", cg_book_sum(book, CG_METRIC_REQUESTS));
    set_count(object, "stale_hits", cg_book_sum(book, CG_METRIC_STALE_HITS));
    set_count(object, "passes", cg_book_sum(book, CG_METRIC_PASSES));
    set_count(object, "writes", cg_book_sum(book, CG_METRIC_WRITES));
    set_count(object, "bans", cg_book_sum(book, CG_METRIC_BANS));
    set_count(object, "widened", cg_book_sum(book, CG_METRIC_WIDENED));
    set_count(object, "upstream_requests", cg_book_sum(book, CG_METRIC_UPSTREAM_REQUESTS));
    set_count(object, "upstream_errors", cg_book_sum(book, CG_METRIC_UPSTREAM_ERRORS));
    set_count(object, "store_errors", cg_book_sum(book, CG_METRIC_STORE_ERRORS));
    set_count(object, "collapsed", cg_book_sum(book, CG_METRIC_COLLAPSED));
    set_count(object, "refused", cg_book_sum(book, CG_METRIC_REFUSED));
    set_count(object, "evictions", store.evictions);
    set_count(object, "uptime_s", (uint64_t)(cg_clock_monotonic_ms() - admin->started_ms) / 1000);
    json_object_set_new(object, "version", json_string(CACHEGATE_VERSION));
    json_object_set_new(object, "reasons", list_reasons(admin));
    if (store.fleet != NULL)
        json_object_set_new(object, "fleet", describe_fleet(store.fleet));
    if (admin->world.settings->redis_url != NULL)
        json_object_set_new(object, "near", describe_near(book, &store));
    json_object_set_new(object, "upstreams", list_upstreams(admin));
    json_object_set_new(object, "routes", list_routes(admin, store.fleet));
    cg_admin_answer(call->request, 200, object);
}

static json_t *list_servers(const struct cg_store_health *health)
{
    json_t *servers = json_array();
    for (size_t i = 0; i < health->server_count; i++) {
        const struct cg_store_server *server = &health->servers[i];
        json_t *object = json_object();
        json_object_set_new(object, "address", cg_admin_json_text(cg_str_from(server->address)));
        json_object_set_new(object, "connected", json_boolean(server->connected));
        json_object_set_new(object, "breaker", json_string(server->breaker));
        json_array_append_new(servers, object);
    }
    return servers;
}

/* What only stores have that are servers. */
static void set_servers(json_t *object, const struct cg_store_health *health,
                        const struct cg_store_fleet *fleet)
{
    if (health->server_count > 0)
        json_object_set_new(object, "servers", list_servers(health));
    if (fleet == NULL)
        return;
    json_object_set_new(object, "memory_mb", megabytes(fleet->memory_bytes));
    if (fleet->memory_max_bytes > 0)
        json_object_set_new(object, "memory_max_mb", megabytes(fleet->memory_max_bytes));
}

static const char *readiness(const struct cg_admin *admin)
{
    const struct cg_admin_world *world = &admin->world;
    if (!atomic_load(&admin->ready))
        return atomic_load(&admin->was_ready) ? "draining" : "starting";
    return world->settings->warm_ready && !world->is_warm(world->owner) ? "warming" : "ok";
}

static json_t *describe_configuration(const struct cg_admin *admin)
{
    struct cg_admin_reload_status status = {.successful = true};
    json_t *object = json_object();
    admin->world.reload_status(admin->world.owner, &status);
    set_count(object, "generation", admin->generation->number);
    json_object_set_new(object, "last_reload", json_string(status.successful ? "ok" : "refused"));
    if (!status.successful)
        json_object_set_new(object, "error", cg_admin_json_name(cg_str_from(status.error)));
    set_count(object, "since", (uint64_t)(status.since_ms / 1000));
    set_count(object, "alive", status.alive);
    return object;
}

void cg_admin_health(const struct cg_admin_call *call)
{
    const struct cg_admin *admin = call->admin;
    struct cg_store_health health = {.backend = "unknown", .breaker = "closed"};
    struct cg_store_stats store = {0};
    admin->store->port->health(admin->store, &health);
    admin->store->port->stats(admin->store, &store);
    json_t *object = json_object();
    json_object_set_new(object, "status", json_string(health.available ? "ok" : "degraded"));
    if (!health.available && health.why != NULL)
        json_object_set_new(object, "why", json_string(health.why));
    json_object_set_new(object, "ready", json_string(readiness(admin)));
    json_object_set_new(object, "backend", json_string(health.backend));
    json_object_set_new(object, "latency_ms", json_real(health.latency_ms));
    json_object_set_new(object, "breaker", json_string(health.breaker));
    set_count(object, "journal", health.journal);
    if (health.tracking != NULL)
        json_object_set_new(object, "tracking", json_string(health.tracking));
    set_servers(object, &health, store.fleet);
    json_object_set_new(object, "configuration", describe_configuration(admin));
    set_counts(object, admin, &store);
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
    const char *state = readiness(call->admin);
    json_t *object = json_object();
    json_object_set_new(object, "status", json_string(state));
    cg_admin_answer(call->request, strcmp(state, "ok") == 0 ? 200 : 503, object);
}
