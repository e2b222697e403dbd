#include "gateway/store/redis_client.h"

#include "cachegate/assert.h"
#include "cachegate/redis_map.h"
#include "gateway/store/redis_peer.h"
#include "gateway/store/redis_reader.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    REDIRECTIONS_MAX = 5,
    PIECE_BYTES = 65536,
    WHY_BYTES = 512,
    VALUE_BYTES_MAX = 512 << 20,
};

struct cg_redis_client {
    struct cg_redis_peer peer;
    struct timeval timeout;
    int socket; /* -1: none */
    SSL *tls;   /* NULL in the clear */
    struct cg_redis_reader reader;
    char why[WHY_BYTES];
};

static void say(struct cg_redis_client *client, const struct cg_redis_address *address,
                const char *why)
{
    char room[CG_REDIS_ADDRESS_TEXT_MAX];
    snprintf(client->why, sizeof client->why, "%s: %s", cg_redis_address_text(address, room), why);
}

/* ---- one connection ---- */

static void hang_up(struct cg_redis_client *client)
{
    SSL_free(client->tls);
    client->tls = NULL;
    if (client->socket >= 0)
        close(client->socket);
    client->socket = -1;
    cg_redis_reader_fini(&client->reader);
}

static int open_socket(const struct cg_redis_client *client, int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) { /* Linux bounds connect() by the second */
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &client->timeout, sizeof client->timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &client->timeout, sizeof client->timeout);
    }
    return fd;
}

static bool try_connect(struct cg_redis_client *client, int family, const struct sockaddr *name,
                        socklen_t length)
{
    client->socket = open_socket(client, family);
    if (client->socket >= 0 && connect(client->socket, name, length) == 0)
        return true;
    int error = errno;
    hang_up(client);
    errno = error == EINPROGRESS ? ETIMEDOUT : error;
    return false;
}

static bool dial(struct cg_redis_client *client, const struct cg_redis_address *address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[8];
    if (address->socket_path[0] != '\0') {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        _Static_assert(sizeof name.sun_path >= sizeof address->socket_path, "it fits");
        memcpy(name.sun_path, address->socket_path, sizeof address->socket_path);
        if (try_connect(client, AF_UNIX, (const struct sockaddr *)&name, sizeof name))
            return true;
        say(client, address, strerror(errno));
        return false;
    }
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    int result = getaddrinfo(address->host, port, &hints, &found);
    if (result != 0) {
        say(client, address, gai_strerror(result));
        return false;
    }
    bool connected = false;
    for (const struct addrinfo *info = found; info != NULL && !connected; info = info->ai_next)
        connected = try_connect(client, info->ai_family, info->ai_addr, info->ai_addrlen);
    if (!connected)
        say(client, address, strerror(errno));
    freeaddrinfo(found);
    return connected;
}

static bool start_tls(struct cg_redis_client *client, const struct cg_redis_address *address)
{
    char name[256]; /* libcrypto's macro takes no const; longer ones are in no certificate */
    snprintf(name, sizeof name, "%s", cg_redis_peer_name(&client->peer, address->host));
    if (!client->peer.url.tls)
        return true;
    SSL_CTX *context = cg_redis_peer_tls(&client->peer, address->host);
    client->tls = context == NULL ? NULL : SSL_new(context);
    SSL_CTX_free(context);
    if (client->tls != NULL && SSL_set_fd(client->tls, client->socket) == 1 &&
        (cg_redis_is_ip(name) || SSL_set_tlsext_host_name(client->tls, name) == 1) &&
        SSL_connect(client->tls) == 1)
        return true;
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    say(client, address, reason == NULL ? "the TLS handshake failed" : reason);
    ERR_clear_error();
    return false;
}

