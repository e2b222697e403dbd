/*
 * cli_exchange: one HTTP/1.0 exchange with the admin API of a running gateway, for the commands
 * that ask one. Which gateway, and with what token, comes from --admin and --token, else from the
 * configuration of -c, else from the environment.
 */
#ifndef GATEWAY_CLI_EXCHANGE_H
#define GATEWAY_CLI_EXCHANGE_H

#include "gateway/cli.h"

enum { CG_CLI_BODY_BYTES_MAX = 1 << 20, CG_CLI_ANSWER_S = 30 };

struct cg_cli_target {
    const char *admin; /* borrowed, as are the next two; NULL: not given */
    const char *token;
    const char *config;
    const char *name; /* what messages call the gateway */
    bool resolved;    /* `arena` lives, and what is below holds */
    struct cg_arena arena;
    struct cg_address address;
    const char *token_text; /* "" for none */
};

/* Takes --admin, --token and -c; false when the next argument is none of them. */
bool cg_cli_target_take(struct cg_cli *cli, struct cg_cli_target *target);
/* Finds out where to ask. False: it was said what is missing. */
bool cg_cli_target_resolve(struct cg_cli_target *target);
void cg_cli_target_fini(struct cg_cli_target *target);

/*
 * Sends a request and reads the answer to its end into *ret_answer (initialised by the caller).
 * False: no admin API answered within the time, and *ret_why says why.
 */
bool cg_cli_exchange(const struct cg_cli_target *target, const char *method, const char *path,
                     struct cg_str body, uint32_t timeout_ms, struct cg_buf *ret_answer,
                     const char **ret_why);
unsigned cg_cli_answer_status(struct cg_str answer);
struct cg_str cg_cli_answer_body(struct cg_str answer);

/* What to do about an answer that is no success: `remedy`, or what fits a command better. */
const char *cg_cli_remedy(unsigned status, const char *error, const char *remedy);
/* "cachegate: ABOUT: SENTENCE" to standard error; CG_CLI_FAILED. */
int cg_cli_complain(const char *about, const char *sentence);

#endif
