/* The contract of store.h, over a primary that sentinels name. */
#define CONTRACT_WITHOUT_STATISTICS
#include "tests/store_contract.h"

#include "redis_fleet.h"
#include "tests/store_contract_claims.h"
#include "tests/store_contract_entries.h"
#include "tests/store_contract_versions.h"

static void begin(void)
{
    world_begin();
    fleet_start_sentinels(1, true, NULL, NULL);
    fleet_use_url("redis+sentinel://127.0.0.1:%u/main", fleet.servers[FLEET_SENTINEL].port);
}

static void end(void)
{
    fleet_end_all();
    world_end();
}

static struct cg_store *open_handle(void)
{
    return open_handle_of(world.redis);
}

static void wait_until(const bool *done)
{
    WORLD_UNTIL(*done);
}

static int64_t now_ms(void)
{
    return atomic_load(world.now_ms);
}

static void pass_time(int64_t ms)
{
    atomic_fetch_add(world.now_ms, ms);
}

static const struct contract_factory contract_factory = {
    begin, end, open_handle, cg_redis_close, wait_until, now_ms, pass_time,
};
