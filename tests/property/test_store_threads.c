/*
 * Readers and writers on several threads, through entries, verdicts and the embedded store, as the
 * request machine uses them. An upstream counts the writes to each resource; a reader that began
 * after a write was acknowledged must never see a count from before it (DESIGN.md, promise 2).
 *
 * The same through near copies in front of that store, strict and pushed: through one process
 * nobody sees the past in either way.
 *
 * The seed decides what each thread does, not how the threads interleave.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

#include "cachegate/verdict.h"
#include "gateway/base/clock.h"
#include "gateway/store/memory_parts.h"
#include "gateway/store/near.h"
#include "property/seed.h"

enum {
    RESOURCES = 6,
    THREADS = 4,
    OPERATIONS = 12000, /* of each thread */
    LIFETIME_MS = 5000,
    HORIZON_MS = 100000000,
    CROWD = 256, /* instances that share a shard with one that is in use */
};

/* How a write tells the store; NOTHING is the broken gateway that the checker has to find. */
enum { BY_MARK, BY_PURGE, BY_SHARED_PURGE, BY_BAN, BY_WIDE_BAN, BY_FLUSH, NOTHING };

enum copies { NO_COPIES, STRICT_COPIES, PUSHED_COPIES };

struct world {
    struct cg_memory *memory;
    struct cg_near *near; /* NULL: no copies */
    bool broken;
    bool crowded; /* so many versions that those in use are evicted too */
    _Atomic int64_t clock_ms;
    _Atomic uint64_t upstream[RESOURCES];     /* what a fetch sees */
    _Atomic uint64_t acknowledged[RESOURCES]; /* what a later read must at least see */
    _Atomic uint64_t hits;
    _Atomic uint64_t violations;
    _Atomic uint64_t absent; /* versions that a lookup did not find */
    _Atomic uint64_t writer_count;
    uint64_t near_hits, pushed_hits;
};

struct worker {
    struct world *world;
    struct seed seed;
    struct cg_store *store;
    pthread_t thread;
};

static struct world world;

static int64_t read_clock(struct cg_clock *clock)
{
    (void)clock;
    return atomic_load(&world.clock_ms);
}

static const struct cg_clock_port clock_port = {.now_ms = read_clock};
static struct cg_clock test_clock = {&clock_port};

/* Each resource depends on itself and on one instance that all share. */
static struct cg_instance instance_of(size_t name)
{
    struct cg_instance instance = {{0}};
    instance.id[0] = (uint8_t)(1 + name);
    return instance;
}

static void make_plan(size_t resource, struct cg_arena *arena, struct cg_plan *ret_plan)
{
    struct cg_str target = cg_arena_printf(arena, "/items/%zu", resource);
    *ret_plan = (struct cg_plan){.kind = CG_PLAN_LOOKUP,
                                 .canonical = target,
                                 .instances = {instance_of(resource), instance_of(RESOURCES)},
                                 .instance_count = 2};
    ret_plan->key.id[9] = (uint8_t)(1 + resource);
    ret_plan->key.pushed = true; /* counts where the copies are watched */
    (void)cg_path_parse(target, arena, &ret_plan->path, &ret_plan->query);
}

/* ---- reading ---- */

struct reading {
    struct world *world;
    const struct cg_plan *plan;
    struct cg_arena *arena;
    struct cg_verdict verdict;
    uint64_t content;
    struct cg_entry fetched; /* the versions and the epoch from before the fetch */
    bool concrete;
};

static void on_looked_up(void *owner, const struct cg_store_view *view)
{
    struct reading *reading = owner;
    struct cg_entry entry;
    bool decoded =
        view->entry != NULL && cg_entry_decode(cg_blob_str(view->entry), reading->arena, &entry);
    reading->verdict =
        cg_verdict_of(decoded ? &entry : NULL, reading->plan, CG_STR(""), view->versions,
                      view->epoch, view->bans, atomic_load(&reading->world->clock_ms));
    for (size_t i = 0; i < reading->plan->instance_count; i++)
        if (view->versions[i].state == CG_VERSION_ABSENT)
            atomic_fetch_add(&reading->world->absent, 1);
    if (reading->verdict.kind == CG_VERDICT_HIT)
        memcpy(&reading->content, entry.body.bytes, sizeof reading->content);
}

static void on_prepared(void *owner, const struct cg_store_view *view)
{
    struct reading *reading = owner;
    struct cg_entry *entry = &reading->fetched;
    reading->concrete = cg_versions_concrete(view->versions, reading->plan->instance_count);
    entry->epoch = view->epoch;
    entry->instance_count = reading->plan->instance_count;
    for (size_t i = 0; i < entry->instance_count; i++) {
        entry->instances[i] = reading->plan->instances[i];
        entry->tokens[i] = view->versions[i].token;
    }
}

