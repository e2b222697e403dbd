/*
 * redis_link: one pipelined connection to a Redis server, on one thread.
 *
 * hiredis formats commands and takes replies apart, libh2o carries the bytes. Commands of one turn
 * of the loop leave in one write; replies come back in order. A command that is not answered in
 * time ends the connection, since its late reply would be taken for the next one's. A connection
 * that ended is made again after a pause that grows from 50 ms to 2 s, with jitter. What a command
 * means is its owner's business, the greeting (AUTH, …) included.
 */
#ifndef GATEWAY_STORE_REDIS_LINK_H
#define GATEWAY_STORE_REDIS_LINK_H

#include <h2o.h>
#include <hiredis/hiredis.h>

#include "cachegate/buf.h"
#include "gateway/net/lookup.h"
#include "gateway/request/ports.h"
#include "gateway/store/redis_peer.h"

enum { CG_REDIS_WORDS_MAX = 80 };

/* A command under construction; the words are borrowed until cg_redis_link_send returns. */
struct cg_redis_words {
    size_t count;
    const char *items[CG_REDIS_WORDS_MAX];
    size_t lengths[CG_REDIS_WORDS_MAX];
};
void cg_redis_words_add(struct cg_redis_words *words, struct cg_str word);

/* `reply` is valid during the call; NULL when the connection ended before there was one. */
typedef void (*cg_redis_reply_fn)(void *owner, size_t index, const redisReply *reply);

struct cg_redis_command;

struct cg_redis_link {
    const struct cg_redis_peer *peer; /* borrowed, like all to `owner` */
    h2o_context_t *context;
    struct cg_clock *clock;
    uint32_t timeout_ms; /* of a command */
    /* Connected: the greeting may be sent. It must call cg_redis_link_settled when it is over. */
    void (*on_open)(void *owner);
    /* Before the commands in flight are answered; they find the link closed. */
    void (*on_closed)(void *owner, const char *why);
    void *owner;
    /* Private. */
    struct cg_lookup *lookup;
    h2o_socket_t *socket;
    bool open;
    bool writing;
    redisReader *reader;
    struct cg_buf waiting, leaving;
    struct cg_redis_command *first, **last;
    struct cg_timer flush, deadline, retry;
    unsigned failures; /* since it last settled */
    unsigned incarnation;
};

/* Starts to connect. The members before the private ones are set. */
void cg_redis_link_start(struct cg_redis_link *link);
/* Ends it; commands in flight are answered with NULL. */
void cg_redis_link_stop(struct cg_redis_link *link);
/* False when the link is closed or too much is waiting: no answer will come. */
bool cg_redis_link_send(struct cg_redis_link *link, const struct cg_redis_words *words,
                        cg_redis_reply_fn answer, void *owner, size_t index);
void cg_redis_link_settled(struct cg_redis_link *link);
/* From inside a reply: the connection is of no use. It ends in the loop's next turn. */
void cg_redis_link_give_up(struct cg_redis_link *link);

#endif
