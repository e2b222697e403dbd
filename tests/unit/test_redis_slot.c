#include "cachegate/redis_slot.h"

#include <criterion/criterion.h>

/* What `CLUSTER KEYSLOT` of Redis 7.0.15 says; 0x31c3 is the check value of CRC16/XMODEM. */
Test(redis_slot, slots_are_those_of_redis)
{
    static const struct {
        const char *key;
        unsigned slot;
    } rows[] = {
        {"", 0},
        {"123456789", 0x31c3},
        {"foo", 12182},
        {"bar", 5061},
        {"cachegate:e:-:01000000000000000000000000000000", 4515},
        {"cachegate:{bans}:epoch", 15920},
        {"bans", 15920},
        {"{user1000}.following", 3443},
        {"user1000", 3443},
        {"foo{}{bar}", 8363},
        {"foo{{bar}}zap", 4015},
        {"{bar", 4015},
        {"foo{bar}{zap}", 5061},
        {"}{bar}", 5061},
        {"foo{bar", 15278},
        {"foo}bar", 7223},
        {"{", 4092},
        {"\xff\x80{\xc3\xa9}", 10180},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(cg_redis_slot_of(cg_str_from(rows[i].key)), rows[i].slot, "%s: %u",
                     rows[i].key, cg_redis_slot_of(cg_str_from(rows[i].key)));
}

Test(redis_slot, bytes_of_zero_count)
{
    cr_expect_eq(cg_redis_slot_of(cg_str_of("a\0b", 3)), 8383);
    cr_expect_neq(cg_redis_slot_of(cg_str_of("a\0b", 3)), cg_redis_slot_of(CG_STR("a")));
}
