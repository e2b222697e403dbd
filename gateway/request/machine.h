/*
 * machine: the inside of the two machines, shared by the files of this folder and nobody else.
 *
 * A *request* is one client's; a *flight* is one upstream fetch that several requests may wait
 * for. Each is a list of steps (the two tables below read as the product does), run by one
 * dispatcher. A step returns CG_CONTINUE when it named the next step, CG_WAIT when there is nothing
 * to do until somebody wakes it; waking re-enters the step that waits. While answers of the store
 * are pending no step runs. Callbacks decide nothing: they record and wake.
 *
 * Lifetimes: reference-counted. A request is held by its client (until gone), by its own work
 * (until `finished`), by every pending store answer, and by a flight it founded, which uses its
 * facts and plan. A flight is held by its own work (until `done`), its waiters and pending answers.
 */
#ifndef GATEWAY_REQUEST_MACHINE_H
#define GATEWAY_REQUEST_MACHINE_H

#include "cachegate/assert.h"
#include "cachegate/buf.h"
#include "cachegate/delivery.h"
#include "cachegate/purge.h"
#include "cachegate/seal.h"
#include "cachegate/trace_context.h"
#include "cachegate/verdict.h"
#include "cachegate/wishes.h"
#include "gateway/request/record.h"
#include "gateway/request/request.h"

enum {
    CG_TURNS_MAX = 1000000,           /* of one dispatch: more is a loop that does not end */
    CG_REQUEST_ARENA_MAX = 256 << 20, /* beside the body, which the front has bounded */
    CG_SEND_BYTES_MAX = 64 << 10,     /* one piece handed to a client */
    CG_REQUESTS_KEPT_MAX = 256,       /* blocks of requests that are over, of a thread */
    CG_FLIGHTS_KEPT_MAX = 128,        /* … and of flights */
    CG_REQUEST_MAGIC = 0x52657173,
    CG_FLIGHT_MAGIC = 0x466c6967,
};

enum cg_step_result { CG_CONTINUE, CG_WAIT };

/* One client's way, in reading order. */
#define CG_REQUEST_STEPS(STEP)                                                                     \
    STEP(receive)        /* classify */                                                            \
    STEP(lookup)         /* ask the store for entry and versions */                                \
    STEP(looked_up)      /* verdict */                                                             \
    STEP(group_versions) /* of the groups that the entry names */                                  \
    STEP(group_verdict)                                                                            \
    STEP(join)          /* share a flight, or found one */                                         \
    STEP(forward)       /* found one that nobody shares */                                         \
    STEP(await_head)    /* until the flight has a head, or failed */                               \
    STEP(stream)        /* body, piece by piece */                                                 \
    STEP(deliver_hit)   /* a stored answer */                                                      \
    STEP(deliver_parts) /* … in several parts */                                                 \
    STEP(write_mark)    /* what the write will touch becomes busy */                               \
    STEP(write_marked)  /* the write goes out */                                                   \
    STEP(write_refused) /* … or not: the store could not be told of it */                        \
    STEP(write_answer)  /* until it is known what to purge */                                      \
    STEP(write_early)   /* the unmarked part, before the head is released */                       \
    STEP(write_early_purge)                                                                        \
    STEP(write_hold_early) /* while what was to be purged is not */                                \
    STEP(write_begin)      /* the head */                                                          \
    STEP(write_stream)     /* the body but its last byte */                                        \
    STEP(write_settle)     /* the upstream is done: purge, end the marks */                        \
    STEP(write_settle_purge)                                                                       \
    STEP(write_hold)   /* while what was to be purged is not */                                    \
    STEP(write_end)    /* the rest is released */                                                  \
    STEP(purge_method) /* PURGE on the traffic port */                                             \
    STEP(purged)                                                                                   \
    STEP(await_client) /* everything was sent */                                                   \
    STEP(finished)

