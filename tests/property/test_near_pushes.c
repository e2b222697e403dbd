/*
 * Random schedules of two gateways on one store, of which the first keeps near copies of a pushed
 * route: lookups and changes are on their way there and back, pushes are late, and the connection
 * on which they come is lost now and then. The same is a model in tests/model/pushed.pml; here it
 * is the code.
 *
 * Checked at every hit: it is not older than any write through this gateway that was answered
 * before it was asked for, nor than one through the other gateway, unless a push is still under
 * way.
 */
#include <criterion/criterion.h>

#include "cachegate/entry.h"
#include "gateway/base/clock.h"
#include "gateway/store/near.h"
#include "property/seed.h"

enum {
    RESOURCES = 3,
    INSTANCES = 2, /* of each: its own, and one of all */
    SHARED = RESOURCES,
    CALLS = 8,   /* at a time */
    PUSHES = 64, /* under way */
    STEPS = 200000,
    FOREVER_MS = 3600000,
};

/* What breaks the listener, for the checker to find. */
enum fault { NO_FAULT, PUSH_THAT_GETS_LOST, LOSS_THAT_NOBODY_NOTICES, FAULTS };

/* On its way to the store, or back with what it found there. */
struct call {
    bool used, executed;
    const struct cg_key *key; /* of a lookup in full */
    struct cg_instance instances[INSTANCES];
    size_t count;
    bool change, open_purge;
    struct cg_store_view view;
    cg_store_view_fn answer_view;
    cg_store_done_fn answer_done;
    void *owner;
};

struct asked {
    bool used, answered, without_asking;
    size_t resource;
    struct cg_key key;
    uint64_t least_here, least_elsewhere;
};

struct written {
    bool used;
    struct cg_instance instance;
    size_t first, last; /* resources */
    uint64_t states[RESOURCES];
};

static struct {
    struct cg_store base;
    struct seed seed;
    enum fault fault;
    /* the store */
    uint64_t tokens[RESOURCES + 1], last_token;
    struct cg_epoch epoch;
    struct cg_blob *entries[RESOURCES];
    uint8_t pushes[PUSHES]; /* instances, or RESOURCES + 1 for the epoch, + 2 for all */
    size_t push_count;
    struct call calls[CALLS];
    /* the world */
    uint64_t upstream[RESOURCES], answered_here[RESOURCES], answered_elsewhere[RESOURCES];
    struct asked asked[CALLS];
    struct written written[CALLS];
    bool inside; /* a lookup: an answer now comes without asking */
    unsigned hits, pushed_hits, violations;
    struct cg_near *near;
    struct cg_store *store;
} world;

static struct cg_instance instance_of(size_t name)
{
    return (struct cg_instance){{(uint8_t)name, 1}};
}

static struct cg_token token_of(size_t name)
{
    struct cg_token token = {{0}};
    memcpy(token.bytes, &world.tokens[name], sizeof(world.tokens[name]));
    return token;
}

/* ---- the store ---- */

static void reconnect(void)
{
    struct cg_near_watch *watch = cg_near_watch_of(world.near);
    world.push_count = 0;
    if (world.fault == LOSS_THAT_NOBODY_NOTICES)
        return;
    cg_near_watch_detach(watch);
    cg_near_watch_attach(watch, "primary");
    cg_near_watch_proven(watch, cg_clock_monotonic_ms());
}

/* Who does not keep up is cut off, as Redis does it. */
static void push(size_t what)
{
    if (world.push_count == PUSHES)
        reconnect();
    else
        world.pushes[world.push_count++] = (uint8_t)what;
}

static void renew(size_t name)
{
    world.tokens[name] = ++world.last_token;
    push(name);
}

static struct call *find_call(bool used)
{
    size_t start = seed_below(&world.seed, CALLS);
    for (size_t i = 0; i < CALLS; i++)
        if (world.calls[(start + i) % CALLS].used == used)
            return &world.calls[(start + i) % CALLS];
    return NULL;
}

static struct call *new_call(const struct cg_instance *instances, size_t count, void *owner)
{
    struct call *call = find_call(false);
    cr_assert_not_null(call);
    *call = (struct call){.used = true, .count = count, .owner = owner};
    if (count > 0)
        memcpy(call->instances, instances, count * sizeof(*instances));
    return call;
}

static void double_lookup(struct cg_store *store, const struct cg_key *key,
                          const struct cg_instance *instances, size_t count,
                          cg_store_view_fn answer, void *owner)
{
    (void)store;
    struct call *call = new_call(instances, count, owner);
    call->key = key;
    call->answer_view = answer;
}

static void double_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                         cg_store_done_fn answer, void *owner)
{
    (void)store;
    struct call *call = new_call(instances, count, owner);
    call->change = true;
    call->answer_done = answer;
}

static void double_flush(struct cg_store *store, cg_store_done_fn answer, void *owner)
{
    double_purge(store, NULL, 0, answer, owner);
    for (size_t i = 0; i < CALLS; i++)
        if (world.calls[i].used && world.calls[i].owner == owner)
            world.calls[i].open_purge = true;
}

