#include "help_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "cachegate/seal.h"
#include "gateway/config/tree.h"
#include "gateway/request/record.h"
#include "gateway/store/memory.h"
#include "gateway/store/outage_memory.h"

#define OWNER(type, member, pointer) ((type *)((char *)(pointer)-offsetof(type, member)))

/* ---- clock ---- */

static int64_t clock_now(struct cg_clock *clock)
{
    return OWNER(struct world, clock, clock)->now_ms;
}

static void clock_disarm(struct cg_clock *clock, struct cg_timer *timer)
{
    struct world *world = OWNER(struct world, clock, clock);
    if (!timer->armed)
        return;
    timer->armed = false;
    for (size_t i = 0; i < world->timer_count; i++)
        if (world->timers[i] == timer) {
            world->timers[i] = world->timers[--world->timer_count];
            return;
        }
    CG_UNREACHABLE();
}

static void clock_arm(struct cg_clock *clock, struct cg_timer *timer, uint32_t delay_ms)
{
    struct world *world = OWNER(struct world, clock, clock);
    clock_disarm(clock, timer);
    CG_ASSERT(world->timer_count < 8192);
    timer->armed = true;
    timer->slot.deadline_ms = world->now_ms + delay_ms;
    world->timers[world->timer_count++] = timer;
}

static const struct cg_clock_port clock_port = {clock_now, clock_arm, clock_disarm};

/* Timers fire one by one at their own time, so that what they start is dated right. */
void world_time_passes(struct world *world, int64_t ms)
{
    int64_t until_ms = world->now_ms + ms;
    for (;;) {
        struct cg_timer *next = NULL;
        for (size_t i = 0; i < world->timer_count; i++)
            if (world->timers[i]->slot.deadline_ms <= until_ms &&
                (next == NULL || world->timers[i]->slot.deadline_ms < next->slot.deadline_ms))
                next = world->timers[i];
        if (next == NULL)
            break;
        if (next->slot.deadline_ms > world->now_ms)
            world->now_ms = next->slot.deadline_ms;
        clock_disarm(&world->clock, next);
        next->on_expiry(next->owner);
    }
    world->now_ms = until_ms;
}

/* ---- store ---- */

enum { OP_LOOKUP, OP_PREPARE, OP_FILL, OP_PURGE, OP_MARK, OP_RELEASE, OP_BAN, OP_FLUSH };

struct call {
    struct world *world;
    int kind;
    const struct cg_key *key;
    const struct cg_instance *instances;
    size_t count;
    struct cg_blob *entry;
    uint64_t lifetime_ms;
    const struct cg_writer *writer;
    int64_t deadline_ms;
    const bool *renew;
    const struct cg_ban *bans;
    cg_store_view_fn on_view;
    cg_store_done_fn on_done;
    void *owner;
    bool acted;
    struct cg_store_view view; /* what was seen, with references */
    enum cg_store_result result;
};

static void keep_view(void *owner, const struct cg_store_view *view)
{
    struct call *call = owner;
    call->view = *view;
    if (view->entry != NULL)
        cg_blob_ref(view->entry);
    if (view->bans != NULL)
        cg_bans_ref(view->bans);
}

static void keep_result(void *owner, enum cg_store_result result)
{
    ((struct call *)owner)->result = result;
}

static void act(struct call *call)
{
    struct cg_store *inner = call->world->inner;
    const struct cg_store_port *port = inner->port;
    call->acted = true;
    if (call->world->store_down) {
        call->view.result = call->result = CG_STORE_UNAVAILABLE;
        return;
    }
    switch (call->kind) {
    case OP_LOOKUP:
        port->lookup(inner, call->key, call->instances, call->count, keep_view, call);
        break;
    case OP_PREPARE:
        port->prepare(inner, call->instances, call->count, keep_view, call);
        break;
    case OP_FILL:
        port->fill(inner, call->key, call->entry, call->lifetime_ms, keep_result, call);
        break;
    case OP_PURGE:
        port->purge(inner, call->instances, call->count, keep_result, call);
        break;
    case OP_MARK:
        port->mark(inner, call->instances, call->count, call->writer, call->deadline_ms,
                   keep_result, call);
        break;
    case OP_RELEASE:
        port->release(inner, call->instances, call->renew, call->count, call->writer, keep_result,
                      call);
        break;
    case OP_BAN:
        port->ban(inner, call->bans, call->count, keep_result, call);
        break;
    default:
        port->flush(inner, keep_result, call);
    }
}

