/*
 * log: levelled, structured lines on standard error; the only writer there while the gateway runs.
 *
 * One line is `2026-01-02T03:04:05.678Z level event key=value …`; values with spaces or quotes are
 * quoted, control bytes escaped, so that nobody can forge a line. Lines of at most CG_LOG_LINE_MAX
 * bytes are written with one write(2). Thread-safe. Credentials never get here: callers log names
 * of fields, never their values.
 */
#ifndef GATEWAY_BASE_LOG_H
#define GATEWAY_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "cachegate/str.h"

enum { CG_LOG_LINE_MAX = 4096 };
/* A notice (ready, stopping) is part of the contract with whoever started us: written at any level.
 */
enum cg_log_level { CG_LOG_NOTICE, CG_LOG_ERROR, CG_LOG_WARN, CG_LOG_INFO, CG_LOG_DEBUG };

/* Process-wide; set once before threads start. */
void cg_log_set_level(enum cg_log_level level);
bool cg_log_level_from(struct cg_str text, enum cg_log_level *ret_level);
bool cg_log_enabled(enum cg_log_level level);

/* One key and its value. */
struct cg_log_pair {
    const char *key;
    struct cg_str value;
};
void cg_log_pairs(enum cg_log_level level, const char *event, const struct cg_log_pair *pairs,
                  unsigned count);
/* `event` and free text as `message=`. */
void cg_log(enum cg_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* At most one line a second for this `gate` (zero it); says how many were held back. */
struct cg_log_gate {
    int64_t last_ms;
    uint64_t held;
};
bool cg_log_gate_open(struct cg_log_gate *gate, int64_t now_ms, uint64_t *ret_held);
/* What to end that line with: nothing when none was held back. */
enum { CG_LOG_HELD_MAX = 56 };
const char *cg_log_held(uint64_t held, char room[CG_LOG_HELD_MAX]);

#endif
