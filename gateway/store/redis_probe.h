/*
 * redis_probe: one conversation with one server, over a connection of its own.
 *
 * Connects, says who we are, asks some questions, hangs up; in bounded time. Made for topologies,
 * which ask seldom and must not depend on the connections that carry data. Belongs to one thread.
 */
#ifndef GATEWAY_STORE_REDIS_PROBE_H
#define GATEWAY_STORE_REDIS_PROBE_H

#include "gateway/store/redis_link.h"

enum { CG_REDIS_QUESTION_WORDS = 4, CG_REDIS_PROBE_WHY_MAX = 200 };

struct cg_redis_question {
    const char *words[CG_REDIS_QUESTION_WORDS]; /* the first NULL ends them */
    bool optional;                              /* a refusal of this one is no failure */
};

struct cg_redis_probe {
    struct cg_redis_peer *peer; /* borrowed, like all to `owner` */
    h2o_context_t *context;
    struct cg_clock *clock;
    uint32_t timeout_ms;
    /* Neither NULL nor an error. */
    void (*on_answer)(void *owner, size_t index, const redisReply *reply);
    /* Once for each start, from the loop; `why` is NULL when all questions were answered. The probe
     * is idle again. */
    void (*on_end)(void *owner, const char *why);
    void *owner;
    /* Private. */
    struct cg_redis_link link;
    const char *user, *password;
    const struct cg_redis_question *questions;
    size_t question_count, remaining;
    bool running;
    char why[CG_REDIS_PROBE_WHY_MAX]; /* "" while nothing failed */
    struct cg_timer end;
};

/*
 * User and password ("" for none) and the questions are borrowed until the end. `turn` counts the
 * tries: a name with several addresses is tried on another one each time.
 */
void cg_redis_probe_start(struct cg_redis_probe *probe, const struct cg_redis_address *address,
                          const char *user, const char *password,
                          const struct cg_redis_question *questions, size_t count, unsigned turn);
/* From inside on_answer: that was not what we need. The first reason stays. */
void cg_redis_probe_fail(struct cg_redis_probe *probe, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* There will be no on_end. Also when it is idle. */
void cg_redis_probe_stop(struct cg_redis_probe *probe);

#endif