static void on_done(void *owner, enum cg_store_result result)
{
    (void)owner;
    (void)result;
}

static void fetch_and_store(struct worker *worker, struct reading *reading, size_t resource)
{
    const struct cg_plan *plan = reading->plan;
    struct cg_store *store = worker->store;
    store->port->prepare(store, plan->instances, plan->instance_count, on_prepared, reading);
    uint64_t content = atomic_load(&world.upstream[resource]);
    if (!reading->concrete)
        return;
    if (seed_below(&worker->seed, 4) == 0)
        sched_yield();
    reading->fetched.kind = CG_ENTRY_ANSWER;
    reading->fetched.status = 200;
    reading->fetched.canonical = plan->canonical;
    reading->fetched.stored_at_ms = atomic_load(&world.clock_ms);
    reading->fetched.lifetime_ms = LIFETIME_MS;
    reading->fetched.body = cg_str_of((const char *)&content, sizeof content);
    struct cg_blob *blob = cg_entry_encode(&reading->fetched);
    store->port->fill(store, &plan->key, blob, LIFETIME_MS, on_done, NULL);
    cg_blob_unref(blob);
}

static void read_one(struct worker *worker)
{
    size_t resource = seed_below(&worker->seed, RESOURCES);
    struct cg_arena arena;
    struct cg_plan plan;
    cg_arena_init(&arena, 1 << 20);
    make_plan(resource, &arena, &plan);
    struct reading reading = {.world = &world, .plan = &plan, .arena = &arena};
    uint64_t least = atomic_load(&world.acknowledged[resource]);
    struct cg_store *store = worker->store;
    store->port->lookup(store, &plan.key, plan.instances, plan.instance_count, on_looked_up,
                        &reading);
    if (reading.verdict.kind == CG_VERDICT_HIT) {
        atomic_fetch_add(&world.hits, 1);
        if (reading.content < least)
            atomic_fetch_add(&world.violations, 1);
    } else if (reading.verdict.kind == CG_VERDICT_MISS) {
        fetch_and_store(worker, &reading, resource);
    }
    cg_arena_fini(&arena);
}

/* ---- writing ---- */

static void raise_to(_Atomic uint64_t *least, uint64_t value)
{
    uint64_t before = atomic_load(least);
    while (before < value && !atomic_compare_exchange_weak(least, &before, value)) {
    }
}

static void ban(struct cg_store *store, struct cg_str pattern)
{
    struct cg_ban added = {pattern, {NULL, 0}};
    store->port->ban(store, &added, 1, on_done, NULL);
}

/* Marked, committed upstream, released: some writes are refused and change nothing. */
static void write_marked(struct worker *worker, size_t resource)
{
    struct cg_store *store = worker->store;
    struct cg_instance instance = instance_of(resource);
    uint64_t name = atomic_fetch_add(&world.writer_count, 1), count = 0;
    bool renew = seed_below(&worker->seed, 4) > 0;
    struct cg_writer writer = {{0}};
    memcpy(writer.id, &name, sizeof name);
    /* Some marks run out while the write is on its way. */
    int64_t deadline_ms =
        atomic_load(&world.clock_ms) + (int64_t)seed_below(&worker->seed, 2 * LIFETIME_MS);
    store->port->mark(store, &instance, 1, &writer, deadline_ms, on_done, NULL);
    if (renew)
        count = atomic_fetch_add(&world.upstream[resource], 1) + 1;
    if (seed_below(&worker->seed, 4) == 0)
        sched_yield();
    store->port->release(store, &instance, &renew, 1, &writer, on_done, NULL);
    raise_to(&world.acknowledged[resource], count);
}

static void write_by(struct worker *worker, int how, size_t resource, struct cg_arena *arena)
{
    struct cg_store *store = worker->store;
    bool wide = how == BY_SHARED_PURGE || how == BY_WIDE_BAN || how == BY_FLUSH;
    struct cg_instance instance = instance_of(how == BY_SHARED_PURGE ? RESOURCES : resource);
    uint64_t counts[RESOURCES] = {0};
    for (size_t i = 0; i < RESOURCES; i++)
        if (wide || i == resource)
            counts[i] = atomic_fetch_add(&world.upstream[i], 1) + 1;
    if (how == BY_PURGE || how == BY_SHARED_PURGE)
        store->port->purge(store, &instance, 1, on_done, NULL);
    if (how == BY_BAN)
        ban(store, cg_arena_printf(arena, "/items/%zu", resource));
    if (how == BY_WIDE_BAN)
        ban(store, CG_STR("/items/*"));
    if (how == BY_FLUSH)
        store->port->flush(store, on_done, NULL);
    for (size_t i = 0; i < RESOURCES; i++)
        raise_to(&world.acknowledged[i], counts[i]);
}