/* One fetch. */
#define CG_FLIGHT_STEPS(STEP)                                                                      \
    STEP(prepare)  /* create the versions that are absent, and claim the fetch */                  \
    STEP(prepared) /* all current, and ours to fetch? */                                           \
    STEP(wait)     /* … somebody else does */                                                    \
    STEP(enter)    /* take a place, where the upstream is spared */                                \
    STEP(queue)    /* … or wait for one */                                                       \
    STEP(ask)      /* start the exchange */                                                        \
    STEP(await_head)                                                                               \
    STEP(refused) /* 401 and 403 purge */                                                          \
    STEP(body)                                                                                     \
    STEP(store)                                                                                    \
    STEP(groups)        /* the versions of what the answer names */                                \
    STEP(group_counter) /* … and whether any was purged since it was asked for */                \
    STEP(group_store)                                                                              \
    STEP(done)

enum cg_request_step {
#define STEP(name) CG_REQUEST_##name,
    CG_REQUEST_STEPS(STEP)
#undef STEP
};
enum cg_flight_step {
#define STEP(name) CG_FLIGHT_##name,
    CG_FLIGHT_STEPS(STEP)
#undef STEP
};

/* Who may join a flight. */
enum cg_sharing {
    CG_SHARING_NOBODY,
    CG_SHARING_VERSIONS, /* whoever read the same concrete versions */
    CG_SHARING_UNSENT,   /* nothing is known of versions: until its request is sent, anybody with
                            the same request (CONSISTENCY row 2) */
};

/* Why a flight that was never asked for ended; its waiters go on without it. */
enum cg_dissolved {
    CG_DISSOLVED_NOT,
    CG_DISSOLVED_LOOK_AGAIN, /* somebody else fetched, or gave up */
    CG_DISSOLVED_BUSY,       /* a write is in flight */
    CG_DISSOLVED_OUTAGE,     /* the store does not answer */
};

/* The groups that a stored answer depends on. */
struct cg_group_check {
    struct cg_instance instances[CG_INSTANCES_MAX];
    struct cg_token tokens[CG_INSTANCES_MAX];
    size_t count;
    enum cg_store_result result;
    bool hold;
};

struct cg_flight;

struct cg_request {
    unsigned magic;
    unsigned references;
    struct cg_machine *machine; /* borrowed: outlives every request */
    struct cg_regime *regime;   /* a counted reference */
    enum cg_request_step step;
    bool running, woken, finished;
    unsigned pending; /* store answers awaited */

    struct cg_client *client; /* borrowed until gone; NULL from then on */
    bool client_busy;         /* a send is outstanding */
    bool reply_begun, reply_ended;
    unsigned reply_status;
    int64_t started_us;     /* monotonic, as are the times of the record (record.h) */
    int64_t store_since_us; /* it waits for the store; 0: it does not */
    uint64_t head_us, store_us, upstream_us;
    enum cg_result result;
    int upstream; /* that was asked; CG_RECORD_NO_UPSTREAM */
    unsigned upstream_status;

    struct cg_arena arena;                /* owned */
    const struct cg_request_facts *facts; /* borrowed from the client until `kept`, then own */
    bool kept;
    struct cg_request_first *first; /* in the arena: what the second look of a rotation put aside;
                                     * NULL outside of one */
    bool looked_twice;
    struct cg_blob *entry_blob; /* owned reference */
    struct cg_bans *bans;       /* owned reference */
    struct cg_str variant;      /* what was looked up under */
    struct cg_key variant_key;
    struct cg_verdict verdict;
    int64_t judged_at_ms; /* when the verdict was given */
    enum cg_reason reason;
    bool speaks_to_caches;             /* has conditions, a range, or wishes */
    struct cg_wishes wishes;           /* … as far as the route honours them */
    struct cg_range_plan *delivery;    /* in the arena: what of `entry` is sent; NULL: all */
    size_t parts_sent;                 /* of the delivery: a text and some content each */
    bool stale_at_hand;                /* `entry` may be served if the upstream fails */
    enum cg_store_result store_result; /* the worst of the answers awaited */
    struct cg_group_check *groups;     /* in the arena; NULL: of none that is known */