static void answer(struct call *call)
{
    if (!call->acted)
        act(call);
    if (call->on_view != NULL)
        call->on_view(call->owner, &call->view);
    else
        call->on_done(call->owner, call->result);
    cg_blob_unref(call->view.entry);
    cg_bans_unref(call->view.bans);
    cg_blob_unref(call->entry);
    free(call);
}

static void submit(struct cg_store *store, struct call call)
{
    struct world *world = OWNER(struct world, store, store);
    struct call *own = malloc(sizeof(*own));
    *own = call;
    own->world = world;
    world->operations_asked++;
    /* A fill's key is borrowed until it answered, as the contract says; the blob is referenced. */
    if (own->entry != NULL) {
        cg_blob_ref(own->entry);
        cg_blob_unref(world->last_filled);
        world->last_filled = cg_blob_ref(own->entry);
        world->last_key = *own->key;
    }
    if (world->store_mode == WORLD_STORE_AT_ONCE) {
        answer(own);
        return;
    }
    if (world->store_mode == WORLD_STORE_ANSWERS_LATE)
        act(own);
    CG_ASSERT(world->operation_count < WORLD_OPERATIONS_MAX);
    world->operations[(world->operation_first + world->operation_count++) % WORLD_OPERATIONS_MAX] =
        own;
}

bool world_store_step(struct world *world)
{
    if (world->operation_count == 0 && world->mail.armed) {
        clock_disarm(&world->clock, &world->mail);
        cg_memory_deliver(world->inner);
        return true;
    }
    if (world->operation_count == 0)
        return false;
    struct call *call = world->operations[world->operation_first];
    world->operation_first = (world->operation_first + 1) % WORLD_OPERATIONS_MAX;
    world->operation_count--;
    answer(call);
    return true;
}

void world_store_fails(struct world *world)
{
    CG_ASSERT(world->operation_count > 0);
    struct call *call = world->operations[world->operation_first];
    CG_ASSERT(call->acted);
    call->view.result = call->result = CG_STORE_UNAVAILABLE;
    world_store_step(world);
}

void world_store_settle(struct world *world)
{
    while (world_store_step(world))
        ;
}

static void store_lookup(struct cg_store *store, const struct cg_key *key,
                         const struct cg_instance *instances, size_t count,
                         cg_store_view_fn on_view, void *owner)
{
    submit(store, (struct call){.kind = OP_LOOKUP,
                                .key = key,
                                .instances = instances,
                                .count = count,
                                .on_view = on_view,
                                .owner = owner});
}

static void store_prepare(struct cg_store *store, const struct cg_instance *instances, size_t count,
                          cg_store_view_fn on_view, void *owner)
{
    submit(store, (struct call){.kind = OP_PREPARE,
                                .instances = instances,
                                .count = count,
                                .on_view = on_view,
                                .owner = owner});
}

static void store_fill(struct cg_store *store, const struct cg_key *key, struct cg_blob *entry,
                       uint64_t lifetime_ms, cg_store_done_fn on_done, void *owner)
{
    submit(store, (struct call){.kind = OP_FILL,
                                .key = key,
                                .entry = entry,
                                .lifetime_ms = lifetime_ms,
                                .on_done = on_done,
                                .owner = owner});
}

