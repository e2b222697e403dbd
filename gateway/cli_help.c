#include "gateway/cli.h"

#include "gateway/base/metric_table.h"
#include "gateway/config/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char head[] =
    "cachegate: a caching gateway in front of an HTTP API\n"
    "\n"
    "  cachegate run     -c FILE        the gateway; the flags below suffice without a file\n"
    "  cachegate check   -c FILE        every mistake in configuration and rules, in one run\n"
    "  cachegate explain -c FILE 'GET /path?query' [-H 'Name: value']\n"
    "                                   what the rules decide for a request, without any network\n"
    "  cachegate stats   --admin ADDR   what a running gateway has counted\n"
    "  cachegate health  --admin ADDR   whether its store answers\n"
    "  cachegate purge   --admin ADDR PATTERN… [--group NAME:PARAM=VALUE] [--user NAME]\n"
    "                                   makes what is stored under them wrong\n"
    "  cachegate refresh --admin ADDR URL… [-H 'Name: value'] [--pattern PATTERN]\n"
    "                                   the same for these URLs, and fetches them again\n"
    "  cachegate flush   --admin ADDR   makes everything that is stored wrong\n"
    "  cachegate reload  --admin ADDR   reads rules, secrets and certificates again\n"
    "  cachegate drain   --admin ADDR [--wait]\n"
    "                                   not ready from now on: clients are told to go elsewhere, "
    "and\n"
    "                                   served until SIGTERM\n"
    "  cachegate wait    --admin ADDR [--timeout 30s]\n"
    "                                   until the gateway is ready\n"
    "  cachegate healthcheck --admin ADDR\n"
    "                                   whether its threads turn and it is ready\n"
    "  cachegate inspect -c FILE KEY    what stands under a key of Redis, told without the secret\n"
    "  cachegate reference [--metrics]  every option, or metric, as a Markdown page\n"
    "  cachegate version\n"
    "\n"
    "Flags of run, check, explain and inspect:\n"
    "  -c, --config FILE         The configuration, YAML or JSON.\n"
    "  --set path=value          Any option with a single value, as in --set log.access=stdout.\n";

static const char tail[] =
    "--listen, --tls-listen, --upstream NAME=URL, --rules and --set may stand several times.\n"
    "\n"
    "Flags of explain:\n"
    "  -H 'Name: value'          A header field of the request; repeatable.\n"
    "  --status N                For a write: the status that the upstream answers with.\n"
    "  --request-body TEXT       For a write: its body, or @FILE.\n"
    "  --response-body TEXT      For a write: the body of the answer, or @FILE.\n"
    "\n"
    "Flags of inspect:\n"
    "  --value FILE              The value itself instead of a key; - is standard input. Without\n"
    "                            Redis nobody knows whether it was purged.\n"
    "\n"
    "Flags of stats, health, purge, refresh, flush and reload:\n"
    "  --admin ADDR              The admin API; else the variable CACHEGATE_ADMIN_LISTEN.\n"
    "  --token TOKEN             For what changes anything; else the variable "
    "CACHEGATE_ADMIN_TOKEN.\n"
    "\n"
    "ADDR is host:port, [v6]:port, :port or unix:/path. conf/REFERENCE.md has every option,\n"
    "rules/README.md the rule language.\n";

static int refuse_arguments(int argc, char **argv)
{
    if (argc == 0)
        return CG_CLI_OK;
    fprintf(stderr, "cachegate: `%s` is not understood here\n", argv[0]);
    return CG_CLI_USAGE;
}

int cg_cli_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct cg_buf out;
    cg_buf_init(&out, 1 << 20);
    cg_buf_add_text(&out, head);
    cg_reference_print_flags(&out);
    cg_buf_add_text(&out, tail);
    cg_cli_print(&out, STDOUT_FILENO);
    return CG_CLI_OK;
}

int cg_cli_reference(int argc, char **argv)
{
    bool of_metrics = argc == 1 && strcmp(argv[0], "--metrics") == 0;
    if (!of_metrics && refuse_arguments(argc, argv) != CG_CLI_OK)
        return CG_CLI_USAGE;
    struct cg_buf out;
    cg_buf_init(&out, 1 << 20);
    if (of_metrics)
        cg_metric_table_print(&out);
    else
        cg_reference_print(&out);
    cg_cli_print(&out, STDOUT_FILENO);
    return CG_CLI_OK;
}

int cg_cli_version(int argc, char **argv)
{
    if (refuse_arguments(argc, argv) != CG_CLI_OK)
        return CG_CLI_USAGE;
    printf("cachegate %s\n", CACHEGATE_VERSION);
    return CG_CLI_OK;
}
