/* Who owns a slot does not depend on the order in which a map was told; keys with one tag are never
 * apart. */
#include "cachegate/redis_map.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "property/seed.h"

enum { ROUNDS = 300, RANGES_MAX = 200, ROOM = 64 };

struct range {
    struct cg_redis_address owner;
    size_t first, last;
};

/* Cuts the slots into ranges, some of which nobody owns. */
static size_t make_ranges(struct seed *seed, struct range *ranges)
{
    size_t count = 0;
    size_t servers = 1 + seed_below(seed, CG_REDIS_SHARDS_MAX);
    for (size_t slot = 0; slot < CG_REDIS_SLOTS && count < RANGES_MAX;) {
        size_t last = slot + seed_below(seed, 500);
        if (last >= CG_REDIS_SLOTS)
            last = CG_REDIS_SLOTS - 1;
        struct range *range = &ranges[count];
        *range = (struct range){.first = slot, .last = last};
        snprintf(range->owner.host, sizeof(range->owner.host), "10.0.0.%u",
                 (unsigned)seed_below(seed, servers));
        range->owner.port = 6379;
        count += seed_below(seed, 8) != 0;
        slot = last + 1;
    }
    return count;
}

static void shuffle(struct seed *seed, struct range *ranges, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = seed_below(seed, i);
        struct range kept = ranges[i - 1];
        ranges[i - 1] = ranges[other];
        ranges[other] = kept;
    }
}

static void make_map(struct cg_redis_map *map, const struct range *ranges, size_t count)
{
    cg_redis_map_init(map);
    for (size_t i = 0; i < count; i++)
        cr_assert(cg_redis_map_add(map, &ranges[i].owner, ranges[i].first, ranges[i].last));
    cr_assert_eq(cg_redis_map_finish(map), count > 0);
}

Test(redis_map, order_makes_no_difference)
{
    static struct range ranges[RANGES_MAX + 1];
    static struct cg_redis_map one, two;
    struct seed seed = seed_init();
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t count = make_ranges(&seed, ranges), owned = 0, expected = 0;
        make_map(&one, ranges, count);
        shuffle(&seed, ranges, count);
        make_map(&two, ranges, count);
        cr_assert(cg_redis_map_eq(&one, &two), "seed %llu", (unsigned long long)seed.start);
        for (size_t i = 0; i < count; i++) {
            size_t slot = ranges[i].first + seed_below(&seed, ranges[i].last - ranges[i].first + 1);
            expected += ranges[i].last - ranges[i].first + 1;
            cr_assert_neq(two.owners[slot], CG_REDIS_NOBODY);
            cr_assert(cg_redis_address_eq(&two.shards[two.owners[slot]], &ranges[i].owner),
                      "seed %llu", (unsigned long long)seed.start);
        }
        for (size_t slot = 0; slot < CG_REDIS_SLOTS; slot++)
            owned += two.owners[slot] != CG_REDIS_NOBODY;
        cr_assert_eq(owned, expected, "seed %llu", (unsigned long long)seed.start);
    }
}

static size_t make_text(struct seed *seed, char *room)
{
    size_t length = seed_below(seed, ROOM / 4);
    for (size_t i = 0; i < length; i++)
        room[i] = (char)seed_below(seed, 256);
    return length;
}

Test(redis_slot, what_stands_around_a_tag_makes_no_difference)
{
    struct seed seed = seed_init();
    for (unsigned round = 0; round < ROUNDS; round++) {
        char key[ROOM], tag[ROOM];
        size_t before = make_text(&seed, key), length = 1 + make_text(&seed, tag);
        for (size_t i = 0; i < before; i++)
            key[i] = key[i] == '{' ? 'x' : key[i];
        tag[length - 1] = 'x'; /* not empty */
        for (size_t i = 0; i < length; i++)
            tag[i] = tag[i] == '}' || tag[i] == '{' ? 'x' : tag[i];
        size_t end = before;
        key[end++] = '{';
        memcpy(key + end, tag, length);
        end += length;
        key[end++] = '}';
        end += make_text(&seed, key + end);
        unsigned slot = cg_redis_slot_of(cg_str_of(key, end));
        cr_assert_lt(slot, CG_REDIS_SLOTS);
        cr_assert_eq(slot, cg_redis_slot_of(cg_str_of(tag, length)), "seed %llu",
                     (unsigned long long)seed.start);
    }
}