static void store_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                        cg_store_done_fn on_done, void *owner)
{
    submit(store, (struct call){.kind = OP_PURGE,
                                .instances = instances,
                                .count = count,
                                .on_done = on_done,
                                .owner = owner});
}

static void store_mark(struct cg_store *store, const struct cg_instance *instances, size_t count,
                       const struct cg_writer *writer, int64_t deadline_ms,
                       cg_store_done_fn on_done, void *owner)
{
    submit(store, (struct call){.kind = OP_MARK,
                                .instances = instances,
                                .count = count,
                                .writer = writer,
                                .deadline_ms = deadline_ms,
                                .on_done = on_done,
                                .owner = owner});
}

static void store_release(struct cg_store *store, const struct cg_instance *instances,
                          const bool *renew, size_t count, const struct cg_writer *writer,
                          cg_store_done_fn on_done, void *owner)
{
    submit(store, (struct call){.kind = OP_RELEASE,
                                .instances = instances,
                                .renew = renew,
                                .count = count,
                                .writer = writer,
                                .on_done = on_done,
                                .owner = owner});
}

static void store_ban(struct cg_store *store, const struct cg_ban *bans, size_t count,
                      cg_store_done_fn on_done, void *owner)
{
    submit(store,
           (struct call){
               .kind = OP_BAN, .bans = bans, .count = count, .on_done = on_done, .owner = owner});
}

static void store_flush(struct cg_store *store, cg_store_done_fn on_done, void *owner)
{
    submit(store, (struct call){.kind = OP_FLUSH, .on_done = on_done, .owner = owner});
}

static bool store_reachable(struct cg_store *store)
{
    return !OWNER(struct world, store, store)->store_down;
}

static uint32_t store_hold_ms(struct cg_store *store)
{
    const struct world *world = OWNER(struct world, store, store);
    if (world->hold_until_ms == INT64_MAX)
        return CG_STORE_HOLD_REFUSE;
    return world->hold_until_ms > world->now_ms ? (uint32_t)(world->hold_until_ms - world->now_ms)
                                                : 0;
}

/* Claims are answered at once, whatever the store's mode; wakes come from a timer. */
static struct cg_claims *store_claims(struct cg_store *store)
{
    struct world *world = OWNER(struct world, store, store);
    return world->inner->port->claims(world->inner);
}

static void deliver(void *owner)
{
    cg_memory_deliver(((struct world *)owner)->inner);
}

static void on_mail(void *owner)
{
    struct world *world = owner;
    clock_arm(&world->clock, &world->mail, 0);
}

static const struct cg_store_port store_port = {
    .reachable = store_reachable,
    .unpurged_hold_ms = store_hold_ms,
    .lookup = store_lookup,
    .prepare = store_prepare,
    .claims = store_claims,
    .fill = store_fill,
    .purge = store_purge,
    .mark = store_mark,
    .release = store_release,
    .ban = store_ban,
    .flush = store_flush,
};

/* ---- origin ---- */

static void origin_start(struct cg_origin *origin, const struct cg_origin_request *request,
                         const struct cg_origin_events *events, void *owner,
                         struct cg_origin_exchange **ret_exchange)
{
    struct world *world = OWNER(struct world, origin, origin);
    CG_ASSERT(world->exchange_count < WORLD_EXCHANGES_MAX);
    struct world_exchange *exchange = calloc(1, sizeof(*exchange));
    exchange->world = world;
    exchange->live = true;
    exchange->request = request;
    exchange->events = events;
    exchange->owner = owner;
    exchange->handle = ret_exchange;
    exchange->tag = world->state;
    snprintf(exchange->target, sizeof(exchange->target), "%.*s", CG_STR_ARG(request->target));
    snprintf(exchange->method, sizeof(exchange->method), "%.*s", CG_STR_ARG(request->method));
    cg_arena_init(&exchange->arena, 1 << 20);
    world->exchanges[world->exchange_count++] = exchange;
    *ret_exchange = (struct cg_origin_exchange *)(void *)exchange;
    if (world->on_asked != NULL)
        world->on_asked(world, exchange);
    if (world->origin_answers_inside_start)
        world_origin_answers(exchange, 200, NULL, "at once");
}

