/*
 * The topology of a Redis Cluster: CLUSTER SLOTS, which 6.2 has too (CLUSTER SHARDS is of 7.0).
 *
 * Known primaries and the seeds of the URL are asked in turn. A node that says that the cluster is
 * down is cut off or everybody is: its map is not believed, since nothing can be purged through it.
 */
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/store/redis_scout.h"

/* Naming all slots again and again keeps a loop busy. */
enum { NAMED_MAX = 2 * CG_REDIS_SLOTS };

struct cluster {
    struct cg_redis_scout scout;
    struct cg_redis_address asked;
    struct cg_redis_map *seen; /* under construction */
    uint64_t named;            /* slots, those that were named twice too */
    uint64_t epoch;
    bool down;
};

static const struct cg_redis_question questions[] = {
    {{"CLUSTER", "INFO"}, true}, /* not everybody may */
    {{"CLUSTER", "SLOTS"}, false},
};

static struct cg_str text_of(const redisReply *reply)
{
    bool is_text = reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
    return is_text ? cg_str_of(reply->str, reply->len) : CG_STR("");
}

static void read_info(struct cluster *cluster, struct cg_str info)
{
    struct cg_str line;
    while (cg_str_split(&info, '\n', &line)) {
        if (cg_str_ends_with(line, CG_STR("\r")))
            line.length--;
        if (cg_str_eq(line, CG_STR("cluster_state:fail")))
            cluster->down = true;
        else if (cg_str_starts_with(line, CG_STR("cluster_current_epoch:")))
            (void)cg_str_to_u64(cg_str_skip(line, 22), UINT64_MAX, &cluster->epoch);
    }
}

/* A node names others by an address, by a host name, or by nothing, which means: by the one that it
 * was asked under (cluster-preferred-endpoint-type). */
static bool read_primary(const struct cluster *cluster, const redisReply *node,
                         struct cg_redis_address *ret_address)
{
    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
        node->element[1]->type != REDIS_REPLY_INTEGER || node->element[1]->integer < 0)
        return false;
    struct cg_str host = text_of(node->element[0]);
    if (cg_str_empty(host))
        host = cg_str_from(cluster->asked.host);
    return cg_redis_address_set(ret_address, host, (uint64_t)node->element[1]->integer);
}

/* [first, last, primary, replica, …] */
static bool read_range(struct cluster *cluster, const redisReply *range)
{
    struct cg_redis_address primary;
    return range->type == REDIS_REPLY_ARRAY && range->elements >= 3 &&
           range->element[0]->type == REDIS_REPLY_INTEGER &&
           range->element[1]->type == REDIS_REPLY_INTEGER && range->element[0]->integer >= 0 &&
           range->element[1]->integer >= range->element[0]->integer &&
           (cluster->named += (uint64_t)range->element[1]->integer -
                              (uint64_t)range->element[0]->integer + 1) <= NAMED_MAX &&
           read_primary(cluster, range->element[2], &primary) &&
           cg_redis_map_add(cluster->seen, &primary, (uint64_t)range->element[0]->integer,
                            (uint64_t)range->element[1]->integer);
}

static void read_slots(struct cluster *cluster, const redisReply *slots)
{
    struct cg_redis_probe *probe = &cluster->scout.probe;
    cg_redis_map_init(cluster->seen);
    cluster->named = 0;
    if (slots->type != REDIS_REPLY_ARRAY) {
        cg_redis_probe_fail(probe, "CLUSTER SLOTS gave no list");
        return;
    }
    for (size_t i = 0; i < slots->elements; i++)
        if (!read_range(cluster, slots->element[i])) {
            cg_redis_probe_fail(probe, "CLUSTER SLOTS gave a list that makes no sense, or more "
                                       "than 64 primaries");
            return;
        }
    if (!cg_redis_map_finish(cluster->seen))
        cg_redis_probe_fail(probe, "knows of no slots");
}

static void on_answer(void *owner, size_t index, const redisReply *reply)
{
    struct cluster *cluster = owner;
    if (index == 0)
        read_info(cluster, text_of(reply));
    else
        read_slots(cluster, reply);
}

static void on_end(void *owner, const char *why)
{
    struct cluster *cluster = owner;
    char text[CG_REDIS_ADDRESS_TEXT_MAX];
    const char *who = cg_redis_address_text(&cluster->asked, text);
    if (why == NULL && cluster->down)
        why = "says that the cluster is down";
    if (why != NULL)
        cg_redis_scout_failed(&cluster->scout, who, why);
    else
        (void)cg_redis_scout_found(&cluster->scout, cluster->seen, cluster->epoch, who);
}

static size_t count_candidates(const struct cg_redis_scout *scout)
{
    return scout->map->shard_count + scout->peer->url.seed_count;
}

static void ask(struct cg_redis_scout *scout)
{
    struct cluster *cluster = (struct cluster *)scout;
    const struct cg_redis_url *url = &scout->peer->url;
    size_t number = scout->next % count_candidates(scout);
    cluster->asked = number < scout->map->shard_count
                         ? scout->map->shards[number]
                         : url->seeds[number - scout->map->shard_count];
    cluster->epoch = 0;
    cluster->down = false;
    cg_redis_probe_start(&scout->probe, &cluster->asked, url->user, url->password, questions,
                         sizeof(questions) / sizeof(questions[0]), scout->turn);
}

static void doubt(struct cg_redis_topology *topology)
{
    cg_redis_scout_doubt((struct cg_redis_scout *)topology);
}

static void destroy(struct cg_redis_topology *topology)
{
    struct cluster *cluster = (struct cluster *)topology;
    cg_redis_scout_stop(&cluster->scout);
    free(cluster->seen);
    free(cluster);
}

struct cg_redis_topology *cg_redis_cluster_create(struct cg_redis_peer *peer,
                                                  struct st_h2o_context_t *context,
                                                  struct cg_clock *clock, uint32_t timeout_ms,
                                                  cg_redis_map_fn on_map, void *owner)
{
    static const struct cg_redis_topology_port port = {doubt, destroy};
    struct cluster *cluster = calloc(1, sizeof(*cluster));
    CG_ASSERT(cluster != NULL);
    cluster->seen = calloc(1, sizeof(*cluster->seen));
    CG_ASSERT(cluster->seen != NULL);
    cluster->scout.base.port = &port;
    cluster->scout.ask = ask;
    cluster->scout.count_candidates = count_candidates;
    cluster->scout.probe.on_answer = on_answer;
    cluster->scout.probe.on_end = on_end;
    cg_redis_scout_start(&cluster->scout, peer, context, clock, timeout_ms, on_map, owner);
    return &cluster->scout.base;
}
