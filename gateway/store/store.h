/*
 * store: the only door to stored answers and to the versions that keep them honest.
 *
 * A driver (memory.c, redis_store.c) implements cg_store_port; a handle belongs to one thread, and
 * handles of one process share what they stand for. Answers come through callbacks, possibly before
 * the call returns; results are valid during the callback only. Requests (struct cg_store_lookup …)
 * are borrowed until the callback has returned.
 *
 * The contract that every driver keeps (DESIGN.md, "Versions"):
 * - A purge that was acknowledged is seen by every lookup that starts afterwards, on any handle.
 * - Tokens are never used twice, not even for another instance.
 * - An instance whose version was lost (evicted, expired) reads ABSENT, and later gets a token that
 *   was never seen: losing a version can only cause misses.
 * - A mark (write intent) keeps its instances BUSY until every writer released it or its deadline
 *   passed. Releasing with `renew`, and dropping an expired mark, gives a new token.
 */
#ifndef GATEWAY_STORE_STORE_H
#define GATEWAY_STORE_STORE_H

#include "cachegate/ban.h"
#include "cachegate/blob.h"
#include "cachegate/key.h"
#include "cachegate/ruleset.h"
#include "cachegate/version.h"
#include "gateway/store/claims.h"

struct cg_store;

enum cg_store_result {
    CG_STORE_OK,
    CG_STORE_UNAVAILABLE, /* nothing is known: reads pass, purges are the driver's journal to keep
                           */
    CG_STORE_FULL,        /* a fill had no room */
};

/* Who marked: unique per write, over all gateways. */
struct cg_writer {
    uint8_t id[CG_DIGEST_BYTES];
};

struct cg_store_view {
    enum cg_store_result result;
    struct cg_blob *entry; /* NULL when there is none; take a reference to keep it */
    /* NULL, or where the answerer has its reference to the entry: whoever is told may take that one
     * (and leave NULL there). An entry with no other holder is opened in place (seal.h). */
    struct cg_blob **given;
    struct cg_epoch epoch;
    struct cg_bans *bans; /* complete up to `epoch`; take a reference to keep it; NULL only when
                             unavailable */
    /*
     * Another store that answered because the one that was asked could not (outage_memory.h), or
     * NULL: what is fetched under these versions is filled there, and the upstream is to be spared
     * as in an outage. Valid as long as the handle that was asked.
     */
    struct cg_store *stand_in;
    /* In the order asked; those beyond what was asked for have no value. */
    struct cg_version versions[CG_INSTANCES_MAX];
};

typedef void (*cg_store_view_fn)(void *owner, const struct cg_store_view *view);
typedef void (*cg_store_done_fn)(void *owner, enum cg_store_result result);

/* What all gateways on one store count together. */
enum cg_fleet_counter {
    CG_FLEET_HITS,
    CG_FLEET_MISSES,
    CG_FLEET_STALE_HITS,
    CG_FLEET_SETS,
    CG_FLEET_DELETES,
    CG_FLEET_BANS,
    CG_FLEET_COUNTERS
};

/* As of a few seconds ago, and no more exact than redis_stats.h says. */
struct cg_store_fleet {
    uint64_t counters[CG_FLEET_COUNTERS]; /* since the store began to count */
    uint64_t keys;                        /* entries that have not expired, dead ones too */
    const uint64_t *route_keys;           /* of them, by route */
    size_t route_count;
    uint64_t memory_bytes;     /* of all its servers */
    uint64_t memory_max_bytes; /* 0: no bound */
    double latency_ms;         /* of a round trip */
    uint64_t age_ms;           /* since it was read */
};

struct cg_store_stats {
    uint64_t entries;
    uint64_t entry_bytes;
    uint64_t versions;
    uint64_t evictions;
    uint64_t bans;
    uint64_t near_entries; /* of the copies in front of another store */
    uint64_t near_bytes;
    uint64_t lost_commands;    /* of this process, not answered in time */
    uint64_t breaker_openings; /* of this process: how often a server was left alone */
    /* Until the next call; NULL where no other gateway can share the store, and before it is known.
     */
    const struct cg_store_fleet *fleet;
};

enum { CG_STORE_SERVERS_MAX = 64, CG_STORE_SERVER_TEXT = 272 };

