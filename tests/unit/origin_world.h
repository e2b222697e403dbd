/*
 * origin_world: a real loop, a virtual clock, the upstream client, and one scripted upstream.
 *
 * Everything runs on the test's thread: the upstream is a listening socket (loopback TCP, or a UNIX
 * socket in a fresh directory) whose connections the test accepts, reads and answers by hand.
 * Waiting is turning the loop until a condition holds; time passes only by world_pass.
 */
#ifndef TESTS_UNIT_ORIGIN_WORLD_H
#define TESTS_UNIT_ORIGIN_WORLD_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <h2o.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "cachegate/buf.h"
#include "gateway/base/clock.h"
#include "gateway/net/lookup.h"
#include "gateway/upstream/origin.h"

#define UNUSED __attribute__((unused))

/* ---- a clock that the test moves ---- */

enum { FAKE_TIMERS_MAX = 9000 };
struct fake_clock {
    struct cg_clock base;
    int64_t now_ms;
    struct cg_timer *timers[FAKE_TIMERS_MAX];
    size_t count;
};

static int64_t fake_now(struct cg_clock *clock)
{
    return ((struct fake_clock *)clock)->now_ms;
}

static void fake_disarm(struct cg_clock *base, struct cg_timer *timer)
{
    struct fake_clock *clock = (struct fake_clock *)base;
    for (size_t i = 0; i < clock->count; i++) {
        if (clock->timers[i] == timer)
            clock->timers[i] = clock->timers[--clock->count];
    }
    timer->armed = false;
}

static void fake_arm(struct cg_clock *base, struct cg_timer *timer, uint32_t delay_ms)
{
    struct fake_clock *clock = (struct fake_clock *)base;
    if (timer->armed)
        fake_disarm(base, timer);
    cr_assert_lt(clock->count, FAKE_TIMERS_MAX);
    timer->armed = true;
    timer->slot.deadline_ms = clock->now_ms + delay_ms;
    clock->timers[clock->count++] = timer;
}

static const struct cg_clock_port fake_port = {fake_now, fake_arm, fake_disarm};

/* ---- the world ---- */

struct world {
    h2o_globalconf_t config;
    h2o_context_t context;
    struct fake_clock clock;
    struct cg_settings settings;
    struct cg_upstream_settings upstream;
    struct cg_upstreams *upstreams;
    struct cg_origin *origin;
    int listener;
    char directory[64];
    char path[108];
    char authority[64];
};

static UNUSED void world_listen(struct world *w, bool on_unix, int backlog)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    w->listener =
        socket(on_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (on_unix) {
        snprintf(w->directory, sizeof(w->directory), "/tmp/cachegate_origin_XXXXXX");
        cr_assert_not_null(mkdtemp(w->directory));
        snprintf(w->path, sizeof(w->path), "%s/up.sock", w->directory);
        memcpy(un.sun_path, w->path, strlen(w->path) + 1);
        cr_assert_eq(bind(w->listener, (struct sockaddr *)&un, sizeof(un)), 0);
        w->upstream.address = (struct cg_address){.kind = CG_ADDRESS_UNIX, .path = w->path};
    } else {
        socklen_t length = sizeof(in);
        cr_assert_eq(bind(w->listener, (struct sockaddr *)&in, sizeof(in)), 0);
        cr_assert_eq(getsockname(w->listener, (struct sockaddr *)&in, &length), 0);
        w->upstream.address = (struct cg_address){
            .kind = CG_ADDRESS_TCP, .host = "127.0.0.1", .port = ntohs(in.sin_port)};
    }
    cr_assert_eq(listen(w->listener, backlog), 0);
}

