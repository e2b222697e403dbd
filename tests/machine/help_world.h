/*
 * world: both machines in one process, between a fake client, store, origin and clock.
 *
 * Time is a number. The store is the real memory store behind a door that answers at once, answers
 * late with what it saw when asked, or looks late. The origin answers when the test says so.
 * Clients' facts live in memory that is freed when they go, so a machine that touches them
 * afterwards is caught by the address sanitizer.
 */
#ifndef TESTS_MACHINE_HELP_WORLD_H
#define TESTS_MACHINE_HELP_WORLD_H

#include "cachegate/buf.h"
#include "gateway/request/request.h"

enum world_store_mode {
    WORLD_STORE_AT_ONCE,      /* acts and answers before the call returns */
    WORLD_STORE_ANSWERS_LATE, /* acts at once, answers when told */
    WORLD_STORE_ACTS_LATE,    /* acts and answers when told */
};

enum { WORLD_CLIENTS_MAX = 4096, WORLD_EXCHANGES_MAX = 4096, WORLD_OPERATIONS_MAX = 4096 };

struct world;

struct world_client {
    struct cg_client base;
    struct world *world;
    struct cg_request *request; /* NULL once gone */
    struct cg_request_facts facts;
    char *memory; /* of the facts; freed when gone */
    bool slow;    /* takes a piece only when world_client_takes says so */
    bool leaves_inside_send;
    bool begun, ended, aborted, gone, outstanding;
    unsigned status;
    unsigned sends; /* pieces of the answer */
    bool no_body, has_length;
    uint64_t content_length;
    struct cg_arena arena;
    struct cg_fields fields;
    struct cg_buf body;
    long tag; /* for the test */
};

struct world_exchange {
    struct world *world;
    bool live, headed, ended, paused, cancelled;
    const struct cg_origin_request *request;
    char target[512], method[16], seen_field[256];
    const struct cg_origin_events *events;
    void *owner;
    struct cg_origin_exchange **handle;
    struct cg_arena arena;
    struct cg_fields fields;
    long tag; /* what the origin's state was when it was asked */
};

struct world {
    struct cg_machine machine;
    struct cg_regime regime; /* the first */
    struct cg_ruleset *ruleset;
    size_t *route_slots;
    struct cg_book *book;
    struct cg_clock clock;
    int64_t now_ms;
    struct cg_timer *timers[8192];
    size_t timer_count;

    struct cg_store store;
    struct cg_store_port port;   /* the store's; `seals` may be set before anything is asked */
    struct cg_blob *last_filled; /* reference: what the last fill brought, under which key */
    struct cg_key last_key;
    void *memory;                    /* the memory store */
    struct cg_store *inner;          /* its handle */
    struct cg_timer mail;            /* claims that others ended */
    struct cg_outage_memory *outage; /* NULL: nothing stands in for the store */
    enum world_store_mode store_mode;
    bool store_down;                        /* every operation answers UNAVAILABLE */
    int64_t hold_until_ms;                  /* in lease mode; INT64_MAX: refuse */
    void *operations[WORLD_OPERATIONS_MAX]; /* owned, a ring of calls not answered yet */
    size_t operation_first, operation_count;
    size_t operations_asked; /* over all time */

    struct cg_origin origin;
    struct world_exchange *exchanges[WORLD_EXCHANGES_MAX];
    size_t exchange_count;
    void (*on_asked)(struct world *world, struct world_exchange *exchange); /* may be NULL */
    bool origin_answers_inside_start; /* 200, a short body, complete */
    long state;                       /* for the test: what the origin would answer */

    struct world_client *clients[WORLD_CLIENTS_MAX];
    size_t client_count;
};

struct world *world_create(const char *rules_yaml);
/* Before anything is asked: another gateway on the store of `first`, which is destroyed later. */
void world_shares(struct world *world, struct world *first);
/* Before anything is asked: as store.on_outage: memory. */
void world_stands_in(struct world *world, uint32_t ttl_ms);
/* Everything must have come to rest: no live request, flight or timer. */
void world_destroy(struct world *world);

/* `fields` is "name: value\nname: value" or NULL; `body` NULL for none. */
struct world_client *world_asks(struct world *world, const char *method, const char *target,
                                const char *fields, const char *body);
struct world_client *world_gets(struct world *world, const char *target);
/* The same, but only prepared; world_send starts it. */
struct world_client *world_client(struct world *world, const char *method, const char *target,
                                  const char *fields, const char *body);
void world_send(struct world_client *client);
void world_client_takes(struct world_client *client); /* the outstanding piece */
void world_client_leaves(struct world_client *client);
/* The first field of that name, "" without. NUL-terminated. */
const char *world_field(const struct world_client *client, const char *name);
/* Whole, with that status, body and word in Cache-Status; NULL: any. */
bool world_got(const struct world_client *client, unsigned status, const char *body,
               const char *cache_status);

/* The oldest exchange that is live and not headed, or NULL. */
struct world_exchange *world_asked(struct world *world);
size_t world_times_asked(const struct world *world);
/* `fields` as above; content-length is known unless `length` is -1. */
void world_origin_head(struct world_exchange *exchange, unsigned status, const char *fields,
                       long length);
void world_origin_body(struct world_exchange *exchange, const char *bytes);
void world_origin_bytes(struct world_exchange *exchange, const char *bytes, size_t length);
void world_origin_end(struct world_exchange *exchange, enum cg_origin_outcome outcome);
/* Head, body and end, as from one read of the connection. */
void world_origin_answers(struct world_exchange *exchange, unsigned status, const char *fields,
                          const char *body);

/* One pending store operation; false when there is none. */
bool world_store_step(struct world *world);
/* The oldest was carried out, but its answer is lost. */
void world_store_fails(struct world *world);
void world_store_settle(struct world *world);
void world_time_passes(struct world *world, int64_t ms);
/* Lets go of clients that have their whole answer. */
void world_reap(struct world *world);

/* A small generator for schedules: same seed, same schedule. */
struct world_random {
    uint64_t state;
};
uint32_t world_random_below(struct world_random *random, uint32_t bound);

#endif
