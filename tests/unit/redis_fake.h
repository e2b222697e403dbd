/*
 * redis_fake: servers that speak RESP and say what the test orders.
 *
 * They turn with the loop of redis_world.h, so nothing happens at the same time. Each listens on a
 * port of 127.0.0.1 and answers like an empty Redis, except for the commands that a rule names.
 * Replies can be held back; a trickling server sends the head of a long reply byte by byte: it is
 * late, but not dead. Topologies are fakes too: the test says which map there is.
 */
#ifndef TESTS_UNIT_REDIS_FAKE_H
#define TESTS_UNIT_REDIS_FAKE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "cachegate/buf.h"
#include "gateway/store/redis_topology.h"
#include "redis_world.h"

enum {
    FAKES_MAX = 4,
    FAKE_PEERS_MAX = 16,
    FAKE_RULES_MAX = 16,
    FAKE_LOG_MAX = 64 * 1024,
    TRICKLE_MS = 10
};

struct fake_peer {
    int socket; /* 0: none */
    redisReader *reader;
    struct cg_buf out;
    bool beaten; /* by the last command */
};

/* The first that fits and is not used up decides. */
struct fake_rule {
    const char *command; /* its first word, or the first words with a space between */
    char reply[256];     /* RESP */
    unsigned times;      /* left */
};

struct fake {
    int listener;
    uint16_t port;
    char run_id[48];
    char role[16];
    const char *rules_reply; /* to what is asked or told of rules; NULL: there is no other */
    bool held;               /* replies wait */
    bool trickling;          /* … and a byte arrives now and then all the same */
    int64_t trickled_ms;
    unsigned accepted;
    unsigned renewals; /* how often it was told to begin a new history, whatever it has */
    struct fake_peer peers[FAKE_PEERS_MAX];
    struct fake_rule rules[FAKE_RULES_MAX];
    char log[FAKE_LOG_MAX]; /* `|word word word` of every command, its first three */
};

static struct fake fakes[FAKES_MAX];
static size_t fake_count;

/* ---- what they answer ---- */

static bool fake_fits(const char *line, const char *command)
{
    size_t length = strlen(command);
    return strncmp(line, command, length) == 0 && (line[length] == ' ' || line[length] == '\0');
}

static void fake_bulk(struct fake_peer *peer, const char *text)
{
    cg_buf_printf(&peer->out, "$%zu\r\n%s\r\n", strlen(text), text);
}

/* The epoch, the time, nobody else, joined. */
static const char fake_epoch_reply[] =
    "*4\r\n$23\r\n0000000000000001:0:made\r\n:1700000000000\r\n:0\r\n:2\r\n";

static void fake_answer_as_redis(struct fake *fake, struct fake_peer *peer,
                                 const redisReply *command, const char *line)
{
    char text[256];
    if (fake_fits(line, "INFO server")) {
        snprintf(text, sizeof(text), "# Server\r\nrun_id:%s\r\n", fake->run_id);
        fake_bulk(peer, text);
    } else if (fake_fits(line, "INFO replication")) {
        snprintf(text, sizeof(text), "# Replication\r\nrole:%s\r\n", fake->role);
        fake_bulk(peer, text);
    } else if (fake_fits(line, "MGET")) {
        cg_buf_printf(&peer->out, "*%zu\r\n", command->elements - 1);
        for (size_t i = 1; i < command->elements; i++)
            if (strstr(command->element[i]->str, ":epoch") != NULL)
                fake_bulk(peer, "0000000000000001:0:made");
            else
                cg_buf_add_text(&peer->out, "$-1\r\n");
    } else if (fake_fits(line, "EVALSHA") && command->elements > 3 &&
               strstr(command->element[3]->str, ":epoch") != NULL) {
        cg_buf_add_text(&peer->out, fake_epoch_reply);
    } else if (strstr(line, ":epoch") != NULL) {
        fake_bulk(peer, "0000000000000001:0:made");
    } else if (fake_fits(line, "GET") || fake_fits(line, "GETEX") || fake_fits(line, "EVALSHA")) {
        cg_buf_add_text(&peer->out, "$-1\r\n");
    } else if (fake_fits(line, "LRANGE")) {
        cg_buf_add_text(&peer->out, "*0\r\n");
    } else if (fake_fits(line, "ECHO")) {
        fake_bulk(peer, command->element[1]->str);
    } else if (fake_fits(line, "WAIT")) {
        cg_buf_add_text(&peer->out, ":1\r\n");
    } else {
        cg_buf_add_text(&peer->out, "+OK\r\n");
    }
}

