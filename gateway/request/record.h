/*
 * record: what there is to tell about one request when it is over.
 *
 * Made once for each request, also for those that never reach the machine because their head is
 * refused; counted in the sheet, and shown to the machine's observer where there is one (the access
 * log). All text is borrowed for that one call. What libh2o refuses before it has a request (bytes
 * that are no HTTP) has no record.
 *
 * A request is over for its client when that has everything or has left; a write may go on without
 * it. Counters by status and result are moved when the answer begins, so that whoever has an answer
 * finds it counted; durations are known, and counted, at the end.
 */
#ifndef GATEWAY_REQUEST_RECORD_H
#define GATEWAY_REQUEST_RECORD_H

#include "cachegate/plan.h"
#include "cachegate/trace_context.h"
#include "gateway/base/metrics.h"

struct cg_machine;
struct cg_request;
struct cg_flight;

enum { CG_RECORD_NO_UPSTREAM = -1 };

struct cg_request_record {
    int64_t started_ms;   /* wall clock; 0 unless somebody observes */
    uint64_t duration_us; /* from the whole request to the end of its answer */
    uint64_t head_us;     /* … to its head; 0: there was none */
    uint64_t store_us;    /* of that, waiting for the store */
    uint64_t upstream_us; /* … from the asking of the upstream to the end of its answer */

    struct cg_str method, scheme, authority, target;
    const struct cg_fields *fields; /* of the request; NULL when they could not be read */
    struct cg_str peer;
    unsigned protocol; /* 10, 11 or 20; 0: the gateway's own, to warm the store */

    unsigned status; /* 0: the client left before the answer began */
    uint64_t request_body_bytes;
    uint64_t response_body_bytes; /* that the connection took */
    bool complete;                /* it took the whole answer */

    const struct cg_route *route; /* NULL: none matched, or nobody looked */
    enum cg_result result;
    enum cg_reason reason;
    bool has_key;
    uint8_t key_id[CG_DIGEST_BYTES];
    int upstream;             /* index in the settings; CG_RECORD_NO_UPSTREAM: not asked */
    unsigned upstream_status; /* 0: it did not answer */

    const struct cg_trace *trace;       /* only where somebody observes */
    const struct cg_trace *fetch_trace; /* of the request whose fetch it shared, or NULL */
};

/* ---- for the machine ---- */

/* Where its route is counted. */
size_t cg_request_slot(const struct cg_request *request);
/* What is purged, and why: counted, and listed among the recent purges. The one place for that. */
void cg_request_note_purge(struct cg_machine *machine, const struct cg_route *route,
                           const struct cg_purge_set *set);

/* An answer of that status begins. */
void cg_request_note_head(struct cg_request *request, unsigned status);
/* The client has everything, or leaves: the last moment at which its facts can be read. */
void cg_request_note_end(struct cg_request *request);
/* It waits for the store / for the upstream no longer. */
void cg_request_note_store_wait(struct cg_request *request);
void cg_request_note_store_answer(struct cg_request *request);
void cg_request_note_flight_left(struct cg_request *request);
/* The upstream is asked, and answers. */
void cg_flight_note_asked(struct cg_flight *flight);
void cg_flight_note_head(struct cg_flight *flight, unsigned status);
/* It waits for the store, and no longer. */
void cg_flight_note_store_wait(struct cg_flight *flight);
void cg_flight_note_store_answer(struct cg_flight *flight);
/* It was given something to store, which is stored. */
void cg_flight_note_fill(struct cg_flight *flight);
void cg_flight_note_filled(struct cg_flight *flight);

/* ---- for the front ---- */

/* The slots of a ruleset's routes, by index; to be freed. */
size_t *cg_route_slots_create(struct cg_book *book, const struct cg_ruleset *ruleset);

/* A request that was refused before the machine took it up. */
void cg_machine_note_refusal(struct cg_machine *machine, const struct cg_request_record *record);

#endif
