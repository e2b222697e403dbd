/*
 * redis_parts: what the files redis_*.c of the driver share. Private to them.
 *
 * A call is one question of the gateway and all commands that answer it. It ends with its last
 * reply (or the loss of the connection) and frees itself then.
 */
#ifndef GATEWAY_STORE_REDIS_PARTS_H
#define GATEWAY_STORE_REDIS_PARTS_H

#include "gateway/base/recycle.h"
#include "gateway/store/redis_node.h"
#include "gateway/store/redis_stats.h"
#include "gateway/store/redis_store.h"
#include "gateway/store/redis_topology.h"
#include "gateway/store/redis_trust.h"

enum {
    CG_REDIS_KEY_MAX = 256,
    CG_REDIS_BANS_PER_SCRIPT = 64,
    CG_REDIS_SHA_BYTES = 40,
};

struct cg_redis_script {
    struct cg_str text;
    char sha[CG_REDIS_SHA_BYTES + 1];
};

/* What the others are told of this process's rules; all its threads share it. */
struct cg_redis_rules {
    pthread_mutex_t lock;
    struct cg_buf set;         /* agreement.h */
    uint64_t life, number;     /* of the set: of this process, and how many it had before */
    atomic_bool others_differ; /* as was last logged */
};

struct cg_redis {
    const struct cg_settings *settings;
    struct cg_redis_peer peer;
    struct cg_redis_script version_script, epoch_script, claim_script, rules_script;
    struct cg_redis_rules rules;
    struct cg_redis_stats *stats; /* owned */
    struct cg_redis_toll toll;
    struct cg_str namespace;
    struct cg_str *route_names;       /* owned, as they stand in keys, with a colon */
    char **route_texts;               /* owned: their bytes */
    size_t route_count;               /* room; names that are not there yet are empty */
    _Atomic uint64_t lifetime_ms;     /* of versions and the epoch */
    struct cg_redis_journal *journal; /* owned */
    struct cg_redis_trust trust;
    atomic_uint open_handles;
};

struct cg_redis_call;
struct cg_redis_journal;

struct cg_redis_handle {
    struct cg_store base;
    struct cg_redis *redis; /* borrowed */
    struct cg_clock *clock; /* borrowed */
    struct cg_redis_topology *topology;
    struct cg_redis_node_settings node_settings;
    struct cg_redis_node *nodes[CG_REDIS_SHARDS_MAX]; /* of the newest map */
    size_t node_count;
    uint8_t owners[CG_REDIS_SLOTS];          /* as in the map, of `nodes` */
    struct cg_redis_directed *trying_again;  /* commands that wait for their next attempt */
    uint32_t wait_replicas;                  /* that must have what changes a version; 0: none */
    bool one_shard;                          /* nodes[0] owns every slot, so no key is hashed */
    unsigned greetings;                      /* moves when a node comes, goes, or is greeted */
    bool trusted;                            /* redis_trust.c: the epoch is of these servers */
    unsigned belief;                         /* redis_trust.c: as it was when it was trusted */
    unsigned hello_greetings, hello_strange; /* redis_trust.c: as they were when … */
    unsigned hello_belief;
    int64_t hello_sent_ms; /* … the hello was sent */
    bool rules_told;       /* with it */
    bool tells_again;      /* … Redis had lost that */
    uint64_t told_number;  /* the set that was sent last */
    struct cg_redis_heartbeat heartbeat;
    bool has_left;                    /* Redis was told that the process ends */
    char record[CG_REDIS_RUN_ID_MAX]; /* redis_trust.c: which servers, as the epoch says it */
    bool closing;
    struct cg_bans *bans; /* the newest snapshot; NULL before the first */
    struct cg_redis_call *waiting_for_bans;
    bool fetching_bans;
    struct cg_epoch list_epoch; /* of the fetch */
    bool list_epoch_known;
    struct cg_buf agreed; /* of the fetch: what the others' route sets have in common … */
    bool has_sets;        /* … where there are others */
    bool sets_known;
    size_t list_fetch; /* which one it is */
    struct cg_timer delivery;
    struct cg_redis_reporter *reporter; /* owned; NULL: statistics are off */
    struct cg_redis_claims *claims;     /* owned */
    double latency_ms;
    struct cg_recycler calls; /* that are over */
    uint8_t random[256];      /* unused random bytes from random_used on */
    size_t random_used;
};

