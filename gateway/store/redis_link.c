#include "gateway/store/redis_link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

enum {
    CONNECT_MS = 1000, /* at least, with the lookup of the name and TLS */
    RETRY_MS_MIN = 50,
    RETRY_MS_MAX = 2000,
    WAITING_BYTES_MAX = 64 * 1024 * 1024,
    READS_MAX = 64, /* in one turn: others have a right to theirs */
};

struct cg_redis_command {
    struct cg_redis_command *next;
    cg_redis_reply_fn answer; /* NULL: a tombstone */
    void *owner;
    size_t index;
    int64_t sent_ms; /* monotonic */
};

static void drop(struct cg_redis_link *link, const char *why);
static void on_retry(void *owner);

/* ---- sending ---- */

static void on_flush(void *owner);

static void on_written(h2o_socket_t *socket, const char *error)
{
    struct cg_redis_link *link = socket->data;
    link->writing = false;
    if (error != NULL)
        drop(link, "the connection broke");
    else
        on_flush(link);
}

static void send_over_tls(struct cg_redis_link *link)
{
    struct cg_buf sent = link->leaving;
    link->leaving = link->waiting;
    link->waiting = sent;
    cg_buf_clear(&link->waiting);
    h2o_iovec_t bytes = h2o_iovec_init(link->leaving.bytes, link->leaving.length);
    link->writing = true;
    h2o_socket_write(link->socket, &bytes, 1, on_written);
    ERR_clear_error();
}

/* Past libh2o, which would report the end of every write in a turn of its own. */
static void send_in_the_clear(struct cg_redis_link *link)
{
    ssize_t sent = send(h2o_socket_get_fd(link->socket), link->waiting.bytes, link->waiting.length,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0)
        cg_buf_consume(&link->waiting, (size_t)sent);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        drop(link, "the connection broke");
    } else if (link->waiting.length > 0) {
        link->writing = true;
        h2o_socket_notify_write(link->socket, on_written);
    }
}

static void on_flush(void *owner)
{
    struct cg_redis_link *link = owner;
    if (!link->open || link->writing)
        return;
    if (link->on_leaving != NULL)
        link->on_leaving(link->owner);
    if (link->waiting.length == 0)
        return;
    if (link->tls != NULL)
        send_over_tls(link);
    else
        send_in_the_clear(link);
}

void cg_redis_link_authenticate(struct cg_redis_link *link, cg_redis_reply_fn answer, size_t index)
{
    const struct cg_redis_url *url = &link->peer->url;
    struct cg_redis_words words = {0};
    if (!url->has_password)
        return;
    cg_redis_words_add(&words, CG_STR("AUTH"));
    if (url->user[0] != '\0')
        cg_redis_words_add(&words, cg_str_from(url->user));
    cg_redis_words_add(&words, cg_str_from(url->password));
    (void)cg_redis_link_send(link, &words, answer, link->owner, index);
}

void cg_redis_link_push(struct cg_redis_link *link)
{
    on_flush(link);
}

/* Later deadlines wait for the timer that is armed. */
static void arm_deadline(struct cg_redis_link *link, int64_t now_ms, int64_t at_ms)
{
    if (link->deadline.armed && link->deadline_ms <= at_ms)
        return;
    link->deadline_ms = at_ms;
    cg_timer_arm(link->clock, &link->deadline, at_ms > now_ms ? (uint32_t)(at_ms - now_ms) : 0);
}

/* While bytes are being written, what follows leaves with their end. */
void cg_redis_link_leave(struct cg_redis_link *link)
{
    if (link->open && !link->writing && !link->flush.armed)
        cg_timer_arm(link->clock, &link->flush, 0);
}

static bool has_room(const struct cg_redis_link *link, size_t bytes)
{
    return link->open && link->count < CG_REDIS_COMMANDS_MAX &&
           bytes <= WAITING_BYTES_MAX - link->waiting.length;
}

