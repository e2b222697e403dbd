/* What the observer of a machine, as the access log is one, is told of each request; and the trace
 * that it is forwarded under. */
#include "gateway/request/record.h"
#include "machine/help_world.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char rules[] = "defaults: {ttl: 5m, scope: shared}\n"
                            "routes:\n"
                            "  - match: GET /items/{id}\n"
                            "  - match: GET /pass\n"
                            "    cache: never\n";

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define THEIRS "00-" TRACE "-b7ad6b7169203331-00"

enum { SEEN_MAX = 64 };
struct seen {
    struct cg_request_record record;
    struct cg_trace trace, fetch_trace;
    char target[64];
};
static struct seen seen[SEEN_MAX];
static size_t seen_count;
static struct world *world;

static void observe(void *observer, const struct cg_request_record *record)
{
    cr_assert(observer == &seen_count && seen_count < SEEN_MAX && record->trace != NULL);
    struct seen *to = &seen[seen_count++];
    *to = (struct seen){.record = *record, .trace = *record->trace};
    if (record->fetch_trace != NULL)
        to->fetch_trace = *record->fetch_trace;
    snprintf(to->target, sizeof(to->target), "%.*s", CG_STR_ARG(record->target));
}

static void setup(void)
{
    world = world_create(rules);
    world->machine.observe = observe;
    world->machine.observer = &seen_count;
}

static void teardown(void)
{
    world_destroy(world);
}

TestSuite(access, .init = setup, .fini = teardown);

/* The text of a field that the upstream got, "" without. */
static const char *forwarded(const struct world_exchange *exchange, const char *name)
{
    static char text[600];
    struct cg_str value = cg_fields_value(exchange->request->fields, cg_str_from(name));
    snprintf(text, sizeof(text), "%.*s", CG_STR_ARG(value));
    return text;
}

static bool is_traceparent(const char *text)
{
    struct cg_trace trace;
    return cg_traceparent_parse(cg_str_from(text), &trace);
}

Test(access, each_request_is_told_once_when_it_is_over)
{
    struct world_client *first = world_gets(world, "/items/1");
    cr_expect_eq(seen_count, 0);
    world_origin_answers(world_asked(world), 200, NULL, "one");
    world_reap(world);
    struct world_client *second = world_gets(world, "/items/1");
    cr_expect(world_got(second, 200, "one", "hit"));
    world_reap(world);
    cr_assert_eq(seen_count, 2);
    cr_expect_eq(seen[0].record.result, CG_RESULT_MISS);
    cr_expect_eq(seen[0].record.upstream, 0);
    cr_expect_eq(seen[0].record.upstream_status, 200);
    cr_expect_eq(seen[1].record.result, CG_RESULT_HIT);
    cr_expect_eq(seen[1].record.upstream, CG_RECORD_NO_UPSTREAM);
    cr_expect(seen[0].record.has_key && seen[1].record.has_key);
    cr_expect(memcmp(seen[0].record.key_id, seen[1].record.key_id, CG_DIGEST_BYTES) == 0);
    cr_expect(memcmp(seen[0].trace.trace_id, seen[1].trace.trace_id, 16) != 0, "two traces");
    (void)first;
}

Test(access, who_leaves_is_told_too)
{
    struct world_client *client = world_gets(world, "/items/1");
    world_client_leaves(client);
    cr_assert_eq(seen_count, 1);
    cr_expect_eq(seen[0].record.status, 0);
    cr_expect_not(seen[0].record.complete);
    cr_expect_str_eq(seen[0].target, "/items/1");
    world_origin_answers(world_asked(world), 200, NULL, "one");
}

Test(access, a_valid_trace_goes_on_under_a_span_of_ours)
{
    world_asks(world, "GET", "/items/1", "traceparent: " THEIRS "\ntracestate: a=b", NULL);
    struct world_exchange *exchange = world_asked(world);
    const char *sent = forwarded(exchange, "traceparent");
    cr_expect(is_traceparent(sent), "%s", sent);
    cr_expect(strncmp(sent, THEIRS, 36) == 0 && strcmp(sent + 52, "-00") == 0, "%s", sent);
    cr_expect(strncmp(sent + 36, &THEIRS[36], 16) != 0, "the parent is ours");
    cr_expect_str_eq(forwarded(exchange, "tracestate"), "a=b");
    char span[17];
    snprintf(span, sizeof(span), "%.16s", forwarded(exchange, "traceparent") + 36);
    world_origin_answers(exchange, 200, NULL, "one");
    world_reap(world);
    char own[CG_TRACEPARENT_LENGTH + 1] = {0};
    cg_traceparent_print(&seen[0].trace, own);
    cr_expect(strncmp(own + 3, TRACE, 32) == 0 && strncmp(own + 36, span, 16) == 0,
              "what is logged is what was sent: %s", own);
}

Test(access, what_is_no_trace_is_replaced_together_with_its_state)
{
    world_asks(world, "POST", "/items/1", "traceparent: 00-" TRACE "\ntracestate: a=b", "x");
    struct world_exchange *exchange = world_asked(world);
    const char *sent = forwarded(exchange, "traceparent");
    cr_expect(is_traceparent(sent) && strstr(sent, TRACE) == NULL, "%s", sent);
    cr_expect_str_eq(sent + 52, "-01");
    cr_expect_str_eq(forwarded(exchange, "tracestate"), "");
    world_origin_answers(exchange, 200, NULL, "");
}

Test(access, a_new_trace_may_ask_not_to_be_recorded)
{
    world->machine.tracing = CG_TRACING_UNSAMPLED;
    world_gets(world, "/items/1");
    cr_expect_str_eq(forwarded(world_asked(world), "traceparent") + 52, "-00");
    world_origin_answers(world_asked(world), 200, NULL, "");
}

Test(access, who_only_passes_traces_on_changes_nothing)
{
    world->machine.tracing = CG_TRACING_PASS;
    world_asks(world, "GET", "/items/1", "traceparent: " THEIRS, NULL);
    cr_expect_str_eq(forwarded(world_asked(world), "traceparent"), THEIRS);
    world_origin_answers(world_asked(world), 200, NULL, "");
    world_gets(world, "/pass");
    cr_expect_str_eq(forwarded(world_asked(world), "traceparent"), "");
    world_origin_answers(world_asked(world), 200, NULL, "");
}

Test(access, who_shares_a_fetch_has_a_trace_of_its_own_and_names_the_other)
{
    world_asks(world, "GET", "/items/1", "traceparent: " THEIRS, NULL);
    world_gets(world, "/items/1");
    cr_expect_eq(world_times_asked(world), 1);
    world_origin_answers(world_asked(world), 200, NULL, "one");
    world_reap(world);
    cr_assert_eq(seen_count, 2);
    size_t follower = seen[0].record.fetch_trace == NULL;
    const struct seen *shared = &seen[follower], *leader = &seen[1 - follower];
    cr_expect_eq(shared->record.result, CG_RESULT_COLLAPSED);
    cr_assert(shared->record.fetch_trace != NULL && leader->record.fetch_trace == NULL);
    cr_expect(memcmp(shared->fetch_trace.trace_id, leader->trace.trace_id, 16) == 0);
    cr_expect(memcmp(shared->trace.trace_id, leader->trace.trace_id, 16) != 0);
}
