/*
 * Random operations on the embedded store against a reference model: one thread, so that every
 * answer is known exactly. What several threads may see is in test_store_threads.c.
 */
#include <criterion/criterion.h>

#include "gateway/store/memory.h"
#include "property/seed.h"

enum {
    NAMES = 6,
    WRITERS = 4,
    KEYS = 4,
    TOKENS_MAX = 4096,
    BANS_MAX = 900, /* below CG_BANS_MAX: none is trimmed */
    OPERATIONS = 30000,
    HORIZON_MS = 2000000000,
};

/* One instance as it should be. A version that is not `known` is absent or under a new token. */
struct model_version {
    bool known;
    struct cg_token token;
    int64_t deadlines[WRITERS]; /* 0: no mark */
};

struct model_entry {
    bool filled;
    uint64_t content;
    int64_t expires_at_ms;
};

struct model {
    struct seed seed;
    struct cg_store *handles[2];
    struct model_version versions[NAMES];
    struct model_entry entries[KEYS];
    struct cg_token tokens[TOKENS_MAX]; /* all that were ever seen */
    size_t token_count;
    uint64_t fills;
    uint64_t bans;
    uint64_t first_counter;
    bool may_evict; /* the store is small: what is gone may be gone */
    size_t found;
    const char *failure; /* the first, or NULL */
};

static int64_t clock_ms;

static int64_t read_clock(struct cg_clock *clock)
{
    (void)clock;
    return clock_ms;
}

static const struct cg_clock_port clock_port = {.now_ms = read_clock};
static struct cg_clock test_clock = {&clock_port};

static void check(struct model *model, bool holds, const char *what)
{
    if (!holds && model->failure == NULL)
        model->failure = what;
}

static struct cg_instance instance_of(size_t name)
{
    struct cg_instance instance = {{0}};
    instance.id[3] = (uint8_t)(1 + name);
    return instance;
}

static struct cg_key key_of(size_t name)
{
    struct cg_key key = {0};
    key.id[3] = (uint8_t)(1 + name);
    return key;
}

static struct cg_writer writer_of(size_t name)
{
    struct cg_writer writer = {{0}};
    writer.id[0] = (uint8_t)(1 + name);
    return writer;
}

static struct cg_store *any_handle(struct model *model)
{
    return model->handles[seed_below(&model->seed, 2)];
}

/* A mark that ran out may have changed anything. */
static bool settle(struct model_version *version)
{
    bool busy = false;
    for (size_t i = 0; i < WRITERS; i++) {
        if (version->deadlines[i] == 0)
            continue;
        if (version->deadlines[i] > clock_ms) {
            busy = true;
            continue;
        }
        version->deadlines[i] = 0;
        version->known = false;
    }
    return busy;
}

static bool was_seen(const struct model *model, const struct cg_token *token)
{
    for (size_t i = 0; i < model->token_count; i++)
        if (cg_token_eq(&model->tokens[i], token))
            return true;
    return false;
}

static void check_version(struct model *model, size_t name, const struct cg_version *seen,
                          bool prepared)
{
    struct model_version *version = &model->versions[name];
    if (settle(version)) {
        check(model, seen->state == CG_VERSION_BUSY, "a live mark was not seen");
        return;
    }
    check(model, seen->state != CG_VERSION_BUSY, "a version is busy without a mark");
    if (seen->state == CG_VERSION_ABSENT) {
        check(model, !prepared, "prepare left a version absent");
        check(model, !version->known || model->may_evict, "a version was lost");
        version->known = false;
        return;
    }
    if (version->known && cg_token_eq(&seen->token, &version->token))
        return;
    check(model, !version->known || model->may_evict, "a version changed by itself");
    check(model, !was_seen(model, &seen->token), "a token was used twice");
    version->known = true;
    version->token = seen->token;
    if (model->token_count < TOKENS_MAX)
        model->tokens[model->token_count++] = seen->token;
}

struct looking {
    struct model *model;
    size_t key;
    size_t names[NAMES];
    size_t count;
    bool prepared;
};

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct looking *looking = owner;
    struct model *model = looking->model;
    for (size_t i = 0; i < looking->count; i++)
        check_version(model, looking->names[i], &view->versions[i], looking->prepared);
    check(model, view->epoch.counter == model->first_counter + model->bans,
          "the epoch does not count the bans");
    check(model, cg_epoch_eq(cg_bans_epoch(view->bans), view->epoch),
          "the bans do not reach up to the epoch");
    if (looking->prepared)
        return;
    struct model_entry *entry = &model->entries[looking->key];
    bool expected = entry->filled && entry->expires_at_ms > clock_ms;
    if (view->entry == NULL) {
        check(model, !expected || model->may_evict, "an entry was lost");
        entry->filled = false;
        return;
    }
    uint64_t content = 0;
    memcpy(&content, view->entry->bytes, sizeof content);
    check(model, expected, "an entry outlived its time");
    check(model, content == entry->content, "an entry is not what was filled last");
    model->found++;
}

static void look(struct model *model, bool prepared)
{
    struct looking looking = {.model = model, .prepared = prepared};
    struct cg_instance instances[NAMES];
    looking.key = seed_below(&model->seed, KEYS);
    looking.count = seed_below(&model->seed, NAMES + 1);
    for (size_t i = 0; i < looking.count; i++) {
        looking.names[i] = seed_below(&model->seed, NAMES);
        instances[i] = instance_of(looking.names[i]);
    }
    struct cg_store *store = any_handle(model);
    struct cg_key key = key_of(looking.key);
    if (prepared)
        store->port->prepare(store, instances, looking.count, on_view, &looking);
    else
        store->port->lookup(store, &key, instances, looking.count, on_view, &looking);
}

