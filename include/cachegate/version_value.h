/*
 * version_value: how the version of an instance is written in a store that others share.
 *
 * One byte of format, the base token, then a mark for each writer in flight: its id and, in eight
 * bytes little-endian, the moment it ends (Unix milliseconds of the store's clock). Pure: what a
 * value means at `now_ms`. A value with any mark is never CURRENT, so a reader's clock decides only
 * between BUSY and ABSENT; settling ended marks is the store's work, by its own clock. Formats that
 * are not known read ABSENT.
 */
#ifndef CACHEGATE_VERSION_VALUE_H
#define CACHEGATE_VERSION_VALUE_H

#include "cachegate/str.h"
#include "cachegate/version.h"

enum {
    CG_VERSION_VALUE_FORMAT = 1,
    CG_VERSION_VALUE_BYTES = 1 + CG_DIGEST_BYTES, /* without marks */
    CG_VERSION_VALUE_MARK_BYTES = CG_DIGEST_BYTES + 8,
    CG_VERSION_VALUE_MARKS_MAX = 1024,
};

/* A value without marks. */
void cg_version_value_write(const struct cg_token *token, char ret_bytes[CG_VERSION_VALUE_BYTES]);
/* False: nothing can be made of it (ABSENT too). *ret_ended: it has marks and all of them ended. */
bool cg_version_value_read(struct cg_str value, int64_t now_ms, struct cg_version *ret_version,
                           bool *ret_ended);

#endif
