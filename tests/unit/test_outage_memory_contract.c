/* The store contract, on a handle that would stand in for a store which always answers. */
#include "gateway/store/memory.h"
#include "gateway/store/outage_memory.h"
#include "tests/store_contract.h"
#include "tests/store_contract_claims.h"
#include "tests/store_contract_entries.h"
#include "tests/store_contract_versions.h"

static struct cg_memory *memory;
static struct cg_outage_memory *outage;
static int64_t clock_ms;

static int64_t read_clock(struct cg_clock *clock)
{
    (void)clock;
    return clock_ms;
}

static const struct cg_clock_port clock_port = {.now_ms = read_clock};
static struct cg_clock store_clock = {&clock_port};

static void begin(void)
{
    clock_ms = INT64_C(1700000000000);
    memory = cg_memory_create(1 << 24, CONTRACT_HORIZON_MS, 42);
    outage = cg_outage_memory_create(1 << 24, CONTRACT_HORIZON_MS, 5000, 43);
}

static void end(void)
{
    outage = cg_outage_memory_destroy(outage);
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
    return cg_outage_memory_open(outage, open_inner(), &store_clock);
}

static struct cg_store *close_handle(struct cg_store *store)
{
    cg_memory_close(cg_outage_memory_inner(store));
    return cg_outage_memory_close(store);
}

static void wait_for(const bool *done)
{
    if (!*done && mails > 0) { /* only wakes come late */
        cg_memory_deliver(cg_outage_memory_inner(here));
        cg_memory_deliver(cg_outage_memory_inner(there));
        mails = 0;
    }
    cr_assert(*done, "all answers come at once");
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
    .begin = begin,
    .end = end,
    .open = open_handle,
    .close = close_handle,
    .wait = wait_for,
    .now_ms = now_ms,
    .pass_time = pass_time,
};
