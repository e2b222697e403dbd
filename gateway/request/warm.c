#include "gateway/request/warm.h"

#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

/* Whether the store can be used yet, and whether its epoch moved, is asked that often. */
enum { LOOK_EVERY_MS = 250, ORDER_BYTES_MAX = 16 << 20 };

struct visit {
    struct cg_client base;
    struct cg_warm *warm;
    struct visit *previous, *next;
    struct cg_request *request;
    struct cg_request_facts facts;
    unsigned status;
    bool ended;
};

struct cg_warm {
    struct cg_machine *machine;
    const struct cg_warm_wish *wishes;
    size_t count, begun; /* begun: of this round; `count` between rounds */
    size_t failed;       /* of this round */
    uint32_t concurrency, under_way;
    void (*on_done)(void *owner);
    void (*on_end)(void *owner, size_t failed); /* of a list that is asked for once */
    void *owner;
    struct visit *visits;
    struct cg_timer turn; /* work is done from the loop */
    struct cg_epoch epoch;
    bool knows_epoch, looking, stopped, running;
};

static void wake(struct cg_warm *warm, uint32_t delay_ms)
{
    if (!warm->stopped)
        cg_timer_arm(warm->machine->clock, &warm->turn, delay_ms);
}

/* ---- one request ---- */

static struct visit *visit_of(struct cg_client *client)
{
    return (struct visit *)client;
}

static void visit_begin(struct cg_client *client, const struct cg_reply_head *head)
{
    visit_of(client)->status = head->status;
}

static void visit_ends(struct visit *visit)
{
    visit->ended = true;
    wake(visit->warm, 0);
}

static void visit_send(struct cg_client *client, struct cg_str bytes, bool final)
{
    client->body_bytes += bytes.length;
    client->whole = final;
    if (final)
        visit_ends(visit_of(client));
    else
        cg_request_client_ready(visit_of(client)->request);
}

static void visit_abort(struct cg_client *client)
{
    visit_of(client)->status = 0;
    visit_ends(visit_of(client));
}

static const struct cg_client_port visit_port = {visit_begin, visit_send, visit_abort};

static void begin_visit(struct cg_warm *warm, const struct cg_warm_wish *wish)
{
    struct visit *visit = calloc(1, sizeof(*visit));
    CG_ASSERT(visit != NULL);
    visit->base.port = &visit_port;
    visit->warm = warm;
    visit->next = warm->visits;
    if (visit->next != NULL)
        visit->next->previous = visit;
    warm->visits = visit;
    warm->under_way++;
    visit->facts = (struct cg_request_facts){
        .method = CG_STR("GET"),
        .scheme = wish->scheme,
        .authority = wish->authority,
        .target = wish->target,
        .fields = &wish->fields,
        .body = CG_STR(""),
        .peer_address = CG_STR("127.0.0.1"),
    };
    cg_request_start(warm->machine, &visit->base, &visit->facts, &visit->request);
}

static void end_visit(struct visit *visit)
{
    struct cg_warm *warm = visit->warm;
    if (visit->previous != NULL)
        visit->previous->next = visit->next;
    else
        warm->visits = visit->next;
    if (visit->next != NULL)
        visit->next->previous = visit->previous;
    warm->under_way--;
    if (visit->status < 200 || visit->status >= 400)
        warm->failed++;
    cg_request_client_gone(visit->request);
    free(visit);
}

/* ---- a round ---- */

static void end_round(struct cg_warm *warm)
{
    warm->running = false;
    cg_log(warm->failed == 0 ? CG_LOG_INFO : CG_LOG_WARN, "warm", "%zu targets, %zu of them failed",
           warm->count, warm->failed);
    if (warm->on_done != NULL)
        warm->on_done(warm->owner);
    warm->on_done = NULL;
}

static void begin_round(struct cg_warm *warm)
{
    warm->running = true;
    warm->begun = 0;
    warm->failed = 0;
}

/* What was purged openly moves the epoch, whichever gateway was told to. */
static void on_view(void *owner, const struct cg_store_view *view)
{
    struct cg_warm *warm = owner;
    warm->looking = false;
    if (view->result != CG_STORE_OK || view->stand_in != NULL)
        return;
    bool moved = !warm->knows_epoch || !cg_epoch_eq(warm->epoch, view->epoch);
    warm->epoch = view->epoch;
    warm->knows_epoch = true;
    if (moved && !warm->running) {
        begin_round(warm);
        wake(warm, 0);
    }
}