/* Everything but create: the test may still change w->upstream. */
static UNUSED void world_init(struct world *w, bool on_unix)
{
    signal(SIGPIPE, SIG_IGN); /* as the gateway does */
    memset(w, 0, sizeof(*w));
    w->upstream = (struct cg_upstream_settings){
        .name = "default",
        .authority = "up.example",
        .path_prefix = "",
        .preserve_host = true,
        .tls_verify = true,
        .connect_timeout_ms = 1000,
        .first_byte_timeout_ms = 2000,
        .between_bytes_timeout_ms = 500,
        .total_timeout_ms = 0,
        .keepalive_max = 2,
        .keepalive_ms = 5000,
        .connections_max = 4,
        .head_bytes_max = 16 * 1024,
    };
    world_listen(w, on_unix, 64);
    h2o_config_init(&w->config);
    h2o_config_register_host(&w->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_context_init(&w->context, h2o_evloop_create(), &w->config);
    w->clock.base.port = &fake_port;
}

static UNUSED void world_create(struct world *w)
{
    char *error = NULL;
    w->settings.upstreams = &w->upstream;
    w->settings.upstream_count = 1;
    w->upstreams = cg_upstreams_create(&w->settings, &error);
    cr_assert_not_null(w->upstreams, "%s", error);
    w->origin = cg_origin_create(w->upstreams, &w->context, &w->clock.base);
}

static UNUSED void world_turn(struct world *w)
{
    h2o_evloop_run(w->context.loop, 1);
}

/* Turns the loop until `condition` holds. The bound is for broken code only. */
#define WORLD_UNTIL(w, condition)                                                                  \
    do {                                                                                           \
        unsigned turns_ = 0;                                                                       \
        while (!(condition)) {                                                                     \
            cr_assert_lt(turns_++, 20000, "never: %s", #condition);                                \
            world_turn(w);                                                                         \
        }                                                                                          \
    } while (0)

/* Lets the loop come to rest: what could happen without new input has happened. */
static UNUSED void world_settle(struct world *w)
{
    for (unsigned i = 0; i < 8; i++)
        world_turn(w);
}

/* Time passes; what is due by then fires. */
static UNUSED void world_pass(struct world *w, int64_t delay_ms)
{
    w->clock.now_ms += delay_ms;
    for (size_t i = 0; i < w->clock.count;) {
        struct cg_timer *timer = w->clock.timers[i];
        if (timer->slot.deadline_ms > w->clock.now_ms) {
            i++;
            continue;
        }
        fake_disarm(&w->clock.base, timer);
        timer->on_expiry(timer->owner);
        i = 0;
    }
}

static UNUSED void world_fini(struct world *w)
{
    w->origin = cg_origin_destroy(w->origin);
    w->upstreams = cg_upstreams_destroy(w->upstreams);
    cr_expect_eq(w->clock.count, 0, "timers left");
    world_settle(w);
    cr_expect_eq(ERR_peek_error(), 0, "OpenSSL's error queue was left dirty");
    if (w->listener >= 0)
        close(w->listener);
    if (w->path[0] != '\0') {
        unlink(w->path);
        rmdir(w->directory);
    }
    cr_assert(cg_lookups_drain(&w->context, 60000));
    h2o_context_dispose(&w->context);
    h2o_evloop_destroy(w->context.loop);
    h2o_config_dispose(&w->config);
}

/* ---- one who asks ---- */

struct asker {
    struct world *world;
    struct cg_fields fields;
    struct cg_origin_request request;
    struct cg_origin_exchange *exchange;
    unsigned heads, ends, pieces, lulls;
    struct cg_origin_head head;
    char first_name[32];
    struct cg_buf body;
    enum cg_origin_outcome outcome;
    bool sent;
    char detail[256];
    const char *end_frame; /* how deep the stack was at the end */
    /* What to do inside events. */
    bool cancels_in_head, cancels_in_body, cancels_in_end;
    bool pauses_in_head, pauses_in_body, resumes_in_body;
    bool cancels_in_lull, resumes_in_lull;
    struct asker *asks_in_end;
};

static UNUSED void ask(struct asker *asker);

static UNUSED void on_asker_head(void *owner, const struct cg_origin_head *head)
{
    struct asker *asker = owner;
    cr_expect_eq(asker->ends, 0);
    asker->heads++;
    asker->head = *head;
    if (head->fields->count > 0)
        snprintf(asker->first_name, sizeof(asker->first_name), "%.*s",
                 CG_STR_ARG(head->fields->items[0].name));
    if (asker->pauses_in_head)
        asker->world->origin->port->pause(asker->exchange);
    if (asker->cancels_in_head)
        asker->world->origin->port->cancel(asker->exchange);
}

static UNUSED void on_asker_body(void *owner, struct cg_str bytes)
{
    struct asker *asker = owner;
    cr_expect(asker->heads == 1 && asker->ends == 0 && bytes.length > 0);
    asker->pieces++;
    if (asker->cancels_in_body)
        asker->world->origin->port->cancel(asker->exchange);
    if (asker->pauses_in_body || asker->resumes_in_body)
        asker->world->origin->port->pause(asker->exchange);
    if (asker->resumes_in_body)
        asker->world->origin->port->resume(asker->exchange);
    cg_buf_add_str(&asker->body, bytes); /* still there after a cancel */
}

static UNUSED void on_asker_lull(void *owner)
{
    struct asker *asker = owner;
    cr_expect(asker->heads == 1 && asker->ends == 0);
    asker->lulls++;
    if (asker->cancels_in_lull)
        asker->world->origin->port->cancel(asker->exchange);
    else if (asker->resumes_in_lull)
        asker->world->origin->port->resume(asker->exchange);
}

static UNUSED void on_asker_end(void *owner, enum cg_origin_outcome outcome, bool sent,
                                struct cg_str detail)
{
    struct asker *asker = owner;
    cr_expect_not_null(asker->exchange, "the exchange is known before any event");
    asker->ends++;
    asker->end_frame = __builtin_frame_address(0);
    asker->outcome = outcome;
    asker->sent = sent;
    snprintf(asker->detail, sizeof(asker->detail), "%.*s", CG_STR_ARG(detail));
    if (asker->cancels_in_end)
        asker->world->origin->port->cancel(asker->exchange);
    if (asker->asks_in_end != NULL)
        ask(asker->asks_in_end);
}

static UNUSED void asker_init(struct asker *asker, struct world *w, const char *method,
                              const char *target)
{
    memset(asker, 0, sizeof(*asker));
    asker->world = w;
    asker->request = (struct cg_origin_request){
        .method = cg_str_from(method),
        .target = cg_str_from(target),
        .authority = CG_STR("client.example"),
        .fields = &asker->fields,
        .may_retry = strcmp(method, "POST") != 0,
    };
    cg_buf_init(&asker->body, 64 * 1024 * 1024);
}

static UNUSED void asker_has_body(struct asker *asker, struct cg_str body)
{
    asker->request.has_body = true;
    asker->request.body = body;
}

static void ask(struct asker *asker)
{
    static const struct cg_origin_events events = {on_asker_head, on_asker_body, on_asker_lull,
                                                   on_asker_end};
    asker->world->origin->port->start(asker->world->origin, &asker->request, &events, asker,
                                      &asker->exchange);
}

static UNUSED void asker_fini(struct asker *asker)
{
    cg_buf_fini(&asker->body);
}

#define EXPECT_END(asker, outcome_)                                                                \
    do {                                                                                           \
        WORLD_UNTIL((asker)->world, (asker)->ends > 0);                                            \
        cr_expect_eq((asker)->ends, 1);                                                            \
        cr_expect_eq((asker)->outcome, outcome_, "outcome %d: %s", (asker)->outcome,               \
                     (asker)->detail);                                                             \
    } while (0)
#define EXPECT_BODY(asker, text)                                                                   \
    cr_expect(cg_str_eq(cg_buf_str(&(asker)->body), cg_str_from(text)), "body: %.*s",              \
              CG_STR_ARG(cg_buf_str(&(asker)->body)))

/* ---- the upstream's side of one connection ---- */

struct peer {
    struct world *world;
    int fd;
    SSL *tls; /* NULL in the clear */
    struct cg_buf got;
    bool ended;
};

static UNUSED bool peer_try_accept(struct world *w, struct peer *peer)
{
    int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    *peer = (struct peer){.world = w, .fd = fd};
    cg_buf_init(&peer->got, 64 * 1024 * 1024);
    return true;
}

static UNUSED void peer_accept(struct world *w, struct peer *peer)
{
    WORLD_UNTIL(w, peer_try_accept(w, peer));
}

/* Takes what is there. */
static UNUSED void peer_pump(struct peer *peer)
{
    static char bytes[256 * 1024];
    for (;;) {
        ssize_t length = peer->tls == NULL ? read(peer->fd, bytes, sizeof(bytes))
                                           : SSL_read(peer->tls, bytes, sizeof(bytes));
        if (length > 0) {
            cg_buf_add(&peer->got, bytes, (size_t)length);
            continue;
        }
        if (peer->tls == NULL)
            peer->ended = length == 0 || errno != EAGAIN;
        else
            peer->ended = SSL_get_error(peer->tls, (int)length) != SSL_ERROR_WANT_READ;
        ERR_clear_error();
        return;
    }
}

static UNUSED bool peer_has(struct peer *peer, struct cg_str end)
{
    peer_pump(peer);
    return cg_str_ends_with(cg_buf_str(&peer->got), end);
}

/* Reads until the request's last bytes are `end`, and forgets it. */
#define PEER_EXPECT(peer, end)                                                                     \
    do {                                                                                           \
        WORLD_UNTIL((peer)->world, peer_has(peer, CG_STR(end)));                                   \
        cg_buf_clear(&(peer)->got);                                                                \
    } while (0)
#define HEAD_END "\r\n\r\n"

static UNUSED void peer_send(struct peer *peer, struct cg_str bytes)
{
    while (bytes.length > 0) {
        ssize_t sent = peer->tls == NULL ? send(peer->fd, bytes.bytes, bytes.length, MSG_NOSIGNAL)
                                         : SSL_write(peer->tls, bytes.bytes, (int)bytes.length);
        if (sent > 0)
            bytes = cg_str_skip(bytes, (size_t)sent);
        else
            world_turn(peer->world);
        ERR_clear_error();
    }
}
#define PEER_SAYS(peer, text) peer_send(peer, CG_STR(text))

static UNUSED void peer_close(struct peer *peer)
{
    SSL_free(peer->tls);
    peer->tls = NULL;
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    cg_buf_fini(&peer->got);
}

#define EXPECT_CLOSED(peer) WORLD_UNTIL((peer)->world, (peer_pump(peer), (peer)->ended))
static UNUSED bool peer_is_open(struct peer *peer)
{
    world_settle(peer->world);
    peer_pump(peer);
    return !peer->ended;
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

#endif