enum cg_redis_kind {
    CG_REDIS_LOOKUP,
    CG_REDIS_PREPARE,
    CG_REDIS_FILL,
    CG_REDIS_CHANGE,
    CG_REDIS_BAN
};

/* What a script does to a version: its first argument. */
enum cg_redis_change {
    CG_REDIS_SETTLE = 's',
    CG_REDIS_PURGE = 'p',
    CG_REDIS_MARK = 'm',
    CG_REDIS_RENEW = 'r', /* release, with a new base */
    CG_REDIS_KEEP = 'k',  /* release without */
};

struct cg_redis_call {
    struct cg_redis_handle *handle;
    struct cg_redis_call *next; /* among those who wait for bans */
    enum cg_redis_kind kind;
    size_t remaining; /* replies to come, and one while it is being sent */
    bool failed;
    bool full;
    const struct cg_instance *instances; /* borrowed until answered */
    const struct cg_ban *bans;           /* of a BAN, borrowed too */
    size_t count;
    const bool *renew; /* of a release, else NULL */
    enum cg_redis_change change;
    struct cg_writer writer;
    uint64_t lives_ms;   /* of a mark, or of a fill */
    uint32_t route;      /* of a fill */
    int64_t replaced_ms; /* of a fill: how long what it replaces had to live; 0: there was none */
    uint64_t unwaited; /* nodes, by bit, that got a change and were not asked for replicas since */
    bool has_epoch;
    size_t list_fetch;            /* the first that is certain to know it */
    cg_store_view_fn answer_view; /* LOOKUP and PREPARE; else the next */
    cg_store_done_fn answer_done;
    void *owner;
    size_t whole_sent; /* scripts, as text: each part of the call may need it once */
    bool internal;     /* delivers what is pending: failure does not pend it again */
    int64_t started_us;
    struct cg_store_view view; /* last: of its versions only those that were asked for are set */
};

/* ---- redis_call.c ---- */
struct cg_redis_call *cg_redis_call_create(struct cg_redis_handle *handle, enum cg_redis_kind kind,
                                           void *owner);
/* It asks for that many versions, which are unknown so far. */
void cg_redis_call_views(struct cg_redis_call *call, size_t count);
/* Sends to the owner of `key`; when that is not ready the call has failed. */
void cg_redis_call_send(struct cg_redis_call *call, enum cg_redis_lane lane, struct cg_str key,
                        const struct cg_redis_words *words, cg_redis_reply_fn answer, size_t index);
/* The node was sent a change. */
void cg_redis_call_changes(struct cg_redis_call *call, const struct cg_redis_node *node);
/* After changes: what replicas do not have is not acknowledged. */
void cg_redis_call_replicate(struct cg_redis_call *call);
/* One reply came, or all was sent. The call may be gone afterwards. */
void cg_redis_call_step(struct cg_redis_call *call);
void cg_redis_call_finish(struct cg_redis_call *call);
/* Sends the script for one instance of a CHANGE (or to settle); its last word is a fresh token. */
void cg_redis_call_change(struct cg_redis_call *call, size_t index, bool whole,
                          cg_redis_reply_fn answer);
/* All of a CHANGE. */
void cg_redis_start_changes(struct cg_redis_call *call, const struct cg_instance *instances,
                            size_t count, enum cg_redis_change change);

