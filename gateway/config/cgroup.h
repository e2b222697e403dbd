/*
 * cgroup: what the control groups of this process let it have: memory, and processor time.
 *
 * Reads /proc/self/cgroup, /proc/self/mountinfo and the limit files of version 1 and 2 hierarchies,
 * from the process's own group up to the root of what is mounted, since a limit of any ancestor
 * holds too. The file system's root is given, so that tests can bring their own. What is missing or
 * makes no sense is no limit: nothing here fails. Which processors may be used (cpusets) is not
 * here: sched_getaffinity(2) knows.
 */
#ifndef GATEWAY_CONFIG_CGROUP_H
#define GATEWAY_CONFIG_CGROUP_H

#include <stdint.h>

struct cg_cgroup {
    uint64_t memory_bytes; /* the smallest limit; 0: none */
    uint32_t cpu_milli;    /* the smallest quota, in thousandths of a processor; 0: none */
};

/* `root` stands before each path: "" for the machine's own. */
struct cg_cgroup cg_cgroup_read(const char *root);

/* A processor for each started one of the quota, at least one and at most `allowed`. */
uint32_t cg_cgroup_threads(const struct cg_cgroup *cgroup, uint32_t allowed);

#endif
