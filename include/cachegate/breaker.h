/*
 * breaker: whether a server that does not answer is asked again.
 *
 * Closed: everything is sent. After `failures` commands in a row without an answer, or when the
 * connection is lost, it opens: nothing is sent, so that no request waits for a timeout it could
 * have known of. After a while, one probe decides (half-open): an answer closes it, none opens it
 * for twice as long, up to a limit. Pure: stepped with the time and random bits of the caller, who
 * owns the struct and sends the probe.
 */
#ifndef CACHEGATE_BREAKER_H
#define CACHEGATE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum cg_breaker_state { CG_BREAKER_CLOSED, CG_BREAKER_OPEN, CG_BREAKER_HALF_OPEN };

struct cg_breaker_limits {
    uint32_t failures; /* at least 1 */
    uint32_t open_ms;  /* the first time; at least 1 */
    uint32_t open_longest_ms;
};

/* Zeroed, it is closed. */
struct cg_breaker {
    enum cg_breaker_state state;
    uint32_t failures; /* in a row */
    uint32_t openings; /* in a row: since it last was closed */
    int64_t until_ms;  /* while open: when the probe is due */
};

/* "closed", "open" or "half-open". */
const char *cg_breaker_name(enum cg_breaker_state state);

/* A command was not answered in time; of a probe, its end. True when it opens. */
bool cg_breaker_lose(struct cg_breaker *breaker, const struct cg_breaker_limits *limits,
                     int64_t now_ms, uint32_t random);
/* There is no connection: opens at once. True when it was not open. */
bool cg_breaker_cut(struct cg_breaker *breaker, const struct cg_breaker_limits *limits,
                    int64_t now_ms, uint32_t random);
/* A command was answered. While open it changes nothing: only the probe closes. True when it
 * closes. */
bool cg_breaker_win(struct cg_breaker *breaker);
/* A new connection was greeted, which is as good as a probe. True when it was not closed. */
bool cg_breaker_close(struct cg_breaker *breaker);
/* True once the time has come: it is half-open then, and the caller sends the probe. */
bool cg_breaker_probe(struct cg_breaker *breaker, int64_t now_ms);

#endif
