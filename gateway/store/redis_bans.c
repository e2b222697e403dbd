#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_parts.h"

/*
 * The epoch is `<16 hex: generation>:<counter>:<record>`, a ban `<generation>:<counter>:` and its
 * two texts with their lengths. The script (redis_script.c) writes both.
 */
struct record {
    struct cg_epoch epoch;
    struct cg_ban ban;
};

struct cg_str cg_redis_epoch_write(struct cg_epoch epoch, const char *record,
                                   char room[CG_REDIS_KEY_MAX])
{
    int length =
        snprintf(room, CG_REDIS_KEY_MAX, "%016llx:%llu:%s", (unsigned long long)epoch.generation,
                 (unsigned long long)epoch.counter, record);
    CG_ASSERT(length > 0 && length < CG_REDIS_KEY_MAX);
    return cg_str_of(room, (size_t)length);
}

bool cg_redis_epoch_read(struct cg_str text, struct cg_epoch *ret_epoch, struct cg_str *ret_record)
{
    struct cg_epoch epoch = {0};
    if (text.length < 18 || text.bytes[16] != ':')
        return false;
    for (size_t i = 0; i < 16; i++) {
        int digit = cg_hex_digit(text.bytes[i]);
        if (digit < 0)
            return false;
        epoch.generation = epoch.generation << 4 | (uint64_t)digit;
    }
    struct cg_str rest = cg_str_skip(text, 17);
    size_t colon = cg_str_find(rest, ':');
    /* Lua counts in doubles. */
    if (colon == rest.length ||
        !cg_str_to_u64(cg_str_sub(rest, 0, colon), UINT64_C(1) << 52, &epoch.counter))
        return false;
    *ret_epoch = epoch;
    *ret_record = cg_str_skip(rest, colon + 1);
    return true;
}

/* A ban that cannot be read covers everything. */
static bool read_record(struct cg_str text, struct record *ret_record)
{
    struct cg_str rest;
    *ret_record = (struct record){0};
    if (!cg_redis_epoch_read(text, &ret_record->epoch, &rest))
        return false;
    struct cg_reader reader = {.rest = rest};
    struct cg_ban ban = {.pattern = cg_read_prefixed(&reader)};
    ban.user = cg_read_prefixed(&reader);
    if (!reader.failed && reader.rest.length == 0)
        ret_record->ban = ban;
    return true;
}

/*
 * The list up to the epoch, as far as it is whole: of one generation and without gaps. It was read
 * last, so it may reach further, but of who moved the epoch since the sets may not tell. One that
 * does not reach as far has lost its end.
 */
static struct cg_bans *build_snapshot(struct cg_epoch epoch, const redisReply *list, int64_t now_ms)
{
    struct cg_ban *bans = calloc(CG_BANS_MAX, sizeof(*bans));
    struct record record;
    size_t from = CG_BANS_MAX;
    uint64_t next = 0; /* the counter of bans[from] */
    CG_ASSERT(bans != NULL);
    for (size_t i = list->elements; i > 0 && from > 0; i--) {
        if (!read_record(cg_redis_reply_str(list->element[i - 1]), &record) ||
            record.epoch.generation != epoch.generation)
            break;
        if (next == 0 && record.epoch.counter > epoch.counter)
            continue;
        if (record.epoch.counter + 1 != (next == 0 ? epoch.counter + 1 : next))
            break;
        next = record.epoch.counter;
        if (next == 0)
            break;
        bans[--from] = record.ban;
    }
    struct cg_bans *snapshot = cg_bans_restore(epoch, bans + from, CG_BANS_MAX - from, now_ms);
    free(bans);
    return snapshot;
}

/* ---- fetching ---- */

static bool knows(const struct cg_bans *bans, struct cg_epoch epoch)
{
    if (bans == NULL)
        return false;
    struct cg_epoch ours = cg_bans_epoch(bans);
    return ours.generation == epoch.generation && ours.counter >= epoch.counter;
}

static void answer_with(struct cg_redis_call *call, struct cg_bans *bans)
{
    call->view.bans = bans;
    call->view.epoch = cg_bans_epoch(bans);
    cg_redis_call_finish(call);
}

static void wait_for_list(struct cg_redis_call *call);

static void answer_waiting(struct cg_redis_handle *handle, bool good)
{
    struct cg_redis_call *waiting = handle->waiting_for_bans;
    struct cg_bans *bans = good ? cg_bans_ref(handle->bans) : NULL; /* answers may replace it */
    size_t fetched = handle->list_fetch;
    handle->waiting_for_bans = NULL;
    while (waiting != NULL) {
        struct cg_redis_call *call = waiting;
        waiting = call->next;
        call->failed = !good;
        if (call->failed)
            cg_redis_call_finish(call);
        else if (knows(bans, call->view.epoch) || call->list_fetch <= fetched)
            answer_with(call, bans);
        else
            wait_for_list(call);
    }
    cg_bans_unref(bans);
}

static void on_list_epoch(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    struct cg_str record;
    if (index != handle->list_fetch)
        return; /* it was redirected, and came after the list */
    handle->list_epoch_known =
        cg_redis_epoch_read(cg_redis_reply_str(reply), &handle->list_epoch, &record);
}

/* Read after the epoch, so it knows whoever had moved that. */
static void on_sets(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    if (index != handle->list_fetch || reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
        !handle->list_epoch_known)
        return;
    cg_redis_rules_read(handle, reply);
    handle->sets_known = true;
}