/* Heartbeats come when they please: they are answered, with all replicas, and not counted. */
static bool fake_answer_heartbeat(struct fake_peer *peer, const redisReply *command)
{
    bool beats = command->elements > 7 && (strcmp(command->element[7]->str, "beat") == 0 ||
                                           strcmp(command->element[7]->str, "join") == 0);
    bool waits = peer->beaten && strcmp(command->element[0]->str, "WAIT") == 0;
    peer->beaten = beats;
    if (beats)
        cg_buf_add_text(&peer->out, fake_epoch_reply);
    if (waits)
        cg_buf_add_text(&peer->out, ":16\r\n");
    return beats || waits;
}

/* What gateways tell each other of their rules. Nor is that counted. */
static bool fake_answer_rules(const struct fake *fake, struct fake_peer *peer,
                              const redisReply *command)
{
    bool reads = strcmp(command->element[0]->str, "HGETALL") == 0;
    bool tells = command->elements > 3 && strstr(command->element[3]->str, ":rules") != NULL;
    if ((reads || tells) && fake->rules_reply != NULL)
        cg_buf_add_text(&peer->out, fake->rules_reply);
    else if (reads || tells)
        cg_buf_add_text(&peer->out, reads ? "*0\r\n" : ":0\r\n");
    return reads || tells;
}

static void fake_answer(struct fake *fake, struct fake_peer *peer, const redisReply *command)
{
    char line[256] = "";
    size_t end = 0;
    if (fake_answer_heartbeat(peer, command) || fake_answer_rules(fake, peer, command))
        return;
    if (command->elements > 7 && strcmp(command->element[7]->str, "renew") == 0)
        fake->renewals++;
    for (size_t i = 0; i < command->elements && i < 4; i++)
        end += (size_t)snprintf(line + end, sizeof(line) - end, "%s%.60s", i == 0 ? "" : " ",
                                command->element[i]->str);
    end = strlen(fake->log);
    snprintf(fake->log + end, sizeof(fake->log) - end, "|%s", line);
    for (size_t i = 0; i < FAKE_RULES_MAX; i++) {
        struct fake_rule *rule = &fake->rules[i];
        if (rule->times == 0 || !fake_fits(line, rule->command))
            continue;
        rule->times--;
        cg_buf_add_text(&peer->out, rule->reply);
        return;
    }
    fake_answer_as_redis(fake, peer, command, line);
}

__attribute__((unused)) static void fake_rule(struct fake *fake, const char *command,
                                              unsigned times, const char *reply)
{
    for (size_t i = 0; i < FAKE_RULES_MAX; i++) {
        struct fake_rule *rule = &fake->rules[i];
        if (rule->times > 0)
            continue;
        rule->command = command;
        rule->times = times;
        snprintf(rule->reply, sizeof(rule->reply), "%s", reply);
        return;
    }
    cr_assert(false, "too many rules");
}

/* How often a command was sent to it. */
__attribute__((unused)) static unsigned fake_told(const struct fake *fake, const char *command)
{
    char pattern[64];
    unsigned count = 0;
    size_t length = (size_t)snprintf(pattern, sizeof(pattern), "|%s", command);
    for (const char *at = fake->log; (at = strstr(at, pattern)) != NULL; at += length)
        if (at[length] == ' ' || at[length] == '|' || at[length] == '\0')
            count++;
    return count;
}

/* ---- turning ---- */

static void fake_end_peer(struct fake_peer *peer)
{
    close(peer->socket);
    redisReaderFree(peer->reader);
    cg_buf_fini(&peer->out);
    *peer = (struct fake_peer){0};
}

static void fake_accept(struct fake *fake)
{
    int accepted = accept4(fake->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0)
        return;
    for (size_t i = 0; i < FAKE_PEERS_MAX; i++) {
        struct fake_peer *peer = &fake->peers[i];
        if (peer->socket != 0)
            continue;
        peer->socket = accepted;
        peer->reader = redisReaderCreate();
        cg_buf_init(&peer->out, 1 << 20);
        fake->accepted++;
        return;
    }
    cr_assert(false, "too many connections");
}

static void fake_send(struct fake *fake, struct fake_peer *peer)
{
    size_t length = peer->out.length;
    int64_t now_ms = cg_clock_monotonic_ms();
    if (fake->held && (!fake->trickling || now_ms < fake->trickled_ms + TRICKLE_MS))
        return;
    if (fake->held && length > 1)
        length = 1; /* but never the last */
    else if (fake->held || length == 0)
        return;
    fake->trickled_ms = now_ms;
    ssize_t sent = send(peer->socket, peer->out.bytes, length, MSG_NOSIGNAL);
    if (sent > 0)
        cg_buf_consume(&peer->out, (size_t)sent);
}

