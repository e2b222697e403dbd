#include "cachegate/redis_map.h"

#include <stdio.h>

#include "cachegate/assert.h"

enum { PORT_MAX = 65535 };

static int compare(const struct cg_redis_address *a, const struct cg_redis_address *b)
{
    int result = strcmp(a->host, b->host);
    if (result == 0)
        result = (int)a->port - (int)b->port;
    return result != 0 ? result : strcmp(a->socket_path, b->socket_path);
}

bool cg_redis_address_eq(const struct cg_redis_address *a, const struct cg_redis_address *b)
{
    return compare(a, b) == 0;
}

bool cg_redis_address_set(struct cg_redis_address *address, struct cg_str host, uint64_t port)
{
    *address = (struct cg_redis_address){0};
    if (cg_str_empty(host) || host.length >= sizeof(address->host) || port == 0 || port > PORT_MAX)
        return false;
    for (size_t i = 0; i < host.length; i++) {
        char c = host.bytes[i];
        if (!cg_is_alpha(c) && !cg_is_digit(c) && c != '-' && c != '.' && c != '_' && c != ':')
            return false;
        address->host[i] = c;
    }
    address->port = (uint16_t)port;
    return true;
}

const char *cg_redis_address_text(const struct cg_redis_address *address,
                                  char room[CG_REDIS_ADDRESS_TEXT_MAX])
{
    bool brackets = strchr(address->host, ':') != NULL;
    int length;
    if (address->socket_path[0] != '\0')
        length = snprintf(room, CG_REDIS_ADDRESS_TEXT_MAX, "%s", address->socket_path);
    else
        length = snprintf(room, CG_REDIS_ADDRESS_TEXT_MAX, "%s%s%s:%u", brackets ? "[" : "",
                          address->host, brackets ? "]" : "", (unsigned)address->port);
    CG_ASSERT(length > 0 && length < CG_REDIS_ADDRESS_TEXT_MAX);
    return room;
}

void cg_redis_map_init(struct cg_redis_map *map)
{
    memset(map, 0, sizeof(*map));
    memset(map->owners, CG_REDIS_NOBODY, sizeof(map->owners));
}

bool cg_redis_map_add(struct cg_redis_map *map, const struct cg_redis_address *address,
                      uint64_t first, uint64_t last)
{
    size_t shard = 0;
    if (first > last || last >= CG_REDIS_SLOTS)
        return false;
    while (shard < map->shard_count && compare(&map->shards[shard], address) != 0)
        shard++;
    if (shard == CG_REDIS_SHARDS_MAX)
        return false;
    if (shard == map->shard_count)
        map->shards[map->shard_count++] = *address;
    for (size_t slot = first; slot <= last; slot++) {
        if (map->owners[slot] != CG_REDIS_NOBODY && map->owners[slot] != shard)
            return false;
        map->owners[slot] = (uint8_t)shard;
    }
    return true;
}

bool cg_redis_map_finish(struct cg_redis_map *map)
{
    uint8_t place[CG_REDIS_SHARDS_MAX]; /* by rank: how many come before */
    struct cg_redis_address sorted[CG_REDIS_SHARDS_MAX];
    for (size_t i = 0; i < map->shard_count; i++) {
        place[i] = 0;
        for (size_t j = 0; j < map->shard_count; j++)
            if (compare(&map->shards[j], &map->shards[i]) < 0)
                place[i]++;
        sorted[place[i]] = map->shards[i];
    }
    memcpy(map->shards, sorted, map->shard_count * sizeof(sorted[0]));
    for (size_t slot = 0; slot < CG_REDIS_SLOTS; slot++)
        if (map->owners[slot] != CG_REDIS_NOBODY)
            map->owners[slot] = place[map->owners[slot]];
    return map->shard_count > 0;
}

bool cg_redis_map_eq(const struct cg_redis_map *a, const struct cg_redis_map *b)
{
    if (a->shard_count != b->shard_count || memcmp(a->owners, b->owners, sizeof(a->owners)) != 0)
        return false;
    for (size_t i = 0; i < a->shard_count; i++)
        if (compare(&a->shards[i], &b->shards[i]) != 0)
            return false;
    return true;
}

void cg_redis_map_whole(struct cg_redis_map *map, const struct cg_redis_address *address)
{
    cg_redis_map_init(map);
    CG_ASSERT(cg_redis_map_add(map, address, 0, CG_REDIS_SLOTS - 1));
}