static void write_one(struct worker *worker)
{
    /* Bans are rare, as in life: each makes later lookups walk the list. */
    static const int ways[] = {BY_MARK,  BY_MARK,  BY_MARK,  BY_MARK,         BY_PURGE,
                               BY_PURGE, BY_PURGE, BY_PURGE, BY_SHARED_PURGE, BY_BAN,
                               BY_BAN,   BY_BAN,   BY_FLUSH, BY_WIDE_BAN};
    int how = ways[seed_below(&worker->seed, sizeof ways / sizeof ways[0])];
    size_t resource = seed_below(&worker->seed, RESOURCES);
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 16);
    if (world.broken)
        write_by(worker, NOTHING, resource, &arena);
    else if (how == BY_MARK)
        write_marked(worker, resource);
    else
        write_by(worker, how, resource, &arena);
    cg_arena_fini(&arena);
}

static void on_crowded(void *owner, const struct cg_store_view *view)
{
    (void)owner;
    (void)view;
}

static struct cg_instance crowds[RESOURCES + 1][CROWD];

static void gather_crowds(struct seed *seed)
{
    for (size_t i = 0; i <= RESOURCES; i++) {
        struct cg_instance used = instance_of(i), other = {{0}};
        size_t count = 0;
        while (count < CROWD) {
            uint64_t name = seed_next(seed);
            memcpy(other.id + 4, &name, sizeof name);
            if (cg_table_hash(other.id) >> CG_MEMORY_SHARD_SHIFT ==
                cg_table_hash(used.id) >> CG_MEMORY_SHARD_SHIFT)
                crowds[i][count++] = other;
        }
    }
}

/* Pushes out what is in use: more versions than its shard has room for. Each is used twice, or the
 * store would take them for a scan and spare the others. */
static void crowd(struct worker *worker)
{
    const struct cg_instance *crowd = crowds[seed_below(&worker->seed, RESOURCES + 1)];
    for (size_t i = 0; i < 8; i++) {
        const struct cg_instance *some = crowd + seed_below(&worker->seed, CROWD - CROWD / 8);
        for (int twice = 0; twice < 2; twice++)
            worker->store->port->prepare(worker->store, some, CROWD / 8, on_crowded, NULL);
    }
}

static const char *server_of(struct cg_store *inner)
{
    (void)inner;
    return "here";
}

/* Nobody else changes anything, so nothing has to be pushed: the connection only comes and goes. */
static void disturb(struct worker *worker)
{
    struct cg_near_watch *watch = cg_near_watch_of(world.near);
    switch (seed_below(&worker->seed, 3)) {
    case 0:
        cg_near_watch_all_changed(watch);
        break;
    case 1:
        cg_near_watch_epoch_changed(watch);
        break;
    default:
        cg_near_watch_attach(watch, "here");
        break;
    }
    cg_near_watch_proven(watch, cg_clock_monotonic_ms());
}

static void *work(void *owner)
{
    struct worker *worker = owner;
    bool watched = world.near != NULL && cg_near_watch_of(world.near) != NULL;
    for (size_t i = 0; i < OPERATIONS; i++) {
        size_t what = seed_below(&worker->seed, 100);
        if (watched && seed_below(&worker->seed, 100) == 0)
            disturb(worker);
        if (world.crowded && seed_below(&worker->seed, 8) == 0)
            crowd(worker);
        if (what < 89)
            read_one(worker);
        else if (what < 99)
            write_one(worker);
        else
            atomic_fetch_add(&world.clock_ms, (int64_t)seed_below(&worker->seed, LIFETIME_MS));
    }
    return NULL;
}

static struct cg_route near_route;
static struct cg_ruleset near_ruleset = {.routes = &near_route, .route_count = 1};
static const struct cg_settings near_settings = {
    .near_bytes = 1 << 20, .tracking_timeout_ms = HORIZON_MS, .ruleset = &near_ruleset};

static struct cg_store *open_one(void)
{
    struct cg_store *store = cg_memory_open(world.memory, &test_clock);
    return world.near == NULL ? store : cg_near_open(world.near, store, &test_clock);
}

static void close_one(struct cg_store *store)
{
    cg_memory_close(world.near == NULL ? store : cg_near_inner(store));
    if (world.near != NULL)
        cg_near_close(store);
}

