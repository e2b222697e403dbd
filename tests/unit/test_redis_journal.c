/* The journal by itself, and with a spool that real processes leave behind. No Redis. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cachegate/spool.h"
#include "gateway/base/log.h"
#include "gateway/store/redis_journal.h"

enum { ROOM = 4 };

static char folder[64], path[96];

static void setup(void)
{
    cg_log_set_level(CG_LOG_NOTICE);
    snprintf(folder, sizeof(folder), "/tmp/cachegate_journal_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/spool", folder);
}

static void teardown(void)
{
    unlink(path);
    rmdir(folder);
}

TestSuite(redis_journal, .init = setup, .fini = teardown);

static struct cg_redis_journal *make(const char *spool)
{
    char *error = NULL;
    struct cg_redis_journal *journal = cg_redis_journal_create(ROOM, spool, &error);
    cr_assert_not_null(journal, "%s", error);
    return journal;
}

static struct cg_instance instance_of(uint8_t name)
{
    struct cg_instance instance = {{name}};
    return instance;
}

static void add(struct cg_redis_journal *journal, uint8_t name)
{
    struct cg_instance instance = instance_of(name);
    cg_redis_journal_add(journal, &instance, NULL, 1);
}

/* `names`: a digit for each purge in order, then `f` for a flush; "" when there is no claim. */
static void expect_batch(struct cg_redis_journal *journal, const char *names)
{
    struct cg_redis_batch batch;
    char seen[32] = "";
    size_t length = 0;
    if (cg_redis_journal_claim(journal, &batch)) {
        for (size_t i = 0; i < batch.count; i++)
            seen[length++] = (char)('0' + batch.instances[i].id[0]);
        if (batch.flush)
            seen[length++] = 'f';
        seen[length] = '\0';
    }
    cr_expect_str_eq(seen, names);
}

Test(redis_journal, owes_from_the_first_add_until_all_is_delivered)
{
    struct cg_redis_journal *journal = make(NULL);
    const bool none[] = {false}, one[] = {true};
    struct cg_instance instance = instance_of(1);
    cr_expect_not(cg_redis_journal_owes(journal));
    cr_expect_not(cg_redis_journal_add(journal, &instance, none, 1));
    cr_expect_not(cg_redis_journal_owes(journal));
    expect_batch(journal, "");
    cr_expect(cg_redis_journal_add(journal, &instance, one, 1));
    cr_expect_eq(cg_redis_journal_length(journal), 1);
    expect_batch(journal, "1");
    expect_batch(journal, ""); /* somebody has it */
    cr_expect_not(cg_redis_journal_settle(journal, false));
    cr_expect(cg_redis_journal_owes(journal));
    expect_batch(journal, "1");
    cr_expect(cg_redis_journal_settle(journal, true));
    cr_expect_not(cg_redis_journal_owes(journal));
    cr_expect_eq(cg_redis_journal_length(journal), 0);
    cg_redis_journal_destroy(journal);
}

Test(redis_journal, what_comes_during_a_delivery_is_delivered_after_it)
{
    struct cg_redis_journal *journal = make(NULL);
    add(journal, 1);
    add(journal, 1);
    cr_expect(cg_redis_journal_owes(journal));
    cr_expect_eq(cg_redis_journal_length(journal), 1, "once is enough");
    expect_batch(journal, "1");
    add(journal, 1); /* the one under way may have executed before this write */
    add(journal, 2);
    cr_expect_not(cg_redis_journal_settle(journal, true));
    expect_batch(journal, "12");
    cr_expect(cg_redis_journal_settle(journal, true));
    cg_redis_journal_destroy(journal);
}

Test(redis_journal, many_are_delivered_in_parts)
{
    char *error = NULL;
    struct cg_redis_journal *journal = cg_redis_journal_create(5000, NULL, &error);
    struct cg_redis_batch batch;
    size_t left = CG_REDIS_BATCH_MAX + 10;
    cr_assert_not_null(journal);
    for (size_t i = 0; i < left; i++) {
        struct cg_instance instance = {{0}};
        memcpy(instance.id, &i, sizeof(i));
        cg_redis_journal_add(journal, &instance, NULL, 1);
    }
    cr_assert(cg_redis_journal_claim(journal, &batch));
    cr_expect_eq(batch.count, CG_REDIS_BATCH_MAX);
    cr_expect_not(cg_redis_journal_settle(journal, true));
    cr_expect(cg_redis_journal_owes(journal));
    cr_assert(cg_redis_journal_claim(journal, &batch));
    cr_expect_eq(batch.count, 10);
    cr_expect(cg_redis_journal_settle(journal, true));
    cg_redis_journal_destroy(journal);
}