/* Its text is among the waiting bytes. */
static void append_command(struct cg_redis_link *link, cg_redis_reply_fn answer, void *owner,
                           size_t index)
{
    int64_t now_ms = cg_clock_monotonic_ms();
    struct cg_redis_command *command = malloc(sizeof(*command));
    CG_ASSERT(command != NULL && !link->waiting.overflowed);
    *command = (struct cg_redis_command){
        .answer = answer, .owner = owner, .index = index, .sent_ms = now_ms};
    *link->last = command;
    link->last = &command->next;
    link->count++;
    if (link->live == NULL) {
        link->live = command;
        arm_deadline(link, now_ms, now_ms + link->timeout_ms);
    }
    cg_redis_link_leave(link);
}

bool cg_redis_link_send_text(struct cg_redis_link *link, struct cg_str text,
                             cg_redis_reply_fn answer, void *owner, size_t index)
{
    if (!has_room(link, text.length))
        return false;
    cg_buf_add_str(&link->waiting, text);
    append_command(link, answer, owner, index);
    return true;
}

bool cg_redis_link_send(struct cg_redis_link *link, const struct cg_redis_words *words,
                        cg_redis_reply_fn answer, void *owner, size_t index)
{
    if (!has_room(link, cg_redis_words_length(words)))
        return false;
    cg_redis_words_spell(words, &link->waiting);
    append_command(link, answer, owner, index);
    return true;
}

/* ---- receiving ---- */

static void answer_first(struct cg_redis_link *link, const redisReply *reply)
{
    struct cg_redis_command *command = link->first;
    link->first = command->next;
    link->count--;
    if (link->first == NULL)
        link->last = &link->first;
    if (link->live == command) {
        link->live = command->next;
        if (link->on_reply != NULL)
            link->on_reply(link->owner, reply);
        command->answer(command->owner, command->index, reply);
    }
    free(command);
}

static bool is_push(const struct cg_redis_link *link, const redisReply *reply)
{
    if (link->on_push == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements < 3)
        return false;
    const redisReply *kind = reply->element[0];
    return kind->type == REDIS_REPLY_STRING &&
           (strcmp(kind->str, "message") == 0 || strcmp(kind->str, "pmessage") == 0);
}

/* False when it answers nothing that was asked. */
static bool take_reply(struct cg_redis_link *link, const redisReply *reply)
{
    if (is_push(link, reply)) {
        link->on_push(link->owner, reply);
        return true;
    }
    if (link->first == NULL)
        return false;
    answer_first(link, reply);
    return true;
}

/* Answers may turn the loop (tests do) and so end this connection or read on. */
static void take_replies(struct cg_redis_link *link)
{
    unsigned incarnation = link->incarnation;
    while (link->incarnation == incarnation && link->open) {
        redisReply *reply;
        bool good = cg_redis_reader_next(&link->reader, &reply);
        if (good && reply == NULL)
            return;
        good = good && take_reply(link, reply);
        if (reply != NULL)
            cg_redis_reply_free(reply);
        if (!good) {
            drop(link, "what the server says is no reply of Redis, or far too long");
            return;
        }
    }
}

static void on_readable(h2o_socket_t *socket, const char *error)
{
    struct cg_redis_link *link = socket->data;
    unsigned incarnation = link->incarnation;
    enum cg_redis_received received;
    unsigned reads = 0;
    do {
        received = cg_redis_socket_receive(socket, link->tls != NULL, error, &link->reader);
        if (received == CG_REDIS_RECEIVED_END)
            drop(link, "the server closed the connection");
        if (received == CG_REDIS_RECEIVED_END || received == CG_REDIS_RECEIVED_NONE)
            return;
        link->heard_ms = cg_clock_monotonic_ms();
        take_replies(link);
        /* The kernel tells again of what is left in the socket, libh2o not of what it decrypted. */
        if (link->tls == NULL && ++reads == READS_MAX)
            return;
    } while (received == CG_REDIS_RECEIVED_MORE && link->incarnation == incarnation && link->open);
}

/* ---- opening ---- */

static void on_ready(struct cg_redis_link *link)
{
    cg_timer_disarm(link->clock, &link->deadline);
    link->open = true;
    link->heard_ms = cg_clock_monotonic_ms();
    h2o_socket_read_start(link->socket, on_readable);
    link->on_open(link->owner);
}