    struct cg_flight *flight; /* owned reference, as a waiter */
    struct cg_request *next_waiter, *previous_waiter;
    bool may_store;        /* what it fetches for itself may be stored */
    bool collapsed;        /* waits for a flight that somebody else founded */
    bool in_outage;        /* the store did not answer: what it fetches takes a place in a lane */
    bool alone;            /* left a flight that could not be shared: joins no other */
    bool missed;           /* was counted as a miss */
    bool looked_again;     /* after it was woken, or found that somebody had just stored it */
    unsigned takeovers;    /* how often it tried in the place of one that failed */
    uint64_t offset;       /* how much of the flight's body was taken */
    struct cg_buf sending; /* owned: the piece the client is taking */

    /* Writes. */
    bool is_write; /* goes on when its client leaves */
    bool marked, early_done, settled;
    struct cg_writer writer;                        /* in whose name it is marked */
    struct cg_writer holder;                        /* … and held after an unknown outcome */
    struct cg_request *next_write, *previous_write; /* in machine->writes */
    bool listed_write;
    bool extends;               /* has more to mark, because rules were announced */
    struct cg_purge_set intent; /* what was marked */
    struct cg_purge_set after;  /* what is purged */
    enum cg_store_result counter_result;
    int64_t mark_deadline_ms; /* of the mark that was sent last … */
    int64_t marked_until_ms;  /* … and of the last that was acknowledged */
    int64_t answered_at_ms;   /* when the upstream was done */
    bool release_failed;
    int64_t patience_ends_ms; /* of holding its answer; 0: it was not held */
    bool hold_due;            /* time to try the purge again */
    struct cg_timer hold_timer;

    bool has_trace, trace_is_theirs; /* the client began it */
    bool has_fetch_trace;
    struct cg_trace trace;       /* once somebody asked for it */
    struct cg_trace fetch_trace; /* of the request whose fetch it shared */

    struct cg_timer timer; /* waiting for a flight; renewing a mark */
    bool timed_out;

    /* The large ones. Their arrays are last, and not cleared for each request: most of them is
     * never touched. */
    struct cg_plan plan;
    struct cg_store_view view; /* of the last answer; references are in entry_blob and bans */
    struct cg_entry entry;     /* decoded from entry_blob */
};

struct cg_flight {
    unsigned magic;
    unsigned references;
    struct cg_machine *machine;
    enum cg_flight_step step;
    bool running, woken, finished;
    unsigned pending;

    struct cg_request *founder; /* owned reference: facts and plan */
    bool may_store;             /* intent, before the answer is known */
    bool outlives_waiters;      /* a write, or a refresh */
    bool refreshes;
    enum cg_sharing sharing;
    bool listed;                   /* others may join, as `sharing` says */
    struct cg_epoch epoch;         /* read before the fetch, as `versions` */
    struct cg_store *store;        /* where it is filled */
    struct cg_flight *next_listed; /* in its bucket */

    /* Who fetches, of all threads and gateways (claims.h). */
    struct cg_claims *claims; /* NULL: it does not ask */
    struct cg_claim claim;
    struct cg_claim_answer claimed; /* as was answered last */
    bool leads;                     /* the claim is ours, and was not ended yet */
    bool waits;                     /* it is somebody else's, and we are to be woken */
    bool woken_by_claim;            /* … and were, or its life is over */
    bool claimed_twice;             /* the first time without knowing the versions */
    struct cg_timer claim_timer;    /* when it is to be renewed, or may be tried again */
    unsigned fills;                 /* not answered yet */
    bool stored;                    /* the answer is in the store */
    enum cg_store_result prepared;
    bool sought; /* the upstream was asked */
    enum cg_dissolved dissolved;

    struct cg_lane *lane; /* NULL: it needs no place */
    struct cg_lane_ticket ticket;
    struct cg_timer queue_timer;
    bool capped;     /* the lane is the upstream's own, not an outage's */
    bool queue_over; /* it has waited long enough */
    bool crowded;    /* it got no place */