static struct world_exchange *exchange_of(struct cg_origin_exchange *exchange)
{
    return (struct world_exchange *)(void *)exchange;
}

static void origin_pause(struct cg_origin_exchange *exchange)
{
    exchange_of(exchange)->paused = true;
}

static void origin_resume(struct cg_origin_exchange *exchange)
{
    exchange_of(exchange)->paused = false;
}

static void origin_cancel(struct cg_origin_exchange *exchange)
{
    CG_ASSERT(exchange_of(exchange)->live);
    exchange_of(exchange)->live = false;
    exchange_of(exchange)->cancelled = true;
}

static const struct cg_origin_port origin_port = {origin_start, origin_pause, origin_resume,
                                                  origin_cancel};

struct world_exchange *world_asked(struct world *world)
{
    for (size_t i = 0; i < world->exchange_count; i++)
        if (world->exchanges[i]->live && !world->exchanges[i]->headed)
            return world->exchanges[i];
    return NULL;
}

size_t world_times_asked(const struct world *world)
{
    return world->exchange_count;
}

/* "name: value\nname: value" into a list. */
static void parse_fields(struct cg_arena *arena, const char *text, struct cg_fields *fields)
{
    struct cg_str rest = cg_arena_copy(arena, cg_str_from(text)), line;
    while (!cg_str_empty(rest) && cg_str_split(&rest, '\n', &line)) {
        size_t colon = cg_str_find(line, ':');
        if (colon < line.length)
            cg_fields_add(fields, arena, cg_str_sub(line, 0, colon),
                          cg_str_trim(cg_str_skip(line, colon + 1)));
    }
}

static void tell_head(struct world_exchange *exchange, unsigned status, const char *fields,
                      long length)
{
    CG_ASSERT(exchange->live && !exchange->headed);
    exchange->headed = true;
    parse_fields(&exchange->arena, fields, &exchange->fields);
    struct cg_origin_head head = {
        .status = status,
        .fields = &exchange->fields,
        .has_length = length >= 0,
        .content_length = length < 0 ? 0 : (uint64_t)length,
        .no_body = status == 204 || status == 304 || strcmp(exchange->method, "HEAD") == 0,
    };
    exchange->events->on_head(exchange->owner, &head);
}

void world_origin_head(struct world_exchange *exchange, unsigned status, const char *fields,
                       long length)
{
    tell_head(exchange, status, fields, length);
    exchange->events->on_lull(exchange->owner);
}

static void tell_bytes(struct world_exchange *exchange, const char *bytes, size_t length)
{
    char *copy = malloc(length + 1); /* borrowed during the call only */
    memcpy(copy, bytes, length);
    exchange->events->on_body(exchange->owner, cg_str_of(copy, length));
    free(copy);
}

void world_origin_bytes(struct world_exchange *exchange, const char *bytes, size_t length)
{
    if (!exchange->live)
        return;
    tell_bytes(exchange, bytes, length);
    exchange->events->on_lull(exchange->owner);
}

void world_origin_body(struct world_exchange *exchange, const char *bytes)
{
    world_origin_bytes(exchange, bytes, strlen(bytes));
}

void world_origin_end(struct world_exchange *exchange, enum cg_origin_outcome outcome)
{
    if (!exchange->live)
        return;
    exchange->live = false;
    exchange->ended = true;
    bool sent = outcome != CG_ORIGIN_REFUSED && outcome != CG_ORIGIN_UNRESOLVED;
    exchange->events->on_end(exchange->owner, outcome, sent, CG_STR("as the test says"));
}

void world_origin_answers(struct world_exchange *exchange, unsigned status, const char *fields,
                          const char *body)
{
    tell_head(exchange, status, fields, (long)strlen(body));
    if (body[0] != '\0')
        tell_bytes(exchange, body, strlen(body));
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
}

