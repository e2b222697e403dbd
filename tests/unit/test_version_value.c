#include "cachegate/version_value.h"

#include <criterion/criterion.h>

enum { NOW_MS = 1000000, ROOM = CG_VERSION_VALUE_BYTES + 1100 * CG_VERSION_VALUE_MARK_BYTES };

static const struct cg_token token = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static char bytes[ROOM];

static struct cg_str value_with(size_t count, const uint64_t *deadlines_ms)
{
    cg_version_value_write(&token, bytes);
    for (size_t i = 0; i < count; i++) {
        char *mark = bytes + CG_VERSION_VALUE_BYTES + i * CG_VERSION_VALUE_MARK_BYTES;
        memset(mark, (int)i, CG_DIGEST_BYTES);
        for (unsigned j = 0; j < 8; j++)
            mark[CG_DIGEST_BYTES + j] = (char)(deadlines_ms[i] >> (8 * j));
    }
    return cg_str_of(bytes, CG_VERSION_VALUE_BYTES + count * CG_VERSION_VALUE_MARK_BYTES);
}

Test(version_value, state_follows_from_the_marks_and_the_readers_clock)
{
    static const struct {
        const char *name;
        size_t count;
        uint64_t deadlines_ms[3];
        enum cg_version_state state;
        bool ended;
    } rows[] = {
        {"no mark", 0, {0}, CG_VERSION_CURRENT, false},
        {"one that lives", 1, {NOW_MS + 1}, CG_VERSION_BUSY, false},
        {"its last moment is over", 1, {NOW_MS}, CG_VERSION_ABSENT, true},
        {"all ended", 3, {1, 2, NOW_MS - 1}, CG_VERSION_ABSENT, true},
        {"the last one lives", 3, {1, 2, UINT64_MAX}, CG_VERSION_BUSY, false},
        {"the first one lives", 2, {NOW_MS + 5, 1}, CG_VERSION_BUSY, false},
    };
    static const struct cg_token zero;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_version version;
        bool ended;
        struct cg_str value = value_with(rows[i].count, rows[i].deadlines_ms);
        cr_expect(cg_version_value_read(value, NOW_MS, &version, &ended), "%s", rows[i].name);
        cr_expect_eq(version.state, rows[i].state, "%s", rows[i].name);
        cr_expect_eq(ended, rows[i].ended, "%s", rows[i].name);
        cr_expect(cg_token_eq(&version.token, rows[i].count == 0 ? &token : &zero), "%s",
                  rows[i].name);
    }
}

Test(version_value, anything_else_reads_absent)
{
    static uint64_t deadlines_ms[1025];
    struct cg_version version;
    bool ended;
    for (size_t i = 0; i < 1025; i++)
        deadlines_ms[i] = UINT64_MAX;
    for (size_t length = 0; length < 100; length++) {
        struct cg_str value = cg_str_sub(value_with(4, deadlines_ms), 0, length);
        bool whole = length >= CG_VERSION_VALUE_BYTES &&
                     (length - CG_VERSION_VALUE_BYTES) % CG_VERSION_VALUE_MARK_BYTES == 0;
        cr_expect_eq(cg_version_value_read(value, NOW_MS, &version, &ended), whole, "%zu", length);
        cr_expect_eq(version.state == CG_VERSION_ABSENT, !whole, "%zu", length);
    }
    struct cg_str value = value_with(0, deadlines_ms);
    bytes[0] = 2;
    cr_expect_not(cg_version_value_read(value, NOW_MS, &version, &ended), "another format");
    cr_expect(cg_version_value_read(value_with(1024, deadlines_ms), NOW_MS, &version, &ended));
    cr_expect_not(cg_version_value_read(value_with(1025, deadlines_ms), NOW_MS, &version, &ended));
}
