/*
 * fleet: several gateways (help_world.h) on one store, for tests of who fetches. The first one owns
 * the store. `fleet_setup` and `fleet_teardown` belong into the suite.
 */
#ifndef TESTS_MACHINE_HELP_FLEET_H
#define TESTS_MACHINE_HELP_FLEET_H

#include "help_world.h"

enum { GATEWAYS = 3 };
extern struct world *fleet[GATEWAYS];

void fleet_create(const char *rules);
/* All that is pending in the stores, and wakes. No time passes. */
void fleet_settle(void);
void fleet_destroy(void);
size_t fleet_times_asked(void);
void fleet_pass_time(int64_t ms);
/* Who is asked somewhere, and not answered yet; NULL without. */
struct world_exchange *fleet_asked(void);
/* Every client of every gateway has this. */
bool fleet_all_got(unsigned status, const char *body);

#endif
