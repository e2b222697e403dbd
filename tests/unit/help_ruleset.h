/*
 * help_ruleset: rules from YAML text in unit tests. A text that does not compile fails the test and
 * prints why. Rulesets stay until the process ends; tests do not free them.
 */
#ifndef TESTS_UNIT_HELP_RULESET_H
#define TESTS_UNIT_HELP_RULESET_H

#include "cachegate/ruleset.h"

struct cg_ruleset *help_ruleset(const char *yaml);
/* With the configuration's `identity` key, as YAML. */
struct cg_ruleset *help_ruleset_with_identity(const char *yaml, const char *identity);

#endif
