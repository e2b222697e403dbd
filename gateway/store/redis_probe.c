#include "gateway/store/redis_probe.h"

#include <stdarg.h>
#include <stdio.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

static const size_t greeting_index = SIZE_MAX;

/* Told from the loop: the link may be in the middle of a reply. */
static void finish(struct cg_redis_probe *probe)
{
    if (!probe->end.armed)
        cg_timer_arm(probe->clock, &probe->end, 0);
}

void cg_redis_probe_fail(struct cg_redis_probe *probe, const char *format, ...)
{
    va_list arguments;
    if (probe->why[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(probe->why, sizeof(probe->why), format, arguments);
    va_end(arguments);
    finish(probe);
}

static void on_reply(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_probe *probe = owner;
    bool optional = index != greeting_index && probe->questions[index].optional;
    if (probe->why[0] != '\0')
        return;
    if (reply == NULL)
        cg_redis_probe_fail(probe, "did not answer in time");
    else if (reply->type != REDIS_REPLY_ERROR && index != greeting_index)
        probe->on_answer(probe->owner, index, reply);
    else if (reply->type == REDIS_REPLY_ERROR && !optional)
        cg_redis_probe_fail(probe, "refuses: %s", cg_redis_peer_shown(probe->peer, reply->str));
    if (--probe->remaining == 0)
        finish(probe);
}

static void ask(struct cg_redis_probe *probe, const char *const *items, size_t count, size_t index)
{
    struct cg_redis_words words = {0};
    for (size_t i = 0; i < count && items[i] != NULL; i++)
        cg_redis_words_add(&words, cg_str_from(items[i]));
    if (!cg_redis_link_send(&probe->link, &words, on_reply, probe, index))
        cg_redis_probe_fail(probe, "the connection broke");
}

static void on_open(void *owner)
{
    struct cg_redis_probe *probe = owner;
    bool has_password = probe->password[0] != '\0';
    probe->remaining = probe->question_count + (has_password ? 1 : 0);
    if (has_password && probe->user[0] != '\0')
        ask(probe, (const char *const[]){"AUTH", probe->user, probe->password}, 3, greeting_index);
    else if (has_password)
        ask(probe, (const char *const[]){"AUTH", probe->password}, 2, greeting_index);
    for (size_t i = 0; i < probe->question_count; i++)
        ask(probe, probe->questions[i].words, CG_REDIS_QUESTION_WORDS, i);
}

static void on_closed(void *owner, const char *why)
{
    cg_redis_probe_fail(owner, "%s", why);
}

static void on_end(void *owner)
{
    struct cg_redis_probe *probe = owner;
    cg_redis_link_stop(&probe->link);
    probe->running = false;
    probe->on_end(probe->owner, probe->why[0] == '\0' ? NULL : probe->why);
}

void cg_redis_probe_start(struct cg_redis_probe *probe, const struct cg_redis_address *address,
                          const char *user, const char *password,
                          const struct cg_redis_question *questions, size_t count, unsigned turn)
{
    CG_ASSERT(!probe->running && count > 0);
    probe->running = true;
    probe->user = user;
    probe->password = password;
    probe->questions = questions;
    probe->question_count = count;
    probe->why[0] = '\0';
    probe->end = (struct cg_timer){.on_expiry = on_end, .owner = probe};
    probe->link = (struct cg_redis_link){
        .peer = probe->peer,
        .address = *address,
        .context = probe->context,
        .clock = probe->clock,
        .timeout_ms = probe->timeout_ms,
        .on_open = on_open,
        .on_closed = on_closed,
        .owner = probe,
        .failures = turn,
    };
    cg_redis_link_start(&probe->link);
}

void cg_redis_probe_stop(struct cg_redis_probe *probe)
{
    if (!probe->running)
        return;
    cg_timer_disarm(probe->clock, &probe->end);
    /* What is answered by stopping must not arm it again. */
    snprintf(probe->why, sizeof(probe->why), "stopped");
    cg_redis_link_stop(&probe->link);
    probe->running = false;
}
