#include "cachegate/redis_slot.h"

/* Polynomial 0x1021, four bits at a time. */
static uint16_t crc16(struct cg_str text)
{
    static const uint16_t steps[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                       0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                       0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    unsigned crc = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned byte = (unsigned char)text.bytes[i];
        crc = ((crc << 4) ^ steps[((crc >> 12) ^ (byte >> 4)) & 15]) & 0xffff;
        crc = ((crc << 4) ^ steps[((crc >> 12) ^ byte) & 15]) & 0xffff;
    }
    return (uint16_t)crc;
}

uint16_t cg_redis_slot_of(struct cg_str key)
{
    size_t open = cg_str_find(key, '{');
    struct cg_str behind = cg_str_skip(key, open + 1);
    size_t length = cg_str_find(behind, '}');
    if (open < key.length && length > 0 && length < behind.length)
        key = cg_str_sub(behind, 0, length);
    return crc16(key) % CG_REDIS_SLOTS;
}
