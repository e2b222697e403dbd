/*
 * settings_build: what the files settings_*.c share while settings are being loaded. Nobody else
 * includes it.
 */
#ifndef GATEWAY_CONFIG_SETTINGS_BUILD_H
#define GATEWAY_CONFIG_SETTINGS_BUILD_H

#include "gateway/config/options.h"
#include "gateway/config/settings_load.h"

enum {
    CG_LISTENERS_MAX = 64,
    CG_UPSTREAMS_MAX = 256,
    CG_SECRET_FILE_BYTES_MAX = 4096,
    CG_WARM_MAX = 10000,
    CG_SECRET_NAMES_MAX = 256,
};

struct cg_settings_build {
    const struct cg_settings_source *source; /* borrowed */
    struct cg_settings *settings;
    struct cg_arena *arena;
    struct cg_problems *problems;
    const struct cg_node *root; /* of the file; NULL without one */
    const char *folder;         /* of the file; "" without one */
};

/* ---- settings_find.c: who says what ---- */

/*
 * The node that decides an option: from a flag, else from a variable, else from `map`. `base` is
 * what stands before the option's path in names: "" or "upstreams.api.". NULL when nobody gives it.
 * *ret_folder is what a relative file name there is relative to.
 */
const struct cg_node *cg_settings_find(const struct cg_settings_build *build, const char *base,
                                       const struct cg_node *map, const char *path,
                                       const char **ret_folder);
/* The same among flags only and variables only. */
const struct cg_node *cg_settings_find_flag(const struct cg_settings_build *build,
                                            const char *path);
const struct cg_node *cg_settings_find_variable(const struct cg_settings_build *build,
                                                const char *path);
/* A scalar that a flag gave. */
const struct cg_node *cg_settings_flag_node(const struct cg_settings_build *build,
                                            const struct cg_settings_flag *flag);
/* Every scalar option of a home that has a member, from wherever it is given. */
void cg_settings_read_home(const struct cg_settings_build *build, enum cg_option_home home,
                           const char *base, const struct cg_node *map, void *target);
/* A non-empty text; problems name `expected`. */
bool cg_settings_text(const struct cg_settings_build *build, const struct cg_node *node,
                      const char *expected, struct cg_str *ret_text);
/* For options that are missing: no line, just the file and the path. */
struct cg_node cg_settings_nowhere(const struct cg_settings_build *build, const char *path);

/* ---- settings_names.c: names that nobody knows ---- */
void cg_settings_check_names(const struct cg_settings_build *build);

/* ---- settings_listen.c, settings_upstream.c, settings_secret.c, settings_rules.c, settings_warm.c
 * ---- */
void cg_settings_read_listeners(const struct cg_settings_build *build);
void cg_settings_read_admin(const struct cg_settings_build *build);
void cg_settings_read_warm(const struct cg_settings_build *build);
void cg_settings_read_log(const struct cg_settings_build *build);
void cg_settings_read_upstreams(const struct cg_settings_build *build);
void cg_settings_read_secrets(const struct cg_settings_build *build);
void cg_settings_read_rules(const struct cg_settings_build *build);

/* ---- settings_running.c: changes of what runs ---- */
void cg_settings_keep_running(const struct cg_settings_build *build);
/* They depend on that file, which is about to be read. False: on too many. */
bool cg_settings_note_file(const struct cg_settings_build *build, const char *name);

/* ---- settings_check.c: what only shows when all is known ---- */
void cg_settings_check_whole(const struct cg_settings_build *build);

/* ---- settings_machine.c: threads and memory, by what the machine lets us have ---- */
void cg_settings_fit_machine(const struct cg_settings_build *build);

#endif
