/* Eight bytes of time, then a value: only a value without marks is ever CURRENT. */
#include "cachegate/assert.h"
#include "cachegate/version_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t now_ms;
    struct cg_version version;
    bool ended;
    if (size < sizeof(now_ms))
        return 0;
    memcpy(&now_ms, data, sizeof(now_ms));
    struct cg_str value = cg_str_of((const char *)data + sizeof(now_ms), size - sizeof(now_ms));
    bool known = cg_version_value_read(value, now_ms, &version, &ended);
    CG_ASSERT(known || (version.state == CG_VERSION_ABSENT && !ended));
    CG_ASSERT(version.state != CG_VERSION_CURRENT || value.length == CG_VERSION_VALUE_BYTES);
    CG_ASSERT(!ended || version.state == CG_VERSION_ABSENT);
    if (version.state == CG_VERSION_CURRENT) {
        char again[CG_VERSION_VALUE_BYTES];
        cg_version_value_write(&version.token, again);
        CG_ASSERT(memcmp(again, value.bytes, sizeof(again)) == 0);
    }
    return 0;
}
