/*
 * request: the life of one client's request, and what all requests of a thread share.
 *
 * The front calls cg_request_start with the parsed request; from then on the machine drives the
 * client through its port (ports.h) and the front reports two events. The machine decides nothing
 * itself: policy is called (plan.h, verdict.h, purge.h).
 */
#ifndef GATEWAY_REQUEST_REQUEST_H
#define GATEWAY_REQUEST_REQUEST_H

#include "cachegate/plan.h"
#include "gateway/base/log.h"
#include "gateway/base/metrics.h"
#include "gateway/base/recycle.h"
#include "gateway/request/lane.h"
#include "gateway/request/ports.h"

struct cg_request;
struct cg_request_record;
struct cg_flights;
struct cg_sealer;

/* What becomes of a write that the store cannot be told of (CONSISTENCY row 3). */
enum cg_unpurgeable {
    CG_UNPURGEABLE_JOURNAL, /* it is answered; the driver delivers the purge later */
    CG_UNPURGEABLE_REFUSE,  /* 503 before it is forwarded, where that is known in time */
    CG_UNPURGEABLE_LEASE,   /* its answer is held until nobody trusts what it made wrong */
};

/* What requests without a valid traceparent are forwarded with. */
enum cg_tracing {
    CG_TRACING_SAMPLED,   /* a new one that asks for the trace to be recorded */
    CG_TRACING_UNSAMPLED, /* … that does not */
    CG_TRACING_PASS,      /* none; a valid one is passed on as it is */
};

/* The numbers the machines obey; filled from settings. */
struct cg_machine_limits {
    size_t response_capture_max;
    size_t json_body_max;
    uint32_t json_depth_max;
    uint32_t purge_instances_max;
    size_t entry_bytes_max;
    size_t flight_buffer;
    uint32_t flight_waiters_max;
    uint32_t flight_wait_ms;
    uint32_t flight_takeovers_max;
    uint32_t flight_claim_ms;
    uint32_t write_hold_ms;
    uint32_t write_mark_ms;
    uint32_t outage_fetches_max; /* of this thread, per upstream; at least 1 */
    uint32_t outage_queue_max;
    uint32_t outage_wait_ms;
};

/*
 * What a request obeys from its first step to its last: one thread's copy of what one generation of
 * settings says to the machines. While rules are exchanged there are several: requests in flight
 * end under those that they began with.
 */
struct cg_regime {
    const struct cg_ruleset *ruleset; /* borrowed until `on_end`, as all that follows */
    const size_t *route_slots;        /* of the sheet's book, by index in the ruleset */
    struct cg_machine_limits limits;
    struct cg_str via;
    struct cg_str admin_token; /* for PURGE on the traffic port; empty: never accepted */
    bool shows_keys;           /* in Cache-Status (RFC 9211 2.7) */
    struct cg_sealer *sealer;  /* for stores that seal; one thread's */
    void (*on_end)(struct cg_regime *regime); /* nobody obeys it any more; may be NULL */
    size_t references;                        /* of requests and the machine; zeroed */
};

/* What all requests of one thread share. All borrowed but `flights`, `lanes` and `caps`. */
struct cg_machine {
    struct cg_regime *regime; /* in force for who comes now */
    struct cg_regime *other;  /* during an exchange: the next one, or the one before; else NULL */
    enum cg_unpurgeable unpurgeable;
    size_t upstream_count; /* plan.upstream is below it */
    struct cg_store *store;
    struct cg_origin *origin;
    struct cg_clock *clock;
    struct cg_sheet *sheet;
    /* Told of every request when it is over (record.h); NULL: nobody is. Must not answer clients.
     */
    void (*observe)(void *observer, const struct cg_request_record *record);
    void *observer;
    void (*random_bytes)(void *bytes, size_t length);          /* fit for salts */
    struct cg_log_gate failure_gate, widened_gate, store_gate; /* zeroed */
    enum cg_tracing tracing;
    uint64_t trace_state[4]; /* of the generator of ids; zeroed */
    uint64_t writer_seed[2]; /* random; writer ids are this and a counter */
    uint64_t writer_count;
    struct cg_recycler requests; /* blocks of requests that are over … */
    struct cg_recycler fetches;  /* … and of flights */
    struct cg_flights *flights;  /* owned */
    struct cg_lane *lanes;       /* owned, one per upstream: for fetches while the store is away */
    struct cg_lane *caps;        /* … and always; without places where there is no bound */
    size_t live;                 /* requests and flights that exist; 0 means drained */
    size_t kept_bytes;           /* bodies that requests keep, also for clients that left */
    struct cg_request *writes;   /* in flight, from their marks until it is known what they purge */
    size_t extending;            /* marks asked for by an announcement, not answered yet */
    void (*on_announced)(void *owner);
    void *announcer;
};

void cg_machine_init(struct cg_machine *machine); /* after the other members were set */
/* Bounds what is fetched for the store from that upstream, on this thread. In an outage the smaller
 * of both bounds holds. */
void cg_machine_cap(struct cg_machine *machine, size_t upstream, uint32_t places_max);
/* `live` must be 0. */
void cg_machine_fini(struct cg_machine *machine);

/*
 * An exchange of rules, in three steps that all threads take together (CONSISTENCY row 14). While
 * there is another regime, every write marks and purges what either of both names, and what its own
 * names: so no write of one is missed by a reader of the other.
 *
 * Announce: `next` is known. Writes in flight have marked what `next` says that they touch when
 * `on_announced` is called, maybe before this returns.
 */
void cg_machine_announce(struct cg_machine *machine, struct cg_regime *next,
                         void (*on_announced)(void *owner), void *owner);
/* Adopt: who comes now obeys it; the one before is the other. */
void cg_machine_adopt(struct cg_machine *machine);
/* Forget: no thread takes up requests under the one before. */
void cg_machine_forget(struct cg_machine *machine);

/*
 * Takes up a request. `facts` and all it points to are borrowed until cg_request_client_gone. The
 * client may be answered before this returns. The handle is valid until cg_request_client_gone.
 */
void cg_request_start(struct cg_machine *machine, struct cg_client *client,
                      const struct cg_request_facts *facts, struct cg_request **ret_request);
/* The bytes of the last send were taken; another may follow. */
void cg_request_client_ready(struct cg_request *request);
/*
 * The client is done with or has left: its memory goes away when this returns. Always called, once,
 * also after a whole answer. A write goes on without it.
 */
void cg_request_client_gone(struct cg_request *request);

#endif