/* ---- clients ---- */

static struct world_client *client_of(struct cg_client *client)
{
    return OWNER(struct world_client, base, client);
}

static void client_begin(struct cg_client *base, const struct cg_reply_head *head)
{
    struct world_client *client = client_of(base);
    CG_ASSERT(!client->begun && !client->gone);
    client->begun = true;
    client->status = head->status;
    client->no_body = head->no_body;
    client->has_length = head->has_length;
    client->content_length = head->content_length;
    for (size_t i = 0; i < head->fields->count; i++)
        cg_fields_add(&client->fields, &client->arena,
                      cg_arena_copy(&client->arena, head->fields->items[i].name),
                      cg_arena_copy(&client->arena, head->fields->items[i].value));
}

static void client_send(struct cg_client *base, struct cg_str bytes, bool final)
{
    struct world_client *client = client_of(base);
    CG_ASSERT(client->begun && !client->ended && !client->outstanding && !client->gone);
    client->sends++;
    cg_buf_add_str(&client->body, bytes);
    base->body_bytes += bytes.length;
    base->whole = final;
    client->ended = final;
    if (client->leaves_inside_send) {
        world_client_leaves(client);
        return;
    }
    if (final)
        return;
    client->outstanding = true;
    if (!client->slow)
        world_client_takes(client);
}

static void client_abort(struct cg_client *base)
{
    struct world_client *client = client_of(base);
    CG_ASSERT(client->begun && !client->ended && !client->gone);
    client->aborted = client->ended = true;
}

static const struct cg_client_port client_port = {client_begin, client_send, client_abort};

void world_client_takes(struct world_client *client)
{
    if (!client->outstanding || client->gone)
        return;
    client->outstanding = false;
    cg_request_client_ready(client->request);
}

void world_client_leaves(struct world_client *client)
{
    if (client->gone || client->request == NULL)
        return;
    struct cg_request *request = client->request;
    client->gone = true;
    client->outstanding = false;
    client->request = NULL;
    char *memory = client->memory;
    client->memory = NULL;
    cg_request_client_gone(request);
    free(memory);
}

struct world_client *world_client(struct world *world, const char *method, const char *target,
                                  const char *fields, const char *body)
{
    CG_ASSERT(world->client_count < WORLD_CLIENTS_MAX);
    struct world_client *client = calloc(1, sizeof(*client));
    client->base.port = &client_port;
    client->world = world;
    cg_arena_init(&client->arena, 1 << 20);
    cg_buf_init(&client->body, 256 << 20);
    world->clients[world->client_count++] = client;

    /* One block for all that the facts point to; it goes when the client goes. */
    size_t lengths[4] = {strlen(method), strlen(target), fields == NULL ? 0 : strlen(fields),
                         body == NULL ? 0 : strlen(body)};
    const char *texts[4] = {method, target, fields, body};
    size_t total = sizeof(struct cg_fields) + 64 * sizeof(struct cg_field);
    for (int i = 0; i < 4; i++)
        total += lengths[i] + 1;
    client->memory = calloc(1, total);
    struct cg_fields *list = (struct cg_fields *)client->memory;
    list->items = (struct cg_field *)(void *)(client->memory + sizeof(*list));
    list->capacity = 64;
    char *at = client->memory + sizeof(*list) + 64 * sizeof(struct cg_field);
    struct cg_str slices[4];
    for (int i = 0; i < 4; i++) {
        if (lengths[i] > 0)
            memcpy(at, texts[i], lengths[i]);
        slices[i] = cg_str_of(at, lengths[i]);
        at += lengths[i] + 1;
    }
    struct cg_str rest = slices[2], line;
    while (!cg_str_empty(rest) && cg_str_split(&rest, '\n', &line)) {
        size_t colon = cg_str_find(line, ':');
        CG_ASSERT(colon < line.length && list->count < 64);
        list->items[list->count++] = (struct cg_field){cg_str_sub(line, 0, colon),
                                                       cg_str_trim(cg_str_skip(line, colon + 1))};
    }
    client->facts = (struct cg_request_facts){
        .method = slices[0],
        .scheme = CG_STR("http"),
        .authority = CG_STR("api.test"),
        .target = slices[1],
        .fields = list,
        .body = slices[3],
        .has_body = body != NULL,
        .peer_address = CG_STR("192.0.2.1"),
    };
    return client;
}

