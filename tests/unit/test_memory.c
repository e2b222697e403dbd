/* What the embedded store promises beyond the contract (test_store.c): its bound and its eviction.
 */
#include "gateway/store/memory.h"

#include <criterion/criterion.h>

#include "gateway/store/memory_table.h"

enum { BOUND = 1 << 20, HORIZON_MS = 3600000 };

static struct cg_memory *memory;
static struct cg_store *store;
static int64_t clock_ms;

static int64_t read_clock(struct cg_clock *clock)
{
    (void)clock;
    return clock_ms;
}

static const struct cg_clock_port clock_port = {.now_ms = read_clock};
static struct cg_clock test_clock = {&clock_port};

static void setup(void)
{
    clock_ms = 1000000;
    memory = cg_memory_create(BOUND, HORIZON_MS, 1);
    store = cg_memory_open(memory, &test_clock);
}

static void teardown(void)
{
    cg_memory_close(store);
    cg_memory_destroy(memory);
}

TestSuite(memory, .init = setup, .fini = teardown);

static void on_done(void *owner, enum cg_store_result result)
{
    *(enum cg_store_result *)owner = result;
}

static enum cg_store_result fill(uint32_t name, size_t length)
{
    static const char zeros[BOUND];
    struct cg_key key = {0};
    enum cg_store_result result = CG_STORE_UNAVAILABLE;
    memcpy(key.id, &name, sizeof name);
    struct cg_blob *blob = cg_blob_create(cg_str_of(zeros, length));
    store->port->fill(store, &key, blob, 60000, on_done, &result);
    cg_blob_unref(blob);
    return result;
}

struct found {
    bool entry;
    struct cg_version version;
};

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct found *found = owner;
    found->entry = view->entry != NULL;
    found->version = view->versions[0];
}

static bool is_stored(uint32_t name)
{
    struct cg_key key = {0};
    struct cg_instance instance = {{0}};
    struct found found;
    memcpy(key.id, &name, sizeof name);
    store->port->lookup(store, &key, &instance, 1, on_view, &found);
    return found.entry;
}

static struct cg_instance instance_of(uint32_t name)
{
    struct cg_instance instance = {{0}};
    memcpy(instance.id, &name, sizeof name);
    return instance;
}

static struct cg_version version_of(uint32_t name)
{
    struct cg_key key = {0};
    struct cg_instance instance = instance_of(name);
    struct found found;
    store->port->lookup(store, &key, &instance, 1, on_view, &found);
    return found.version;
}

static struct cg_version prepare(uint32_t name)
{
    struct cg_instance instance = instance_of(name);
    struct found found;
    store->port->prepare(store, &instance, 1, on_view, &found);
    return found.version;
}

static void mark(uint32_t name, uint32_t writer_name, int64_t deadline_ms)
{
    struct cg_instance instance = instance_of(name);
    struct cg_writer writer = {{0}};
    enum cg_store_result result;
    memcpy(writer.id, &writer_name, sizeof writer_name);
    store->port->mark(store, &instance, 1, &writer, deadline_ms, on_done, &result);
    cr_assert_eq(result, CG_STORE_OK);
}

static struct cg_store_stats stats(void)
{
    struct cg_store_stats result;
    store->port->stats(store, &result);
    return result;
}

Test(memory, entries_never_take_more_than_the_bound)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        cr_assert_eq(fill(i, 100 + i % 3000), CG_STORE_OK);
        most = stats().entry_bytes > most ? stats().entry_bytes : most;
    }
    cr_expect_leq(most, BOUND);
    cr_expect_gt(most, BOUND / 10 * 9, "and they use it");
}

Test(memory, every_entry_is_either_there_or_counted_as_evicted)
{
    for (uint32_t i = 0; i < 5000; i++)
        fill(i, 1000);
    cr_expect_gt(stats().evictions, 0);
    cr_expect_eq(stats().entries + stats().evictions, 5000);
    uint32_t found = 0;
    for (uint32_t i = 0; i < 5000; i++)
        found += is_stored(i);
    cr_expect_eq(found, stats().entries);
}

Test(memory, what_is_used_again_outlives_a_scan_of_what_is_not)
{
    enum { HOT = 100 };
    for (uint32_t i = 0; i < HOT; i++)
        fill(i, 1000);
    for (uint32_t scan = 0; scan < 20000; scan++) {
        fill(1000000 + scan, 1000);
        is_stored(scan % HOT);
    }
    uint32_t found = 0;
    for (uint32_t i = 0; i < HOT; i++)
        found += is_stored(i);
    cr_expect_eq(found, HOT, "%u of %d are left", found, HOT);
}

Test(memory, entry_too_large_for_its_share_is_refused_and_evicts_nothing)
{
    fill(1, 1000);
    cr_expect_eq(fill(2, BOUND / 2), CG_STORE_FULL);
    cr_expect_not(is_stored(2));
    cr_expect(is_stored(1));
    cr_expect_eq(fill(3, BOUND / 5), CG_STORE_OK);
    cr_expect(is_stored(3));
}

