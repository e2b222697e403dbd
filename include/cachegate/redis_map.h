/*
 * redis_map: which Redis servers there are, and which of them owns a slot.
 *
 * A *primary* takes writes; a *shard* is a primary with the slots it owns. A standalone server, and
 * the primary that Sentinel names, own all slots; in a Cluster each owns some. Made in one go:
 * init, add ranges in any order, finish. A finished map is in normal form, so that what says the
 * same compares equal. Pure, flat, owns nothing.
 */
#ifndef CACHEGATE_REDIS_MAP_H
#define CACHEGATE_REDIS_MAP_H

#include "cachegate/redis_slot.h"
#include "cachegate/redis_url.h"

enum {
    CG_REDIS_SHARDS_MAX = 64,
    CG_REDIS_NOBODY = 255, /* owns a slot that no primary serves */
};

struct cg_redis_map {
    size_t shard_count;
    struct cg_redis_address shards[CG_REDIS_SHARDS_MAX];
    uint8_t owners[CG_REDIS_SLOTS]; /* index into shards, or CG_REDIS_NOBODY */
};

bool cg_redis_address_eq(const struct cg_redis_address *a, const struct cg_redis_address *b);
/* A host as servers tell it of each other, with its port. False when it cannot be one. */
bool cg_redis_address_set(struct cg_redis_address *address, struct cg_str host, uint64_t port);
/* `host:port`, `[host]:port` or the path of the socket, for logs. */
enum { CG_REDIS_ADDRESS_TEXT_MAX = 272 };
const char *cg_redis_address_text(const struct cg_redis_address *address,
                                  char room[CG_REDIS_ADDRESS_TEXT_MAX]);

void cg_redis_map_init(struct cg_redis_map *map);
/* The primary at `address` owns the slots `first` to `last`. False, with the map half made, when
 * they are no slots, when somebody else owns one of them already, or with too many primaries. */
bool cg_redis_map_add(struct cg_redis_map *map, const struct cg_redis_address *address,
                      uint64_t first, uint64_t last);
/* Orders the shards by their addresses. False when there is none. */
bool cg_redis_map_finish(struct cg_redis_map *map);
bool cg_redis_map_eq(const struct cg_redis_map *a, const struct cg_redis_map *b);
/* One server that owns all. */
void cg_redis_map_whole(struct cg_redis_map *map, const struct cg_redis_address *address);

#endif
