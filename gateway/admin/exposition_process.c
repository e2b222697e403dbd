/* The configuration and the process; names of the latter are those of all Prometheus clients. */
#include "gateway/admin/exposition_parts.h"

#include <dirent.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static struct cg_config_state config_of(const struct cg_exposition *exposition)
{
    return cg_book_config(exposition->admin->world.book);
}

static void add_generation(struct cg_exposition *exposition)
{
    cg_exposition_add(exposition, NULL, config_of(exposition).generation);
}

static void add_successful(struct cg_exposition *exposition)
{
    cg_exposition_add(exposition, NULL, config_of(exposition).successful);
}

static void add_config_time(struct cg_exposition *exposition)
{
    cg_exposition_add_real(exposition, NULL, (double)config_of(exposition).changed_ms / 1000);
}

static void add_build(struct cg_exposition *exposition)
{
    const struct cg_str values[] = {CG_STR(CACHEGATE_VERSION),
                                    cg_str_from(OpenSSL_version(OPENSSL_VERSION_STRING))};
    cg_exposition_add(exposition, values, 1);
}

static void add_ready(struct cg_exposition *exposition)
{
    cg_exposition_add(exposition, NULL, atomic_load(&exposition->admin->ready));
}

static void add_threads(struct cg_exposition *exposition)
{
    const struct cg_admin_world *world = &exposition->admin->world;
    cg_exposition_add(exposition, NULL, world->threads(world->owner));
}

static void add_allocated(struct cg_exposition *exposition)
{
    struct mallinfo2 information = mallinfo2();
    cg_exposition_add(exposition, NULL, information.uordblks + information.hblkhd);
}

/* proc(5): size and resident, in pages. */
static void read_pages(unsigned long long *ret_size, unsigned long long *ret_resident)
{
    FILE *file = fopen("/proc/self/statm", "re");
    *ret_size = *ret_resident = 0;
    if (file == NULL)
        return;
    if (fscanf(file, "%llu %llu", ret_size, ret_resident) != 2)
        *ret_size = *ret_resident = 0;
    fclose(file);
}

static void add_resident(struct cg_exposition *exposition)
{
    unsigned long long size, resident;
    read_pages(&size, &resident);
    cg_exposition_add(exposition, NULL, resident * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void add_virtual(struct cg_exposition *exposition)
{
    unsigned long long size, resident;
    read_pages(&size, &resident);
    cg_exposition_add(exposition, NULL, size * (uint64_t)sysconf(_SC_PAGESIZE));
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void add_cpu(struct cg_exposition *exposition)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    cg_exposition_add_real(exposition, NULL,
                           seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
}

static void add_descriptors(struct cg_exposition *exposition)
{
    uint64_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        count += entry->d_name[0] != '.';
    closedir(directory);
    cg_exposition_add(exposition, NULL, count - 1); /* the directory itself */
}

static void add_descriptors_max(struct cg_exposition *exposition)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        cg_exposition_add(exposition, NULL, limit.rlim_cur);
}

static void add_start(struct cg_exposition *exposition)
{
    cg_exposition_add_real(exposition, NULL,
                           (double)cg_book_created_ms(exposition->admin->world.book) / 1000);
}

cg_exposition_fn cg_exposition_of_process(enum cg_family family)
{
    static const cg_exposition_fn writers[CG_FAMILY_COUNT] = {
        [CG_FAMILY_CONFIG_GENERATION] = add_generation,
        [CG_FAMILY_CONFIG_SUCCESSFUL] = add_successful,
        [CG_FAMILY_CONFIG_TIME] = add_config_time,
        [CG_FAMILY_BUILD] = add_build,
        [CG_FAMILY_READY] = add_ready,
        [CG_FAMILY_THREADS] = add_threads,
        [CG_FAMILY_ALLOCATED] = add_allocated,
        [CG_FAMILY_RESIDENT] = add_resident,
        [CG_FAMILY_VIRTUAL] = add_virtual,
        [CG_FAMILY_CPU] = add_cpu,
        [CG_FAMILY_FDS] = add_descriptors,
        [CG_FAMILY_FDS_MAX] = add_descriptors_max,
        [CG_FAMILY_START] = add_start,
    };
    return writers[family];
}
