#include <openssl/rand.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_parts.h"
#include "gateway/store/redis_stats_parts.h"

/*
 * One report: changes out, sums back, all in one write. The next one begins only when every answer
 * has come, so a slow Redis is asked less.
 *
 * Names of fields: `<route>:<second at which the bucket ends>`, and those of `counter_names`.
 */
enum { EXPIRED_MAX = 1024, FIELD_MAX = 160 };

static const char *const counter_names[CG_FLEET_COUNTERS] = {
    "hits", "misses", "stale_hits", "sets", "deletes", "bans",
};

struct cg_redis_reporter {
    struct cg_redis_handle *handle;
    struct cg_redis_stats *stats;
    struct cg_timer timer;
    bool stopped;
    size_t pending; /* answers to come, and one while the report is being sent */
    bool failed;
    int64_t started_us;
    struct cg_store_fleet reading; /* of the report under way */
    uint64_t *reading_keys;        /* owned, one for each route */
    struct cg_store_fleet shown;   /* what was asked for last */
    uint64_t *shown_keys;          /* owned */
    char (*expired)[FIELD_MAX];    /* owned: fields whose bucket is over */
    size_t expired_count;
    struct cg_redis_key_change changes[CG_REDIS_STATS_CHANGES];
};

/* ---- sending ---- */

static void finish(struct cg_redis_reporter *reporter);

static void step(struct cg_redis_reporter *reporter)
{
    if (--reporter->pending == 0 && !reporter->stopped)
        finish(reporter);
}

/* Of what is only told. Nothing is sent twice: a count that was lost is better than one that was
 * added twice. */
static void on_told(void *owner, size_t index, const redisReply *reply)
{
    (void)index;
    (void)reply;
    step(owner);
}

static void ask(struct cg_redis_reporter *reporter, struct cg_str key,
                const struct cg_redis_words *words, cg_redis_reply_fn answer)
{
    reporter->pending++;
    if (cg_redis_send(reporter->handle, CG_REDIS_READS, key, words, answer, reporter, 0))
        return;
    reporter->pending--;
    reporter->failed = true;
}

static struct cg_str stats_key(const struct cg_redis_reporter *reporter, const char *part,
                               char room[CG_REDIS_KEY_MAX])
{
    int length = snprintf(room, CG_REDIS_KEY_MAX, "%.*s:{stats}:%s",
                          CG_STR_ARG(reporter->handle->redis->namespace), part);
    CG_ASSERT(length > 0 && length < CG_REDIS_KEY_MAX);
    return cg_str_of(room, (size_t)length);
}

static void add_to(struct cg_redis_reporter *reporter, struct cg_str key, struct cg_str field,
                   int64_t by)
{
    struct cg_redis_words words = {0};
    char number[24];
    int length = snprintf(number, sizeof(number), "%lld", (long long)by);
    cg_redis_words_add(&words, CG_STR("HINCRBY"));
    cg_redis_words_add(&words, key);
    cg_redis_words_add(&words, field);
    cg_redis_words_add(&words, cg_str_of(number, (size_t)length));
    ask(reporter, key, &words, on_told);
}

static void keep_alive(struct cg_redis_reporter *reporter, struct cg_str key)
{
    struct cg_redis_words words = {0};
    char life[24];
    cg_redis_words_add(&words, CG_STR("PEXPIRE"));
    cg_redis_words_add(&words, key);
    cg_redis_words_add(&words, cg_redis_lifetime(reporter->handle->redis, life));
    ask(reporter, key, &words, on_told);
}

static void read_all(struct cg_redis_reporter *reporter, struct cg_str key,
                     cg_redis_reply_fn answer)
{
    struct cg_redis_words words = {0};
    cg_redis_words_add(&words, CG_STR("HGETALL"));
    cg_redis_words_add(&words, key);
    ask(reporter, key, &words, answer);
}

/* ---- counters ---- */

static struct cg_str element_str(const redisReply *reply, size_t i)
{
    return cg_redis_reply_str(reply->element[i]);
}

static bool is_map(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY;
}

static void on_counters(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_reporter *reporter = owner;
    (void)index;
    reporter->failed = reporter->failed || !is_map(reply);
    for (size_t i = 0; is_map(reply) && i + 1 < reply->elements; i += 2)
        for (size_t name = 0; name < CG_FLEET_COUNTERS; name++)
            if (cg_str_eq(element_str(reply, i), cg_str_from(counter_names[name])))
                (void)cg_str_to_u64(element_str(reply, i + 1), INT64_MAX,
                                    &reporter->reading.counters[name]);
    step(reporter);
}