Test(redis_journal, more_than_fits_is_a_flush)
{
    struct cg_redis_journal *journal = make(NULL);
    for (uint8_t i = 1; i <= ROOM + 2; i++)
        add(journal, i);
    cr_expect_eq(cg_redis_journal_length(journal), ROOM + 1);
    expect_batch(journal, "1234f");
    add(journal, 7); /* no room, and the flush has left already */
    cr_expect_not(cg_redis_journal_settle(journal, true));
    expect_batch(journal, "f");
    cr_expect_not(cg_redis_journal_settle(journal, false));
    expect_batch(journal, "f");
    add(journal, 8);
    cr_expect_not(cg_redis_journal_settle(journal, true));
    expect_batch(journal, "8");
    cr_expect(cg_redis_journal_settle(journal, true));
    cg_redis_journal_destroy(journal);
}

/* ---- the spool ---- */

/* Runs `what` in a process that ends without a word, as if killed. */
static void in_a_process_that_dies(void (*what)(struct cg_redis_journal *journal))
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        char *error = NULL;
        struct cg_redis_journal *journal = cg_redis_journal_create(ROOM, path, &error);
        if (journal == NULL)
            _exit(1);
        what(journal);
        _exit(0);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

static void add_two(struct cg_redis_journal *journal)
{
    add(journal, 1);
    add(journal, 2);
}

static void deliver_one_of_two(struct cg_redis_journal *journal)
{
    struct cg_redis_batch batch;
    add(journal, 1);
    cg_redis_journal_claim(journal, &batch);
    add(journal, 2);
    cg_redis_journal_settle(journal, true);
}

static void deliver_all(struct cg_redis_journal *journal)
{
    struct cg_redis_batch batch;
    add_two(journal);
    cg_redis_journal_claim(journal, &batch);
    cg_redis_journal_settle(journal, true);
}

static void doubt_and_deliver_all(struct cg_redis_journal *journal)
{
    cg_redis_journal_doubt(journal);
    deliver_all(journal);
}

static void add_many(struct cg_redis_journal *journal)
{
    for (uint8_t i = 1; i <= ROOM + 1; i++)
        add(journal, i);
}

static void nothing(struct cg_redis_journal *journal)
{
    (void)journal;
}

/* What a flush covered is no more in the file, and what comes next must be. */
static void deliver_a_flush_and_add(struct cg_redis_journal *journal)
{
    struct cg_redis_batch batch;
    cg_redis_journal_add_flush(journal);
    cg_redis_journal_claim(journal, &batch);
    cg_redis_journal_settle(journal, true);
    add(journal, 3);
}

