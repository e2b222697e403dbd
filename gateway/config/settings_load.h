/*
 * settings_load: flags, environment and file become settings.
 *
 * A flag wins over a CACHEGATE_ variable, which wins over the file, which wins over the default.
 * Every mistake of one run is reported, each with its place; secrets are in no message. Reads files
 * (configuration, rules, secrets) and asks whether others can be read; opens no socket.
 */
#ifndef GATEWAY_CONFIG_SETTINGS_LOAD_H
#define GATEWAY_CONFIG_SETTINGS_LOAD_H

#include "cachegate/buf.h"
#include "gateway/config/settings.h"
#include "gateway/config/tree.h"

enum { CG_RULE_FILES_MAX = 256, CG_SETTINGS_FILES_MAX = CG_RULE_FILES_MAX + 64 };
/* What the arena of cg_settings_load must be able to hold. */
#define CG_SETTINGS_ARENA_BYTES ((size_t)(CG_RULE_FILES_MAX + 1) * CG_TREE_ARENA_BYTES)

/* One option from the command line. */
struct cg_settings_flag {
    const char *flag;   /* as written: "--threads", "--set" */
    struct cg_str path; /* "threads"; for --set what stood before the `=` */
    struct cg_str value;
};

struct cg_settings_source {
    const char *file; /* NULL: none */
    const struct cg_settings_flag *flags;
    size_t flag_count;
    cg_env_fn variable; /* NULL: there is no environment */
    void *variable_owner;
    /* Rules alone are of interest (check of rule files, explain): a listener and an upstream may
     * be missing. */
    bool rules_only;
    bool without_rules; /* they are not read: only the admin API is of interest */
    /* To change what runs: what cannot change is taken from here, and borrowed. NULL: a start. */
    const struct cg_settings *running;
    const struct cg_secret *carried_secret; /* where none is given; NULL: a random one */
    const char *machine; /* what stands before /proc and /sys; NULL: nothing (cgroup.h) */
};

/*
 * NULL when there is an error among the problems. Everything lives in `arena`, which must outlive
 * the settings; the problems' arena may be the same.
 */
struct cg_settings *cg_settings_load(const struct cg_settings_source *source,
                                     struct cg_arena *arena, struct cg_problems *problems);
/* Whether some file that they were read from is another one by now. */
bool cg_settings_changed(const struct cg_settings *settings);
/* `file:line: path: message` with a newline; without the parts that the problem has not. */
void cg_settings_print_problem(const struct cg_problem *problem, struct cg_buf *out);

#endif
