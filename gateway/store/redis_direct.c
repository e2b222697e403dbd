#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_parts.h"

/*
 * Which server a command goes to, and in a Cluster where it goes next: a command keeps its text
 * there until it is answered. MOVED says that the map is old, ASK that the key has left already
 * (with a slot that still moves), TRYAGAIN that the keys of one command are half gone. Only
 * primaries of the map are followed to: nobody vouches for another one yet.
 */
enum {
    REDIRECTS_MAX = 3,
    TRIES_MAX = 5,
    TRY_AGAIN_MS = 10,
};

struct cg_redis_directed {
    struct cg_redis_handle *handle;
    struct cg_redis_directed *next, **place; /* among those who try again */
    struct cg_redis_node *node;              /* where it is, not to be followed after a map */
    enum cg_redis_lane lane;
    bool believe; /* a server that is not believed is of no use */
    unsigned redirects, tries;
    char *text; /* of hiredis */
    size_t length;
    cg_redis_reply_fn answer;
    void *owner;
    size_t index;
    struct cg_timer again;
};

struct cg_redis_node *cg_redis_owner_of(const struct cg_redis_handle *handle, struct cg_str key)
{
    if (handle->one_shard || handle->node_count == 0)
        return handle->one_shard ? handle->nodes[0] : NULL;
    uint8_t owner = handle->owners[cg_redis_slot_of(key)];
    return owner == CG_REDIS_NOBODY ? NULL : handle->nodes[owner];
}

struct cg_redis_node *cg_redis_bans_owner(const struct cg_redis_handle *handle)
{
    char key[CG_REDIS_KEY_MAX];
    return cg_redis_owner_of(handle, cg_redis_bans_key(handle->redis, "epoch", key));
}

/* ---- following ---- */

static void end(struct cg_redis_directed *directed, const redisReply *reply)
{
    cg_redis_reply_fn answer = directed->answer;
    void *owner = directed->owner;
    size_t index = directed->index;
    redisFreeCommand(directed->text);
    free(directed);
    answer(owner, index, reply);
}

static void on_directed(void *owner, size_t index, const redisReply *reply);

static bool can_take(const struct cg_redis_directed *directed, const struct cg_redis_node *node)
{
    return cg_redis_node_ready(node) && (!directed->believe || node->believed);
}

static bool send_to(struct cg_redis_directed *directed, struct cg_redis_node *node)
{
    if (!can_take(directed, node))
        return false;
    directed->node = node;
    return cg_redis_link_send_text(cg_redis_node_link(node, directed->lane),
                                   cg_str_of(directed->text, directed->length), on_directed,
                                   directed, 0);
}

static void on_asking(void *owner, size_t index, const redisReply *reply)
{
    (void)owner;
    (void)index;
    (void)reply; /* the command behind it says what became of it */
}

/* `<slot> <host>:<port>`; an empty host is the one that said so. */
static struct cg_redis_node *find_named(const struct cg_redis_directed *directed,
                                        struct cg_str said)
{
    const struct cg_redis_handle *handle = directed->handle;
    struct cg_redis_address address = {0};
    uint64_t port;
    said = cg_str_skip(said, cg_str_find(said, ' ') + 1);
    size_t colon = said.length;
    while (colon > 0 && said.bytes[colon - 1] != ':')
        colon--;
    if (colon == 0 || !cg_str_to_u64(cg_str_skip(said, colon), UINT16_MAX, &port))
        return NULL;
    struct cg_str host = cg_str_sub(said, 0, colon - 1);
    if (cg_str_empty(host))
        host = cg_str_from(directed->node->address.host);
    if (!cg_redis_address_set(&address, host, port))
        return NULL;
    for (size_t i = 0; i < handle->node_count; i++)
        if (cg_redis_address_eq(&handle->nodes[i]->address, &address))
            return handle->nodes[i];
    return NULL;
}

static bool is_ours(const struct cg_redis_directed *directed)
{
    for (size_t i = 0; i < directed->handle->node_count; i++)
        if (directed->handle->nodes[i] == directed->node)
            return true;
    return false;
}

static bool follow(struct cg_redis_directed *directed, struct cg_str said, bool asking)
{
    struct cg_redis_words words = {0};
    if (directed->redirects++ >= REDIRECTS_MAX || !is_ours(directed))
        return false;
    struct cg_redis_node *node = find_named(directed, said);
    if (node == NULL || !can_take(directed, node))
        return false;
    if (asking) {
        cg_redis_words_add(&words, CG_STR("ASKING"));
        if (!cg_redis_link_send(cg_redis_node_link(node, directed->lane), &words, on_asking, NULL,
                                0))
            return false;
    }
    return send_to(directed, node);
}

/* ---- trying again ---- */

static void leave_list(struct cg_redis_directed *directed)
{
    *directed->place = directed->next;
    if (directed->next != NULL)
        directed->next->place = directed->place;
}

