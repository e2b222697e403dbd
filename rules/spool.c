#include "cachegate/spool.h"

#include <string.h>
#include <xxhash.h>

enum { FORMAT = 1, ID_AT = 8, CHECKSUM_AT = 24 };

static uint64_t checksum_of(const char *bytes, size_t place)
{
    return XXH3_64bits_withSeed(bytes, CHECKSUM_AT, (XXH64_hash_t)place);
}

void cg_spool_record_write(enum cg_spool_kind kind, const uint8_t id[CG_DIGEST_BYTES], size_t place,
                           char ret_bytes[CG_SPOOL_RECORD_BYTES])
{
    memset(ret_bytes, 0, CG_SPOOL_RECORD_BYTES);
    ret_bytes[0] = (char)kind;
    ret_bytes[1] = FORMAT;
    memcpy(ret_bytes + ID_AT, id, CG_DIGEST_BYTES);
    uint64_t checksum = checksum_of(ret_bytes, place);
    for (unsigned i = 0; i < 8; i++)
        ret_bytes[CHECKSUM_AT + i] = (char)(checksum >> (8 * i));
}

static bool is_sound(const char *bytes, size_t place)
{
    uint64_t checksum = checksum_of(bytes, place);
    for (unsigned i = 0; i < 8; i++)
        if ((uint8_t)bytes[CHECKSUM_AT + i] != (uint8_t)(checksum >> (8 * i)))
            return false;
    return bytes[1] == FORMAT;
}

static bool is_blank(struct cg_str bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        if (bytes.bytes[i] != 0)
            return false;
    return true;
}

static void apply(const char *bytes, struct cg_instance *room, size_t room_count,
                  struct cg_spool *spool)
{
    switch (bytes[0]) {
    case CG_SPOOL_PURGE:
        if (spool->count < room_count)
            memcpy(room[spool->count++].id, bytes + ID_AT, CG_DIGEST_BYTES);
        else
            spool->flush = true;
        break;
    case CG_SPOOL_DOUBT:
        spool->doubt = true;
        break;
    case CG_SPOOL_VOID:
        break;
    default: /* a flush, or what only a later format knows */
        spool->flush = true;
        break;
    }
}

void cg_spool_read(struct cg_str bytes, struct cg_instance *room, size_t room_count,
                   struct cg_spool *ret_spool)
{
    size_t place = 0;
    *ret_spool = (struct cg_spool){0};
    while (!is_blank(cg_str_sub(bytes, 0, CG_SPOOL_RECORD_BYTES))) {
        struct cg_str rest = cg_str_skip(bytes, CG_SPOOL_RECORD_BYTES);
        if (bytes.length < CG_SPOOL_RECORD_BYTES || !is_sound(bytes.bytes, place)) {
            /* A header is whole before anything follows it. */
            ret_spool->flush |= place > 0 && !is_blank(rest);
            ret_spool->flush |= place == 0 && !is_blank(bytes);
            return;
        }
        if (place == 0 && bytes.bytes[0] == CG_SPOOL_HEADER) {
            ret_spool->has_header = true;
            memcpy(ret_spool->process, bytes.bytes + ID_AT, CG_DIGEST_BYTES);
        } else {
            apply(bytes.bytes, room, room_count, ret_spool);
        }
        bytes = rest;
        place++;
    }
    if (!is_blank(bytes))
        ret_spool->flush = true;
}
