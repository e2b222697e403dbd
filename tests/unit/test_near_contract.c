/* The store contract, on near copies in front of the embedded store. */
#include "gateway/base/clock.h"
#include "gateway/store/memory.h"
#include "gateway/store/near.h"
#include "tests/store_contract.h"
#include "tests/store_contract_claims.h"
#include "tests/store_contract_entries.h"
#include "tests/store_contract_versions.h"

static struct cg_memory *memory;
static struct cg_near *near;
static struct cg_book *book;
static struct cg_route route = {.pushed = true};
static struct cg_ruleset ruleset = {.routes = &route, .route_count = 1};
static const struct cg_settings settings = {
    .near_bytes = 1 << 24, .tracking_timeout_ms = 3600000, .ruleset = &ruleset};
static int64_t clock_ms;

static int64_t read_clock(struct cg_clock *clock)
{
    (void)clock;
    return clock_ms;
}

static const struct cg_clock_port clock_port = {.now_ms = read_clock};
static struct cg_clock store_clock = {&clock_port};

static const char *server_of(struct cg_store *inner)
{
    (void)inner;
    return "here";
}

/* Pushed, with nobody else to change anything. */
static void begin(void)
{
    clock_ms = INT64_C(1700000000000);
    memory = cg_memory_create(1 << 24, CONTRACT_HORIZON_MS, 42);
    book = cg_book_create(1);
    near = cg_near_create(&settings, book, server_of);
    cg_near_watch_attach(cg_near_watch_of(near), "here");
    cg_near_watch_proven(cg_near_watch_of(near), cg_clock_monotonic_ms());
}

static void end(void)
{
    near = cg_near_destroy(near);
    book = cg_book_destroy(book);
    memory = cg_memory_destroy(memory);
}

static unsigned mails;

static void notify(void *owner)
{
    (void)owner;
    mails++;
}

static struct cg_store *open_inner(void)
{
    struct cg_store *store = cg_memory_open(memory, &store_clock);
    (void)cg_memory_on_mail(store, notify, NULL);
    return store;
}

static struct cg_store *open_handle(void)
{
    return cg_near_open(near, open_inner(), &store_clock);
}

static struct cg_store *close_handle(struct cg_store *store)
{
    cg_memory_close(cg_near_inner(store));
    return cg_near_close(store);
}

static void wait_until(const bool *done)
{
    if (!*done && mails > 0) { /* only wakes come late */
        cg_memory_deliver(cg_near_inner(here));
        cg_memory_deliver(cg_near_inner(there));
        mails = 0;
    }
    cr_assert(*done, "the embedded store answers before the call returns");
}

static int64_t now_ms(void)
{
    return clock_ms;
}

static void pass_time(int64_t ms)
{
    clock_ms += ms;
}

static const struct contract_factory contract_factory = {
    begin, end, open_handle, close_handle, wait_until, now_ms, pass_time,
};
