#include "gateway/cli.h"

#include <stdio.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"run", cg_cli_run},           {"check", cg_cli_check},
    {"explain", cg_cli_explain},   {"stats", cg_cli_stats},
    {"health", cg_cli_health},     {"purge", cg_cli_purge},
    {"refresh", cg_cli_refresh},   {"reload", cg_cli_reload},
    {"flush", cg_cli_flush},       {"version", cg_cli_version},
    {"inspect", cg_cli_inspect},   {"drain", cg_cli_drain},
    {"wait", cg_cli_wait},         {"healthcheck", cg_cli_healthcheck},
    {"help", cg_cli_help},         {"reference", cg_cli_reference},
    {"--help", cg_cli_help},       {"-h", cg_cli_help},
    {"--version", cg_cli_version},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        cg_cli_help(0, NULL);
        return CG_CLI_USAGE;
    }
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strcmp(argv[1], commands[i].name) == 0)
            return asks_for_help(argc - 2, argv + 2) ? cg_cli_help(1, argv + 1)
                                                     : commands[i].run(argc - 2, argv + 2);
    }
    const char *nearest = cg_nearest_name(cg_str_from(argv[1]), names, COMMANDS);
    fprintf(stderr, "cachegate: there is no command `%s`; ", argv[1]);
    if (nearest != NULL)
        fprintf(stderr, "did you mean `%s`?\n", nearest);
    else
        fprintf(stderr, "see `cachegate help`\n");
    return CG_CLI_USAGE;
}
