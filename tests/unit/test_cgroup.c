/* Control groups as machines and containers show them, in files under a root of the test's own. */
#include "gateway/config/cgroup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];

static void set_up(void)
{
    snprintf(root, sizeof root, "/tmp/cachegate-cgroup-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void tear_down(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(cgroup, .init = set_up, .fini = tear_down);

/* Makes the folders too. */
static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *at = strchr(path + strlen(root) + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        cr_assert(mkdir(path, 0755) == 0 || errno == EEXIST, "%s", path);
        *at = '/';
    }
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

#define VERSION_2_MOUNT                                                                            \
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"                                      \
    "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

static void expect(uint64_t memory_bytes, uint32_t cpu_milli)
{
    struct cg_cgroup found = cg_cgroup_read(root);
    cr_expect_eq(found.memory_bytes, memory_bytes, "memory %llu",
                 (unsigned long long)found.memory_bytes);
    cr_expect_eq(found.cpu_milli, cpu_milli, "cpu %u", found.cpu_milli);
}

Test(cgroup, nothing_is_no_limit)
{
    expect(0, 0);
    put("/proc/self/cgroup", "rubbish\n::\n0::\n:memory\n");
    put("/proc/self/mountinfo", "1 2 3\n\n1 2 3 4 5 - cgroup2\nx - cgroup cgroup memory\n");
    expect(0, 0);
}

Test(cgroup, version_2_in_a_container)
{
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", VERSION_2_MOUNT);
    put("/sys/fs/cgroup/memory.max", "268435456\n");
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    expect(268435456, 1500);
}

Test(cgroup, version_2_without_limits)
{
    put("/proc/self/cgroup", "0::/user.slice\n");
    put("/proc/self/mountinfo", VERSION_2_MOUNT);
    put("/sys/fs/cgroup/user.slice/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/memory.high", "max\n");
    put("/sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
    expect(0, 0);
}

Test(cgroup, the_smallest_limit_of_all_ancestors_holds)
{
    put("/proc/self/cgroup", "0::/a.slice/b.slice/c.service\n");
    put("/proc/self/mountinfo", VERSION_2_MOUNT);
    put("/sys/fs/cgroup/a.slice/memory.max", "1000000000\n");
    put("/sys/fs/cgroup/a.slice/cpu.max", "50000 100000\n");
    put("/sys/fs/cgroup/a.slice/b.slice/memory.max", "500000000\n");
    put("/sys/fs/cgroup/a.slice/b.slice/c.service/memory.max", "max\n");
    put("/sys/fs/cgroup/a.slice/b.slice/c.service/cpu.max", "200000 100000\n");
    put("/sys/fs/cgroup/a.slice/other/memory.max", "1\n");
    expect(500000000, 500);
    put("/sys/fs/cgroup/a.slice/b.slice/c.service/memory.high", "400000000\n");
    expect(400000000, 500);
}

Test(cgroup, a_group_outside_of_the_namespace_is_the_mount_itself)
{
    put("/proc/self/cgroup", "0::/../../elsewhere\n");
    put("/proc/self/mountinfo", VERSION_2_MOUNT);
    put("/sys/fs/cgroup/memory.max", "1234567\n");
    expect(1234567, 0);
}

#define VERSION_1_MOUNTS(root)                                                                     \
    "31 30 0:27 " root " /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                     \
    "32 30 0:28 " root " /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"  \
    "33 30 0:29 " root " /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"

Test(cgroup, version_1_on_a_machine)
{
    put("/proc/self/cgroup",
        "5:memory:/app\n4:cpu,cpuacct:/app\n3:cpuset:/\n1:name=systemd:/app\n");
    put("/proc/self/mountinfo", VERSION_1_MOUNTS("/"));
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/app/memory.limit_in_bytes", "134217728\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "250000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
    expect(134217728, 2500);
}

Test(cgroup, version_1_without_limits)
{
    put("/proc/self/cgroup", "5:memory:/\n4:cpu,cpuacct:/\n");
    put("/proc/self/mountinfo", VERSION_1_MOUNTS("/"));
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    expect(0, 0);
}

/* Its path is the machine's, while only its own part of the hierarchy is mounted. */
Test(cgroup, version_1_in_a_container_without_a_namespace)
{
    put("/proc/self/cgroup", "5:memory:/docker/1234\n4:cpu,cpuacct:/docker/1234\n");
    put("/proc/self/mountinfo", VERSION_1_MOUNTS("/docker/1234"));
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "20000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    expect(67108864, 200);
}

/* Both versions at once: controllers where they are, an empty version 2 beside them. */
Test(cgroup, hybrid)
{
    put("/proc/self/cgroup", "4:memory:/app\n1:cpu:/\n0::/\n");
    put("/proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                                "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory/app/memory.limit_in_bytes", "4096000\n");
    expect(4096000, 0);
}

Test(cgroup, threads)
{
    static const struct {
        uint32_t milli, allowed, threads;
    } cases[] = {{0, 8, 8},    {1500, 8, 2}, {2000, 8, 2},  {100, 8, 1},
                 {9000, 4, 4}, {0, 0, 1},    {2001, 64, 3}, {1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cg_cgroup cgroup = {.cpu_milli = cases[i].milli};
        cr_expect_eq(cg_cgroup_threads(&cgroup, cases[i].allowed), cases[i].threads, "%zu", i);
    }
}