static bool double_reachable(struct cg_store *store)
{
    (void)store;
    return true;
}

static const char *server_of(struct cg_store *inner)
{
    (void)inner;
    return "primary";
}

static void execute(struct call *call)
{
    call->executed = true;
    if (call->change) {
        for (size_t i = 0; i < call->count; i++)
            renew(call->instances[i].id[0]);
        if (call->open_purge) {
            world.epoch.counter++;
            push(RESOURCES + 1);
        }
        return;
    }
    call->view = (struct cg_store_view){.result = CG_STORE_OK, .epoch = world.epoch};
    for (size_t i = 0; i < call->count; i++)
        call->view.versions[i] = (struct cg_version){.state = CG_VERSION_CURRENT,
                                                     .token = token_of(call->instances[i].id[0])};
    call->view.bans = cg_bans_restore(world.epoch, NULL, 0, 0);
    if (call->key != NULL && world.entries[call->instances[0].id[0]] != NULL)
        call->view.entry = cg_blob_ref(world.entries[call->instances[0].id[0]]);
}

static void answer(struct call *call)
{
    struct call done = *call;
    call->used = false;
    if (done.change) {
        done.answer_done(done.owner, CG_STORE_OK);
        return;
    }
    done.answer_view(done.owner, &done.view);
    cg_bans_unref(done.view.bans);
    cg_blob_unref(done.view.entry);
}

/* ---- reading ---- */

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct asked *asked = owner;
    struct cg_arena arena;
    struct cg_entry entry;
    uint64_t state = 0;
    asked->used = false;
    if (view->entry == NULL)
        return;
    cg_arena_init(&arena, 1 << 16);
    cr_assert(cg_entry_decode(cg_blob_str(view->entry), &arena, &entry));
    bool hit = cg_epoch_eq(entry.epoch, view->epoch); /* any open purge is of everything */
    for (size_t i = 0; i < INSTANCES; i++)
        hit = hit && cg_token_eq(&entry.tokens[i], &view->versions[i].token);
    memcpy(&state, entry.body.bytes, sizeof(state));
    cg_arena_fini(&arena);
    if (!hit)
        return;
    world.hits++;
    world.pushed_hits += world.inside ? 1 : 0;
    bool may_be_behind = world.inside && world.push_count > 0;
    if (state < asked->least_here || (state < asked->least_elsewhere && !may_be_behind))
        world.violations++;
}

static void read_one(void)
{
    size_t resource = seed_below(&world.seed, RESOURCES);
    struct asked *asked = NULL;
    for (size_t i = 0; i < CALLS; i++)
        if (!world.asked[i].used)
            asked = &world.asked[i];
    if (asked == NULL || find_call(false) == NULL)
        return;
    *asked = (struct asked){
        .used = true,
        .resource = resource,
        .key = {.id = {(uint8_t)(resource + 1)}, .pushed = true},
        .least_here = world.answered_here[resource],
        .least_elsewhere = world.answered_elsewhere[resource],
    };
    static const struct cg_instance instances[RESOURCES][INSTANCES] = {
        {{{0, 1}}, {{SHARED, 1}}}, {{{1, 1}}, {{SHARED, 1}}}, {{{2, 1}}, {{SHARED, 1}}}};
    world.inside = true;
    world.store->port->lookup(world.store, &asked->key, instances[resource], INSTANCES, on_view,
                              asked);
    world.inside = false;
}

/* Some gateway fetched it under the versions of now. */
static void store_entry(void)
{
    size_t resource = seed_below(&world.seed, RESOURCES);
    struct cg_entry entry = {
        .kind = CG_ENTRY_ANSWER,
        .stored_at_ms = 0,
        .lifetime_ms = FOREVER_MS,
        .epoch = world.epoch,
        .instance_count = INSTANCES,
        .instances = {instance_of(resource), instance_of(SHARED)},
        .tokens = {token_of(resource), token_of(SHARED)},
        .status = 200,
        .body = cg_str_of((const char *)&world.upstream[resource], sizeof(uint64_t)),
    };
    cg_blob_unref(world.entries[resource]);
    world.entries[resource] = cg_entry_encode(&entry);
}

/* ---- writing ---- */

static struct written commit(size_t first, size_t last)
{
    struct written written = {.used = true, .first = first, .last = last};
    for (size_t i = first; i <= last; i++)
        written.states[i] = ++world.upstream[i];
    return written;
}

static void raise_to(uint64_t answered[RESOURCES], const struct written *written)
{
    for (size_t i = written->first; i <= written->last; i++)
        if (written->states[i] > answered[i])
            answered[i] = written->states[i];
}

static void on_purged(void *owner, enum cg_store_result result)
{
    struct written *written = owner;
    (void)result;
    written->used = false;
    raise_to(world.answered_here, written);
}

