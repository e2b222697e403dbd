#include "gateway/base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cachegate/assert.h"

/* A binary heap by deadline. A timer remembers its place, so that disarming is O(log n). */
struct heap_item {
    int64_t deadline_ms;
    struct cg_timer *timer; /* borrowed while armed */
};

struct loop_clock {
    struct cg_clock base;
    struct heap_item *heap; /* owned */
    size_t count;
    size_t capacity;
};

static int64_t read_clock_us(clockid_t which)
{
    struct timespec now;
    CG_ASSERT(clock_gettime(which, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#ifdef CACHEGATE_TEST_CLOCK
/* The offset that tests move; zero without the environment variable. Mapped once, never unmapped.
 */
static int64_t test_offset_ms(void)
{
    static const _Atomic int64_t nothing = 0;
    static _Atomic(const _Atomic int64_t *) mapped;
    const _Atomic int64_t *offset = atomic_load(&mapped);
    if (offset == NULL) {
        const char *path = getenv("CACHEGATE_TEST_CLOCK");
        int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        void *memory =
            file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
        if (file >= 0)
            close(file);
        offset = memory == MAP_FAILED ? &nothing : (const _Atomic int64_t *)memory;
        atomic_store(&mapped, offset);
    }
    return atomic_load(offset);
}
#else
static int64_t test_offset_ms(void)
{
    return 0;
}
#endif

int64_t cg_clock_wall_ms(void)
{
    return read_clock_us(CLOCK_REALTIME) / 1000 + test_offset_ms();
}

int64_t cg_clock_monotonic_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}

int64_t cg_clock_monotonic_ms(void)
{
    return cg_clock_monotonic_us() / 1000;
}

static struct loop_clock *clock_of(struct cg_clock *clock)
{
    return (struct loop_clock *)clock;
}

/* The place in the heap lives in the timer's second private word. */
static size_t timer_place(const struct cg_timer *timer)
{
    return (size_t)(uintptr_t)timer->slot.words[1];
}

static void put(struct loop_clock *clock, size_t place, struct heap_item item)
{
    clock->heap[place] = item;
    item.timer->slot.words[1] = (void *)(uintptr_t)place;
}

static void sift_up(struct loop_clock *clock, size_t place)
{
    struct heap_item item = clock->heap[place];
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (clock->heap[parent].deadline_ms <= item.deadline_ms)
            break;
        put(clock, place, clock->heap[parent]);
        place = parent;
    }
    put(clock, place, item);
}

static void sift_down(struct loop_clock *clock, size_t place)
{
    struct heap_item item = clock->heap[place];
    for (;;) {
        size_t child = place * 2 + 1;
        if (child >= clock->count)
            break;
        if (child + 1 < clock->count &&
            clock->heap[child + 1].deadline_ms < clock->heap[child].deadline_ms)
            child++;
        if (item.deadline_ms <= clock->heap[child].deadline_ms)
            break;
        put(clock, place, clock->heap[child]);
        place = child;
    }
    put(clock, place, item);
}

static void remove_timer(struct loop_clock *clock, struct cg_timer *timer)
{
    size_t place = timer_place(timer);
    CG_ASSERT(place < clock->count && clock->heap[place].timer == timer);
    struct heap_item last = clock->heap[--clock->count];
    timer->armed = false;
    if (last.timer == timer)
        return;
    put(clock, place, last);
    sift_up(clock, place);
    sift_down(clock, timer_place(last.timer));
}

static int64_t clock_now(struct cg_clock *clock)
{
    (void)clock;
    return cg_clock_wall_ms();
}

static void clock_arm(struct cg_clock *base, struct cg_timer *timer, uint32_t delay_ms)
{
    struct loop_clock *clock = clock_of(base);
    if (timer->armed)
        remove_timer(clock, timer);
    if (clock->count == clock->capacity) {
        clock->capacity = clock->capacity == 0 ? 64 : clock->capacity * 2;
        clock->heap = realloc(clock->heap, clock->capacity * sizeof(*clock->heap));
        CG_ASSERT(clock->heap != NULL);
    }
    timer->armed = true;
    size_t place = clock->count++;
    clock->heap[place] = (struct heap_item){cg_clock_monotonic_ms() + delay_ms, timer};
    sift_up(clock, place);
}

static void clock_disarm(struct cg_clock *base, struct cg_timer *timer)
{
    if (timer->armed)
        remove_timer(clock_of(base), timer);
}

static const struct cg_clock_port clock_port = {clock_now, clock_arm, clock_disarm};

struct cg_clock *cg_clock_create(void)
{
    struct loop_clock *clock = calloc(1, sizeof(*clock));
    CG_ASSERT(clock != NULL);
    clock->base.port = &clock_port;
    return &clock->base;
}

struct cg_clock *cg_clock_destroy(struct cg_clock *base)
{
    if (base == NULL)
        return NULL;
    struct loop_clock *clock = clock_of(base);
    CG_ASSERT(clock->count == 0);
    free(clock->heap);
    free(clock);
    return NULL;
}

uint32_t cg_clock_wait_ms(struct cg_clock *base, uint32_t max_ms)
{
    struct loop_clock *clock = clock_of(base);
    if (clock->count == 0)
        return max_ms;
    int64_t left_ms = clock->heap[0].deadline_ms - cg_clock_monotonic_ms();
    if (left_ms <= 0)
        return 0;
    return left_ms < max_ms ? (uint32_t)left_ms : max_ms;
}

void cg_clock_run(struct cg_clock *base)
{
    struct loop_clock *clock = clock_of(base);
    /* One reading: a timer that re-arms itself with 0 waits for the next turn. */
    int64_t now_ms = cg_clock_monotonic_ms();
    while (clock->count > 0 && clock->heap[0].deadline_ms <= now_ms) {
        struct cg_timer *timer = clock->heap[0].timer;
        remove_timer(clock, timer);
        timer->on_expiry(timer->owner);
    }
}