static bool send_all(struct cg_redis_client *client, const char *bytes, size_t length)
{
    while (length > 0) {
        size_t piece = length < PIECE_BYTES ? length : PIECE_BYTES;
        ssize_t sent = client->tls != NULL ? (ssize_t)SSL_write(client->tls, bytes, (int)piece)
                                           : send(client->socket, bytes, piece, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

static redisReply *receive(struct cg_redis_client *client)
{
    char *piece = malloc(PIECE_BYTES);
    redisReply *reply = NULL;
    CG_ASSERT(piece != NULL);
    while (cg_redis_reader_next(&client->reader, &reply) && reply == NULL) {
        ssize_t length = client->tls != NULL ? (ssize_t)SSL_read(client->tls, piece, PIECE_BYTES)
                                             : recv(client->socket, piece, PIECE_BYTES, 0);
        if (length <= 0)
            break;
        cg_redis_reader_feed(&client->reader, piece, (size_t)length);
    }
    free(piece);
    return reply;
}

/* NULL: the connection is of no more use, and is closed. */
static redisReply *exchange(struct cg_redis_client *client, const struct cg_str *words,
                            size_t count)
{
    enum { WORDS_MAX = 8 };
    const char *items[WORDS_MAX];
    size_t lengths[WORDS_MAX];
    char *command = NULL;
    CG_ASSERT(count <= WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        items[i] = words[i].length == 0 ? "" : words[i].bytes;
        lengths[i] = words[i].length;
    }
    long long length = redisFormatCommandArgv(&command, (int)count, items, lengths);
    CG_ASSERT(length > 0);
    redisReply *reply = NULL;
    if (client->socket >= 0 && send_all(client, command, (size_t)length))
        reply = receive(client);
    redisFreeCommand(command);
    if (reply == NULL) {
        if (client->why[0] == '\0')
            snprintf(client->why, sizeof client->why, "Redis did not answer");
        hang_up(client);
    }
    return reply;
}

/* ---- greetings ---- */

/* Sends what must be answered with anything but an error. */
static bool insist(struct cg_redis_client *client, const struct cg_str *words, size_t count)
{
    redisReply *reply = exchange(client, words, count);
    bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    if (reply != NULL && !good) {
        snprintf(client->why, sizeof client->why, "%s",
                 cg_redis_peer_shown(&client->peer, reply->str));
        hang_up(client);
    }
    if (reply != NULL)
        cg_redis_reply_free(reply);
    return good;
}

static bool authenticate(struct cg_redis_client *client, const char *user, const char *password)
{
    const struct cg_str words[] = {CG_STR("AUTH"), cg_str_from(user), cg_str_from(password)};
    const struct cg_str alone[] = {words[0], words[2]};
    return user[0] == '\0' ? insist(client, alone, 2) : insist(client, words, 3);
}

static bool reach(struct cg_redis_client *client, const struct cg_redis_address *address)
{
    hang_up(client);
    client->why[0] = '\0';
    if (!dial(client, address))
        return false;
    /* Whatever Redis can keep under one key is worth a look. */
    cg_redis_reader_init(&client->reader, client->peer.reply_bytes_max + VALUE_BYTES_MAX);
    if (start_tls(client, address))
        return true;
    hang_up(client);
    return false;
}

static bool reach_server(struct cg_redis_client *client, const struct cg_redis_address *address)
{
    const struct cg_redis_url *url = &client->peer.url;
    char database[16];
    snprintf(database, sizeof database, "%u", url->database);
    const struct cg_str select[] = {CG_STR("SELECT"), cg_str_from(database)};
    return reach(client, address) &&
           (!url->has_password || authenticate(client, url->user, url->password)) &&
           (url->database == 0 || insist(client, select, 2));
}

static bool take_address(struct cg_str host, struct cg_str port,
                         struct cg_redis_address *ret_address)
{
    uint64_t number;
    return cg_str_to_u64(port, UINT16_MAX, &number) &&
           cg_redis_address_set(ret_address, host, number);
}

static bool reach_by_sentinel(struct cg_redis_client *client,
                              const struct cg_redis_address *sentinel)
{
    const struct cg_redis_url *url = &client->peer.url;
    const struct cg_str words[] = {CG_STR("SENTINEL"), CG_STR("get-master-addr-by-name"),
                                   cg_str_from(url->primary_name)};
    struct cg_redis_address primary;
    if (!reach(client, sentinel) ||
        (url->sentinel_password[0] != '\0' &&
         !authenticate(client, url->sentinel_user, url->sentinel_password)))
        return false;
    redisReply *reply = exchange(client, words, 3);
    bool known =
        reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[0]->type == REDIS_REPLY_STRING &&
        reply->element[1]->type == REDIS_REPLY_STRING &&
        take_address(cg_str_of(reply->element[0]->str, (size_t)reply->element[0]->len),
                     cg_str_of(reply->element[1]->str, (size_t)reply->element[1]->len), &primary);
    if (reply != NULL && !known)
        say(client, sentinel, "this sentinel does not know the primary of that name");
    if (reply != NULL)
        cg_redis_reply_free(reply);
    return known && reach_server(client, &primary);
}

struct cg_redis_client *cg_redis_client_connect(const char *url, uint32_t timeout_ms,
                                                char **ret_error)
{
    struct cg_redis_client *client = calloc(1, sizeof *client);
    CG_ASSERT(client != NULL);
    client->socket = -1;
    client->timeout = (struct timeval){.tv_sec = timeout_ms / 1000,
                                       .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    if (!cg_redis_peer_init(&client->peer, url, ret_error))
        return cg_redis_client_close(client);
    const struct cg_redis_url *parsed = &client->peer.url;
    for (size_t i = 0; i < parsed->seed_count; i++)
        if (parsed->form == CG_REDIS_SENTINEL ? reach_by_sentinel(client, &parsed->seeds[i])
                                              : reach_server(client, &parsed->seeds[i]))
            return client;
    *ret_error = strdup(client->why);
    return cg_redis_client_close(client);
}

struct cg_redis_client *cg_redis_client_close(struct cg_redis_client *client)
{
    if (client == NULL)
        return NULL;
    hang_up(client);
    cg_redis_peer_fini(&client->peer);
    free(client);
    return NULL;
}

const char *cg_redis_client_why(const struct cg_redis_client *client)
{
    return client->why;
}

/* ---- questions ---- */

/* "MOVED 3999 127.0.0.1:6381" and "ASK …": the node that has the slot. An empty host is the one
 * that answered. */
static bool read_redirection(const struct cg_redis_client *client, const redisReply *reply,
                             struct cg_redis_address *ret_address, bool *ret_asking)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
        return false;
    struct cg_str rest = cg_str_from(reply->str), word, slot;
    if (!cg_str_split(&rest, ' ', &word) || !cg_str_split(&rest, ' ', &slot))
        return false;
    *ret_asking = cg_str_eq(word, CG_STR("ASK"));
    if (!*ret_asking && !cg_str_eq(word, CG_STR("MOVED")))
        return false;
    size_t colon = rest.length;
    while (colon > 0 && rest.bytes[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct cg_str host = cg_str_sub(rest, 0, colon - 1);
    if (cg_str_empty(host))
        host = cg_str_from(client->peer.url.host);
    return take_address(host, cg_str_skip(rest, colon), ret_address);
}

redisReply *cg_redis_client_ask(struct cg_redis_client *client, const struct cg_str *words,
                                size_t count)
{
    const struct cg_str asking_word[] = {CG_STR("ASKING")};
    redisReply *reply = exchange(client, words, count);
    for (unsigned turn = 0; turn < REDIRECTIONS_MAX; turn++) {
        struct cg_redis_address address;
        bool asking;
        if (!read_redirection(client, reply, &address, &asking))
            break;
        cg_redis_reply_free(reply);
        reply = NULL;
        if (!reach_server(client, &address) || (asking && !insist(client, asking_word, 1)))
            break;
        reply = exchange(client, words, count);
    }
    return reply;
}
