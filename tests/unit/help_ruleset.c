#include "unit/help_ruleset.h"

#include "tests/make_ruleset.h"

#include <criterion/criterion.h>

struct cg_ruleset *help_ruleset_with_identity(const char *yaml, const char *identity)
{
    struct cg_ruleset *ruleset = make_ruleset(yaml, identity);
    cr_assert_not_null(ruleset, "the rules of this test do not compile");
    return ruleset;
}

struct cg_ruleset *help_ruleset(const char *yaml)
{
    return help_ruleset_with_identity(yaml, NULL);
}