static void look(struct cg_warm *warm)
{
    struct cg_store *store = warm->machine->store;
    if (warm->looking || warm->running)
        return;
    warm->looking = true;
    store->port->lookup(store, NULL, NULL, 0, on_view, warm);
}

/* What has ended goes, what may begin does. True: nothing is under way, and nothing is left. */
static bool work(struct cg_warm *warm)
{
    struct visit *next;
    for (struct visit *visit = warm->visits; visit != NULL; visit = next) {
        next = visit->next;
        if (visit->ended)
            end_visit(visit);
    }
    if (warm->stopped)
        return false;
    while (warm->running && warm->begun < warm->count && warm->under_way < warm->concurrency)
        begin_visit(warm, &warm->wishes[warm->begun++]);
    return warm->running && warm->under_way == 0;
}

static void on_turn(void *owner)
{
    struct cg_warm *warm = owner;
    if (!warm->stopped)
        wake(warm, LOOK_EVERY_MS); /* sooner if anything ends */
    if (work(warm))
        end_round(warm);
    if (!warm->stopped)
        look(warm);
}

static void on_turn_of_one(void *owner)
{
    struct cg_warm *warm = owner;
    if (work(warm))
        warm->on_end(warm->owner, warm->failed); /* and it may be gone */
}

/* ---- orders ---- */

struct cg_warm_order *cg_warm_order_create(size_t room)
{
    struct cg_warm_order *order = calloc(1, sizeof(*order));
    CG_ASSERT(order != NULL && room <= CG_WARM_ORDER_MAX);
    cg_arena_init(&order->arena, ORDER_BYTES_MAX);
    order->wishes = CG_ARENA_ARRAY(&order->arena, struct cg_warm_wish, room + 1);
    return order;
}

struct cg_warm_order *cg_warm_order_destroy(struct cg_warm_order *order)
{
    if (order == NULL)
        return NULL;
    cg_arena_fini(&order->arena);
    free(order);
    return NULL;
}

/* ---- life ---- */

static struct cg_warm *create(struct cg_machine *machine, const struct cg_warm_wish *wishes,
                              size_t count, uint32_t concurrency, void (*on_turn_of)(void *owner))
{
    struct cg_warm *warm = calloc(1, sizeof(*warm));
    CG_ASSERT(warm != NULL && concurrency > 0);
    warm->machine = machine;
    warm->wishes = wishes;
    warm->count = count;
    warm->concurrency = concurrency;
    warm->turn = (struct cg_timer){.on_expiry = on_turn_of, .owner = warm};
    wake(warm, 0);
    return warm;
}

struct cg_warm *cg_warm_create(struct cg_machine *machine, const struct cg_warm_wish *wishes,
                               size_t count, uint32_t concurrency, void (*on_done)(void *owner),
                               void *owner)
{
    struct cg_warm *warm = create(machine, wishes, count, concurrency, on_turn);
    warm->on_done = on_done;
    warm->owner = owner;
    return warm;
}

struct cg_warm *cg_warm_once(struct cg_machine *machine, const struct cg_warm_wish *wishes,
                             size_t count, uint32_t concurrency,
                             void (*on_end)(void *owner, size_t failed), void *owner)
{
    struct cg_warm *warm = create(machine, wishes, count, concurrency, on_turn_of_one);
    warm->on_end = on_end;
    warm->owner = owner;
    begin_round(warm);
    return warm;
}

void cg_warm_again(struct cg_warm *warm)
{
    if (warm == NULL)
        return;
    warm->knows_epoch = false;
    wake(warm, 0);
}

void cg_warm_stop(struct cg_warm *warm)
{
    if (warm == NULL || warm->stopped)
        return;
    warm->stopped = true;
    cg_timer_disarm(warm->machine->clock, &warm->turn);
    while (warm->visits != NULL)
        end_visit(warm->visits);
}

struct cg_warm *cg_warm_destroy(struct cg_warm *warm)
{
    cg_warm_stop(warm);
    free(warm);
    return NULL;
}
