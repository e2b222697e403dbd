#include "cachegate/ban.h"

#include <criterion/criterion.h>

static struct cg_arena arena;

static void init(void)
{
    cg_arena_init(&arena, 16 << 20);
}

static void fini(void)
{
    cg_arena_fini(&arena);
}

TestSuite(ban, .init = init, .fini = fini);

/* A snapshot takes the place of the one that it was made from. */
static struct cg_bans *append(struct cg_bans *bans, const char *pattern, const char *user,
                              int64_t now_ms)
{
    struct cg_ban ban = {cg_str_from(pattern), cg_str_from(user)};
    struct cg_bans *next = cg_bans_append(bans, &ban, 1, now_ms, 1000);
    cg_bans_unref(bans);
    return next;
}

static bool covers(const struct cg_bans *bans, uint64_t counter, const char *target,
                   const char *user)
{
    struct cg_epoch epoch = {cg_bans_epoch(bans).generation, counter};
    struct cg_path path;
    struct cg_query query;
    cr_assert_eq(cg_path_parse(cg_str_from(target), &arena, &path, &query), CG_PATH_OK);
    return cg_bans_cover(bans, epoch, &path, &query, cg_str_from(user));
}

Test(ban, patterns_cover_what_they_match)
{
    static const struct {
        const char *pattern, *user, *target, *reader;
        bool covered;
    } rows[] = {
        {"", "", "/a?b=c", "u", true},
        {NULL, NULL, "/", "", true},
        {"/a/b", "", "/a/b", "", true},
        {"/a/b", "", "/a/b?x=1", "", true},
        {"/a/b", "", "/a", "", false},
        {"/a/*", "", "/a/b", "", true},
        {"/a/*", "", "/a/b/c", "", false},
        {"/a/**", "", "/a", "", true},
        {"/a/**", "", "/a/b/c", "", true},
        {"/a/**", "", "/b", "", false},
        {"/a%2Fb", "", "/a%2fb", "", true},
        {"/a%2Fb", "", "/a/b", "", false},
        {"/%2A", "", "/x", "", false},
        {"/%2A", "", "/*", "", true},
        {"/a?x=1", "", "/a?x=1", "", true},
        {"/a?x=1", "", "/a?x=2", "", false},
        {"/a?x=1", "", "/a?x=2&x=1", "", true},
        {"/a?x=1", "", "/a", "", true},
        {"/a?x=1", "", "/a?y=2", "", true},
        {"/a?x=1&y=2", "", "/a?x=1&y=2", "", true},
        {"/a?x=1&y=2", "", "/a?x=1&y=3", "", false},
        {"/a?x=1&y=2", "", "/a?x=1", "", true},
        {"/a?x=a%20b", "", "/a?x=a+b", "", true},
        {"/a?x={hole}", "", "/a?x=anything", "", true},
        {"/{hole}", "", "/a", "", true},
        {"/a", "alice", "/a", "alice", true},
        {"/a", "alice", "/a", "bob", false},
        {"/a", "alice", "/a", "", false},
        {"", "alice", "/b", "bob", false},
        {"/a/b*", "", "/z", "", true}, /* no pattern: everything */
        {"nonsense", "", "/z", "", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_bans *bans = append(cg_bans_create(7), rows[i].pattern, rows[i].user, 0);
        cr_expect_eq(covers(bans, 0, rows[i].target, rows[i].reader), rows[i].covered, "%s %s %s",
                     rows[i].pattern, rows[i].target, rows[i].reader);
        cr_expect_not(covers(bans, 1, rows[i].target, rows[i].reader), "later entries are free");
        cg_bans_unref(bans);
    }
}

Test(ban, too_long_a_pattern_is_everything)
{
    char text[CG_BAN_TEXT_MAX + 2];
    memset(text, 'a', sizeof text);
    text[0] = '/';
    text[sizeof text - 1] = '\0';
    struct cg_bans *bans = append(cg_bans_create(7), text, "", 0);
    cr_expect(covers(bans, 0, "/b", ""));
    cg_bans_unref(bans);
}

Test(ban, each_ban_makes_one_epoch_and_covers_older_entries_only)
{
    struct cg_bans *bans = cg_bans_create(7);
    cr_expect_eq(cg_bans_epoch(bans).counter, 0);
    cr_expect_not(covers(bans, 0, "/a", ""));
    bans = append(bans, "/a", "", 0);
    bans = append(bans, "/b", "", 0);
    cr_expect_eq(cg_bans_epoch(bans).counter, 2);
    cr_expect_eq(cg_bans_epoch(bans).generation, 7);
    cr_expect_eq(cg_bans_count(bans), 2);
    cr_expect(covers(bans, 0, "/a", "") && covers(bans, 0, "/b", ""));
    cr_expect_not(covers(bans, 1, "/a", ""));
    cr_expect(covers(bans, 1, "/b", ""));
    cr_expect_not(covers(bans, 2, "/b", ""));
    cr_expect(covers(bans, 3, "/z", ""), "what is newer than the list cannot be judged by it");
    struct cg_path path = {NULL, 0};
    struct cg_query query = {NULL, 0};
    cr_expect(cg_bans_cover(bans, (struct cg_epoch){8, 2}, &path, &query, CG_STR("")),
              "another generation");
    cg_bans_unref(bans);
}

Test(ban, snapshots_do_not_change)
{
    struct cg_bans *first = append(cg_bans_create(7), "/a", "", 0);
    struct cg_bans *second = append(cg_bans_ref(first), "/b", "", 0);
    cr_expect_eq(cg_bans_count(first), 1);
    cr_expect_not(covers(first, 0, "/b", ""));
    cr_expect(covers(second, 0, "/a", "") && covers(second, 0, "/b", ""));
    cr_expect_null(cg_bans_unref(first));
    cr_expect(covers(second, 0, "/a", ""), "bans are shared, not borrowed");
    cg_bans_unref(second);
    cr_expect_null(cg_bans_unref(NULL));
}

Test(ban, what_is_dropped_kills_older_entries)
{
    struct cg_bans *bans = append(cg_bans_create(7), "/a", "", 0);
    bans = append(bans, "/b", "", 900);
    cr_expect_eq(cg_bans_count(bans), 2);
    bans = append(bans, "/c", "", 1001);
    cr_expect_eq(cg_bans_count(bans), 2, "the first is over the horizon");
    cr_expect(covers(bans, 0, "/z", ""), "older than the list");
    cr_expect_not(covers(bans, 1, "/z", ""));
    cr_expect(covers(bans, 1, "/b", ""));
    cr_expect_eq(cg_bans_epoch(bans).counter, 3);
    cg_bans_unref(bans);
}

Test(ban, the_list_is_bounded)
{
    struct cg_bans *bans = cg_bans_create(7);
    for (int i = 0; i < CG_BANS_MAX + 5; i++)
        bans = append(bans, "/a", "", 0);
    cr_expect_eq(cg_bans_count(bans), CG_BANS_MAX);
    cr_expect(covers(bans, 4, "/z", ""));
    cr_expect_not(covers(bans, 5, "/z", ""));
    struct cg_ban *many = CG_ARENA_ARRAY(&arena, struct cg_ban, CG_BANS_MAX + 3);
    for (size_t i = 0; i < CG_BANS_MAX + 3; i++)
        many[i].pattern = CG_STR("/b");
    struct cg_bans *next = cg_bans_append(bans, many, CG_BANS_MAX + 3, 0, 1000);
    cr_expect_eq(cg_bans_count(next), CG_BANS_MAX);
    uint64_t last = cg_bans_epoch(bans).counter;
    cr_expect_eq(cg_bans_epoch(next).counter, last + CG_BANS_MAX + 3);
    cr_expect(covers(next, last + 2, "/z", ""));
    cr_expect_not(covers(next, last + 3, "/z", ""));
    cr_expect(covers(next, last + 3, "/b", ""));
    cg_bans_unref(next);
    cg_bans_unref(bans);
}