void world_send(struct world_client *client)
{
    struct world *world = client->world;
    cg_request_start(&world->machine, &client->base, &client->facts, &client->request);
    if (client->gone)
        client->request = NULL;
}

struct world_client *world_asks(struct world *world, const char *method, const char *target,
                                const char *fields, const char *body)
{
    struct world_client *client = world_client(world, method, target, fields, body);
    world_send(client);
    return client;
}

struct world_client *world_gets(struct world *world, const char *target)
{
    return world_asks(world, "GET", target, NULL, NULL);
}

void world_reap(struct world *world)
{
    for (size_t i = 0; i < world->client_count; i++)
        if (world->clients[i]->ended)
            world_client_leaves(world->clients[i]);
}

const char *world_field(const struct world_client *client, const char *name)
{
    struct cg_str value = cg_fields_value(&client->fields, cg_str_from(name));
    return value.bytes == NULL ? "" : value.bytes;
}

bool world_got(const struct world_client *client, unsigned status, const char *body,
               const char *cache_status)
{
    struct cg_str got = cg_buf_str(&client->body);
    if (!client->ended || client->aborted || client->status != status)
        return false;
    if (body != NULL && !cg_str_eq(got, cg_str_from(body)))
        return false;
    return cache_status == NULL || strstr(world_field(client, "cache-status"), cache_status);
}

/* ---- the world ---- */

static struct cg_ruleset *compile(const char *yaml)
{
    static struct cg_arena arena; /* the nodes outlive the ruleset */
    cg_arena_fini(&arena);
    cg_arena_init(&arena, CG_TREE_ARENA_BYTES);
    struct cg_problems problems = {.arena = &arena};
    struct cg_node *root =
        cg_tree_parse(cg_str_from(yaml), "rules.yaml", cg_env_of_process, NULL, &arena, &problems);
    const struct cg_node *identity = cg_node_get(root, "identity");
    struct cg_rule_source source = {.root = root};
    if (identity != NULL) { /* the configuration's part, written into the same text */
        source.root = cg_node_get(root, "rules");
    }
    static const char *const upstreams[] = {"default", "other"};
    struct cg_ruleset_options options = {.identity = identity,
                                         .upstream_names = upstreams,
                                         .upstream_count = 2,
                                         .cache_enabled = true};
    cg_secret_from_text(CG_STR("a secret of the tests"), &options.secret);
    struct cg_ruleset *ruleset = cg_ruleset_compile(&source, 1, &options, &problems);
    for (size_t i = 0; ruleset == NULL && i < problems.count; i++)
        fprintf(stderr, "%s:%u: %.*s: %.*s\n", problems.items[i].file, problems.items[i].line,
                CG_STR_ARG(problems.items[i].path), CG_STR_ARG(problems.items[i].message));
    CG_ASSERT(ruleset != NULL);
    return ruleset;
}

/* Salts that differ are all that is needed here. */
static void count_up(void *bytes, size_t length)
{
    static uint64_t count;
    memset(bytes, 0, length);
    count++;
    memcpy(bytes, &count, sizeof(count));
}

