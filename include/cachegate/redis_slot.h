/*
 * redis_slot: the slot of a Redis Cluster that a key belongs to.
 *
 * Redis Cluster specification, "Key distribution model" and "Hash tags": CRC16 (XMODEM) of the key,
 * or of what stands between its first `{` and the first `}` after that if there is anything, modulo
 * 16384. Pure.
 */
#ifndef CACHEGATE_REDIS_SLOT_H
#define CACHEGATE_REDIS_SLOT_H

#include "cachegate/str.h"

enum { CG_REDIS_SLOTS = 16384 };

uint16_t cg_redis_slot_of(struct cg_str key);

#endif
