/*
 * Threads and memory, by what the machine lets this process have. Half of a memory limit for the
 * embedded store, an eighth for near copies and a quarter for requests leave the rest to
 * connections, answers on their way and the allocator.
 */
#include "gateway/config/settings_build.h"

#include <sched.h>

enum { THREADS_MAX = 256 };

static uint32_t allowed_cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return allowed < 1 ? 1 : (uint32_t)allowed;
}

static struct cg_node place_of(const struct cg_settings_build *build, const char *path)
{
    const char *folder;
    const struct cg_node *node = cg_settings_find(build, "", build->root, path, &folder);
    return node != NULL ? *node : cg_settings_nowhere(build, path);
}

/* Nobody said otherwise: no more than that share of the limit. */
static void fit(const struct cg_settings_build *build, const char *path, uint64_t share,
                uint64_t least, size_t *size)
{
    const char *folder;
    if (cg_settings_find(build, "", build->root, path, &folder) != NULL)
        return;
    if (share < least)
        share = least;
    if (*size > share)
        *size = share;
}

/* What stores will take, when they are full. */
static uint64_t store_bytes(const struct cg_settings *settings)
{
    if (settings->redis_url == NULL)
        return settings->memory_bytes;
    bool copies = settings->on_outage != NULL && strcmp(settings->on_outage, "memory") == 0;
    return settings->near_bytes + (copies ? settings->memory_bytes : 0);
}

static void check_stores(const struct cg_settings_build *build, uint64_t limit)
{
    const struct cg_settings *settings = build->settings;
    struct cg_node place =
        place_of(build, settings->redis_url == NULL ? "store.memory" : "store.near");
    uint64_t stores = store_bytes(settings);
    if (stores > limit)
        cg_problem_add(build->problems, CG_PROBLEM_ERROR, &place,
                       "stores may grow to %llu bytes, and the control group's memory limit is "
                       "%llu; a gateway that reaches it is killed",
                       (unsigned long long)stores, (unsigned long long)limit);
    else if (stores > limit / 4 * 3)
        cg_problem_add(build->problems, CG_PROBLEM_WARNING, &place,
                       "stores may grow to more than three quarters of the control group's memory "
                       "limit, %llu bytes; connections and answers need some too",
                       (unsigned long long)limit);
}

void cg_settings_fit_machine(const struct cg_settings_build *build)
{
    struct cg_settings *settings = build->settings;
    const char *machine = build->source->machine;
    settings->cgroup = cg_cgroup_read(machine == NULL ? "" : machine);
    uint64_t limit = settings->cgroup.memory_bytes;
    if (settings->threads == 0)
        settings->threads = cg_cgroup_threads(&settings->cgroup, allowed_cpus());
    if (settings->threads > THREADS_MAX)
        settings->threads = THREADS_MAX;
    if (limit == 0)
        return;
    /* An entry may be an eighth of the store, and 1 MB by default. */
    fit(build, "store.memory", limit / 2, (uint64_t)8 << 20, &settings->memory_bytes);
    fit(build, "store.near", limit / 8, (uint64_t)1 << 20, &settings->near_bytes);
    fit(build, "limits.request_bodies", limit / 4, (uint64_t)1 << 20,
        &settings->limits.request_bodies_max);
    if (!build->source->rules_only)
        check_stores(build, limit);
}
