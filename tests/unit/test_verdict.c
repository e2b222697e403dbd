#include "cachegate/verdict.h"

#include <criterion/criterion.h>

enum { STORED_AT = 1000000, LIFETIME = 60000 };

/* An entry and the lookup that it answers; tests change one thing. */
static struct cg_arena arena;
static struct cg_plan plan;
static struct cg_entry entry;
static struct cg_version versions[3];
static struct cg_bans *bans;
static struct cg_epoch epoch;
static struct cg_str variant;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 20);
    plan = (struct cg_plan){.kind = CG_PLAN_LOOKUP, .canonical = CG_STR("c"), .instance_count = 3};
    cr_assert_eq(cg_path_parse(CG_STR("/items/5?q=1"), &arena, &plan.path, &plan.query),
                 CG_PATH_OK);
    bans = cg_bans_create(77);
    epoch = cg_bans_epoch(bans);
    variant = CG_STR("");
    entry = (struct cg_entry){.kind = CG_ENTRY_ANSWER,
                              .canonical = CG_STR("c"),
                              .stored_at_ms = STORED_AT,
                              .lifetime_ms = LIFETIME,
                              .stale_while_revalidate_ms = 10000,
                              .stale_if_error_ms = 30000,
                              .epoch = epoch,
                              .instance_count = 3,
                              .status = 200};
    for (uint8_t i = 0; i < 3; i++) {
        memset(plan.instances[i].id, 1 + i, CG_DIGEST_BYTES);
        memset(entry.tokens[i].bytes, 11 + i, CG_DIGEST_BYTES);
        entry.instances[i] = plan.instances[i];
        versions[i] = (struct cg_version){CG_VERSION_CURRENT, entry.tokens[i]};
    }
}

static void teardown(void)
{
    cg_bans_unref(bans);
    cg_arena_fini(&arena);
}

TestSuite(verdict, .init = setup, .fini = teardown);

/* The sound case again, for the next row. */
static void reset(void)
{
    teardown();
    setup();
}

static struct cg_verdict judge_at(int64_t now_ms)
{
    return cg_verdict_of(&entry, &plan, variant, versions, epoch, bans, now_ms);
}

static void expect(const char *name, struct cg_verdict verdict, enum cg_verdict_kind kind,
                   enum cg_reason reason)
{
    cr_expect_eq(verdict.kind, kind, "%s: kind %d", name, (int)verdict.kind);
    cr_expect_eq(verdict.reason, reason, "%s: %s", name, cg_reason_word(verdict.reason));
}

static void ban(const char *pattern, const char *user)
{
    struct cg_ban added = {cg_str_from(pattern), cg_str_from(user)};
    struct cg_bans *next = cg_bans_append(bans, &added, 1, STORED_AT, 1000000);
    cg_bans_unref(bans);
    bans = next;
    epoch = cg_bans_epoch(bans);
}