static void on_handshake(h2o_socket_t *socket, const char *error)
{
    struct cg_redis_link *link = socket->data;
    ERR_clear_error();
    bool unverified = !link->peer->url.verify && (error == h2o_socket_error_ssl_cert_invalid ||
                                                  error == h2o_socket_error_ssl_no_cert);
    /* OpenSSL has checked the name (redis_peer.c); libh2o's verdict on it is not reliable. */
    if (error != NULL && !unverified && error != h2o_socket_error_ssl_cert_name_mismatch)
        drop(link, error);
    else
        on_ready(link);
}

static void on_connect(h2o_socket_t *socket, const char *error)
{
    struct cg_redis_link *link = socket->data;
    int one = 1;
    if (error != NULL) {
        /* libh2o keeps the errno for itself. */
        drop(link,
             error == h2o_socket_error_conn_fail
                 ? "nothing accepts connections there; does Redis run, and is this its address?"
                 : error);
        return;
    }
    (void)setsockopt(h2o_socket_get_fd(socket), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (link->tls == NULL) {
        link->socket = cg_redis_socket_take_over(link->context->loop, socket);
        if (link->socket != NULL) {
            link->socket->data = link;
            on_ready(link);
        } else {
            drop(link, "the connection cannot be used");
        }
        return;
    }
    /* SNI holds names only (RFC 6066 3); OpenSSL refuses the empty one, so that none is sent. */
    const char *name = cg_redis_peer_name(link->peer, link->address.host);
    h2o_socket_ssl_handshake(socket, link->tls, cg_redis_is_ip(name) ? "" : name, on_handshake);
    ERR_clear_error();
}

static void connect_to(struct cg_redis_link *link, struct sockaddr *address, socklen_t length)
{
    errno = 0;
    link->socket = h2o_socket_connect(link->context->loop, address, length, on_connect);
    if (link->socket == NULL)
        drop(link, errno == 0 ? "cannot connect" : strerrordesc_np(errno));
    else
        link->socket->data = link;
}

static void on_lookup(void *owner, const char *error, const struct addrinfo *found)
{
    struct cg_redis_link *link = owner;
    link->lookup = NULL;
    if (error != NULL) {
        drop(link, error);
        return;
    }
    size_t count = 0;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        count++;
    /* Another one after each failure. */
    for (size_t skip = link->failures % count; skip > 0; skip--)
        found = found->ai_next;
    connect_to(link, found->ai_addr, found->ai_addrlen);
}

static void open_link(void *owner)
{
    struct cg_redis_link *link = owner;
    const struct cg_redis_address *at = &link->address;
    link->incarnation++;
    cg_redis_reader_init(&link->reader, link->peer->reply_bytes_max);
    cg_timer_arm(link->clock, &link->deadline,
                 link->timeout_ms > CONNECT_MS ? link->timeout_ms : CONNECT_MS);
    if (at->socket_path[0] != '\0') {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, at->socket_path, strlen(at->socket_path) + 1);
        connect_to(link, (struct sockaddr *)&address, sizeof(address));
        return;
    }
    if (link->peer->url.tls) {
        link->tls = cg_redis_peer_tls(link->peer, at->host);
        if (link->tls == NULL) {
            drop(link, "no certificate can name the server");
            return;
        }
    }
    link->lookup = cg_lookup_start(link->context, at->host, at->port, on_lookup, link);
}

/* ---- ending ---- */

static void take_apart(struct cg_redis_link *link)
{
    link->lookup = cg_lookup_cancel(link->lookup);
    if (link->socket != NULL)
        cg_redis_socket_close(link->socket);
    link->socket = NULL;
    SSL_CTX_free(link->tls);
    link->tls = NULL;
    cg_redis_reader_fini(&link->reader);
    link->open = false;
    link->writing = false;
    link->incarnation++;
    cg_buf_clear(&link->waiting);
    cg_buf_clear(&link->leaving);
    cg_timer_disarm(link->clock, &link->flush);
    cg_timer_disarm(link->clock, &link->deadline);
    cg_timer_disarm(link->clock, &link->retry);
}

