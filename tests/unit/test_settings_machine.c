/* What settings make of the limits that a machine has: files of a root of the test's own. */
#include "gateway/config/settings_load.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cg_arena arena;
static struct cg_problems problems;
static char folder[64];

static void begin(void)
{
    cg_arena_init(&arena, CG_SETTINGS_ARENA_BYTES);
    snprintf(folder, sizeof folder, "/tmp/cachegate-machine-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static const char *path_of(const char *name)
{
    return cg_arena_printf(&arena, "%s/%s", folder, name).bytes;
}

/* A control group (config/cgroup.h); its files go with the test. */
static const char *const machine_files[][2] = {
    {"proc", NULL},
    {"proc/self", NULL},
    {"proc/self/cgroup", "0::/\n"},
    {"proc/self/mountinfo", "29 23 0:26 / /sys rw - cgroup2 cgroup2 rw\n"},
    {"sys", NULL},
    {"sys/memory.max", ""},
    {"sys/cpu.max", "100000 100000\n"},
};
enum { MACHINE_FILES = sizeof machine_files / sizeof machine_files[0] };

static void end(void)
{
    for (size_t i = MACHINE_FILES; i > 0; i--)
        remove(path_of(machine_files[i - 1][0]));
    unlink(path_of("c.yaml"));
    rmdir(folder);
    cg_arena_fini(&arena);
}
TestSuite(machine, .init = begin, .fini = end);

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void limit_memory(const char *bytes)
{
    for (size_t i = 0; i < MACHINE_FILES; i++) {
        const char *name = machine_files[i][0], *text = machine_files[i][1];
        if (text == NULL)
            cr_assert(mkdir(path_of(name), 0755) == 0 || errno == EEXIST);
        else
            write_file(name, text[0] == '\0' ? bytes : text);
    }
}

static struct cg_settings *load(const char *config)
{
    struct cg_settings_source source = {.file = path_of("c.yaml"), .machine = folder};
    problems = (struct cg_problems){.arena = &arena};
    write_file("c.yaml", config);
    return cg_settings_load(&source, &arena, &problems);
}

static const char *all_problems(void)
{
    struct cg_buf out;
    cg_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < problems.count; i++)
        cg_settings_print_problem(&problems.items[i], &out);
    const char *text = cg_arena_copy(&arena, cg_buf_str(&out)).bytes;
    cg_buf_fini(&out);
    return text;
}

static struct cg_settings *loaded(const char *config)
{
    struct cg_settings *settings = load(config);
    cr_assert_not_null(settings, "%s", all_problems());
    return settings;
}

#define BASE "listen: ':80'\nupstream: http://api\n"

Test(machine, sizes_follow_the_memory_limit)
{
    limit_memory("134217728\n");
    struct cg_settings *settings = loaded(BASE);
    cr_expect_eq(settings->threads, 1u, "a quota of one processor");
    cr_expect_eq(settings->memory_bytes, (size_t)64 << 20);
    cr_expect_eq(settings->near_bytes, (size_t)16 << 20);
    cr_expect_eq(settings->limits.request_bodies_max, (size_t)32 << 20);
    cg_settings_free(settings);
    settings = loaded(BASE "store: {memory: 32MB, near: 8MB}\nthreads: 2\n"
                           "limits: {request_bodies: 10MB}\n");
    cr_expect_eq(settings->threads, 2u, "what is said holds");
    cr_expect_eq(settings->memory_bytes, (size_t)32 << 20);
    cr_expect_eq(settings->near_bytes, (size_t)8 << 20);
    cr_expect_eq(settings->limits.request_bodies_max, (size_t)10 << 20);
    cr_expect_null(strstr(all_problems(), "stores may grow"));
    limit_memory("1048576\n");
    cg_settings_free(settings);
    settings = load(BASE);
    cr_expect_null(settings, "not even the smallest store fits");
    limit_memory("17179869184\n");
    settings = loaded(BASE);
    cr_expect_eq(settings->memory_bytes, (size_t)256 << 20);
    cr_expect_eq(settings->near_bytes, (size_t)64 << 20);
    cg_settings_free(settings);
}

Test(machine, stores_that_do_not_fit_are_noticed)
{
    static const struct {
        const char *config, *problem;
        bool refused;
    } cases[] = {
        {BASE "store: {memory: 200MB}", "store.memory: stores may grow to 209715200 bytes", true},
        {BASE "store: {memory: 100MB}", "store.memory: warning: stores may grow to more than",
         false},
        {BASE "store: {redis: 'redis://r', near: 200MB}", "store.near: stores may grow", true},
        {BASE "store: {redis: 'redis://r', near: 100MB, memory: 100MB, on_outage: memory}",
         "store.near: stores may grow to 209715200 bytes", true},
        {BASE "store: {redis: 'redis://r', near: 10MB, memory: 200MB}", "", false},
    };
    limit_memory("134217728\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cg_settings *settings = load(cases[i].config);
        cr_expect_eq(settings == NULL, cases[i].refused, "%zu: %s", i, all_problems());
        cr_expect_not_null(strstr(all_problems(), cases[i].problem), "%zu: %s", i, all_problems());
        cg_settings_free(settings);
    }
}

Test(machine, a_hand_over_needs_a_store_that_both_share)
{
    cr_expect_null(load(BASE "handover: on"));
    cr_expect_not_null(strstr(all_problems(), "handover: two processes on one address"));
    cg_settings_free(loaded(BASE "handover: on\ncache: off"));
    cg_settings_free(loaded(BASE "handover: on\nstore: {redis: 'redis://r'}"));
}
