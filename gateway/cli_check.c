#include "gateway/cli.h"

#include <stdio.h>

/* What was understood, in one line; mistakes went to standard error. */
static void print_summary(const struct cg_settings *settings)
{
    const struct cg_ruleset *ruleset = settings->ruleset;
    size_t cached = 0;
    for (size_t i = 0; i < ruleset->route_count; i++)
        cached += ruleset->routes[i].cache == CG_CACHE_YES;
    printf("ok: %zu routes (%zu cached), %zu groups, %zu purge patterns, %zu upstreams, "
           "%zu listeners\n",
           ruleset->route_count, cached, ruleset->group_count, ruleset->shape_count,
           settings->upstream_count, settings->listener_count);
}

int cg_cli_check(int argc, char **argv)
{
    struct cg_cli cli;
    struct cg_arena arena;
    cg_cli_init(&cli, argc, argv);
    while (cg_cli_more(&cli))
        if (!cg_cli_take_option(&cli))
            cg_cli_refuse(&cli, NULL, 0);
    if (cli.failed)
        return CG_CLI_USAGE;
    if (cli.config == NULL && cli.flag_count == 0) {
        fprintf(stderr, "cachegate: nothing to check; give -c FILE, or --rules FILE for rules "
                        "alone\n");
        return CG_CLI_USAGE;
    }
    struct cg_settings *settings = cg_cli_settings(&cli, cli.config == NULL, true, &arena);
    int status = settings == NULL ? CG_CLI_FAILED : CG_CLI_OK;
    if (settings != NULL)
        print_summary(settings);
    cg_settings_free(settings);
    cg_arena_fini(&arena);
    return status;
}
