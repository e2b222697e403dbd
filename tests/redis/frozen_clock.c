/*
 * Loaded into a redis-server by tests (LD_PRELOAD): wall time is what the file that FROZEN_CLOCK
 * names holds, one int64 of Unix milliseconds, so that a test decides when keys expire. The
 * monotonic clock is left alone.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static int64_t read_ms(void)
{
    static const _Atomic int64_t *mapped;
    if (mapped == NULL) {
        const char *path = getenv("FROZEN_CLOCK");
        int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        void *memory = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
        if (memory == MAP_FAILED)
            abort();
        mapped = memory;
    }
    return atomic_load(mapped);
}

int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
    int64_t now_ms = read_ms();
    (void)zone;
    *ret_now = (struct timeval){.tv_sec = now_ms / 1000, .tv_usec = now_ms % 1000 * 1000};
    return 0;
}

time_t time(time_t *ret_now)
{
    time_t now = (time_t)(read_ms() / 1000);
    if (ret_now != NULL)
        *ret_now = now;
    return now;
}