Test(redis_journal, killed_process_leaves_what_it_owed)
{
    const struct {
        void (*what)(struct cg_redis_journal *journal);
        const char *owed;
    } cases[] = {
        {nothing, ""},
        {add_two, "12"},
        {deliver_one_of_two, "12"}, /* again does no harm */
        {deliver_all, ""},
        {add_many, "1234f"},
        {doubt_and_deliver_all, "f"},
        {deliver_a_flush_and_add, "3"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in_a_process_that_dies(cases[i].what);
        struct cg_redis_journal *journal = make(path);
        cr_expect_eq(cg_redis_journal_owes(journal), cases[i].owed[0] != '\0', "case %zu", i);
        expect_batch(journal, cases[i].owed);
        cg_redis_journal_destroy(journal);
        /* Not delivered, so the next one owes it too. */
        journal = make(path);
        expect_batch(journal, cases[i].owed);
        if (cases[i].owed[0] != '\0')
            cr_expect(cg_redis_journal_settle(journal, true));
        cg_redis_journal_destroy(journal);
        journal = make(path);
        expect_batch(journal, "");
        cg_redis_journal_destroy(journal);
    }
}

Test(redis_journal, doubt_ends_with_an_orderly_end_but_debts_do_not)
{
    struct cg_redis_journal *journal = make(path);
    cg_redis_journal_doubt(journal);
    add(journal, 3);
    cg_redis_journal_destroy(journal);
    journal = make(path);
    expect_batch(journal, "3");
    cg_redis_journal_destroy(journal);
}

Test(redis_journal, process_is_the_same_one_after_a_restart)
{
    struct cg_redis_journal *journal = make(path);
    struct cg_redis_journal *other = make(NULL);
    uint8_t process[CG_DIGEST_BYTES];
    memcpy(process, cg_redis_journal_process(journal), sizeof(process));
    cr_expect_neq(memcmp(process, cg_redis_journal_process(other), sizeof(process)), 0);
    cg_redis_journal_destroy(other);
    cg_redis_journal_destroy(journal);
    in_a_process_that_dies(add_two);
    journal = make(path);
    cr_expect_eq(memcmp(process, cg_redis_journal_process(journal), sizeof(process)), 0);
    cg_redis_journal_destroy(journal);
}

static void expect_refused(const char *spool, const char *word)
{
    char *error = NULL;
    struct cg_redis_journal *journal = cg_redis_journal_create(ROOM, spool, &error);
    cr_assert_null(journal);
    cr_expect(strstr(error, spool) != NULL && strstr(error, word) != NULL, "%s", error);
    free(error);
}

Test(redis_journal, spool_that_cannot_be_used_is_an_error)
{
    struct cg_redis_journal *journal = make(path);
    expect_refused(path, "used by another process");
    cg_redis_journal_destroy(journal);
    expect_refused("/nowhere/at/all", "No such file");
    expect_refused(folder, "cannot be opened");
    expect_refused("/dev/full", "cannot be read");
    cg_redis_journal_destroy(make(path));
}

static void cut_after(off_t length)
{
    cr_assert_eq(truncate(path, length), 0);
}

static void damage(off_t place)
{
    FILE *file = fopen(path, "r+");
    cr_assert_not_null(file);
    fseek(file, place * CG_SPOOL_RECORD_BYTES + 9, SEEK_SET);
    fputc(0x55, file);
    fclose(file);
}

Test(redis_journal, torn_record_at_the_end_is_left_out_and_any_other_damage_is_a_flush)
{
    const struct {
        off_t cut, damaged;
        const char *owed;
    } cases[] = {
        {0, -1, ""},
        {3 * CG_SPOOL_RECORD_BYTES - 1, -1, "1"}, /* nobody was told about 2 yet */
        {CG_SPOOL_RECORD_BYTES + 1, -1, ""},
        {3 * CG_SPOOL_RECORD_BYTES, 2, "1"},
        {3 * CG_SPOOL_RECORD_BYTES, 1, "f"},
        {3 * CG_SPOOL_RECORD_BYTES, 0, "f"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in_a_process_that_dies(add_two);
        cut_after(cases[i].cut);
        if (cases[i].damaged >= 0)
            damage(cases[i].damaged);
        struct cg_redis_journal *journal = make(path);
        expect_batch(journal, cases[i].owed);
        if (cg_redis_journal_owes(journal))
            cg_redis_journal_settle(journal, true);
        cg_redis_journal_destroy(journal);
    }
}

Test(redis_journal, spool_does_not_grow)
{
    struct cg_redis_journal *journal = make(path);
    struct stat before, after;
    struct cg_redis_batch batch;
    cr_assert_eq(stat(path, &before), 0);
    cr_expect_eq(before.st_mode & 0777, 0600);
    add(journal, 1);
    for (unsigned i = 0; i < 50; i++) { /* never all of it */
        cr_expect(cg_redis_journal_claim(journal, &batch));
        add(journal, (uint8_t)(2 + i % 2));
        cr_expect_not(cg_redis_journal_settle(journal, true));
    }
    cr_assert_eq(stat(path, &after), 0);
    cr_expect_eq(before.st_size, after.st_size);
    while (cg_redis_journal_claim(journal, &batch))
        cg_redis_journal_settle(journal, true);
    cr_expect_not(cg_redis_journal_owes(journal));
    cg_redis_journal_destroy(journal);
    in_a_process_that_dies(nothing);
    journal = make(path);
    expect_batch(journal, "");
    cg_redis_journal_destroy(journal);
}