static void report_counters(struct cg_redis_reporter *reporter)
{
    char room[CG_REDIS_KEY_MAX];
    struct cg_str key = stats_key(reporter, "fleet", room);
    uint64_t deltas[CG_FLEET_COUNTERS];
    cg_redis_stats_take_counters(reporter->stats, deltas);
    for (size_t i = 0; i < CG_FLEET_COUNTERS; i++)
        if (deltas[i] > 0 && deltas[i] <= INT64_MAX)
            add_to(reporter, key, cg_str_from(counter_names[i]), (int64_t)deltas[i]);
    keep_alive(reporter, key);
    read_all(reporter, key, on_counters);
}

/* ---- keys ---- */

/* More than anybody counted was not counted: all that one reply can hold still have a sum. */
static bool read_count(struct cg_str text, int64_t *ret_count)
{
    const uint64_t count_max = UINT64_C(1) << 40;
    uint64_t number;
    bool negative = cg_str_starts_with(text, CG_STR("-"));
    if (!cg_str_to_u64(cg_str_skip(text, negative ? 1 : 0), count_max, &number))
        return false;
    *ret_count = negative ? -(int64_t)number : (int64_t)number;
    return true;
}

static void note_expired(struct cg_redis_reporter *reporter, struct cg_str field)
{
    if (reporter->expired_count == EXPIRED_MAX || field.length >= FIELD_MAX)
        return; /* the next report has them */
    char *room = reporter->expired[reporter->expired_count++];
    memcpy(room, field.bytes, field.length);
    room[field.length] = '\0';
}

static uint64_t at_least_zero(int64_t count)
{
    return count > 0 ? (uint64_t)count : 0;
}

static void on_keys(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_reporter *reporter = owner;
    uint64_t now_s = (uint64_t)cg_now_ms(reporter->handle->clock) / 1000;
    int64_t *sums = calloc(reporter->stats->route_count + 1, sizeof(*sums));
    int64_t all = 0;
    (void)index;
    CG_ASSERT(sums != NULL);
    reporter->failed = reporter->failed || !is_map(reply);
    for (size_t i = 0; is_map(reply) && i + 1 < reply->elements; i += 2) {
        struct cg_str field = element_str(reply, i);
        size_t colon = cg_str_find(field, ':');
        int64_t count = 0;
        uint64_t end_s = 0;
        bool good = cg_str_to_u64(cg_str_skip(field, colon + 1), INT64_MAX, &end_s) &&
                    read_count(element_str(reply, i + 1), &count);
        if (!good || end_s <= now_s) {
            note_expired(reporter, field);
            continue;
        }
        all += count;
        /* Of no route that our rules know: the last place. */
        sums[cg_redis_stats_route(reporter->stats, cg_str_sub(field, 0, colon + 1))] += count;
    }
    for (size_t i = 0; i < reporter->stats->route_count; i++)
        reporter->reading_keys[i] = at_least_zero(sums[i]);
    reporter->reading.keys = at_least_zero(all);
    free(sums);
    step(reporter);
}

static void report_keys(struct cg_redis_reporter *reporter)
{
    const struct cg_redis_stats *stats = reporter->stats;
    char room[CG_REDIS_KEY_MAX], field[FIELD_MAX];
    struct cg_str key = stats_key(reporter, "keys", room);
    size_t count = cg_redis_stats_take_keys(reporter->stats, reporter->changes);
    for (size_t i = 0; i < count; i++) {
        const struct cg_redis_key_change *row = &reporter->changes[i];
        bool named =
            row->route < stats->route_count && !cg_str_empty(stats->route_names[row->route]);
        struct cg_str name = named ? stats->route_names[row->route] : CG_STR("-:");
        int length = snprintf(field, sizeof(field), "%.*s%llu", CG_STR_ARG(name),
                              (unsigned long long)row->end_s);
        if (length > 0 && (size_t)length < sizeof(field))
            add_to(reporter, key, cg_str_of(field, (size_t)length), row->by);
    }
    keep_alive(reporter, key);
    read_all(reporter, key, on_keys);
}

static void forget_expired(struct cg_redis_reporter *reporter)
{
    enum { FIELDS_MAX = CG_REDIS_WORDS_MAX - 2 };
    char room[CG_REDIS_KEY_MAX];
    struct cg_str key = stats_key(reporter, "keys", room);
    for (size_t from = 0; from < reporter->expired_count; from += FIELDS_MAX) {
        struct cg_redis_words words = {0};
        cg_redis_words_add(&words, CG_STR("HDEL"));
        cg_redis_words_add(&words, key);
        for (size_t i = from; i < reporter->expired_count && i < from + FIELDS_MAX; i++)
            cg_redis_words_add(&words, cg_str_from(reporter->expired[i]));
        ask(reporter, key, &words, on_told);
    }
    reporter->expired_count = 0;
}

/* ---- memory ---- */

static uint64_t find_number(struct cg_str info, const char *name)
{
    struct cg_str line;
    uint64_t number = 0;
    while (cg_str_split(&info, '\n', &line))
        if (cg_str_starts_with(line, cg_str_from(name))) {
            line = cg_str_skip(line, strlen(name));
            (void)cg_str_to_u64(cg_str_sub(line, 0, cg_str_find(line, '\r')), INT64_MAX, &number);
        }
    return number;
}