static void on_done(void *owner, enum cg_store_result result)
{
    check(owner, result == CG_STORE_OK, "an operation failed");
}

static void fill(struct model *model)
{
    char bytes[2000] = {0};
    size_t name = seed_below(&model->seed, KEYS);
    uint64_t content = ++model->fills, lifetime_ms = 1 + seed_below(&model->seed, 1000);
    memcpy(bytes, &content, sizeof content);
    size_t length = sizeof content + seed_below(&model->seed, sizeof bytes - sizeof content);
    struct cg_blob *blob = cg_blob_create(cg_str_of(bytes, length));
    struct cg_key key = key_of(name);
    struct cg_store *store = any_handle(model);
    store->port->fill(store, &key, blob, lifetime_ms, on_done, model);
    cg_blob_unref(blob);
    model->entries[name] = (struct model_entry){true, content, clock_ms + (int64_t)lifetime_ms};
}

static void purge(struct model *model)
{
    size_t name = seed_below(&model->seed, NAMES);
    struct cg_instance instance = instance_of(name);
    struct cg_store *store = any_handle(model);
    store->port->purge(store, &instance, 1, on_done, model);
    settle(&model->versions[name]);
    model->versions[name].known = false;
}

static void mark(struct model *model)
{
    size_t name = seed_below(&model->seed, NAMES), writer_name = seed_below(&model->seed, WRITERS);
    struct model_version *version = &model->versions[name];
    struct cg_instance instance = instance_of(name);
    struct cg_writer writer = writer_of(writer_name);
    int64_t deadline_ms = clock_ms + 1 + (int64_t)seed_below(&model->seed, 500);
    struct cg_store *store = any_handle(model);
    store->port->mark(store, &instance, 1, &writer, deadline_ms, on_done, model);
    settle(version);
    if (deadline_ms > version->deadlines[writer_name])
        version->deadlines[writer_name] = deadline_ms;
}

static void release(struct model *model)
{
    size_t name = seed_below(&model->seed, NAMES), writer_name = seed_below(&model->seed, WRITERS);
    struct model_version *version = &model->versions[name];
    struct cg_instance instance = instance_of(name);
    struct cg_writer writer = writer_of(writer_name);
    bool renew = seed_below(&model->seed, 2) == 1;
    struct cg_store *store = any_handle(model);
    store->port->release(store, &instance, &renew, 1, &writer, on_done, model);
    settle(version);
    version->deadlines[writer_name] = 0;
    if (renew)
        version->known = false;
}

static void ban_or_flush(struct model *model)
{
    struct cg_store *store = any_handle(model);
    if (model->bans >= BANS_MAX)
        return;
    model->bans++;
    if (seed_below(&model->seed, 10) > 0) {
        struct cg_ban ban = {CG_STR("/a"), {NULL, 0}};
        store->port->ban(store, &ban, 1, on_done, model);
        return;
    }
    store->port->flush(store, on_done, model);
    for (size_t i = 0; i < KEYS; i++)
        model->entries[i].filled = false;
}

/* Where the counter begins. */
static void on_first_view(void *owner, const struct cg_store_view *view)
{
    struct model *model = owner;
    model->first_counter = view->epoch.counter;
}

static void run(struct model *model, size_t bytes_max)
{
    clock_ms = INT64_C(1700000000000);
    struct cg_memory *memory = cg_memory_create(bytes_max, HORIZON_MS, model->seed.start);
    model->handles[0] = cg_memory_open(memory, &test_clock);
    model->handles[1] = cg_memory_open(memory, &test_clock);
    struct cg_store *first = model->handles[0];
    first->port->prepare(first, NULL, 0, on_first_view, model);
    for (size_t i = 0; i < OPERATIONS && model->failure == NULL; i++) {
        size_t what = seed_below(&model->seed, 100);
        if (what < 30)
            look(model, false);
        else if (what < 45)
            look(model, true);
        else if (what < 60)
            fill(model);
        else if (what < 70)
            purge(model);
        else if (what < 80)
            mark(model);
        else if (what < 95)
            release(model);
        else if (what < 97)
            ban_or_flush(model);
        else
            clock_ms += (int64_t)seed_below(&model->seed, 300);
    }
    cg_memory_close(model->handles[0]);
    cg_memory_close(model->handles[1]);
    cg_memory_destroy(memory);
}

static struct model model;

Test(store, every_answer_is_what_the_model_says)
{
    model = (struct model){.seed = seed_init()};
    run(&model, 1 << 24);
    cr_expect_null(model.failure, "CACHEGATE_SEED=%llu: %s", (unsigned long long)model.seed.start,
                   model.failure);
    cr_expect_gt(model.found, 1000, "hardly any entry was found: %zu", model.found);
    cr_expect_gt(model.token_count, 1000, "hardly any token was seen: %zu", model.token_count);
}

/* In 12 KB not even four entries of 2000 bytes find room beside the versions at all times. */
Test(store, what_is_evicted_can_only_be_missed)
{
    model = (struct model){.seed = seed_init(), .may_evict = true};
    run(&model, 12000);
    cr_expect_null(model.failure, "CACHEGATE_SEED=%llu: %s", (unsigned long long)model.seed.start,
                   model.failure);
    cr_expect_gt(model.found, 100, "hardly any entry was found: %zu", model.found);
}