static void write_here(void)
{
    size_t resource = seed_below(&world.seed, RESOURCES), way = seed_below(&world.seed, 8);
    struct written *written = NULL;
    for (size_t i = 0; i < CALLS; i++)
        if (!world.written[i].used)
            written = &world.written[i];
    if (written == NULL || find_call(false) == NULL)
        return;
    *written = way < 6 ? commit(resource, resource) : commit(0, RESOURCES - 1);
    written->instance = instance_of(way < 6 ? resource : SHARED);
    if (way < 7)
        world.store->port->purge(world.store, &written->instance, 1, on_purged, written);
    else
        world.store->port->flush(world.store, on_purged, written);
}

/* At once: what matters of it here is when its push arrives. */
static void write_elsewhere(void)
{
    size_t resource = seed_below(&world.seed, RESOURCES), way = seed_below(&world.seed, 8);
    struct written written = way < 6 ? commit(resource, resource) : commit(0, RESOURCES - 1);
    if (way == 7) {
        world.epoch.counter++;
        push(RESOURCES + 1);
    } else {
        renew(way < 6 ? resource : SHARED);
    }
    raise_to(world.answered_elsewhere, &written);
}

/* ---- pushes ---- */

static void deliver_push(void)
{
    struct cg_near_watch *watch = cg_near_watch_of(world.near);
    if (world.push_count == 0)
        return;
    size_t what = world.pushes[0];
    memmove(world.pushes, world.pushes + 1, --world.push_count);
    if (world.fault == PUSH_THAT_GETS_LOST && seed_below(&world.seed, 4) == 0)
        return;
    struct cg_instance instance = instance_of(what);
    if (what == RESOURCES + 1)
        cg_near_watch_epoch_changed(watch);
    else if (what == RESOURCES + 2)
        cg_near_watch_all_changed(watch);
    else
        cg_near_watch_instance_changed(watch, &instance);
}

/* ---- schedules ---- */

static int64_t read_clock(struct cg_clock *clock)
{
    (void)clock;
    return 1;
}

static void step(void)
{
    struct call *call = find_call(true);
    size_t what = seed_below(&world.seed, 1000);
    if (what < 350)
        read_one();
    else if (what < 650 && call != NULL && !call->executed)
        execute(call);
    else if (what < 650 && call != NULL)
        answer(call);
    else if (what < 800)
        deliver_push();
    else if (what < 900)
        store_entry();
    else if (what < 945)
        write_here();
    else if (what < 990)
        write_elsewhere();
    else if (what < 998)
        reconnect();
    else
        push(RESOURCES + 2);
}

static void run(enum fault fault)
{
    static const struct cg_clock_port clock_port = {.now_ms = read_clock};
    static const struct cg_store_port port = {
        .lookup = double_lookup,
        .purge = double_purge,
        .flush = double_flush,
        .reachable = double_reachable,
    };
    struct cg_clock clock = {&clock_port};
    struct cg_route route = {.pushed = true};
    struct cg_ruleset ruleset = {.routes = &route, .route_count = 1};
    struct cg_settings settings = {
        .near_bytes = 1 << 16, .tracking_timeout_ms = FOREVER_MS, .ruleset = &ruleset};
    struct cg_book *book = cg_book_create(1);
    memset(&world, 0, sizeof(world));
    world.base.port = &port;
    world.seed = seed_init();
    world.fault = fault;
    world.epoch = (struct cg_epoch){1, 1};
    world.near = cg_near_create(&settings, book, server_of);
    world.store = cg_near_open(world.near, &world.base, &clock);
    cg_near_watch_attach(cg_near_watch_of(world.near), "primary");
    cg_near_watch_proven(cg_near_watch_of(world.near), cg_clock_monotonic_ms());
    for (unsigned i = 0; i < STEPS; i++)
        step();
    for (struct call *call; (call = find_call(true)) != NULL;) {
        if (!call->executed)
            execute(call);
        answer(call);
    }
    cg_near_close(world.store);
    cg_near_destroy(world.near);
    cg_book_destroy(book);
    for (size_t i = 0; i < RESOURCES; i++)
        cg_blob_unref(world.entries[i]);
}

Test(near_pushes, no_hit_is_older_than_what_was_pushed_or_written_here)
{
    run(NO_FAULT);
    cr_expect_eq(world.violations, 0, "CACHEGATE_SEED=%llu: %u stale hits",
                 (unsigned long long)world.seed.start, world.violations);
    cr_expect_gt(world.pushed_hits, STEPS / 100, "hardly any: %u", world.pushed_hits);
    cr_expect_gt(world.hits, world.pushed_hits + STEPS / 100, "hardly any: %u", world.hits);
}

Test(near_pushes, the_checker_notices_faults)
{
    for (enum fault fault = PUSH_THAT_GETS_LOST; fault < FAULTS; fault++) {
        run(fault);
        cr_expect_gt(world.violations, 0, "fault %d", fault);
    }
}
