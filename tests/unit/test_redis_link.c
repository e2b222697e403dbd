/* However late, cut or slow: each command is answered once, with its own reply or with none. */
#include "gateway/store/redis_link.h"
#include "property/seed.h"
#include "redis_fake.h"

enum { ROUNDS = 12, STEPS = 150, COMMANDS_MAX = STEPS * 4, TIMEOUT_MS = 40 };

static struct cg_redis_peer peer;
static struct cg_redis_link link_under_test;
static struct fake *server;
static struct seed seed;

static struct {
    unsigned answers, replies;
} commands[COMMANDS_MAX];
static size_t sent, answered;
static unsigned openings;

static void on_open(void *owner)
{
    (void)owner;
    openings++;
    cg_redis_link_settled(&link_under_test);
}

static void on_closed(void *owner, const char *why)
{
    (void)owner;
    (void)why;
}

static void send_one(void);

static void on_answer(void *owner, size_t index, const redisReply *reply)
{
    char expected[24];
    (void)owner;
    cr_assert_eq(commands[index].answers++, 0, "seed %llu", (unsigned long long)seed.start);
    answered++;
    if (reply != NULL) {
        commands[index].replies++;
        snprintf(expected, sizeof(expected), "%zu", index);
        cr_assert_str_eq(reply->str, expected, "seed %llu", (unsigned long long)seed.start);
    }
    /* Answers may ask again, those of an ended connection too. */
    if (seed_below(&seed, 8) == 0)
        send_one();
}

static void send_one(void)
{
    struct cg_redis_words words = {0};
    char number[24];
    if (sent == COMMANDS_MAX)
        return;
    snprintf(number, sizeof(number), "%zu", sent);
    cg_redis_words_add(&words, CG_STR("ECHO"));
    cg_redis_words_add(&words, cg_str_from(number));
    size_t index = sent++;
    if (!cg_redis_link_send(&link_under_test, &words, on_answer, NULL, index)) {
        commands[index].answers++;
        answered++;
    }
}

static void begin(void)
{
    char *error = NULL;
    world_begin();
    world_hook = fakes_turn;
    server = fake_start();
    snprintf(world.url, sizeof(world.url), "redis://127.0.0.1:%u", server->port);
    cr_assert(cg_redis_peer_init(&peer, world.url, &error));
    link_under_test = (struct cg_redis_link){
        .peer = &peer,
        .address = fake_address(server),
        .context = &world.context,
        .clock = &world.clock,
        .timeout_ms = TIMEOUT_MS,
        .on_open = on_open,
        .on_closed = on_closed,
    };
    cg_redis_link_start(&link_under_test);
}

static void end(void)
{
    cg_redis_peer_fini(&peer);
    fakes_end();
    world_end();
}

TestSuite(redis_link, .init = begin, .fini = end);

static void step(void)
{
    size_t what = seed_below(&seed, 40);
    if (what < 20) {
        send_one();
    } else if (what < 24) {
        server->held = true;
        server->trickling = seed_below(&seed, 2) == 0;
    } else if (what < 28) {
        fake_let_go(server);
    } else if (what == 28) {
        fake_hang_up(server);
    } else {
        world_turn();
    }
}

Test(redis_link, each_command_is_answered_once_with_its_own_reply)
{
    size_t replies = 0, lost = 0;
    seed = seed_init();
    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(commands, 0, sizeof(commands));
        sent = answered = 0;
        server->log[0] = '\0';
        fake_let_go(server);
        WORLD_UNTIL(link_under_test.open);
        for (unsigned i = 0; i < STEPS; i++)
            step();
        WORLD_UNTIL(answered >= sent); /* held or not, within two timeouts */
        for (size_t i = 0; i < sent; i++) {
            cr_assert_eq(commands[i].answers, 1);
            replies += commands[i].replies;
            lost += 1 - commands[i].replies;
        }
    }
    cr_expect(replies > 100 && lost > 100 && openings > 1, "%zu replies, %zu lost, %u openings",
              replies, lost, openings);
    cg_redis_link_stop(&link_under_test);
}

Test(redis_link, commands_of_an_ended_link_are_answered)
{
    WORLD_UNTIL(link_under_test.open);
    sent = answered = 0;
    seed = (struct seed){1, 1};
    memset(commands, 0, sizeof(commands));
    server->held = true;
    for (unsigned i = 0; i < 10; i++)
        send_one();
    cg_redis_link_stop(&link_under_test);
    cr_expect_eq(answered, sent);
}

static unsigned pushes;

static void on_push(void *owner, const redisReply *message)
{
    (void)owner;
    cr_expect_str_eq(message->element[2]->str, "news");
    pushes++;
}

Test(redis_link, messages_are_not_taken_for_replies)
{
    pushes = 0;
    link_under_test.on_push = on_push;
    WORLD_UNTIL(link_under_test.open);
    sent = answered = 0;
    memset(commands, 0, sizeof(commands));
    fake_rule(server, "ECHO", 1,
              "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\nnews\r\n$1\r\n0\r\n"
              "*4\r\n$8\r\npmessage\r\n$1\r\nc\r\n$4\r\nnews\r\n$1\r\nx\r\n");
    seed = (struct seed){3, 3};
    send_one();
    WORLD_UNTIL(answered == 1 && pushes == 2);
    cr_expect_eq(commands[0].replies, 1);
    cg_redis_link_stop(&link_under_test);
}