static const struct cg_machine_limits world_limits = {.response_capture_max = 4096,
                                                      .json_body_max = 65536,
                                                      .json_depth_max = 32,
                                                      .purge_instances_max = 64,
                                                      .entry_bytes_max = 65536,
                                                      .flight_buffer = 16384,
                                                      .flight_waiters_max = 1000,
                                                      .flight_wait_ms = 5000,
                                                      .flight_takeovers_max = 1,
                                                      .flight_claim_ms = 3000,
                                                      .write_hold_ms = 10000,
                                                      .write_mark_ms = 30000,
                                                      .outage_fetches_max = 4,
                                                      .outage_queue_max = 8,
                                                      .outage_wait_ms = 10000};

struct world *world_create(const char *rules_yaml)
{
    struct world *world = calloc(1, sizeof(*world));
    world->now_ms = 1000000000000;
    world->clock.port = &clock_port;
    world->port = store_port;
    world->store.port = &world->port;
    world->origin.port = &origin_port;
    world->ruleset = compile(rules_yaml);
    world->book = cg_book_create(2);
    world->memory = cg_memory_create(8 << 20, world->ruleset->lifetime_max_ms, 4711);
    world->inner = cg_memory_open(world->memory, &world->clock);
    world->mail = (struct cg_timer){.on_expiry = deliver, .owner = world};
    (void)cg_memory_on_mail(world->inner, on_mail, world);
    world->route_slots = cg_route_slots_create(world->book, world->ruleset);
    world->regime = (struct cg_regime){
        .ruleset = world->ruleset,
        .route_slots = world->route_slots,
        .limits = world_limits,
        .via = CG_STR("cachegate"),
        .admin_token = CG_STR("sesame"),
    };
    world->machine = (struct cg_machine){
        .regime = &world->regime,
        .upstream_count = 2,
        .store = &world->store,
        .origin = &world->origin,
        .clock = &world->clock,
        .sheet = cg_book_sheet(world->book),
        .writer_seed = {1, 1},
    };
    struct cg_secret secret;
    cg_secret_from_text(CG_STR("a secret of the tests"), &secret);
    world->regime.sealer = cg_sealer_create(&secret, NULL);
    world->machine.random_bytes = count_up;
    cg_machine_init(&world->machine);
    return world;
}

void world_shares(struct world *world, struct world *first)
{
    cg_memory_close(world->inner);
    world->inner = cg_memory_open(first->memory, &world->clock);
    (void)cg_memory_on_mail(world->inner, on_mail, world);
}

void world_stands_in(struct world *world, uint32_t ttl_ms)
{
    world->outage = cg_outage_memory_create(8 << 20, world->ruleset->lifetime_max_ms, ttl_ms, 1147);
    world->machine.store = cg_outage_memory_open(world->outage, &world->store, &world->clock);
}

void world_destroy(struct world *world)
{
    world_reap(world);
    CG_ASSERT(world->operation_count == 0);
    clock_disarm(&world->clock, &world->mail);
    CG_ASSERT(world->timer_count == 0);
    cg_machine_fini(&world->machine);
    if (world->outage != NULL)
        cg_outage_memory_close(world->machine.store);
    cg_outage_memory_destroy(world->outage);
    for (size_t i = 0; i < world->client_count; i++) {
        CG_ASSERT(world->clients[i]->gone || world->clients[i]->request == NULL);
        cg_arena_fini(&world->clients[i]->arena);
        cg_buf_fini(&world->clients[i]->body);
        free(world->clients[i]->memory);
        free(world->clients[i]);
    }
    for (size_t i = 0; i < world->exchange_count; i++) {
        CG_ASSERT(!world->exchanges[i]->live);
        cg_arena_fini(&world->exchanges[i]->arena);
        free(world->exchanges[i]);
    }
    cg_sealer_destroy(world->machine.regime->sealer);
    cg_blob_unref(world->last_filled);
    cg_memory_close(world->inner);
    cg_memory_destroy(world->memory);
    cg_ruleset_destroy(world->ruleset);
    free(world->route_slots);
    cg_book_destroy(world->book);
    free(world);
}

uint32_t world_random_below(struct world_random *random, uint32_t bound)
{
    random->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % bound);
}