    struct cg_arena arena;               /* owned: the head */
    struct cg_fields forwarded;          /* in the founder's arena */
    struct cg_origin_request asked;      /* borrows from the founder */
    struct cg_origin_exchange *exchange; /* NULL before the start and after the end */
    bool paused;
    int64_t asked_at_ms, head_at_ms;
    /* Monotonic; 0: not yet. It may be sent twice, see cg_flight_ask_again. */
    int64_t asked_us, sent_us, ended_us, store_since_us, fill_since_us;
    unsigned origin_status; /* as it came; 0: nothing did */
    bool has_head;          /* the origin answered */
    bool head_ready;        /* … and waiters may look */
    unsigned status;
    struct cg_fields fields;
    bool has_length, no_body;
    uint64_t content_length;
    struct cg_storable storable;
    bool shareable;             /* the answer is fit for others than the founder */
    struct cg_instance *groups; /* that the answer names; in the arena */
    struct cg_version *group_versions;
    size_t group_count;
    bool groups_hold;
    struct cg_str signature;   /* of the founder's values for storable.vary */
    struct cg_key variant_key; /* … and the key of that variant */

    struct cg_buf body; /* [body_base, received) of the body */
    uint64_t body_base, received;
    size_t keep_max; /* keep the body from its start up to here */
    bool kept;       /* so far it is whole from its start */
    bool ended;
    enum cg_origin_outcome outcome;
    bool sent;           /* some byte of the request left */
    bool validates;      /* asks about the founder's entry */
    bool confirmed;      /* … and the origin stands by it: fields are merged, the body is ours */
    bool asks_for_whole; /* … or answered about another one, or not all who wait may have it */
    struct cg_str detail;

    struct cg_request *waiters; /* list, no order promised */
    size_t waiter_count;

    /* As many as the founder's plan watches; not cleared for each flight, therefore last. */
    struct cg_version versions[CG_INSTANCES_MAX];
};

/* The flights of a thread that may be joined, by key. */
enum { CG_FLIGHT_BUCKETS = 1024 };
struct cg_flights {
    struct cg_flight *buckets[CG_FLIGHT_BUCKETS];
};

/* A flight and what it needs first, in one block of memory that is used again. */
enum { CG_FLIGHT_MEMORY_BYTES = 2048 };

struct cg_flight_block {
    struct cg_flight flight;                                   /* first */
    _Alignas(16) unsigned char memory[CG_FLIGHT_MEMORY_BYTES]; /* of its arena */
};

/* ---- request_run.c ---- */
struct cg_request *cg_request_ref(struct cg_request *request);
void cg_request_unref(struct cg_request *request);
/* The only way to change the step. */
void cg_request_go(struct cg_request *request, enum cg_request_step step);
void cg_request_wake(struct cg_request *request);
/* Before a store call: one more answer is awaited; the callback ends with cg_request_answered. */
void cg_request_await(struct cg_request *request);
void cg_request_answered(struct cg_request *request);
/* Checks the magic of a callback's owner. */
struct cg_request *cg_request_of(void *owner);
/* Whose entries of this plan are: the identity's digest, or NULL where everyone shares them. */
const uint8_t *cg_request_owner(const struct cg_request *request);
/* Copies the facts into the arena, so that they outlive the client. Idempotent. */
void cg_request_keep(struct cg_request *request);
const char *cg_request_step_name(enum cg_request_step step);

/* ---- request_steps.c, request_join.c, request_write.c: one function per step ---- */
#define STEP(name) enum cg_step_result cg_request_step_##name(struct cg_request *request);
CG_REQUEST_STEPS(STEP)
#undef STEP
/* Forwards without storing: `reason` says why the store is not to be used. */
enum cg_step_result cg_request_pass(struct cg_request *request, enum cg_reason reason);
/* The same where nobody knows what is stored: the upstream would see every read, so it is spared.
 */
enum cg_step_result cg_request_pass_in_outage(struct cg_request *request);
/* Fetches what is stored once more, with this request's own credentials, if nobody does. */
void cg_request_refresh(struct cg_request *request);
/* Records the outcome of a purge or ban. */
void cg_request_on_done(void *owner, enum cg_store_result result);
/* Purges of `after` what no living mark of ours covers, and its open patterns. True when anything
 * was. */
bool cg_request_purge_unmarked(struct cg_request *request);
/* Ends our marks: what is in `after` gets a new version, what is not keeps its own. */
void cg_request_release(struct cg_request *request);
/* A renewal of the marks, when it is due. True when it was sent. */
bool cg_request_renew_marks(struct cg_request *request);
void cg_request_complain(struct cg_request *request, const char *event, const char *sentence);

