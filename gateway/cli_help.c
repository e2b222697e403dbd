#include "gateway/cli.h"

#include "gateway/base/metric_table.h"
#include "gateway/config/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Which flags a command takes. */
enum {
    OF_OPTIONS = 1,
    OF_EXPLAIN = 2,
    OF_INSPECT = 4,
    OF_ADMIN = 8,
    OF_PURGE = 16,
    OF_REFRESH = 32,
    OF_WAITING = 64,
};

struct usage {
    const char *command;
    const char *text;
    unsigned flags;
};

static const struct usage usages[] = {
    {"run",
     "  cachegate run     -c FILE        the gateway; the flags below suffice without a file\n",
     OF_OPTIONS},
    {"check",
     "  cachegate check   -c FILE        every mistake in configuration and rules, in one run\n",
     OF_OPTIONS},
    {"explain",
     "  cachegate explain -c FILE 'GET /path?query' [-H 'Name: value']\n"
     "                                   what the rules decide for a request, without any "
     "network\n",
     OF_OPTIONS | OF_EXPLAIN},
    {"stats", "  cachegate stats   --admin ADDR   what a running gateway has counted\n", OF_ADMIN},
    {"health", "  cachegate health  --admin ADDR   whether its store answers\n", OF_ADMIN},
    {"purge",
     "  cachegate purge   --admin ADDR PATTERN… [--group NAME:PARAM=VALUE] [--user NAME] [--tag "
     "NAME]\n"
     "                                   makes what is stored under them wrong\n",
     OF_ADMIN | OF_PURGE},
    {"refresh",
     "  cachegate refresh --admin ADDR URL… [-H 'Name: value'] [--pattern PATTERN]\n"
     "                                   the same for these URLs, and fetches them again\n",
     OF_ADMIN | OF_PURGE | OF_REFRESH},
    {"flush", "  cachegate flush   --admin ADDR   makes everything that is stored wrong\n",
     OF_ADMIN},
    {"reload",
     "  cachegate reload  --admin ADDR   reads rules, secrets and certificates again; returns "
     "when\n"
     "                                   they are in force, or with every mistake\n",
     OF_ADMIN},
    {"drain",
     "  cachegate drain   --admin ADDR [--wait]\n"
     "                                   not ready from now on: clients are told to go elsewhere, "
     "and\n"
     "                                   served until SIGTERM\n",
     OF_ADMIN | OF_WAITING},
    {"wait",
     "  cachegate wait    --admin ADDR [--timeout 30s]\n"
     "                                   until the gateway is ready\n",
     OF_ADMIN | OF_WAITING},
    {"healthcheck",
     "  cachegate healthcheck --admin ADDR\n"
     "                                   whether its threads turn and it is ready\n",
     OF_ADMIN},
    {"inspect",
     "  cachegate inspect -c FILE KEY    what stands under a key of Redis, told without the "
     "secret\n",
     OF_OPTIONS | OF_INSPECT},
    {"reference",
     "  cachegate reference [--metrics]  every option, or metric, as a Markdown page\n", 0},
    {"version", "  cachegate version\n", 0},
};

enum { USAGES = sizeof usages / sizeof usages[0] };

/* OF_OPTIONS is followed by the flags of the table of options. */
static const struct section {
    unsigned flags;
    const char *heading; /* where all commands are listed */
    const char *text;
} sections[] = {
    {OF_OPTIONS, "Flags of run, check, explain and inspect:\n",
     "  -c, --config FILE         The configuration, YAML or JSON.\n"
     "  --set path=value          Any option with a single value, as in --set "
     "log.access=stdout.\n"},
    {OF_EXPLAIN, "Flags of explain:\n",
     "  -H 'Name: value'          A header field of the request; repeatable.\n"
     "  --status N                For a write: the status that the upstream answers with.\n"
     "  --request-body TEXT       For a write: its body, or @FILE.\n"
     "  --response-body TEXT      For a write: the body of the answer, or @FILE.\n"},
    {OF_INSPECT, "Flags of inspect:\n",
     "  --value FILE              The value itself instead of a key; - is standard input. Without\n"
     "                            Redis nobody knows whether it was purged.\n"},
    {OF_ADMIN, "Flags of all that ask a running gateway (from stats to healthcheck):\n",
     "  --admin ADDR              The admin API; else that of -c, else the variable\n"
     "                            CACHEGATE_ADMIN_LISTEN.\n"
     "  -c, --config FILE         The gateway's configuration, for address and token.\n"
     "  --token TOKEN             For what changes anything; else the variable\n"
     "                            CACHEGATE_ADMIN_TOKEN, else that of -c.\n"},
    {OF_PURGE, "Flags of purge and refresh; all repeatable:\n",
     "  --pattern PATTERN         A path as in the rules, its values filled in: /items?page=1, "
     "/a/**.\n"
     "  --group NAME:PARAM=VALUE  What a group of the rules names, as in session:id=abc123.\n"
     "  --user NAME               All answers of a user, named as `identity` does: by default by "
     "the\n"
     "                            whole Authorization field, as in --user 'Bearer abc'.\n"
     "  --tag NAME                All answers that bear this tag.\n"},
    {OF_REFRESH, "Flags of refresh:\n",
     "  -H 'Name: value'          A header field to fetch with; repeatable. It says for whom.\n"},
    {OF_WAITING, "Flags of wait, and of drain --wait:\n",
     "  --wait                    Of drain: returns when no connection is left.\n"
     "  --timeout DURATION        How long at most, 30s unless given; then the status is 1.\n"},
};

enum { SECTIONS = sizeof sections / sizeof sections[0] };

static const char tail[] = "\nADDR is host:port, [v6]:port, :port or unix:/path. "
                           "conf/REFERENCE.md has every option,\n"
                           "rules/README.md the rule language.\n";

static int refuse_arguments(int argc, char **argv)
{
    if (argc == 0)
        return CG_CLI_OK;
    fprintf(stderr, "cachegate: `%s` is not understood here; see `cachegate help`\n", argv[0]);
    return CG_CLI_USAGE;
}

static void add_section(const struct section *section, bool alone, struct cg_buf *out)
{
    cg_buf_printf(out, "\n%s", alone ? "" : section->heading);
    cg_buf_add_text(out, section->text);
    if (section->flags != OF_OPTIONS)
        return;
    cg_reference_print_flags(out);
    cg_buf_add_text(out, "--listen, --tls-listen, --upstream NAME=URL, --rules and --set may stand "
                         "several times.\n");
}

/* All commands, or the named one and its own flags. */
static void add_help(const struct usage *of, struct cg_buf *out)
{
    if (of == NULL)
        cg_buf_add_text(out, "cachegate: a caching gateway in front of an HTTP API\n\n");
    for (size_t i = 0; i < USAGES; i++)
        if (of == NULL || of == &usages[i])
            cg_buf_add_text(out, usages[i].text);
    for (size_t i = 0; i < SECTIONS; i++)
        if (of == NULL || (of->flags & sections[i].flags) != 0)
            add_section(&sections[i], of != NULL, out);
    if (of == NULL || of->flags != 0)
        cg_buf_add_text(out, tail);
}

int cg_cli_help(int argc, char **argv)
{
    const struct usage *of = NULL;
    for (size_t i = 0; i < USAGES && argc > 0; i++)
        if (strcmp(argv[0], usages[i].command) == 0)
            of = &usages[i];
    if (argc > 0 && of == NULL && argv[0][0] != '-' && strcmp(argv[0], "help") != 0)
        return refuse_arguments(argc, argv);
    struct cg_buf out;
    cg_buf_init(&out, 1 << 20);
    add_help(of, &out);
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