static void fake_turn_peer(struct fake *fake, struct fake_peer *peer)
{
    char bytes[4096];
    void *command = NULL;
    ssize_t length = recv(peer->socket, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) {
        fake_end_peer(peer);
        return;
    }
    if (length > 0)
        redisReaderFeed(peer->reader, bytes, (size_t)length);
    while (redisReaderGetReply(peer->reader, &command) == REDIS_OK && command != NULL) {
        fake_answer(fake, peer, command);
        freeReplyObject(command);
        command = NULL;
    }
    fake_send(fake, peer);
}

static void fakes_turn(void)
{
    for (size_t i = 0; i < fake_count; i++) {
        fake_accept(&fakes[i]);
        for (size_t j = 0; j < FAKE_PEERS_MAX; j++)
            if (fakes[i].peers[j].socket != 0)
                fake_turn_peer(&fakes[i], &fakes[i].peers[j]);
    }
}

/* Its replies come now. */
__attribute__((unused)) static void fake_let_go(struct fake *fake)
{
    fake->held = false;
    fake->trickling = false;
}

static void fake_hang_up(struct fake *fake)
{
    for (size_t i = 0; i < FAKE_PEERS_MAX; i++)
        if (fake->peers[i].socket != 0)
            fake_end_peer(&fake->peers[i]);
}

/* ---- beginning and end ---- */

static struct fake *fake_start(void)
{
    struct fake *fake = &fakes[fake_count++];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    cr_assert_leq(fake_count, FAKES_MAX);
    memset(fake, 0, sizeof(*fake));
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(fake->listener, FAKE_PEERS_MAX), 0);
    cr_assert_eq(getsockname(fake->listener, (struct sockaddr *)&address, &length), 0);
    fake->port = ntohs(address.sin_port);
    snprintf(fake->run_id, sizeof(fake->run_id), "%040zu", fake_count);
    snprintf(fake->role, sizeof(fake->role), "master");
    return fake;
}

static void fakes_end(void)
{
    for (size_t i = 0; i < fake_count; i++) {
        fake_hang_up(&fakes[i]);
        close(fakes[i].listener);
    }
    fake_count = 0;
    world_hook = NULL;
}

#ifndef FAKE_WITHOUT_TOPOLOGY /* … when the driver's own are tested */
/* ---- the topology, which stands in for the one of the driver ---- */

struct cg_redis_topology {
    cg_redis_map_fn on_map;
    void *owner;
    struct cg_clock *clock;
    struct cg_timer first_turn;
};

static struct cg_redis_map fake_map;
static struct cg_redis_topology *fake_topology; /* of the newest handle */
static unsigned fake_doubts;

/* The handle learns of fake_map. */
__attribute__((unused)) static void fake_report(void)
{
    fake_topology->on_map(fake_topology->owner, &fake_map);
}

static void fake_on_first_turn(void *owner)
{
    struct cg_redis_topology *topology = owner;
    topology->on_map(topology->owner, &fake_map);
}

struct cg_redis_topology *cg_redis_topology_create(struct cg_redis_peer *peer,
                                                   struct st_h2o_context_t *context,
                                                   struct cg_clock *clock, uint32_t timeout_ms,
                                                   cg_redis_map_fn on_map, void *owner)
{
    struct cg_redis_topology *topology = calloc(1, sizeof(*topology));
    (void)peer;
    (void)context;
    (void)timeout_ms;
    *topology = (struct cg_redis_topology){
        on_map, owner, clock, {.on_expiry = fake_on_first_turn, .owner = topology}};
    cg_timer_arm(clock, &topology->first_turn, 0);
    fake_topology = topology;
    return topology;
}

void cg_redis_topology_doubt(struct cg_redis_topology *topology)
{
    (void)topology;
    fake_doubts++;
}

struct cg_redis_topology *cg_redis_topology_destroy(struct cg_redis_topology *topology)
{
    cg_timer_disarm(topology->clock, &topology->first_turn);
    free(topology);
    return NULL;
}

static struct cg_redis_address fake_address(const struct fake *fake)
{
    struct cg_redis_address address = {.host = "127.0.0.1", .port = fake->port};
    return address;
}

/* The slots are shared out evenly. */
__attribute__((unused)) static void fake_share(struct fake *const *owners, size_t count)
{
    cg_redis_map_init(&fake_map);
    for (size_t i = 0; i < count; i++) {
        struct cg_redis_address address = fake_address(owners[i]);
        cr_assert(cg_redis_map_add(&fake_map, &address, i * CG_REDIS_SLOTS / count,
                                   (i + 1) * CG_REDIS_SLOTS / count - 1));
    }
    cr_assert(cg_redis_map_finish(&fake_map));
}
#endif

#endif
