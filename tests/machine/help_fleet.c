#include "help_fleet.h"

struct world *fleet[GATEWAYS];

void fleet_create(const char *rules)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        fleet[i] = world_create(rules);
    for (size_t i = 1; i < GATEWAYS; i++)
        world_shares(fleet[i], fleet[0]);
}

void fleet_settle(void)
{
    for (size_t turn = 0; turn < 4; turn++)
        for (size_t i = 0; i < GATEWAYS; i++)
            world_store_settle(fleet[i]);
}

void fleet_destroy(void)
{
    for (size_t i = GATEWAYS; i > 0; i--)
        world_reap(fleet[i - 1]);
    fleet_settle();
    for (size_t i = GATEWAYS; i > 0; i--)
        world_destroy(fleet[i - 1]);
}

size_t fleet_times_asked(void)
{
    size_t count = 0;
    for (size_t i = 0; i < GATEWAYS; i++)
        count += world_times_asked(fleet[i]);
    return count;
}

void fleet_pass_time(int64_t ms)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        world_time_passes(fleet[i], ms);
}

struct world_exchange *fleet_asked(void)
{
    struct world_exchange *found = NULL;
    for (size_t i = 0; i < GATEWAYS && found == NULL; i++)
        found = world_asked(fleet[i]);
    return found;
}

bool fleet_all_got(unsigned status, const char *body)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        for (size_t j = 0; j < fleet[i]->client_count; j++)
            if (!world_got(fleet[i]->clients[j], status, body, NULL))
                return false;
    return true;
}
