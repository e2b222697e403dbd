/*
 * Files that change on a real file system, in the ways in which they do (gateway/reload/watch.h).
 */
#include "gateway/base/file_signature.h"
#include "gateway/reload/watch.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENT_MS = 10000, NAME_MAX_BYTES = 256 };

static char folder[NAME_MAX_BYTES];
static struct cg_watch *watch;

static const char *path_of(const char *name)
{
    static char rooms[8][2 * NAME_MAX_BYTES];
    static unsigned next;
    char *room = rooms[next++ % 8];
    snprintf(room, sizeof rooms[0], "%s/%s", folder, name);
    return room;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    cr_assert_not_null(file);
    cr_assert(fputs(text, file) >= 0);
    cr_assert_eq(fclose(file), 0);
}

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/cachegate-watch-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    watch = cg_watch_create(true);
}

static void tear_down(void)
{
    char command[2 * NAME_MAX_BYTES];
    watch = cg_watch_destroy(watch);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static bool set(const char *one, const char *other)
{
    const char *files[] = {path_of(one), other == NULL ? NULL : path_of(other)};
    return cg_watch_set(watch, files, other == NULL ? 1 : 2);
}

/* Waits for an event, and takes it. */
static bool is_told(void)
{
    struct pollfd fd = {.fd = cg_watch_descriptor(watch), .events = POLLIN};
    return poll(&fd, 1, EVENT_MS) == 1 && cg_watch_take(watch);
}

static bool is_quiet(void)
{
    struct pollfd fd = {.fd = cg_watch_descriptor(watch), .events = POLLIN};
    return poll(&fd, 1, 0) == 0;
}

struct digest {
    uint8_t bytes[CG_WATCH_DIGEST_BYTES];
};

static struct digest look(void)
{
    struct digest digest;
    cg_watch_digest(watch, digest.bytes);
    return digest;
}

static bool same(struct digest a, struct digest b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

TestSuite(watch, .init = set_up, .fini = tear_down);

/* What kubelet does, in its order: a fresh folder, a new link, the exchange, the old folder. */
static void kubelet_writes(unsigned number, const char *text)
{
    char fresh[64], old[64], file[96];
    snprintf(fresh, sizeof fresh, "..2026_%u", number);
    snprintf(old, sizeof old, "..2026_%u", number - 1);
    snprintf(file, sizeof file, "%s/rules.yaml", fresh);
    cr_assert_eq(mkdir(path_of(fresh), 0755), 0);
    write_file(file, text);
    cr_assert_eq(symlink(fresh, path_of("..data_tmp")), 0);
    cr_assert_eq(rename(path_of("..data_tmp"), path_of("..data")), 0);
    if (number == 1) {
        cr_assert_eq(symlink("..data/rules.yaml", path_of("rules.yaml")), 0);
        return;
    }
    snprintf(file, sizeof file, "%s/rules.yaml", old);
    cr_assert_eq(unlink(path_of(file)), 0);
    cr_assert_eq(rmdir(path_of(old)), 0);
}

Test(watch, a_mounted_config_map_is_told_of_every_time)
{
    kubelet_writes(1, "first");
    cr_assert(set("rules.yaml", NULL));
    struct digest before = look();
    for (unsigned i = 2; i < 6; i++) {
        char text[16];
        snprintf(text, sizeof text, "number %u", i);
        kubelet_writes(i, text);
        cr_assert(is_told(), "time %u", i);
        struct digest after = look();
        cr_assert_not(same(before, after), "time %u", i);
        before = after;
    }
}

Test(watch, a_file_that_is_replaced_or_written_in_place)
{
    write_file("rules.yaml", "one");
    cr_assert(set("rules.yaml", NULL));
    struct digest before = look();
    for (unsigned i = 0; i < 3; i++) {
        write_file("new", i % 2 == 0 ? "two" : "three");
        cr_assert_eq(rename(path_of("new"), path_of("rules.yaml")), 0);
        cr_assert(is_told());
        struct digest after = look();
        cr_assert_not(same(before, after));
        before = after;
    }
    write_file("rules.yaml", "in place");
    cr_assert(is_told());
    cr_assert_not(same(before, look()));
}

Test(watch, contents_count_and_not_times)
{
    write_file("rules.yaml", "one");
    cr_assert(set("rules.yaml", NULL));
    struct digest before = look();
    write_file("rules.yaml", "one");
    cr_assert(is_told());
    cr_assert(same(before, look()));
}

Test(watch, a_glob_finds_what_comes_and_what_goes)
{
    write_file("a.yaml", "a");
    cr_assert(set("*.yaml", NULL));
    struct digest one = look();
    write_file("b.yaml", "b");
    cr_assert(is_told());
    struct digest two = look();
    cr_assert_not(same(one, two));
    cr_assert_eq(unlink(path_of("b.yaml")), 0);
    cr_assert(is_told());
    cr_assert(same(one, look()));
    cr_assert_eq(rename(path_of("a.yaml"), path_of("c.yaml")), 0);
    cr_assert(is_told());
    cr_assert_not(same(one, look()), "the name counts");
}

Test(watch, a_folder_that_is_replaced_is_found_when_asked_again)
{
    cr_assert_eq(mkdir(path_of("rules"), 0755), 0);
    write_file("rules/a.yaml", "a");
    cr_assert(set("rules/a.yaml", NULL));
    cr_assert_eq(rename(path_of("rules"), path_of("old")), 0);
    cr_assert(is_told());
    cr_assert_not(set("rules/a.yaml", NULL), "it is not there");
    cr_assert_eq(mkdir(path_of("rules"), 0755), 0);
    cr_assert(set("rules/a.yaml", NULL));
    (void)cg_watch_take(watch);
    write_file("rules/a.yaml", "b");
    cr_assert(is_told());
}

Test(watch, what_does_not_matter_any_more_is_not_told)
{
    cr_assert_eq(mkdir(path_of("one"), 0755), 0);
    cr_assert_eq(mkdir(path_of("two"), 0755), 0);
    write_file("one/a", "a");
    write_file("two/b", "b");
    cr_assert(set("one/a", "two/b"));
    cr_assert(set("two/b", NULL));
    (void)cg_watch_take(watch);
    write_file("one/a", "changed");
    cr_assert(is_quiet());
    write_file("two/b", "changed");
    cr_assert(is_told());
}

Test(watch, missing_and_empty_differ)
{
    cr_assert(set("rules.yaml", NULL));
    struct digest missing = look();
    write_file("rules.yaml", "");
    cr_assert_not(same(missing, look()));
}

Test(watch, two_files_do_not_run_into_each_other)
{
    write_file("a", "12");
    write_file("b", "3");
    cr_assert(set("a", "b"));
    struct digest before = look();
    write_file("a", "1");
    write_file("b", "23");
    cr_assert_not(same(before, look()));
}

Test(watch, without_events_there_are_digests)
{
    struct cg_watch *polled = cg_watch_create(false);
    const char *files[] = {path_of("rules.yaml")};
    uint8_t before[CG_WATCH_DIGEST_BYTES], after[CG_WATCH_DIGEST_BYTES];
    write_file("rules.yaml", "one");
    cr_assert(cg_watch_set(polled, files, 1));
    cr_assert_eq(cg_watch_descriptor(polled), -1);
    cg_watch_digest(polled, before);
    write_file("rules.yaml", "two");
    cr_assert_not(cg_watch_take(polled));
    cg_watch_digest(polled, after);
    cr_assert_neq(memcmp(before, after, sizeof before), 0);
    cg_watch_destroy(polled);
}

Test(watch, more_folders_than_can_be_watched_are_said)
{
    const char *files[CG_WATCH_DIRECTORIES_MAX + 1];
    char names[CG_WATCH_DIRECTORIES_MAX + 1][2 * NAME_MAX_BYTES];
    for (size_t i = 0; i <= CG_WATCH_DIRECTORIES_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "folder%zu", i);
        cr_assert_eq(mkdir(path_of(name), 0755), 0);
        snprintf(names[i], sizeof names[i], "%s/%s/a", folder, name);
        files[i] = names[i];
    }
    cr_assert(cg_watch_set(watch, files, CG_WATCH_DIRECTORIES_MAX));
    cr_assert_not(cg_watch_set(watch, files, CG_WATCH_DIRECTORIES_MAX + 1));
}

Test(watch, signatures_tell_files_apart_without_reading_them)
{
    cr_assert_eq(cg_file_signature(path_of("a.yaml")), 0u);
    write_file("a.yaml", "one");
    uint64_t one = cg_file_signature(path_of("a.yaml"));
    uint64_t all = cg_file_signature(path_of("*.yaml"));
    cr_assert_neq(one, 0u);
    cr_assert_eq(cg_file_signature(path_of("a.yaml")), one);
    write_file("b.yaml", "longer");
    cr_assert_neq(cg_file_signature(path_of("*.yaml")), all);
    cr_assert_eq(rename(path_of("b.yaml"), path_of("a.yaml")), 0);
    cr_assert_neq(cg_file_signature(path_of("a.yaml")), one);
}
