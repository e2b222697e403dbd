/*
 * The contract of store.h, over the embedded store. Another driver's program has the same includes
 * and a factory of its own; what only memory.c promises is in test_memory.c.
 */
#include "tests/store_contract.h"

#include "gateway/store/memory.h"
#include "tests/store_contract_claims.h"
#include "tests/store_contract_entries.h"
#include "tests/store_contract_versions.h"

static struct cg_memory *memory;
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
}

static void end(void)
{
    memory = cg_memory_destroy(memory);
}

static unsigned mails;

/* What a loop does, later and on its own thread. */
static void notify(void *owner)
{
    (void)owner;
    mails++;
}

static struct cg_store *open_handle(void)
{
    struct cg_store *store = cg_memory_open(memory, &store_clock);
    (void)cg_memory_on_mail(store, notify, NULL);
    return store;
}

static void wait_until(const bool *done)
{
    if (!*done && mails > 0) { /* only wakes come late */
        cg_memory_deliver(here);
        cg_memory_deliver(there);
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
    begin, end, open_handle, cg_memory_close, wait_until, now_ms, pass_time,
};