static void on_list(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    /* One of another type has no elements, as one that was evicted. */
    bool good = handle->list_epoch_known && handle->sets_known && reply != NULL &&
                (reply->type == REDIS_REPLY_ARRAY || cg_redis_is_wrong_type(reply));
    (void)index;
    handle->fetching_bans = false;
    if (good) {
        struct cg_bans *before = handle->bans;
        handle->bans = build_snapshot(handle->list_epoch, reply, cg_now_ms(handle->clock));
        if (handle->has_sets)
            cg_bans_restrict(handle->bans, cg_buf_str(&handle->agreed));
        cg_bans_unref(before);
    }
    answer_waiting(handle, good);
}

static bool fetch(struct cg_redis_handle *handle)
{
    char room[CG_REDIS_KEY_MAX], from[24];
    struct cg_redis_words words = {0};
    struct cg_str key = cg_redis_bans_key(handle->redis, "epoch", room);
    handle->list_epoch_known = handle->sets_known = false;
    handle->list_fetch++;
    cg_redis_words_add(&words, CG_STR("GET"));
    cg_redis_words_add(&words, key);
    if (!cg_redis_send(handle, CG_REDIS_READS, key, &words, on_list_epoch, handle,
                       handle->list_fetch))
        return false;
    words.count = 0;
    key = cg_redis_bans_key(handle->redis, "rules", room);
    cg_redis_words_add(&words, CG_STR("HGETALL"));
    cg_redis_words_add(&words, key);
    if (!cg_redis_send(handle, CG_REDIS_READS, key, &words, on_sets, handle, handle->list_fetch))
        return false;
    words.count = 0;
    key = cg_redis_bans_key(handle->redis, "list", room);
    /* No longer than gateways make it. */
    (void)snprintf(from, sizeof(from), "-%d", (int)CG_BANS_MAX);
    cg_redis_words_add(&words, CG_STR("LRANGE"));
    cg_redis_words_add(&words, key);
    cg_redis_words_add(&words, cg_str_from(from));
    cg_redis_words_add(&words, CG_STR("-1"));
    return cg_redis_send(handle, CG_REDIS_READS, key, &words, on_list, handle, 0);
}

/*
 * For a fetch in flight, too: it often knows the epoch that the call saw. But it may have been
 * answered by a server that the list has left since; only a fetch that begins now is certain to be
 * no older than that epoch.
 */
static void wait_for_list(struct cg_redis_call *call)
{
    struct cg_redis_handle *handle = call->handle;
    call->list_fetch = handle->list_fetch + 1;
    call->next = handle->waiting_for_bans;
    handle->waiting_for_bans = call;
    if (handle->fetching_bans)
        return;
    handle->fetching_bans = true;
    if (!fetch(handle)) {
        handle->fetching_bans = false;
        answer_waiting(handle, false);
    }
}

void cg_redis_bans_then_answer(struct cg_redis_call *call)
{
    struct cg_redis_handle *handle = call->handle;
    if (!call->has_epoch) {
        /* A history that nobody has: no entry matches it, and what is fetched is not kept. */
        struct cg_token random = cg_redis_new_token(handle);
        struct cg_epoch none = {0};
        memcpy(&none.generation, random.bytes, sizeof(none.generation));
        struct cg_bans *bans = cg_bans_create(none.generation);
        answer_with(call, bans);
        cg_bans_unref(bans);
        return;
    }
    if (knows(handle->bans, call->view.epoch))
        answer_with(call, handle->bans);
    else
        wait_for_list(call);
}

/* ---- appending ---- */

void cg_redis_ban_write(const struct cg_ban *ban, struct cg_buf *out)
{
    bool fits = ban->pattern.length <= CG_BAN_TEXT_MAX;
    bool user_fits = ban->user.length <= CG_BAN_TEXT_MAX;
    cg_buf_add_prefixed(out, fits ? ban->pattern : CG_STR(""));
    cg_buf_add_prefixed(out, user_fits ? ban->user : CG_STR(""));
}

static void send_part(struct cg_redis_call *call, size_t index, bool whole);

static void on_appended(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    if (cg_redis_call_wants_text(call, reply)) {
        send_part(call, index, true);
        cg_redis_call_replicate(call);
    } else if (cg_redis_is_error(reply)) {
        call->failed = true;
    }
    cg_redis_call_step(call);
}

/* `index`: of the first ban of the part. */
static void send_part(struct cg_redis_call *call, size_t index, bool whole)
{
    size_t count = call->count - index;
    if (count > CG_REDIS_BANS_PER_SCRIPT)
        count = CG_REDIS_BANS_PER_SCRIPT;
    call->remaining++;
    cg_redis_call_changes(call, cg_redis_bans_owner(call->handle));
    struct cg_redis_order order = {.mode = "append", .bans = call->bans + index, .count = count};
    if (!cg_redis_epoch_send(call->handle, &order, whole, on_appended, call, index))
        on_appended(call, index, NULL);
}

void cg_redis_start_bans(struct cg_redis_call *call, const struct cg_ban *bans, size_t count)
{
    const struct cg_redis_node *node = cg_redis_bans_owner(call->handle);
    call->bans = bans;
    call->count = count;
    if (node == NULL || !node->believed)
        call->failed = true;
    for (size_t i = 0; i < count && !call->failed; i += CG_REDIS_BANS_PER_SCRIPT)
        send_part(call, i, false);
    cg_redis_call_replicate(call);
    cg_redis_call_step(call);
}
