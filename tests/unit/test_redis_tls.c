/* The contract of store.h, over TLS with client certificates; then whom we believe over TLS. */
#define CONTRACT_WITHOUT_STATISTICS
#define CONTRACT_WITHOUT_NESTED_TURNS
#include "tests/store_contract.h"

#include "redis_certificates.h"
#include "redis_fleet.h"
#include "tests/store_contract_entries.h"
#include "tests/store_contract_versions.h"

/* `other` signs nothing that the servers or we should believe. */
static void begin_world(void)
{
    world_begin();
    atomic_store(world.now_ms, cg_clock_wall_ms()); /* within the lives of certificates */
    struct authority ca = authority_found("ca"), other = authority_found("other");
    certificate_issue(&ca, "server", "IP:127.0.0.1");
    certificate_issue(&ca, "named", "DNS:redis.example");
    certificate_issue(&ca, "client", "DNS:client");
    certificate_issue(&other, "stranger", "DNS:client");
    authority_forget(&ca);
    authority_forget(&other);
}

static void begin(void)
{
    begin_world();
    struct fleet_server like = {.frozen = true, .certificate = "server"};
    const char *at = world.directory;
    fleet_use_url("rediss://127.0.0.1:%u?ca=%s/ca.pem&cert=%s/client.pem&key=%s/client.key",
                  fleet_start(like)->port, at, at, at);
}

static void end(void)
{
    static const char *const files[] = {"ca.pem",       "other.pem",   "server.pem", "server.key",
                                        "named.pem",    "named.key",   "client.pem", "client.key",
                                        "stranger.pem", "stranger.key"};
    char path[160];
    fleet_end_all();
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", world.directory, files[i]);
        unlink(path);
    }
    world_end();
}

static struct cg_store *open_handle(void)
{
    return open_handle_of(world.redis);
}

static void wait_until(const bool *done)
{
    WORLD_UNTIL(*done);
}

static int64_t now_ms(void)
{
    return atomic_load(world.now_ms);
}

static void pass_time(int64_t ms)
{
    atomic_fetch_add(world.now_ms, ms);
}

static const struct contract_factory contract_factory = {
    begin, end, open_handle, cg_redis_close, wait_until, now_ms, pass_time,
};

/* ---- whom we believe, and who believes us ---- */

TestSuite(tls, .init = begin_world, .fini = end);

/* `why`: a part of what is logged, or NULL when all is well. */
static void expect_reach(unsigned port, const char *why, const char *options)
{
    const char *at = world.directory;
    char text[512] = "";
    size_t length = 0;
    for (; *options != '\0'; options++) /* @ stands for the directory */
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   *options == '@' ? "%s" : "%.1s", *options == '@' ? at : options);
    fleet_use_url("rediss://127.0.0.1:%u?%s", port, text);
    fleet_catch_log();
    struct cg_store *store = cg_redis_open(world.redis, &world.context, &world.clock);
    WORLD_UNTIL(why == NULL ? is_available(store) : fleet_logged(why));
    cr_expect_eq(is_available(store), why == NULL, "%s", options);
    fleet_release_log();
    cg_redis_close(store);
}

#define OURS "&cert=@/client.pem&key=@/client.key"

Test(tls, server_and_we_must_have_certificates_of_the_authority)
{
    struct fleet_server like = {.certificate = "server"};
    unsigned port = fleet_start(like)->port;
    expect_reach(port, NULL, "ca=@/ca.pem" OURS);
    expect_reach(port, "no connection", "ca=@/other.pem" OURS);
    expect_reach(port, "no connection", OURS);
    expect_reach(port, NULL, "verify=off" OURS);
    expect_reach(port, "no connection", "ca=@/ca.pem");
    expect_reach(port, "no connection", "ca=@/ca.pem&cert=@/stranger.pem&key=@/stranger.key");
    expect_reach(port, "no connection", "ca=@/ca.pem&server_name=redis.example" OURS);
    expect_reach(port, NULL, "verify=off&server_name=redis.example" OURS);
}

Test(tls, name_of_the_certificate_may_be_given)
{
    struct fleet_server like = {.certificate = "named"};
    unsigned port = fleet_start(like)->port;
    expect_reach(port, NULL, "ca=@/ca.pem&server_name=redis.example" OURS);
    expect_reach(port, "no connection", "ca=@/ca.pem" OURS);
    expect_reach(port, "no connection", "ca=@/ca.pem&server_name=example" OURS);
}

/* ---- sentinels and Clusters ---- */

static void expect_service(void)
{
    here = open_handle();
    there = open_handle();
    for (uint8_t name = 1; name < 7; name++) {
        struct cg_version before = prepare(here, name);
        cr_assert_eq(fill(here, name, CG_STR("entry"), 60000), CG_STORE_OK);
        cr_expect_str_eq(look_up(there, name, NULL, 0).entry, "entry");
        purge(there, name);
        expect_renewed(name, before, "purged");
    }
    while (contract_snapshot_count > 0)
        cg_bans_unref(contract_snapshots[--contract_snapshot_count]);
    cg_redis_close(here);
    cg_redis_close(there);
}

Test(tls, cluster_has_it_to_every_node)
{
    const char *at = world.directory;
    fleet_start_cluster(false, true, "server");
    fleet_use_url("rediss+cluster://127.0.0.1:%u?ca=%s/ca.pem&cert=%s/client.pem&key=%s/client.key",
                  fleet.servers[1].port, at, at, at);
    expect_service();
}

Test(tls, sentinels_have_it_too)
{
    const char *at = world.directory;
    fleet_start_sentinels(1, true, "named", NULL);
    fleet_use_url("rediss+sentinel://127.0.0.1:%u/main?ca=%s/ca.pem&cert=%s/client.pem&"
                  "key=%s/client.key&server_name=redis.example",
                  fleet.servers[FLEET_SENTINEL].port, at, at, at);
    expect_service();
}