Test(memory, expired_entry_is_dropped_when_it_is_looked_up)
{
    fill(1, 1000);
    clock_ms += 60000;
    cr_expect_eq(stats().entries, 1);
    cr_expect_not(is_stored(1));
    cr_expect_eq(stats().entries, 0);
    cr_expect_eq(stats().entry_bytes, 0);
    cr_expect_eq(stats().evictions, 0);
}

Test(memory, versions_take_a_quarter_at_most_and_the_rest_is_for_entries)
{
    for (uint32_t i = 0; i < 50000; i++)
        cr_assert_eq(prepare(i).state, CG_VERSION_CURRENT);
    uint64_t versions = stats().versions;
    cr_expect_gt(versions, 500);
    cr_expect_lt(versions * sizeof(struct cg_slot), BOUND / 4);
    for (uint32_t i = 0; i < 5000; i++)
        cr_assert_eq(fill(i, 1000), CG_STORE_OK);
    cr_expect_geq(stats().entry_bytes, BOUND / 4 * 3 - 2000);
    cr_expect_eq(stats().versions, versions, "entries evict entries only");
}

Test(memory, version_that_was_evicted_reads_absent_and_comes_back_as_another)
{
    struct cg_version before = prepare(0);
    uint32_t name = 1;
    for (; name < 100000 && stats().versions == name; name++)
        prepare(name);
    for (uint32_t i = 0; i < 100000; i++)
        prepare(name + i);
    cr_assert_eq(version_of(0).state, CG_VERSION_ABSENT);
    struct cg_version after = prepare(0);
    cr_expect_eq(after.state, CG_VERSION_CURRENT);
    cr_expect_not(cg_token_eq(&before.token, &after.token));
}

Test(memory, version_with_a_live_mark_is_never_evicted)
{
    enum { MARKED = 20 };
    for (uint32_t i = 0; i < MARKED; i++)
        mark(i, i, clock_ms + 10000);
    for (uint32_t i = 0; i < 50000; i++)
        prepare(MARKED + i);
    for (uint32_t i = 0; i < MARKED; i++)
        cr_expect_eq(version_of(i).state, CG_VERSION_BUSY, "%u", i);
    clock_ms += 10000;
    /* Each is used twice, for the hand to come round. */
    for (uint32_t i = 0; i < 100000; i++)
        prepare(MARKED + i / 2);
    for (uint32_t i = 0; i < MARKED; i++)
        cr_expect_eq(version_of(i).state, CG_VERSION_ABSENT, "%u, over", i);
}

Test(memory, marks_are_taken_even_when_nothing_can_be_evicted_for_them)
{
    for (uint32_t i = 0; i < 20000; i++)
        mark(i, 1, clock_ms + 10000);
    for (uint32_t i = 0; i < 20000; i++)
        cr_assert_eq(version_of(i).state, CG_VERSION_BUSY, "%u", i);
    cr_expect_eq(fill(1, 1000), CG_STORE_FULL, "then entries have to wait");
    clock_ms += 10000;
    for (uint32_t i = 0; i < 20000; i++)
        prepare(100000 + i);
    cr_expect_eq(fill(1, 1000), CG_STORE_OK, "until the marks are over");
}

Test(memory, two_stores_never_share_tokens_or_epochs)
{
    struct cg_memory *other = cg_memory_create(BOUND, HORIZON_MS, 2);
    struct cg_store *other_store = cg_memory_open(other, &test_clock);
    struct cg_instance instance = instance_of(1);
    struct found found;
    other_store->port->prepare(other_store, &instance, 1, on_view, &found);
    struct cg_version ours = prepare(1);
    cr_expect_not(cg_token_eq(&ours.token, &found.version.token));
    cg_memory_close(other_store);
    cg_memory_destroy(other);
}

/* ---- the table below it ---- */

static bool is_odd(const struct cg_slot *slot, void *owner)
{
    (void)owner;
    return slot->id[0] % 2 == 1;
}

Test(table, victim_is_the_oldest_that_was_not_found_again)
{
    struct cg_table table = {0};
    struct cg_slot slots[6] = {0};
    for (uint8_t i = 0; i < 6; i++) {
        slots[i].id[0] = i;
        cg_table_add(&table, &slots[i]);
    }
    cg_table_find(&table, slots[0].id);
    cr_expect_eq(cg_table_victim(&table, NULL, NULL), &slots[1]);
    cr_expect_eq(cg_table_victim(&table, NULL, NULL), &slots[2], "the hand moves on");
    cr_expect_eq(cg_table_victim(&table, is_odd, NULL), &slots[4]);
    cg_table_remove(&table, &slots[5]);
    cr_expect_eq(cg_table_victim(&table, NULL, NULL), &slots[0], "spared once only");
    for (uint8_t i = 0; i < 5; i++)
        cg_table_remove(&table, &slots[i]);
    cr_expect_null(cg_table_victim(&table, NULL, NULL));
    cg_table_fini(&table);
}

Test(table, nobody_is_a_victim_when_all_are_spared)
{
    struct cg_table table = {0};
    struct cg_slot slot = {.id = {1}};
    cg_table_add(&table, &slot);
    cr_expect_null(cg_table_victim(&table, is_odd, NULL));
    cg_table_remove(&table, &slot);
    cg_table_fini(&table);
}