static void on_memory(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_reporter *reporter = owner;
    struct cg_str info = cg_redis_reply_str(reply);
    (void)index;
    /* Not failed without it: INFO may be forbidden. */
    reporter->reading.memory_bytes += find_number(info, "used_memory:");
    reporter->reading.memory_max_bytes += find_number(info, "maxmemory:");
    step(reporter);
}

static void ask_memory(struct cg_redis_reporter *reporter)
{
    struct cg_redis_handle *handle = reporter->handle;
    struct cg_redis_words words = {0};
    cg_redis_words_add(&words, CG_STR("INFO"));
    cg_redis_words_add(&words, CG_STR("memory"));
    for (size_t i = 0; i < handle->node_count; i++) {
        reporter->pending++;
        if (!cg_redis_send_to(handle, CG_REDIS_READS, handle->nodes[i], &words, on_memory, reporter,
                              0))
            reporter->pending--;
    }
}

/* ---- reports ---- */

static void finish(struct cg_redis_reporter *reporter)
{
    if (reporter->failed)
        return;
    reporter->reading.latency_ms = (double)(cg_clock_monotonic_us() - reporter->started_us) / 1000;
    reporter->reading.route_keys = reporter->reading_keys;
    reporter->reading.route_count = reporter->stats->route_count;
    cg_redis_stats_put(reporter->stats, &reporter->reading);
}

/* What is taken from the process's sums and then not sent is lost. */
static bool can_send(const struct cg_redis_reporter *reporter)
{
    char room[CG_REDIS_KEY_MAX];
    struct cg_redis_node *node =
        cg_redis_owner_of(reporter->handle, stats_key(reporter, "keys", room));
    return reporter->pending == 0 && node != NULL && cg_redis_node_ready(node) &&
           cg_redis_usable(reporter->handle);
}

static void report(struct cg_redis_reporter *reporter)
{
    reporter->failed = false;
    reporter->reading = (struct cg_store_fleet){0};
    reporter->started_us = cg_clock_monotonic_us();
    reporter->pending = 1;
    forget_expired(reporter);
    report_counters(reporter);
    report_keys(reporter);
    ask_memory(reporter);
    step(reporter);
}

/* Handles of one process fire at different moments; whoever finds a report due makes it. */
static void arm(struct cg_redis_reporter *reporter)
{
    uint32_t random, interval_ms = reporter->stats->interval_ms;
    CG_ASSERT(RAND_bytes((unsigned char *)&random, sizeof(random)) == 1);
    cg_timer_arm(reporter->handle->clock, &reporter->timer,
                 interval_ms - random % (interval_ms / 4 + 1));
}

static void on_timer(void *owner)
{
    struct cg_redis_reporter *reporter = owner;
    if (can_send(reporter) && cg_redis_stats_claim(reporter->stats))
        report(reporter);
    arm(reporter);
}

/* ---- lifetime ---- */

struct cg_redis_reporter *cg_redis_reporter_create(struct cg_redis_handle *handle)
{
    struct cg_redis_stats *stats = handle->redis->stats;
    if (!cg_redis_stats_on(stats))
        return NULL;
    struct cg_redis_reporter *reporter = calloc(1, sizeof(*reporter));
    CG_ASSERT(reporter != NULL);
    reporter->handle = handle;
    reporter->stats = stats;
    reporter->timer = (struct cg_timer){.on_expiry = on_timer, .owner = reporter};
    reporter->reading_keys = calloc(stats->route_count + 1, sizeof(uint64_t));
    reporter->shown_keys = calloc(stats->route_count + 1, sizeof(uint64_t));
    reporter->expired = calloc(EXPIRED_MAX, sizeof(*reporter->expired));
    CG_ASSERT(reporter->reading_keys != NULL && reporter->shown_keys != NULL &&
              reporter->expired != NULL);
    arm(reporter);
    return reporter;
}

void cg_redis_reporter_stop(struct cg_redis_reporter *reporter)
{
    if (reporter == NULL)
        return;
    reporter->stopped = true;
    cg_timer_disarm(reporter->handle->clock, &reporter->timer);
}

struct cg_redis_reporter *cg_redis_reporter_destroy(struct cg_redis_reporter *reporter)
{
    if (reporter == NULL)
        return NULL;
    CG_ASSERT(reporter->stopped && reporter->pending == 0);
    free(reporter->reading_keys);
    free(reporter->shown_keys);
    free(reporter->expired);
    free(reporter);
    return NULL;
}

const struct cg_store_fleet *cg_redis_reporter_fleet(struct cg_redis_reporter *reporter)
{
    if (reporter == NULL ||
        !cg_redis_stats_get(reporter->stats, reporter->shown_keys, &reporter->shown))
        return NULL;
    return &reporter->shown;
}