/* ---- redis_key.c ---- */
struct cg_str cg_redis_entry_key(const struct cg_redis *redis, const struct cg_key *key,
                                 char room[CG_REDIS_KEY_MAX]);
struct cg_str cg_redis_version_key(const struct cg_redis *redis, const struct cg_instance *instance,
                                   char room[CG_REDIS_KEY_MAX]);
/* Any other one; what the part has in braces decides where it is. */
struct cg_str cg_redis_plain_key(const struct cg_redis *redis, const char *part,
                                 char room[CG_REDIS_KEY_MAX]);
/* `part`: "epoch", "list", "members" or "rules". */
struct cg_str cg_redis_bans_key(const struct cg_redis *redis, const char *part,
                                char room[CG_REDIS_KEY_MAX]);
struct cg_str cg_redis_claim_key(const struct cg_redis *redis, const uint8_t id[CG_DIGEST_BYTES],
                                 char room[CG_REDIS_KEY_MAX]);
/* The channel on which the end of a claim is told. */
struct cg_str cg_redis_wake_channel(const struct cg_redis *redis, char room[CG_REDIS_KEY_MAX]);
/* Fills route_names and namespace. */
void cg_redis_keys_init(struct cg_redis *redis);
void cg_redis_keys_fini(struct cg_redis *redis);
/* 128 random bits. */
struct cg_token cg_redis_new_token(struct cg_redis_handle *handle);
struct cg_str cg_redis_number(uint64_t number, char room[24]);
/* The name of this process among the members. */
struct cg_str cg_redis_process_name(const struct cg_redis *redis, char room[2 * CG_DIGEST_BYTES]);
/* How long versions and the epoch live, as text. */
struct cg_str cg_redis_lifetime(const struct cg_redis *redis, char room[24]);

/* ---- redis_script.c ---- */
void cg_redis_scripts_init(struct cg_redis *redis);
/* EVALSHA, or EVAL when `whole`. */
void cg_redis_script_begin(struct cg_redis_words *words, const struct cg_redis_script *script,
                           bool whole);
bool cg_redis_is_noscript(const redisReply *reply);
/* Whether the part that was answered so is to be sent again, as text. Who refuses the text as
 * unknown is no Redis: not for ever. */
bool cg_redis_call_wants_text(struct cg_redis_call *call, const redisReply *reply);
bool cg_redis_is_error(const redisReply *reply); /* NULL too */
bool cg_redis_is_full(const redisReply *reply);
/* No gateway wrote that: it is as good as nothing, and must not stay. */
bool cg_redis_is_wrong_type(const redisReply *reply);
struct cg_str cg_redis_reply_str(const redisReply *reply); /* empty unless it is a string */

/* ---- redis_bans.c ---- */
struct cg_str cg_redis_epoch_write(struct cg_epoch epoch, const char *record,
                                   char room[CG_REDIS_KEY_MAX]);
bool cg_redis_epoch_read(struct cg_str text, struct cg_epoch *ret_epoch, struct cg_str *ret_record);
/* Answers a view call, after the list was fetched if its epoch is news. */
void cg_redis_bans_then_answer(struct cg_redis_call *call);
/* All of a BAN. */
void cg_redis_start_bans(struct cg_redis_call *call, const struct cg_ban *bans, size_t count);

/* Appends the two texts of a ban, as the list has them; longer ones count as everything. */
void cg_redis_ban_write(const struct cg_ban *ban, struct cg_buf *out);

/* ---- redis_rules.c ---- */
extern const struct cg_str cg_redis_rules_text;
void cg_redis_rules_init(struct cg_redis_rules *rules, const struct cg_ruleset *ruleset);
void cg_redis_rules_fini(struct cg_redis_rules *rules);
/* store.h, announce. */
void cg_redis_rules_announce(struct cg_store *store, const struct cg_ruleset *ruleset,
                             cg_store_done_fn answer, void *owner);