static void on_again(void *owner)
{
    struct cg_redis_directed *directed = owner;
    leave_list(directed);
    if (!is_ours(directed) || !send_to(directed, directed->node))
        end(directed, NULL);
}

static bool try_again(struct cg_redis_directed *directed)
{
    struct cg_redis_handle *handle = directed->handle;
    if (handle->closing || directed->tries++ >= TRIES_MAX)
        return false;
    directed->next = handle->trying_again;
    if (directed->next != NULL)
        directed->next->place = &directed->next;
    directed->place = &handle->trying_again;
    handle->trying_again = directed;
    directed->again = (struct cg_timer){.on_expiry = on_again, .owner = directed};
    cg_timer_arm(handle->clock, &directed->again, (uint32_t)TRY_AGAIN_MS << directed->tries);
    return true;
}

void cg_redis_directed_end_all(struct cg_redis_handle *handle)
{
    while (handle->trying_again != NULL) {
        struct cg_redis_directed *directed = handle->trying_again;
        cg_timer_disarm(handle->clock, &directed->again);
        leave_list(directed);
        end(directed, NULL);
    }
}

/* ---- replicas ---- */

static void on_replicated_elsewhere(void *owner, size_t index, const redisReply *reply)
{
    static const redisReply done = {.type = REDIS_REPLY_NIL};
    struct cg_redis_directed *directed = owner;
    (void)index;
    end(directed, cg_redis_is_replicated(directed->handle, reply) ? &done : NULL);
}

/* Whoever sent a change waits for the replicas of the owner that it knew, not for these. */
static bool wait_elsewhere(struct cg_redis_directed *directed)
{
    return is_ours(directed) && cg_redis_send_wait(directed->handle, directed->node,
                                                   on_replicated_elsewhere, directed, 0);
}

static void on_directed(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_directed *directed = owner;
    struct cg_redis_handle *handle = directed->handle;
    (void)index;
    bool waits = directed->lane == CG_REDIS_WRITES && handle->wait_replicas > 0;
    if (reply == NULL || handle->closing) {
        end(directed, NULL);
        return;
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        if (!waits || directed->redirects == 0)
            end(directed, reply);
        else if (!wait_elsewhere(directed))
            end(directed, NULL);
        return;
    }
    struct cg_str said = cg_str_of(reply->str, (size_t)reply->len);
    bool moved = cg_str_starts_with(said, CG_STR("MOVED "));
    bool asked = cg_str_starts_with(said, CG_STR("ASK "));
    if (moved)
        cg_redis_topology_doubt(handle->topology);
    if (((moved || asked) && follow(directed, cg_str_skip(said, moved ? 6 : 4), asked)) ||
        (cg_str_starts_with(said, CG_STR("TRYAGAIN")) && try_again(directed)))
        return;
    end(directed, reply);
}

/* ---- sending ---- */

static bool send_directed(struct cg_redis_handle *handle, enum cg_redis_lane lane,
                          struct cg_redis_node *node, const struct cg_redis_words *words,
                          cg_redis_reply_fn answer, void *owner, size_t index)
{
    struct cg_redis_words copy = *words; /* hiredis takes its arrays without const */
    struct cg_redis_directed *directed = calloc(1, sizeof(*directed));
    CG_ASSERT(directed != NULL);
    directed->handle = handle;
    directed->lane = lane;
    directed->believe = node->believed;
    directed->answer = answer;
    directed->owner = owner;
    directed->index = index;
    int length = redisFormatCommandArgv(&directed->text, (int)copy.count, copy.items, copy.lengths);
    CG_ASSERT(length > 0);
    directed->length = (size_t)length;
    if (send_to(directed, node))
        return true;
    redisFreeCommand(directed->text);
    free(directed);
    return false;
}

bool cg_redis_send_to(struct cg_redis_handle *handle, enum cg_redis_lane lane,
                      struct cg_redis_node *node, const struct cg_redis_words *words,
                      cg_redis_reply_fn answer, void *owner, size_t index)
{
    if (!cg_redis_node_ready(node))
        return false;
    if (!handle->one_shard)
        return send_directed(handle, lane, node, words, answer, owner, index);
    return cg_redis_link_send(cg_redis_node_link(node, lane), words, answer, owner, index);
}

bool cg_redis_send(struct cg_redis_handle *handle, enum cg_redis_lane lane, struct cg_str key,
                   const struct cg_redis_words *words, cg_redis_reply_fn answer, void *owner,
                   size_t index)
{
    struct cg_redis_node *node = cg_redis_owner_of(handle, key);
    return node != NULL && cg_redis_send_to(handle, lane, node, words, answer, owner, index);
}

bool cg_redis_send_wait(struct cg_redis_handle *handle, struct cg_redis_node *node,
                        cg_redis_reply_fn answer, void *owner, size_t index)
{
    return cg_redis_node_wait(node, handle->wait_replicas, answer, owner, index);
}

bool cg_redis_is_replicated(const struct cg_redis_handle *handle, const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_INTEGER &&
           reply->integer >= (long long)handle->wait_replicas;
}
