#include "cachegate/redis_map.h"

#include <criterion/criterion.h>

static struct cg_redis_address at(const char *host, unsigned port)
{
    struct cg_redis_address address;
    cr_assert(cg_redis_address_set(&address, cg_str_from(host), port), "%s", host);
    return address;
}

static const struct cg_redis_address *owner_of(const struct cg_redis_map *map, size_t slot)
{
    return map->owners[slot] == CG_REDIS_NOBODY ? NULL : &map->shards[map->owners[slot]];
}

Test(redis_map, order_of_ranges_makes_no_difference)
{
    static struct cg_redis_map one, two, other;
    struct cg_redis_address a = at("10.0.0.1", 7000), b = at("10.0.0.1", 7001), c = at("::1", 1);
    cg_redis_map_init(&one);
    cr_assert(cg_redis_map_add(&one, &a, 0, 99) && cg_redis_map_add(&one, &c, 100, 100) &&
              cg_redis_map_add(&one, &b, 200, 16383) && cg_redis_map_add(&one, &a, 150, 199));
    cr_assert(cg_redis_map_finish(&one));
    cg_redis_map_init(&two);
    cr_assert(cg_redis_map_add(&two, &b, 300, 16383) && cg_redis_map_add(&two, &a, 150, 199) &&
              cg_redis_map_add(&two, &b, 200, 299) && cg_redis_map_add(&two, &c, 100, 100) &&
              cg_redis_map_add(&two, &a, 0, 99));
    cr_assert(cg_redis_map_finish(&two));
    cr_expect(cg_redis_map_eq(&one, &two));
    cr_expect_eq(one.shard_count, 3);
    cr_expect(cg_redis_address_eq(owner_of(&one, 0), &a));
    cr_expect(cg_redis_address_eq(owner_of(&one, 199), &a));
    cr_expect(cg_redis_address_eq(owner_of(&one, 100), &c));
    cr_expect(cg_redis_address_eq(owner_of(&one, 16383), &b));
    cr_expect_null(owner_of(&one, 101), "nobody serves it");
    other = one;
    other.owners[101] = 0;
    cr_expect_not(cg_redis_map_eq(&one, &other));
    other = one;
    other.shards[0].port++;
    cr_expect_not(cg_redis_map_eq(&one, &other));
}

Test(redis_map, nonsense_is_refused)
{
    static struct cg_redis_map map;
    struct cg_redis_address a = at("a", 1), b = at("b", 1);
    cg_redis_map_init(&map);
    cr_expect_not(cg_redis_map_finish(&map), "a map without servers");
    cr_expect_not(cg_redis_map_add(&map, &a, 0, 16384));
    cr_expect_not(cg_redis_map_add(&map, &a, 5, 4));
    cr_expect_not(cg_redis_map_add(&map, &a, UINT64_MAX, UINT64_MAX));
    cr_expect(cg_redis_map_add(&map, &a, 0, 10));
    cr_expect(cg_redis_map_add(&map, &a, 10, 11), "its own already");
    cr_expect_not(cg_redis_map_add(&map, &b, 11, 12), "two owners");
}

Test(redis_map, primaries_are_bounded)
{
    static struct cg_redis_map map;
    cg_redis_map_init(&map);
    for (unsigned i = 0; i < CG_REDIS_SHARDS_MAX; i++) {
        struct cg_redis_address address = at("h", i + 1);
        cr_assert(cg_redis_map_add(&map, &address, i, i));
    }
    struct cg_redis_address last = at("h", 64), more = at("h", 65);
    cr_expect_not(cg_redis_map_add(&map, &more, 100, 100));
    cr_expect(cg_redis_map_add(&map, &last, 100, 100));
    cr_expect(cg_redis_map_finish(&map));
}

Test(redis_map, one_server_owns_all)
{
    static struct cg_redis_map map;
    struct cg_redis_address socket = {.socket_path = "/run/redis.sock"};
    char room[CG_REDIS_ADDRESS_TEXT_MAX];
    cg_redis_map_whole(&map, &socket);
    cr_expect_eq(map.shard_count, 1);
    for (size_t slot = 0; slot < CG_REDIS_SLOTS; slot++)
        cr_assert_eq(map.owners[slot], 0);
    cr_expect_str_eq(cg_redis_address_text(&map.shards[0], room), "/run/redis.sock");
}

Test(redis_map, addresses_are_checked_and_shown)
{
    struct cg_redis_address address;
    char room[CG_REDIS_ADDRESS_TEXT_MAX], name[257];
    static const char *const bad[] = {"", "?", "a b", "a/b", "a\nb", "[::1]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(cg_redis_address_set(&address, cg_str_from(bad[i]), 1), "%s", bad[i]);
    cr_expect_not(cg_redis_address_set(&address, CG_STR("a"), 0));
    cr_expect_not(cg_redis_address_set(&address, CG_STR("a"), 65536));
    memset(name, 'a', sizeof(name));
    cr_expect_not(cg_redis_address_set(&address, cg_str_of(name, 256), 1));
    cr_expect(cg_redis_address_set(&address, cg_str_of(name, 255), 65535));
    cr_expect_eq(strlen(cg_redis_address_text(&address, room)), 255 + 6);
    address = at("::1", 7000);
    cr_expect_str_eq(cg_redis_address_text(&address, room), "[::1]:7000");
    address = at("r.example", 1);
    cr_expect_str_eq(cg_redis_address_text(&address, room), "r.example:1");
}
