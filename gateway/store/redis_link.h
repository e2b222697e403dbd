/*
 * redis_link: one pipelined connection to a Redis server, on one thread.
 *
 * redis_reader takes replies apart, redis_socket carries the bytes. Commands of one turn of the
 * loop leave in one write; replies come back in order. A command that is not answered in time is
 * answered NULL and stays in the queue as a tombstone that swallows its late reply; those behind it
 * go on. It may still be executed. When nothing at all arrived for two timeouts the connection is
 * given up. A connection that ended is made again after a pause that grows from 50 ms to 2 s, with
 * jitter. What a command means is its owner's business, the greeting (AUTH, …) included.
 */
#ifndef GATEWAY_STORE_REDIS_LINK_H
#define GATEWAY_STORE_REDIS_LINK_H

#include <h2o.h>
#include <hiredis/hiredis.h>

#include "cachegate/buf.h"
#include "gateway/net/lookup.h"
#include "gateway/request/ports.h"
#include "gateway/store/redis_peer.h"
#include "gateway/store/redis_reader.h"
#include "gateway/store/redis_socket.h"
#include "gateway/store/redis_words.h"

enum { CG_REDIS_COMMANDS_MAX = 65536 };

/* `reply` is valid during the call; NULL when there was none in time or the connection ended. */
typedef void (*cg_redis_reply_fn)(void *owner, size_t index, const redisReply *reply);

struct cg_redis_command;

struct cg_redis_link {
    struct cg_redis_peer *peer; /* borrowed, like all to `owner` but the address */
    struct cg_redis_address address;
    h2o_context_t *context;
    struct cg_clock *clock;
    uint32_t timeout_ms; /* of a command */
    /* Connected: the greeting may be sent. It must call cg_redis_link_settled when it is over. */
    void (*on_open)(void *owner);
    /* Before the commands in flight are answered; they find the link closed. */
    void (*on_closed)(void *owner, const char *why);
    /* May be NULL. Before a reply is handed to its command, NULL when it is late (but not when the
     * connection ended); it may not send, nor end the link. */
    void (*on_reply)(void *owner, const redisReply *reply);
    /* May be NULL. Before what was sent in this turn leaves; it may send more. */
    void (*on_leaving)(void *owner);
    /* May be NULL: then there are no subscriptions. A message or pmessage (RESP2). */
    void (*on_push)(void *owner, const redisReply *message);
    void *owner;
    /* Private. */
    struct cg_lookup *lookup;
    h2o_socket_t *socket;
    SSL_CTX *tls; /* one reference; NULL in the clear */
    bool open;
    bool writing;
    struct cg_redis_reader reader;
    struct cg_buf waiting, leaving;
    struct cg_redis_command *first, **last;
    struct cg_redis_command *live; /* the first that is no tombstone */
    size_t count;                  /* of commands in flight, tombstones too */
    int64_t heard_ms;              /* monotonic: when bytes last arrived */
    int64_t deadline_ms;           /* monotonic: of the armed timer */
    const char *given_up;          /* why, while it is being given up */
    struct cg_timer flush, deadline, retry;
    unsigned failures; /* since it last settled; also which address of a name is tried first */
    unsigned incarnation;
};

/* Starts to connect. The members before the private ones are set, the others (but `failures`) zero.
 */
void cg_redis_link_start(struct cg_redis_link *link);
/* Ends it; commands in flight are answered with NULL. */
void cg_redis_link_stop(struct cg_redis_link *link);
/* False when the link is closed or too much is waiting: no answer will come. */
bool cg_redis_link_send(struct cg_redis_link *link, const struct cg_redis_words *words,
                        cg_redis_reply_fn answer, void *owner, size_t index);
/* The same for a command that is formatted already; the bytes are copied. */
bool cg_redis_link_send_text(struct cg_redis_link *link, struct cg_str text,
                             cg_redis_reply_fn answer, void *owner, size_t index);
/* First of a greeting: AUTH as the peer's URL says, answered to link->owner; nothing where it names
 * no password. */
void cg_redis_link_authenticate(struct cg_redis_link *link, cg_redis_reply_fn answer, size_t index);
/* What waits for the turn's end leaves now. */
void cg_redis_link_push(struct cg_redis_link *link);
/* on_leaving is called at the end of this turn, even if nothing was sent. */
void cg_redis_link_leave(struct cg_redis_link *link);
void cg_redis_link_settled(struct cg_redis_link *link);
/* From inside a reply: the connection is of no use. It ends in the loop's next turn. `why` is
 * static. */
void cg_redis_link_give_up(struct cg_redis_link *link, const char *why);

#endif
