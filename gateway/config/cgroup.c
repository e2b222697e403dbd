#include "gateway/config/cgroup.h"

#include "cachegate/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096, TABLE_BYTES_MAX = 1 << 18, GROUPS_MAX = 64 };

/* Above this a limit of version 1 is none: "unlimited" is the largest page count there. */
static const uint64_t unlimited_bytes = UINT64_C(1) << 60;

struct reading {
    const char *root;
    struct cg_cgroup result;
    char mounts[TABLE_BYTES_MAX]; /* /proc/self/mountinfo */
    size_t mounts_length;
};

/* ---- files ---- */

static struct cg_str read_file(const char *root, const char *name, char *bytes, size_t room)
{
    char path[PATH_BYTES_MAX];
    size_t length = 0;
    int printed = snprintf(path, sizeof path, "%s%s", root, name);
    int file =
        printed < 0 || (size_t)printed >= sizeof path ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return CG_STR("");
    for (ssize_t got; length < room && (got = read(file, bytes + length, room - length)) > 0;)
        length += (size_t)got;
    close(file);
    return cg_str_of(bytes, length);
}

/* The words of a limit file's only line. */
static size_t read_words(const struct reading *reading, const char *folder, const char *file,
                         char *bytes, size_t room, struct cg_str words[2])
{
    char name[PATH_BYTES_MAX];
    size_t count = 0;
    int printed = snprintf(name, sizeof name, "%s/%s", folder, file);
    if (printed < 0 || (size_t)printed >= sizeof name)
        return 0;
    struct cg_str text = read_file(reading->root, name, bytes, room), word;
    text = cg_str_trim(cg_str_sub(text, 0, cg_str_find(text, '\n')));
    while (count < 2 && cg_str_split(&text, ' ', &word))
        words[count++] = word;
    return count;
}

/* ---- limits of one group ---- */

static void bound_memory(struct reading *reading, uint64_t bytes)
{
    uint64_t *smallest = &reading->result.memory_bytes;
    if (bytes > 0 && bytes < unlimited_bytes && (*smallest == 0 || bytes < *smallest))
        *smallest = bytes;
}

static void bound_cpu(struct reading *reading, uint64_t quota, uint64_t period)
{
    uint32_t *smallest = &reading->result.cpu_milli;
    if (quota == 0 || period == 0 || quota > UINT32_MAX)
        return;
    uint64_t milli = (quota * 1000 + period - 1) / period;
    if (milli < UINT32_MAX && (*smallest == 0 || milli < *smallest))
        *smallest = (uint32_t)milli;
}

static void read_memory_file(struct reading *reading, const char *folder, const char *file)
{
    char bytes[64];
    struct cg_str words[2];
    uint64_t value;
    if (read_words(reading, folder, file, bytes, sizeof bytes, words) == 1 &&
        cg_str_to_u64(words[0], UINT64_MAX, &value))
        bound_memory(reading, value);
}

static void read_version_2(struct reading *reading, const char *folder)
{
    char bytes[64];
    struct cg_str words[2];
    uint64_t quota, period;
    read_memory_file(reading, folder, "memory.max");
    read_memory_file(reading, folder, "memory.high"); /* above it the group only crawls */
    if (read_words(reading, folder, "cpu.max", bytes, sizeof bytes, words) == 2 &&
        cg_str_to_u64(words[0], UINT32_MAX, &quota) && cg_str_to_u64(words[1], UINT32_MAX, &period))
        bound_cpu(reading, quota, period);
}

static void read_memory_1(struct reading *reading, const char *folder)
{
    read_memory_file(reading, folder, "memory.limit_in_bytes");
}

static void read_cpu_1(struct reading *reading, const char *folder)
{
    char bytes[2][64];
    struct cg_str quota_words[2], period_words[2];
    uint64_t quota, period;
    if (read_words(reading, folder, "cpu.cfs_quota_us", bytes[0], 64, quota_words) == 1 &&
        read_words(reading, folder, "cpu.cfs_period_us", bytes[1], 64, period_words) == 1 &&
        cg_str_to_u64(quota_words[0], UINT32_MAX, &quota) && /* -1 is none */
        cg_str_to_u64(period_words[0], UINT32_MAX, &period))
        bound_cpu(reading, quota, period);
}

/* ---- where groups are mounted ---- */

typedef void (*read_group_fn)(struct reading *reading, const char *folder);