/* ---- request_rules.c: what a request does under several sets of rules ---- */
/* What the write is to mark, by all rules that matter, into `intent`. */
void cg_request_intend(struct cg_request *request);
/* What it purges, by all of them, into `after`. */
void cg_request_decide(struct cg_request *request, const struct cg_write_answer *answer);
/* What an answer that refuses the client purges (CONSISTENCY row 24). */
void cg_request_purge_on_refusal(struct cg_request *request, unsigned status,
                                 struct cg_purge_set *ret_set);
/* What PURGE purges, into `intent`. */
void cg_request_intend_path(struct cg_request *request);
/* From its marks on, and until it is known what it purges; idempotent. */
void cg_request_list_write(struct cg_request *request);
void cg_request_unlist_write(struct cg_request *request);
void cg_regime_unref(struct cg_regime *regime);
/* What was to be marked because of an announcement is, or could not be. */
void cg_request_extended(struct cg_request *request);
/* request_write.c: marks what `intent` has now, beside whatever the write waits for. */
void cg_request_mark_more(struct cg_request *request);

/* ---- request_unpurged.c: writes that the store could not be told of ---- */
/* Whether this write is not to be forwarded, after its marks were tried. */
bool cg_request_refuses_write(const struct cg_request *request);
/* Somebody listens, and was not told the end yet. */
bool cg_request_is_heard(const struct cg_request *request);
/* Something of what the write touched can still be read as it was before. */
bool cg_request_unpurged(const struct cg_request *request);

/* ---- request_groups.c ---- */
/* Whether what was found is to be compared with the groups that it names. */
bool cg_request_depends_on_groups(struct cg_request *request);
/* Before groups of `after` are purged. True when there are any. */
bool cg_request_move_counters(struct cg_request *request);
/* request_steps.c: acts on the verdict. `unreadable` says why what was found is none, or ABSENT. */
enum cg_step_result cg_request_follow_verdict(struct cg_request *request,
                                              enum cg_store_result result,
                                              enum cg_reason unreadable);

/* ---- request_previous.c: the second look of a rotation ---- */
/* The rules under whose keys the request is planned. */
const struct cg_ruleset *cg_request_rules(const struct cg_request *request);
/* After a lookup was judged. True: nothing was there, look again under the other accepted secret.
 * Else `plan`, `view` and `verdict` are those to go on with. */
bool cg_request_look_twice(struct cg_request *request);
/* Brings the first plan back, if there is one. */
void cg_request_look_back(struct cg_request *request);

/* ---- request_trace.c ---- */
/* The trace that such fields continue, or a new one; with a span of our own. True: theirs. */
bool cg_machine_trace(struct cg_machine *machine, const struct cg_fields *fields,
                      struct cg_trace *ret_trace);
/* While its facts are there, or when it was asked for before. */
const struct cg_trace *cg_request_trace(struct cg_request *request);
/* What is sent upstream; empty: nothing. */
struct cg_str cg_request_traceparent(struct cg_request *request);

/* ---- request_wishes.c ---- */
/* What the client says about caches, as far as its route honours it. True: it wants nothing from
 * the origin. */
bool cg_request_read_wishes(struct cg_request *request);
/* If-Match and If-Unmodified-Since are the origin's to judge (RFC 9110 13.1). */
bool cg_request_asks_origin(struct cg_request *request);
enum cg_step_result cg_request_refuse_unasked(struct cg_request *request);
/* To the verdict of a lookup. */
void cg_request_apply_wishes(struct cg_request *request);
/* Whether the client has what the flight brings, by its conditions. */
bool cg_request_has_it_already(const struct cg_request *request);

/* ---- reply.c ---- */
/* Says so: 304, instead of the flight's answer. */
void cg_request_reply_not_modified(struct cg_request *request);
/* Begins the answer that the flight brings. */
void cg_request_begin_flight(struct cg_request *request);
/* What the client gets of the stored answer, by its conditions and ranges. True: several parts,
 * which follow one by one. */
