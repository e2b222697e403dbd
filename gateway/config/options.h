/*
 * options: the table of options (tables/options.def) as data, and the reading of one scalar.
 *
 * Not the order of precedence, not the options that are more than a scalar: those are
 * settings_load's. An option's value is checked against its type and range here and written into
 * the member that its row names, so a row is all that a new scalar option needs.
 */
#ifndef GATEWAY_CONFIG_OPTIONS_H
#define GATEWAY_CONFIG_OPTIONS_H

#include "cachegate/arena.h"
#include "cachegate/buf.h"
#include "cachegate/tree.h"

enum cg_option_home {
    CG_HOME_SETTINGS, /* struct cg_settings */
    CG_HOME_LISTENER, /* struct cg_listener_settings */
    CG_HOME_UPSTREAM, /* struct cg_upstream_settings */
};

enum cg_option_type {
    CG_OPTION_BOOL,
    CG_OPTION_NUMBER,
    CG_OPTION_DURATION,
    CG_OPTION_SIZE,
    CG_OPTION_TEXT,
    CG_OPTION_TOKEN, /* RFC 9110 5.6.2 */
    CG_OPTION_CHOICE,
    CG_OPTION_FILE,
    CG_OPTION_TARGET, /* `off`, `stdout`, or a file */
    CG_OPTION_SECRET, /* never printed */
    CG_OPTION_ADDRESS,
    CG_OPTION_URL,
    CG_OPTION_LISTENERS,
    CG_OPTION_UPSTREAMS,
    CG_OPTION_RULES,
    CG_OPTION_IDENTITY,
    CG_OPTION_WARM,
    CG_OPTION_NAMES,
};

struct cg_option {
    enum cg_option_home home;
    const char *path;
    const char *flag; /* "" without one */
    enum cg_option_type type;
    bool special;  /* has no member: read by code of its own */
    size_t offset; /* of the member in the home's struct … */
    size_t width;  /* … and its size */
    const char *fallback;
    const char *min; /* for CHOICE: the words */
    const char *max;
    const char *sentence;
};

size_t cg_option_count(void);
const struct cg_option *cg_option_at(size_t index);
/* NULL when the home has no such option. */
const struct cg_option *cg_option_find(enum cg_option_home home, struct cg_str path);
/* Whether `--set` and the environment can give it. */
bool cg_option_is_scalar(const struct cg_option *option);
const char *cg_option_type_name(enum cg_option_type type);

/*
 * Reads a non-special option from `node` (NULL or a null node: its default) into the member of
 * `home`. False and a problem on a wrong value. `folder` is put before relative file names; texts
 * are copied into the arena.
 */
bool cg_option_read(const struct cg_option *option, const struct cg_node *node, const char *folder,
                    void *home, struct cg_arena *arena, struct cg_problems *problems);

/* A NUL-terminated copy. */
char *cg_option_text(struct cg_str text, struct cg_arena *arena);
/* A file name as `folder` sees it. */
char *cg_option_file(struct cg_str name, const char *folder, struct cg_arena *arena);
/* False and a problem unless it is a scalar without control characters. */
bool cg_option_is_text(const struct cg_node *node, const char *expected,
                       struct cg_problems *problems);

/* The environment variable of an option: "CACHEGATE_ADMIN_TOKEN" for "admin.token". */
struct cg_str cg_option_variable(const char *path, struct cg_arena *arena);

/* The reference page in Markdown (`cachegate reference`), and its flags for `--help`. */
void cg_reference_print(struct cg_buf *out);
void cg_reference_print_flags(struct cg_buf *out);

#endif
