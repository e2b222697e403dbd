#include "cachegate/range.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "property/seed.h"

enum { ROUNDS = 20000, LENGTH_MAX = 4000 };

struct bounds {
    uint64_t first, last;
};

/* A well-formed list, with what each member asks for. */
static size_t generate(struct seed *seed, uint64_t length, char *text, size_t size,
                       struct bounds *ret_bounds)
{
    size_t count = 1 + seed_below(seed, CG_RANGES_MAX),
           used = (size_t)snprintf(text, size, "bytes=");
    for (size_t i = 0; i < count; i++) {
        uint64_t first = seed_below(seed, length + length / 4 + 1);
        uint64_t last = first + seed_below(seed, length / 4 + 1);
        const char *comma = i == 0 ? "" : ",";
        ret_bounds[i] = (struct bounds){first, last};
        if (seed_below(seed, 4) != 0) {
            used += (size_t)snprintf(text + used, size - used, "%s%llu-%llu", comma,
                                     (unsigned long long)first, (unsigned long long)last);
        } else if (seed_below(seed, 2) == 0) {
            ret_bounds[i].last = length;
            used += (size_t)snprintf(text + used, size - used, "%s%llu-", comma,
                                     (unsigned long long)first);
        } else {
            uint64_t suffix = 1 + seed_below(seed, length);
            ret_bounds[i] = (struct bounds){length - suffix, length};
            used += (size_t)snprintf(text + used, size - used, "%s-%llu", comma,
                                     (unsigned long long)suffix);
        }
    }
    return count;
}

static bool is_sent(const struct cg_range_set *set, uint64_t byte)
{
    for (size_t i = 0; i < set->count; i++)
        if (byte >= set->ranges[i].first && byte - set->ranges[i].first < set->ranges[i].length)
            return true;
    return false;
}

/* Against the list itself: all that was asked for is sent, nothing twice, and at most the framing
 * gap more; the whole stands for anything. */
Test(range, what_was_asked_for_is_sent_once)
{
    struct seed seed = seed_init();
    size_t kinds[4] = {0};
    for (size_t round = 0; round < ROUNDS; round++) {
        struct bounds bounds[CG_RANGES_MAX];
        char text[1024];
        uint64_t length = 1 + seed_below(&seed, LENGTH_MAX), total = 0;
        size_t count = generate(&seed, length, text, sizeof text, bounds);
        struct cg_field item = {CG_STR("range"), cg_str_from(text)};
        struct cg_fields fields = {.items = &item, .count = 1, .capacity = 1};
        struct cg_range_set set;
        cg_range_parse(CG_STR("GET"), &fields, length, &set);
        kinds[set.kind]++;
        for (size_t i = 0; i < set.count; i++) {
            cr_assert(set.ranges[i].length > 0 && set.ranges[i].first < length &&
                          set.ranges[i].length <= length - set.ranges[i].first,
                      "CACHEGATE_SEED=%llu, %s", (unsigned long long)seed.start, text);
            total += set.ranges[i].length;
        }
        cr_assert(total <= length, "CACHEGATE_SEED=%llu, %s", (unsigned long long)seed.start, text);
        for (size_t probe = 0; probe < 20 && set.kind != CG_RANGE_WHOLE; probe++) {
            uint64_t byte = seed_below(&seed, length);
            bool asked = false, near = false;
            for (size_t i = 0; i < count; i++) {
                asked = asked || (byte >= bounds[i].first && byte <= bounds[i].last);
                near = near || (byte + CG_RANGE_GAP_BYTES_MAX >= bounds[i].first &&
                                byte <= bounds[i].last + CG_RANGE_GAP_BYTES_MAX);
            }
            bool sent = is_sent(&set, byte);
            cr_assert((sent || !asked) && (!sent || near), "CACHEGATE_SEED=%llu, %s, %llu",
                      (unsigned long long)seed.start, text, (unsigned long long)byte);
        }
    }
    for (size_t i = 0; i < 4; i++)
        cr_expect_gt(kinds[i], ROUNDS / 100, "kind %zu was hardly seen", i);
}