/* One server behind a store. */
struct cg_store_server {
    char address[CG_STORE_SERVER_TEXT];
    bool connected;
    const char *breaker;
};

struct cg_store_health {
    const char *backend; /* "memory", "redis" */
    bool available;
    double latency_ms;   /* of the last operation measured; 0 for memory */
    const char *breaker; /* "closed", "open", "half-open" */
    /* "up" or "down": whether changes are pushed (near_watch.h); NULL where nobody asks for it */
    const char *tracking;
    uint64_t journal;                                     /* purges that were not delivered yet */
    const char *why;                                      /* it is not available; NULL when it is */
    struct cg_store_server servers[CG_STORE_SERVERS_MAX]; /* of this handle */
    size_t server_count;
};

#define CG_STORE_HOLD_REFUSE UINT32_MAX

struct cg_store_port {
    /* The entry under `key` and the versions of `instances`, as of one moment after the call. With
     * `key` NULL only the versions, epoch and bans: no body travels. */
    void (*lookup)(struct cg_store *store, const struct cg_key *key,
                   const struct cg_instance *instances, size_t count, cg_store_view_fn answer,
                   void *owner);
    /*
     * Before a fetch: creates the versions that are absent and answers all of them, with the epoch
     * (view.entry is NULL). Acknowledged before it answers.
     */
    void (*prepare)(struct cg_store *store, const struct cg_instance *instances, size_t count,
                    cg_store_view_fn answer, void *owner);
    /* Puts an encoded entry (entry.h) under `key` for at most `lifetime_ms`. Takes a reference. */
    void (*fill)(struct cg_store *store, const struct cg_key *key, struct cg_blob *entry,
                 uint64_t lifetime_ms, cg_store_done_fn answer, void *owner);
    /* A new token for each instance (or none at all, where nothing can be written). */
    void (*purge)(struct cg_store *store, const struct cg_instance *instances, size_t count,
                  cg_store_done_fn answer, void *owner);
    /* Marks the instances busy for `writer` until `deadline_ms`; again with a later one renews. */
    void (*mark)(struct cg_store *store, const struct cg_instance *instances, size_t count,
                 const struct cg_writer *writer, int64_t deadline_ms, cg_store_done_fn answer,
                 void *owner);
    /* Ends the writer's marks. `renew` says instance by instance whether the version changes; it
     * does so even where the mark was lost. */
    void (*release)(struct cg_store *store, const struct cg_instance *instances, const bool *renew,
                    size_t count, const struct cg_writer *writer, cg_store_done_fn answer,
                    void *owner);
    /* Appends open patterns to the ban list and moves the epoch, at once. */
    void (*ban)(struct cg_store *store, const struct cg_ban *bans, size_t count,
                cg_store_done_fn answer, void *owner);
    void (*flush)(struct cg_store *store, cg_store_done_fn answer, void *owner);
    /* Whether a purge sent now would be acknowledged, as far as is known without asking. */
    bool (*reachable)(struct cg_store *store);
    /*
     * For on_unpurgeable: lease. How long others may still believe what a write made wrong that
     * nobody acknowledged the purge of: 0 when its answer may be released, CG_STORE_HOLD_REFUSE
     * when no waiting helps (such a write is not forwarded; the answer of one that was is failed),
     * else milliseconds from now. Asked again until it is 0. NULL: the driver knows of no leases,
     * 0.
     */
    uint32_t (*unpurged_hold_ms)(struct cg_store *store);
    /*
     * Tells all gateways on the store that this process is about to have those rules too, so that
     * nobody believes or stores answers of routes that they do not agree on (cg_bans_agree). After
     * an OK every lookup that starts anywhere knows; when it is unavailable they are told before
     * this process believes the store again. NULL: there are no others.
     */
    void (*announce)(struct cg_store *store, const struct cg_ruleset *ruleset,
                     cg_store_done_fn answer, void *owner);
    /* This handle's claims, valid as long as it is. NULL, or answering NULL: nobody shares a fetch
     * through this store. */
    struct cg_claims *(*claims)(struct cg_store *store);
    /* Others can read what it keeps: the machines seal entries before they fill (seal.h). */
    bool seals;
    void (*stats)(struct cg_store *store, struct cg_store_stats *ret_stats);
    void (*health)(struct cg_store *store, struct cg_store_health *ret_health);
};

struct cg_store {
    const struct cg_store_port *port;
};

#endif
