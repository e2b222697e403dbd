#include "gateway/cli.h"

#include <stdio.h>

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

/* What was understood, in one line; mistakes went to standard error. */
static void print_summary(const struct cg_settings *settings, bool rules_only)
{
    const struct cg_ruleset *ruleset = settings->ruleset;
    size_t cached = 0;
    for (size_t i = 0; i < ruleset->route_count; i++)
        cached += ruleset->routes[i].cache == CG_CACHE_YES;
    printf("ok: %zu route%s (%zu cached), %zu group%s, %zu purge pattern%s", ruleset->route_count,
           plural(ruleset->route_count), cached, ruleset->group_count, plural(ruleset->group_count),
           ruleset->shape_count, plural(ruleset->shape_count));
    if (!rules_only)
        printf(", %zu upstream%s, %zu listener%s", settings->upstream_count,
               plural(settings->upstream_count), settings->listener_count,
               plural(settings->listener_count));
    printf("\n");
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
        print_summary(settings, cli.config == NULL && settings->listener_count == 0);
    cg_settings_free(settings);
    cg_arena_fini(&arena);
    return status;
}
