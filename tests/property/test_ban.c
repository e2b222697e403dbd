/* Snapshots against a plain list that never forgets. */
#include "cachegate/ban.h"

#include "property/seed.h"

#include <criterion/criterion.h>

enum { BANS = 60, PATHS = 4, HORIZON_MS = 40 };

static const char *const patterns[PATHS] = {"/a", "/b", "/c", "/d"};

Test(ban, a_snapshot_never_acquits_what_some_ban_covers)
{
    struct seed seed = seed_init();
    size_t acquitted = 0;
    for (size_t round = 0; round < 300; round++) {
        struct cg_arena arena;
        size_t banned[BANS], count = 0;
        int64_t now_ms = 0;
        cg_arena_init(&arena, 4 << 20);
        struct cg_bans *bans = cg_bans_create(round);
        while (count < BANS - 3) {
            struct cg_ban added[3];
            size_t more = seed_below(&seed, 4);
            for (size_t i = 0; i < more; i++) {
                banned[count] = seed_below(&seed, PATHS);
                added[i] = (struct cg_ban){cg_str_from(patterns[banned[count++]]), {NULL, 0}};
            }
            now_ms += (int64_t)seed_below(&seed, 5);
            struct cg_bans *next = cg_bans_append(bans, added, more, now_ms, HORIZON_MS);
            cg_bans_unref(bans);
            bans = next;
            cr_assert_eq(cg_bans_epoch(bans).counter, count);
            size_t entry_path = seed_below(&seed, PATHS),
                   entry_counter = seed_below(&seed, count + 1);
            bool must = false;
            for (size_t i = entry_counter; i < count; i++)
                must = must || banned[i] == entry_path;
            struct cg_path path;
            struct cg_query query;
            cr_assert_eq(cg_path_parse(cg_str_from(patterns[entry_path]), &arena, &path, &query),
                         CG_PATH_OK);
            bool covered = cg_bans_cover(bans, (struct cg_epoch){round, entry_counter}, &path,
                                         &query, CG_STR(""));
            acquitted += !covered;
            cr_assert(covered || !must, "CACHEGATE_SEED=%llu, round %zu, ban %zu",
                      (unsigned long long)seed.start, round, count);
            cr_assert(entry_counter < count || !covered, "nothing was banned since");
        }
        cg_bans_unref(bans);
        cg_arena_fini(&arena);
    }
    cr_expect_gt(acquitted, 500, "too few are free: %zu", acquitted);
}