/* Tells the others, or that this process leaves. An integer is a good answer. */
bool cg_redis_rules_tell(struct cg_redis_handle *handle, bool leaves, bool whole,
                         cg_redis_reply_fn answer, void *owner, size_t index);
/* Whether what this handle sent last is what the process has now. */
bool cg_redis_rules_told(struct cg_redis_handle *handle);
/* Redis had lost what was told, or never heard it. Where this fails, the next heartbeat says so. */
void cg_redis_rules_tell_again(struct cg_redis_handle *handle);
/* What all have told (HGETALL): `agreed` and `has_sets` of the handle. */
void cg_redis_rules_read(struct cg_redis_handle *handle, const redisReply *sets);
enum { CG_REDIS_SET_BYTES_MAX = 1 << 20 };

/* ---- redis_deliver.c ---- */
/* Keeps what was not acknowledged and makes the whole process distrust, before it returns. */
void cg_redis_pend(struct cg_redis_handle *handle, const struct cg_instance *instances,
                   const bool *which, size_t count);
void cg_redis_pend_flush(struct cg_redis_handle *handle);
/* Starts to deliver, if there is anything and nobody else does. */
void cg_redis_deliver(struct cg_redis_handle *handle);

/* ---- redis_claims.c ---- */
extern const struct cg_str cg_redis_claim_text;
struct cg_redis_claims *cg_redis_claims_create(struct cg_redis_handle *handle,
                                               h2o_context_t *context);
/* Before the nodes go, whose answers are lost then; after that nobody is woken or answered. */
void cg_redis_claims_stop(struct cg_redis_claims *claims);
/* After the nodes. Takes NULL. */
void cg_redis_claims_destroy(struct cg_redis_claims *claims);
/* The map has changed. */
void cg_redis_claims_move(struct cg_redis_claims *claims, const struct cg_redis_map *map);
struct cg_claims *cg_redis_claims_of(struct cg_store *store);

/* ---- redis_direct.c ---- */
/* NULL when no primary serves its slot, and when the handle is being closed. */
struct cg_redis_node *cg_redis_owner_of(const struct cg_redis_handle *handle, struct cg_str key);
struct cg_redis_node *cg_redis_bans_owner(const struct cg_redis_handle *handle);
/* One command to the owner of `key`, believed or not; in a Cluster it is followed to where the key
 * went. False when the owner is not ready: no answer will come. */
bool cg_redis_send(struct cg_redis_handle *handle, enum cg_redis_lane lane, struct cg_str key,
                   const struct cg_redis_words *words, cg_redis_reply_fn answer, void *owner,
                   size_t index);
bool cg_redis_send_to(struct cg_redis_handle *handle, enum cg_redis_lane lane,
                      struct cg_redis_node *node, const struct cg_redis_words *words,
                      cg_redis_reply_fn answer, void *owner, size_t index);
/* Asks how many replicas of the node have what was sent to it before on the lane of writes. */
bool cg_redis_send_wait(struct cg_redis_handle *handle, struct cg_redis_node *node,
                        cg_redis_reply_fn answer, void *owner, size_t index);
/* … and whether its reply says that they are enough. */
bool cg_redis_is_replicated(const struct cg_redis_handle *handle, const redisReply *reply);
/* Those that are to be sent again later are lost. */
void cg_redis_directed_end_all(struct cg_redis_handle *handle);

/* ---- redis_lookup.c ---- */
/* All of a LOOKUP; `key` NULL asks for no entry. */
void cg_redis_start_lookup(struct cg_redis_call *call, const struct cg_key *key,
                           const struct cg_instance *instances, size_t count);
void cg_redis_take_epoch(struct cg_redis_call *call, struct cg_str text);

/* ---- redis_store.c, redis_calls.c ---- */
/* What is read is believed, as far as the nodes that answer are. */
bool cg_redis_usable(const struct cg_redis_handle *handle);
extern const struct cg_store_port cg_redis_port;

#endif