static void answer_all_lost(struct cg_redis_link *link)
{
    struct cg_redis_command *command = link->first;
    link->first = NULL;
    link->last = &link->first;
    link->live = NULL;
    link->count = 0;
    while (command != NULL) {
        struct cg_redis_command *next = command->next;
        if (command->answer != NULL)
            command->answer(command->owner, command->index, NULL);
        free(command);
        command = next;
    }
}

/* Between half and all of what doubles with each failure, so that a fleet does not come at once. */
static uint32_t choose_pause_ms(const struct cg_redis_link *link)
{
    uint32_t random, pause_ms = RETRY_MS_MAX;
    if (link->failures < 6)
        pause_ms = (uint32_t)RETRY_MS_MIN << link->failures;
    if (pause_ms > RETRY_MS_MAX)
        pause_ms = RETRY_MS_MAX;
    CG_ASSERT(RAND_bytes((unsigned char *)&random, sizeof(random)) == 1);
    return pause_ms / 2 + random % (pause_ms / 2 + 1);
}

static void drop(struct cg_redis_link *link, const char *why)
{
    take_apart(link);
    link->retry.on_expiry = on_retry;
    cg_timer_arm(link->clock, &link->retry, choose_pause_ms(link));
    link->failures++;
    link->on_closed(link->owner, why);
    answer_all_lost(link);
}

/* What was sent by `until_ms` is lost. False when an answer ended the connection. */
static bool bury(struct cg_redis_link *link, int64_t until_ms)
{
    unsigned incarnation = link->incarnation;
    while (link->live != NULL && link->live->sent_ms <= until_ms) {
        struct cg_redis_command *command = link->live;
        cg_redis_reply_fn answer = command->answer;
        link->live = command->next;
        command->answer = NULL;
        if (link->on_reply != NULL)
            link->on_reply(link->owner, NULL);
        answer(command->owner, command->index, NULL);
        if (link->incarnation != incarnation)
            return false;
    }
    return true;
}

static void on_deadline(void *owner)
{
    struct cg_redis_link *link = owner;
    int64_t timeout_ms = link->timeout_ms;
    int64_t now_ms = cg_clock_monotonic_ms();
    if (!link->open) {
        drop(link, link->tls == NULL ? "connecting took too long"
                                     : "connecting with TLS took too long; does the server speak "
                                       "TLS there?");
        return;
    }
    if (!bury(link, now_ms - timeout_ms) || link->first == NULL)
        return;
    int64_t silent_since_ms =
        link->heard_ms > link->first->sent_ms ? link->heard_ms : link->first->sent_ms;
    if (now_ms >= silent_since_ms + 2 * timeout_ms) {
        drop(link, "the server does not answer");
        return;
    }
    if (link->live != NULL)
        arm_deadline(link, now_ms, link->live->sent_ms + timeout_ms);
    arm_deadline(link, now_ms, silent_since_ms + 2 * timeout_ms);
}

void cg_redis_link_settled(struct cg_redis_link *link)
{
    link->failures = 0;
}

static void on_given_up(void *owner)
{
    struct cg_redis_link *link = owner;
    drop(link, link->given_up);
}

void cg_redis_link_give_up(struct cg_redis_link *link, const char *why)
{
    if (!link->open)
        return; /* ended meanwhile, and on its way back */
    link->given_up = why;
    link->retry.on_expiry = on_given_up;
    cg_timer_arm(link->clock, &link->retry, 0);
}

static void on_retry(void *owner)
{
    open_link(owner);
}

void cg_redis_link_start(struct cg_redis_link *link)
{
    cg_buf_init(&link->waiting, WAITING_BYTES_MAX);
    cg_buf_init(&link->leaving, WAITING_BYTES_MAX);
    link->last = &link->first;
    link->flush = (struct cg_timer){.on_expiry = on_flush, .owner = link};
    link->deadline = (struct cg_timer){.on_expiry = on_deadline, .owner = link};
    link->retry = (struct cg_timer){.on_expiry = on_retry, .owner = link};
    /* Not from inside this call: its owner is not ready yet. */
    cg_timer_arm(link->clock, &link->retry, 0);
}

void cg_redis_link_stop(struct cg_redis_link *link)
{
    take_apart(link);
    answer_all_lost(link);
    cg_buf_fini(&link->waiting);
    cg_buf_fini(&link->leaving);
}
