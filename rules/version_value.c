#include "cachegate/version_value.h"

#include <string.h>

void cg_version_value_write(const struct cg_token *token, char ret_bytes[CG_VERSION_VALUE_BYTES])
{
    ret_bytes[0] = CG_VERSION_VALUE_FORMAT;
    memcpy(ret_bytes + 1, token->bytes, CG_DIGEST_BYTES);
}

static uint64_t read_u64(const char *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)(uint8_t)bytes[i] << (8 * i);
    return value;
}

bool cg_version_value_read(struct cg_str value, int64_t now_ms, struct cg_version *ret_version,
                           bool *ret_ended)
{
    *ret_version = (struct cg_version){.state = CG_VERSION_ABSENT};
    *ret_ended = false;
    if (value.length < CG_VERSION_VALUE_BYTES || value.bytes[0] != CG_VERSION_VALUE_FORMAT ||
        (value.length - CG_VERSION_VALUE_BYTES) % CG_VERSION_VALUE_MARK_BYTES != 0)
        return false;
    size_t marks = (value.length - CG_VERSION_VALUE_BYTES) / CG_VERSION_VALUE_MARK_BYTES;
    if (marks > CG_VERSION_VALUE_MARKS_MAX)
        return false;
    if (marks == 0) {
        ret_version->state = CG_VERSION_CURRENT;
        memcpy(ret_version->token.bytes, value.bytes + 1, CG_DIGEST_BYTES);
        return true;
    }
    const char *deadline = value.bytes + CG_VERSION_VALUE_BYTES + CG_DIGEST_BYTES;
    for (size_t i = 0; i < marks; i++, deadline += CG_VERSION_VALUE_MARK_BYTES)
        if (now_ms < 0 || read_u64(deadline) > (uint64_t)now_ms)
            ret_version->state = CG_VERSION_BUSY;
    *ret_ended = ret_version->state == CG_VERSION_ABSENT;
    return true;
}
