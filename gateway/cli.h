/*
 * cli: the commands of the program, and how they read their arguments.
 *
 * A command gets what stands behind its name and returns the exit status: 0 well, 1 what was asked
 * for went wrong, 2 the command line was not understood, and of `run` 3: it ended as it was told,
 * but requests that were in flight after drain_timeout were cut.
 */
#ifndef GATEWAY_CLI_H
#define GATEWAY_CLI_H

#include "gateway/config/settings_load.h"

enum { CG_CLI_OK = 0, CG_CLI_FAILED = 1, CG_CLI_USAGE = 2, CG_CLI_CUT = 3 };

int cg_cli_run(int argc, char **argv);
int cg_cli_check(int argc, char **argv);
int cg_cli_explain(int argc, char **argv);
int cg_cli_stats(int argc, char **argv);
int cg_cli_health(int argc, char **argv);
int cg_cli_purge(int argc, char **argv);
int cg_cli_refresh(int argc, char **argv);
int cg_cli_flush(int argc, char **argv);
int cg_cli_drain(int argc, char **argv);
int cg_cli_wait(int argc, char **argv);
int cg_cli_healthcheck(int argc, char **argv);
int cg_cli_reload(int argc, char **argv);
int cg_cli_inspect(int argc, char **argv);
int cg_cli_reference(int argc, char **argv);
/* Of the command that argv names, else of all. */
int cg_cli_help(int argc, char **argv);
int cg_cli_version(int argc, char **argv);

/* ---- arguments (cli_arguments.c) ---- */

enum { CG_CLI_FLAGS_MAX = 512 };

/* A walk over the arguments. Texts are borrowed from argv. */
struct cg_cli {
    int argc;
    char **argv;
    int next;
    bool failed; /* something was wrong, and was said */
    const char *config;
    struct cg_settings_flag flags[CG_CLI_FLAGS_MAX];
    size_t flag_count;
};

void cg_cli_init(struct cg_cli *cli, int argc, char **argv);
/* Whether an argument is left. */
bool cg_cli_more(const struct cg_cli *cli);
/* Whether the next one is `-x` or `--xyz` (a lone `-` is not). */
bool cg_cli_at_flag(const struct cg_cli *cli);
/* Takes the next argument as it is. */
const char *cg_cli_take(struct cg_cli *cli);
/*
 * True when the next argument is that flag, as `--flag value` or `--flag=value`; takes both. A
 * missing value sets `failed` (and *ret_value to "").
 */
bool cg_cli_take_flag(struct cg_cli *cli, const char *flag, const char **ret_value);
/* -c/--config, --set and every flag of the table of options. */
bool cg_cli_take_option(struct cg_cli *cli);
/* Says that the next argument is not understood, with the nearest flag, and takes it. */
void cg_cli_refuse(struct cg_cli *cli, const char *const *own_flags, size_t own_count);

/*
 * The settings of -c and the flags, problems printed to standard error: warnings too when
 * `with_warnings`. NULL: errors. `arena` is initialised here; the caller ends it either way.
 */
struct cg_settings *cg_cli_settings(const struct cg_cli *cli, bool rules_only, bool with_warnings,
                                    struct cg_arena *arena);
/* What cg_cli_settings reads from; borrows from the walk. */
void cg_cli_source(const struct cg_cli *cli, struct cg_settings_source *ret_source);
/* Everything of the buffer to a stream; and frees it. */
void cg_cli_print(struct cg_buf *buf, int descriptor);

#endif