static void run_with(enum copies copies, size_t bytes_max, bool broken, bool crowded,
                     uint64_t *ret_seed)
{
    struct seed seed = seed_init();
    struct worker workers[THREADS];
    struct cg_book *book = cg_book_create(1);
    *ret_seed = seed.start;
    world = (struct world){.broken = broken, .crowded = crowded};
    atomic_store(&world.clock_ms, INT64_C(1700000000000));
    world.memory = cg_memory_create(bytes_max, HORIZON_MS, seed.start);
    near_route.pushed = copies == PUSHED_COPIES;
    if (copies != NO_COPIES)
        world.near = cg_near_create(&near_settings, book, server_of);
    if (crowded)
        gather_crowds(&seed);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.world = &world, .seed = {seed.start, seed_next(&seed)}};
        workers[i].store = open_one();
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < THREADS; i++)
        close_one(workers[i].store);
    world.near_hits = cg_book_sum(book, CG_METRIC_NEAR_HITS);
    world.pushed_hits = cg_book_sum(book, CG_METRIC_PUSHED_HITS);
    cg_near_destroy(world.near);
    cg_memory_destroy(world.memory);
    cg_book_destroy(book);
}

static void run(size_t bytes_max, bool broken, bool crowded, uint64_t *ret_seed)
{
    run_with(NO_COPIES, bytes_max, broken, crowded, ret_seed);
}

Test(store_threads, no_read_that_began_after_a_write_sees_the_state_before_it)
{
    uint64_t seed;
    run(1 << 24, false, false, &seed);
    cr_expect_eq(world.violations, 0, "CACHEGATE_SEED=%llu: %llu stale reads",
                 (unsigned long long)seed, (unsigned long long)world.violations);
    cr_expect_gt(world.hits, OPERATIONS / 4, "hardly any hits: %llu",
                 (unsigned long long)world.hits);
}

Test(store_threads, nor_when_entries_are_evicted_all_the_time)
{
    uint64_t seed;
    run(1800, false, false, &seed);
    cr_expect_eq(world.violations, 0, "CACHEGATE_SEED=%llu: %llu stale reads",
                 (unsigned long long)seed, (unsigned long long)world.violations);
    cr_expect_gt(world.hits, OPERATIONS / 100, "hardly any hits: %llu",
                 (unsigned long long)world.hits);
}

Test(store_threads, nor_when_versions_are_evicted_under_their_writers)
{
    uint64_t seed;
    run(1 << 19, false, true, &seed);
    cr_expect_eq(world.violations, 0, "CACHEGATE_SEED=%llu: %llu stale reads",
                 (unsigned long long)seed, (unsigned long long)world.violations);
    cr_expect_gt(world.hits, OPERATIONS / 100, "hardly any hits: %llu",
                 (unsigned long long)world.hits);
    cr_expect_gt(world.absent, 20, "hardly any version was evicted: %llu",
                 (unsigned long long)world.absent);
}

Test(store_threads, nor_from_a_copy_that_the_store_confirmed)
{
    uint64_t seed;
    run_with(STRICT_COPIES, 1 << 24, false, false, &seed);
    cr_expect_eq(world.violations, 0, "CACHEGATE_SEED=%llu: %llu stale reads",
                 (unsigned long long)seed, (unsigned long long)world.violations);
    cr_expect_gt(world.near_hits, OPERATIONS / 4, "hardly any: %llu",
                 (unsigned long long)world.near_hits);
}

Test(store_threads, nor_from_a_copy_that_nobody_was_asked_about)
{
    uint64_t seed;
    run_with(PUSHED_COPIES, 1 << 24, false, false, &seed);
    cr_expect_eq(world.violations, 0, "CACHEGATE_SEED=%llu: %llu stale reads",
                 (unsigned long long)seed, (unsigned long long)world.violations);
    cr_expect_gt(world.pushed_hits, OPERATIONS / 4, "hardly any: %llu",
                 (unsigned long long)world.pushed_hits);
}

Test(store_threads, nor_from_such_a_copy_when_versions_are_evicted)
{
    uint64_t seed;
    run_with(PUSHED_COPIES, 1 << 19, false, true, &seed);
    cr_expect_eq(world.violations, 0, "CACHEGATE_SEED=%llu: %llu stale reads",
                 (unsigned long long)seed, (unsigned long long)world.violations);
    cr_expect_gt(world.pushed_hits, OPERATIONS / 100, "hardly any: %llu",
                 (unsigned long long)world.pushed_hits);
}

Test(store_threads, checker_notices_a_gateway_that_does_not_purge)
{
    uint64_t seed;
    run(1 << 24, true, false, &seed);
    cr_expect_gt(world.violations, 0);
}
