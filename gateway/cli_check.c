#include "gateway/cli.h"

#include <stdio.h>

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

/* What was made of the machine's limits. */
static void print_machine(const struct cg_settings *settings)
{
    const struct cg_cgroup *cgroup = &settings->cgroup;
    printf("%u thread%s", settings->threads, plural(settings->threads));
    if (cgroup->cpu_milli > 0)
        printf(" (quota of %u.%02u processors)", cgroup->cpu_milli / 1000,
               cgroup->cpu_milli % 1000 / 10);
    printf(", store.memory %zu MB, store.near %zu MB, limits.request_bodies %zu MB",
           settings->memory_bytes >> 20, settings->near_bytes >> 20,
           settings->limits.request_bodies_max >> 20);
    if (cgroup->memory_bytes > 0)
        printf(", of a memory limit of %llu MB", (unsigned long long)(cgroup->memory_bytes >> 20));
    printf("\n");
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
    if (!rules_only)
        print_machine(settings);
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
