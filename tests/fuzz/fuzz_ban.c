/* Lines of a ban's pattern, a user, and targets to judge by it. What the pattern names literally is
 * covered by it; a list that grew never covers less. */
#include "cachegate/assert.h"
#include "cachegate/ban.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_arena arena;
    struct cg_str rest = cg_str_of((const char *)data, size), line;
    struct cg_ban ban = {{NULL, 0}, {NULL, 0}};
    if (size == 0 || size > 65536)
        return 0;
    cg_arena_init(&arena, 64 << 20);
    (void)cg_str_split(&rest, '\n', &ban.pattern);
    (void)cg_str_split(&rest, '\n', &ban.user);
    struct cg_bans *empty = cg_bans_create(1);
    struct cg_bans *one = cg_bans_append(empty, &ban, 1, 0, 1000);
    struct cg_bans *two =
        cg_bans_append(one, &(struct cg_ban){CG_STR("/else"), {NULL, 0}}, 1, 1, 1000);
    struct cg_epoch epoch = cg_bans_epoch(empty);
    while (arena.used < (32 << 20) && cg_str_split(&rest, '\n', &line)) {
        struct cg_path path;
        struct cg_query query;
        if (cg_path_parse(line, &arena, &path, &query) != CG_PATH_OK)
            continue;
        CG_ASSERT(!cg_bans_cover(empty, epoch, &path, &query, ban.user));
        bool covered = cg_bans_cover(one, epoch, &path, &query, ban.user);
        CG_ASSERT(!covered || cg_bans_cover(two, epoch, &path, &query, ban.user));
        bool is_pattern = cg_str_find(ban.pattern, '*') < ban.pattern.length ||
                          cg_str_find(ban.pattern, '{') < ban.pattern.length;
        CG_ASSERT(covered || is_pattern || !cg_str_eq(line, ban.pattern));
        CG_ASSERT(!cg_bans_cover(one, cg_bans_epoch(one), &path, &query, ban.user));
    }
    cg_bans_unref(two);
    cg_bans_unref(one);
    cg_bans_unref(empty);
    cg_arena_fini(&arena);
    return 0;
}