bool cg_request_cut_entry(struct cg_request *request);
/* The stored answer, or its head alone where parts follow. */
void cg_request_reply_entry(struct cg_request *request);
/* The next part. True when it was the last. */
bool cg_request_send_part(struct cg_request *request);
/* An answer of our own: text/plain, with Proxy-Status where `proxy_error` is given. */
void cg_request_reply_error(struct cg_request *request, unsigned status, enum cg_reason reason,
                            struct cg_str detail, const char *proxy_error);
/* An answer of our own that says when to come again. */
void cg_request_reply_busy(struct cg_request *request, enum cg_reason reason, uint32_t after_s,
                           const char *proxy_error);
/* The error answer for a flight that failed. */
void cg_request_reply_failure(struct cg_request *request);
void cg_request_abort_client(struct cg_request *request);
/* Takes up to CG_SEND_BYTES_MAX bytes of the flight's body before `limit` and sends them. True when
 * something (or the end, where `final`) was sent. */
bool cg_request_send_piece(struct cg_request *request, uint64_t limit, bool end_at_limit);

/* ---- flight.c ---- */
struct cg_flight *cg_flight_create(struct cg_request *founder, bool may_store, size_t keep_max);
struct cg_flight *cg_flight_ref(struct cg_flight *flight);
void cg_flight_unref(struct cg_flight *flight);
/* A flight of that kind that this request may share, or NULL. */
struct cg_flight *cg_flight_find(const struct cg_request *request, enum cg_sharing sharing);
void cg_flight_list(struct cg_flight *flight);
void cg_flight_delist(struct cg_flight *flight);
void cg_flight_join(struct cg_flight *flight, struct cg_request *request);
/* Takes a request without a flight. A flight that nobody needs any more is cancelled. */
void cg_flight_leave(struct cg_request *request);
/* The waiter took bytes: forget what all have, and read on. */
void cg_flight_consumed(struct cg_flight *flight);
/* How much of the body may be sent by now. */
uint64_t cg_flight_releasable(const struct cg_flight *flight);
/* Whether the answer may go to this waiter as well as to the founder. */
bool cg_flight_shares_with(const struct cg_flight *flight, const struct cg_request *request);
void cg_flight_start(struct cg_flight *flight);
void cg_flight_wake(struct cg_flight *flight);
void cg_flight_go(struct cg_flight *flight, enum cg_flight_step step);
void cg_flight_notify(struct cg_flight *flight);
void cg_flight_await(struct cg_flight *flight);
void cg_flight_answered(struct cg_flight *flight);
struct cg_flight *cg_flight_of(void *owner);
extern const struct cg_origin_events cg_flight_origin_events;

/* ---- flight_claim.c ---- */
/* It may be fetched for others: asks who does, where the store and the route know of that. */
void cg_flight_claims(struct cg_flight *flight);
/* It is, or will not be, in the store: lets others go on once no fill is under way. Idempotent. */
void cg_flight_disclaim(struct cg_flight *flight);

/* ---- flight_validate.c ---- */
/* Adds conditions to what is forwarded, where the founder found something to ask about. */
void cg_flight_ask_about_entry(struct cg_flight *flight);
/* The head came. False: it answers another question; cg_flight_ask_again is the next step. */
bool cg_flight_take_validation(struct cg_flight *flight);
enum cg_step_result cg_flight_ask_again(struct cg_flight *flight);
/* What the answer to a HEAD that missed says about the stored GET. */
void cg_flight_learn_from_head(struct cg_flight *flight);

/* ---- flight_groups.c, flight_steps.c, flight_claim.c ---- */
/* The groups that the answer names. False: it depends on more than can be watched. */
bool cg_flight_find_groups(struct cg_flight *flight);
void cg_flight_put_in_store(struct cg_flight *flight);
/* Puts an entry of the founder's into the store, for its lifetime and `after_ms`; nobody waits. The
 * key is borrowed until the flight's end. */
void cg_flight_fill(struct cg_flight *flight, const struct cg_key *key,
                    const struct cg_entry *entry, uint64_t after_ms);
#define STEP(name) enum cg_step_result cg_flight_step_##name(struct cg_flight *flight);
CG_FLIGHT_STEPS(STEP)
#undef STEP

#endif