static bool has_word(struct cg_str list, struct cg_str wanted)
{
    struct cg_str word;
    while (cg_str_split(&list, ',', &word))
        if (cg_str_eq(word, wanted))
            return true;
    return false;
}

/*
 * "36 35 98:0 /root /mount/point rw,noatime master:1 - cgroup cgroup rw,memory": whether the line
 * mounts the hierarchy that has this controller ("" for version 2).
 */
static bool is_mount_of(struct cg_str line, struct cg_str controller, struct cg_str *ret_root,
                        struct cg_str *ret_point)
{
    struct cg_str word, type, source, options;
    for (size_t i = 0; i < 5; i++) {
        if (!cg_str_split(&line, ' ', &word))
            return false;
        if (i == 3)
            *ret_root = word;
        if (i == 4)
            *ret_point = word;
    }
    while (cg_str_split(&line, ' ', &word))
        if (cg_str_eq(word, CG_STR("-")))
            break;
    if (!cg_str_split(&line, ' ', &type) || !cg_str_split(&line, ' ', &source) ||
        !cg_str_split(&line, ' ', &options))
        return false;
    if (cg_str_empty(controller))
        return cg_str_eq(type, CG_STR("cgroup2"));
    return cg_str_eq(type, CG_STR("cgroup")) && has_word(options, controller);
}

/*
 * The group's folder and those above it, up to the mount. A container without a namespace of its
 * own sees a path that begins above what is mounted; with one, a path that begins outside of it.
 */
static void climb(struct reading *reading, struct cg_str point, struct cg_str root,
                  struct cg_str group, read_group_fn read_group)
{
    char folder[PATH_BYTES_MAX];
    if (!cg_str_eq(root, CG_STR("/"))) {
        bool inside = cg_str_starts_with(group, root) &&
                      (group.length == root.length || group.bytes[root.length] == '/');
        group = inside ? cg_str_skip(group, root.length) : CG_STR("");
    }
    if (cg_str_starts_with(group, CG_STR("/..")))
        group = CG_STR("");
    while (cg_str_ends_with(group, CG_STR("/")))
        group.length--;
    for (size_t i = 0; i < GROUPS_MAX; i++) {
        int printed =
            snprintf(folder, sizeof folder, "%.*s%.*s", CG_STR_ARG(point), CG_STR_ARG(group));
        if (printed < 0 || (size_t)printed >= sizeof folder)
            return;
        read_group(reading, folder);
        if (group.length == 0)
            return;
        while (group.length > 0 && group.bytes[group.length - 1] != '/')
            group.length--;
        if (group.length > 0)
            group.length--;
    }
}

static void read_hierarchy(struct reading *reading, struct cg_str controller, struct cg_str group,
                           read_group_fn read_group)
{
    struct cg_str rest = cg_str_of(reading->mounts, reading->mounts_length), line, root, point;
    while (cg_str_split(&rest, '\n', &line))
        if (is_mount_of(line, controller, &root, &point)) /* another may be mounted over it */
            climb(reading, point, root, group, read_group);
}

/* A line of /proc/self/cgroup: "4:cpu,cpuacct:/group", "0::/group". */
static void read_membership(struct reading *reading, struct cg_str line)
{
    struct cg_str number, controllers;
    if (!cg_str_split(&line, ':', &number) || !cg_str_split(&line, ':', &controllers))
        return;
    if (cg_str_empty(controllers))
        read_hierarchy(reading, CG_STR(""), line, read_version_2);
    if (has_word(controllers, CG_STR("memory")))
        read_hierarchy(reading, CG_STR("memory"), line, read_memory_1);
    if (has_word(controllers, CG_STR("cpu")))
        read_hierarchy(reading, CG_STR("cpu"), line, read_cpu_1);
}

struct cg_cgroup cg_cgroup_read(const char *root)
{
    struct reading reading = {.root = root};
    char bytes[16384];
    struct cg_str groups = read_file(root, "/proc/self/cgroup", bytes, sizeof bytes), line;
    reading.mounts_length =
        read_file(root, "/proc/self/mountinfo", reading.mounts, sizeof reading.mounts).length;
    while (cg_str_split(&groups, '\n', &line))
        read_membership(&reading, line);
    return reading.result;
}

uint32_t cg_cgroup_threads(const struct cg_cgroup *cgroup, uint32_t allowed)
{
    uint32_t count = cgroup->cpu_milli / 1000 + (cgroup->cpu_milli % 1000 > 0);
    if (count == 0 || count > allowed)
        count = allowed;
    return count == 0 ? 1 : count;
}