Test(verdict, age_decides_among_what_is_valid)
{
    static const struct {
        const char *name;
        int64_t after_ms;
        uint64_t initial_age_ms;
        bool must_revalidate;
        enum cg_verdict_kind kind;
        enum cg_reason reason;
        uint64_t age_s;
        int64_t ttl_s;
        bool usable_if_error;
    } rows[] = {
        {"just stored", 0, 0, false, CG_VERDICT_HIT, CG_REASON_FRESH, 0, 60, false},
        {"last moment", 59999, 0, false, CG_VERDICT_HIT, CG_REASON_FRESH, 59, 0, false},
        {"it came with an age", 9000, 50000, false, CG_VERDICT_HIT, CG_REASON_FRESH, 59, 1, false},
        {"the clock went back", -5000, 0, false, CG_VERDICT_HIT, CG_REASON_FRESH, 0, 60, false},
        {"must-revalidate is for stale ones", 0, 0, true, CG_VERDICT_HIT, CG_REASON_FRESH, 0, 60,
         false},
        {"just expired", 60000, 0, false, CG_VERDICT_STALE, CG_REASON_STALE_WHILE_REVALIDATE, 60,
         -1, false},
        {"end of the stale window", 69999, 0, false, CG_VERDICT_STALE,
         CG_REASON_STALE_WHILE_REVALIDATE, 69, -10, false},
        {"over, but good in an emergency", 70000, 0, false, CG_VERDICT_MISS, CG_REASON_EXPIRED, 70,
         -10, true},
        {"end of the emergency window", 89999, 0, false, CG_VERDICT_MISS, CG_REASON_EXPIRED, 89,
         -30, true},
        {"good for nothing", 90000, 0, false, CG_VERDICT_MISS, CG_REASON_EXPIRED, 90, -30, false},
        {"must-revalidate", 60000, 0, true, CG_VERDICT_MISS, CG_REASON_EXPIRED, 60, -1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        entry.initial_age_ms = rows[i].initial_age_ms;
        entry.must_revalidate = rows[i].must_revalidate;
        struct cg_verdict verdict = judge_at(STORED_AT + rows[i].after_ms);
        expect(rows[i].name, verdict, rows[i].kind, rows[i].reason);
        cr_expect_eq(verdict.age_s, rows[i].age_s, "%s", rows[i].name);
        cr_expect_eq(verdict.ttl_s, rows[i].ttl_s, "%s: %lld", rows[i].name,
                     (long long)verdict.ttl_s);
        cr_expect_eq(verdict.usable_if_error, rows[i].usable_if_error, "%s", rows[i].name);
        cr_expect(verdict.alive, "%s: only time counts against it", rows[i].name);
    }
}

Test(verdict, expired_answer_may_be_validated_where_the_origin_can_be_asked_about_it)
{
    static const struct {
        const char *clause;
        struct cg_field field;
        unsigned status;
        bool may_validate;
    } rows[] = {
        {"RFC 9111 4.3.1 tag", {CG_STR("etag"), CG_STR("\"a\"")}, 200, true},
        {"RFC 9111 4.3.1 date",
         {CG_STR("last-modified"), CG_STR("Sun, 06 Nov 1994 08:49:37 GMT")},
         200,
         true},
        {"no validator", {CG_STR("x"), CG_STR("y")}, 200, false},
        {"malformed", {CG_STR("etag"), CG_STR("a")}, 200, false},
        {"RFC 9110 13.2.1 only 2xx", {CG_STR("etag"), CG_STR("\"a\"")}, 404, false},
        {"RFC 9110 13.2.1 only 2xx", {CG_STR("etag"), CG_STR("\"a\"")}, 203, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_field field = rows[i].field;
        entry.fields = (struct cg_fields){.items = &field, .count = 1, .capacity = 1};
        entry.status = rows[i].status;
        cr_expect_eq(judge_at(STORED_AT + LIFETIME).may_validate, rows[i].may_validate,
                     "in its stale window: %s", rows[i].clause);
        cr_expect_eq(judge_at(STORED_AT + 10 * LIFETIME).may_validate, rows[i].may_validate, "%s",
                     rows[i].clause);
        cr_expect_not(judge_at(STORED_AT).may_validate, "still fresh: %s", rows[i].clause);
        versions[1].token.bytes[0] ^= 1;
        struct cg_verdict dead = judge_at(STORED_AT + 10 * LIFETIME);
        versions[1].token.bytes[0] ^= 1;
        cr_expect_not(dead.alive || dead.may_validate, "CONSISTENCY row 4: %s", rows[i].clause);
    }
}

Test(verdict, nothing_stored_is_absent)
{
    struct cg_verdict verdict =
        cg_verdict_of(NULL, &plan, variant, versions, epoch, bans, STORED_AT);
    expect("no entry", verdict, CG_VERDICT_MISS, CG_REASON_ABSENT);
}

Test(verdict, busy_version_passes_whatever_is_stored)
{
    for (size_t i = 0; i < 3; i++) {
        reset();
        versions[i] = (struct cg_version){.state = CG_VERSION_BUSY};
        expect("entry", judge_at(STORED_AT), CG_VERDICT_PASS, CG_REASON_WRITE_IN_FLIGHT);
        expect("no entry", cg_verdict_of(NULL, &plan, variant, versions, epoch, bans, STORED_AT),
               CG_VERDICT_PASS, CG_REASON_WRITE_IN_FLIGHT);
        entry.canonical = CG_STR("other");
        expect("mismatch", judge_at(STORED_AT), CG_VERDICT_PASS, CG_REASON_WRITE_IN_FLIGHT);
    }
}

Test(verdict, another_requests_answer_under_this_key_is_a_mismatch)
{
    entry.canonical = CG_STR("d");
    expect("other", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_MISMATCH);
    entry.canonical = CG_STR("cc");
    expect("longer", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_MISMATCH);
}

Test(verdict, each_version_must_be_current_and_the_one_it_was_stored_under)
{
    for (size_t i = 0; i < 3; i++) {
        reset();
        versions[i].token.bytes[15] ^= 1;
        expect("other token", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_PURGED);
        reset();
        versions[i].state = CG_VERSION_ABSENT;
        expect("absent", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_PURGED);
        reset();
        entry.instances[i].id[0] ^= 1;
        expect("other instance", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_PURGED);
    }
}

Test(verdict, absent_version_matches_nothing_not_even_an_entry_of_zeros)
{
    entry.tokens[1] = (struct cg_token){{0}};
    versions[1] = (struct cg_version){.state = CG_VERSION_ABSENT};
    expect("zeros", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_PURGED);
}

Test(verdict, entry_must_name_all_of_the_plans_instances_and_no_others)
{
    entry.instance_count = 2;
    expect("one less", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_PURGED);
    entry.instance_count = 3;
    plan.instance_count = 2;
    expect("one more", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_PURGED);
}

Test(verdict, version_dead_entry_is_not_even_good_for_errors)
{
    versions[0].token.bytes[0] ^= 1;
    struct cg_verdict verdict = judge_at(STORED_AT + 75000);
    expect("purged and expired", verdict, CG_VERDICT_MISS, CG_REASON_PURGED);
    cr_expect_not(verdict.usable_if_error);
    expect("purged and stale", judge_at(STORED_AT + 61000), CG_VERDICT_MISS, CG_REASON_PURGED);
}

Test(verdict, ban_covers_what_was_stored_before_it)
{
    ban("/other/*", "");
    expect("another path", judge_at(STORED_AT), CG_VERDICT_HIT, CG_REASON_FRESH);
    ban("/items/*", "");
    expect("its path", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_BANNED);
    entry.epoch = epoch;
    expect("stored since", judge_at(STORED_AT), CG_VERDICT_HIT, CG_REASON_FRESH);
    ban("", "");
    expect("everything", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_BANNED);
}

Test(verdict, ban_of_one_user_spares_the_others)
{
    plan.identity.user = CG_STR("alice");
    ban("/items/*", "bob");
    expect("bob's", judge_at(STORED_AT), CG_VERDICT_HIT, CG_REASON_FRESH);
    ban("/items/*", "alice");
    expect("hers", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_BANNED);
}

Test(verdict, ban_list_that_does_not_reach_the_epoch_acquits_nobody)
{
    struct cg_epoch ahead = {epoch.generation, epoch.counter + 1};
    expect("list behind", cg_verdict_of(&entry, &plan, variant, versions, ahead, bans, STORED_AT),
           CG_VERDICT_MISS, CG_REASON_BANNED);
    expect("no list", cg_verdict_of(&entry, &plan, variant, versions, ahead, NULL, STORED_AT),
           CG_VERDICT_MISS, CG_REASON_BANNED);
}

Test(verdict, entry_of_another_generation_is_banned)
{
    entry.epoch.generation++;
    expect("generation", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_BANNED);
}

Test(verdict, vary_marker_sends_on_to_the_variant_after_its_versions_were_checked)
{
    entry.kind = CG_ENTRY_VARY;
    entry.vary = CG_STR("accept");
    expect("marker", judge_at(STORED_AT), CG_VERDICT_SELECT, CG_REASON_VARY);
    expect("expired marker", judge_at(STORED_AT + 10 * LIFETIME), CG_VERDICT_SELECT,
           CG_REASON_VARY);
    ban("/items/*", "");
    expect("banned marker", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_BANNED);
    versions[0].token.bytes[0] ^= 1;
    expect("purged marker", judge_at(STORED_AT), CG_VERDICT_MISS, CG_REASON_PURGED);
}

Test(verdict, variant_must_be_the_one_that_was_looked_up)
{
    static const struct {
        const char *name;
        enum cg_entry_kind kind;
        const char *stored;
        const char *asked;
        enum cg_verdict_kind expected;
    } rows[] = {
        {"the same", CG_ENTRY_ANSWER, "gzip", "gzip", CG_VERDICT_HIT},
        {"another", CG_ENTRY_ANSWER, "br", "gzip", CG_VERDICT_MISS},
        {"a plain answer", CG_ENTRY_ANSWER, "", "gzip", CG_VERDICT_MISS},
        {"a variant where none was asked for", CG_ENTRY_ANSWER, "gzip", "", CG_VERDICT_MISS},
        {"a marker behind a marker", CG_ENTRY_VARY, "gzip", "gzip", CG_VERDICT_MISS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        entry.kind = rows[i].kind;
        entry.variant = cg_str_from(rows[i].stored);
        variant = cg_str_from(rows[i].asked);
        struct cg_verdict verdict = judge_at(STORED_AT);
        cr_expect_eq(verdict.kind, rows[i].expected, "%s", rows[i].name);
        if (rows[i].expected == CG_VERDICT_MISS)
            cr_expect_eq(verdict.reason, CG_REASON_VARY, "%s", rows[i].name);
    }
}
