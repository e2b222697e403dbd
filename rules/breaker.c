#include "cachegate/breaker.h"

#include "cachegate/assert.h"

const char *cg_breaker_name(enum cg_breaker_state state)
{
    switch (state) {
    case CG_BREAKER_CLOSED:
        return "closed";
    case CG_BREAKER_OPEN:
        return "open";
    case CG_BREAKER_HALF_OPEN:
        return "half-open";
    }
    CG_UNREACHABLE();
}

/* Between half and all of what doubles each time, so that a fleet does not probe at once. */
static void open_breaker(struct cg_breaker *breaker, const struct cg_breaker_limits *limits,
                         int64_t now_ms, uint32_t random)
{
    uint64_t open_ms = limits->open_ms;
    CG_ASSERT(limits->failures > 0 && limits->open_ms > 0);
    for (uint32_t i = 0; i < breaker->openings && open_ms < limits->open_longest_ms; i++)
        open_ms *= 2;
    if (open_ms > limits->open_longest_ms)
        open_ms = limits->open_longest_ms;
    uint64_t half_ms = open_ms / 2;
    breaker->state = CG_BREAKER_OPEN;
    breaker->failures = 0;
    if (breaker->openings < UINT32_MAX)
        breaker->openings++;
    breaker->until_ms = now_ms + (int64_t)(open_ms - random % (half_ms + 1));
}

bool cg_breaker_lose(struct cg_breaker *breaker, const struct cg_breaker_limits *limits,
                     int64_t now_ms, uint32_t random)
{
    if (breaker->state == CG_BREAKER_OPEN)
        return false;
    if (breaker->state == CG_BREAKER_CLOSED && ++breaker->failures < limits->failures)
        return false;
    open_breaker(breaker, limits, now_ms, random);
    return true;
}

bool cg_breaker_cut(struct cg_breaker *breaker, const struct cg_breaker_limits *limits,
                    int64_t now_ms, uint32_t random)
{
    if (breaker->state == CG_BREAKER_OPEN)
        return false;
    open_breaker(breaker, limits, now_ms, random);
    return true;
}

bool cg_breaker_close(struct cg_breaker *breaker)
{
    bool was_closed = breaker->state == CG_BREAKER_CLOSED;
    *breaker = (struct cg_breaker){0};
    return !was_closed;
}

bool cg_breaker_win(struct cg_breaker *breaker)
{
    switch (breaker->state) {
    case CG_BREAKER_CLOSED:
        breaker->failures = 0;
        return false;
    case CG_BREAKER_OPEN:
        return false;
    case CG_BREAKER_HALF_OPEN:
        return cg_breaker_close(breaker);
    }
    CG_UNREACHABLE();
}

bool cg_breaker_probe(struct cg_breaker *breaker, int64_t now_ms)
{
    if (breaker->state != CG_BREAKER_OPEN || now_ms < breaker->until_ms)
        return false;
    breaker->state = CG_BREAKER_HALF_OPEN;
    return true;
}
