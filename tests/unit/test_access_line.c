#include "gateway/request/access_line.h"

#include <criterion/criterion.h>
#include <jansson.h>

static const struct cg_str upstreams[] = {{"api", 3}, {"billing", 7}};
static const struct cg_access_style json_style = {
    .format = CG_ACCESS_JSON, .upstreams = upstreams, .upstream_count = 2};
static const struct cg_access_style combined_style = {
    .format = CG_ACCESS_COMBINED, .upstreams = upstreams, .upstream_count = 2};

static struct cg_access_line line;
static struct cg_arena arena;

static void start(const struct cg_access_style *style)
{
    cg_arena_init(&arena, 1 << 16);
    cg_access_line_init(&line, style);
    if (line.style.mask.count == 0)
        cg_mask_make(NULL, 0, &arena, &line.style.mask);
}

static void end(void)
{
    cg_access_line_fini(&line);
    cg_arena_fini(&arena);
}

static void expect_line(const struct cg_access_style *style, const struct cg_request_record *record,
                        const char *expected)
{
    start(style);
    struct cg_str text = cg_access_line_print(&line, record);
    cr_expect(cg_str_eq(text, cg_str_from(expected)), "%.*s", CG_STR_ARG(text));
    end();
}

static struct cg_field items[] = {
    {{"user-agent", 10}, {"agent \"1\"\n", 10}},
    {{"authorization", 13}, {"Bearer hush", 11}},
    {{"cookie", 6}, {"sid=hush", 8}},
    {{"referer", 7}, {"https://ann:hush@app.test/?code=hush&x=1", 40}},
};
static const struct cg_fields fields = {.items = items, .count = 4, .capacity = 4};
static const struct cg_route route = {.name = {"GET /items", 10}};
static const struct cg_trace trace = {.trace_id = {1, 2}, .span_id = {3}, .flags = 1};
static const struct cg_trace other = {.trace_id = {0xff}};

static struct cg_request_record sample(void)
{
    return (struct cg_request_record){
        .started_ms = INT64_C(1767323045678),
        .duration_us = 1234,
        .head_us = 1001,
        .store_us = 200,
        .upstream_us = 900,
        .method = CG_STR("GET"),
        .scheme = CG_STR("https"),
        .authority = CG_STR("api.test"),
        .target = CG_STR("/items?page=2&token=hush"),
        .fields = &fields,
        .peer = CG_STR("192.0.2.1"),
        .protocol = 20,
        .status = 200,
        .request_body_bytes = 0,
        .response_body_bytes = 512,
        .complete = true,
        .route = &route,
        .result = CG_RESULT_MISS,
        .reason = CG_REASON_ABSENT,
        .has_key = true,
        .key_id = {0xab, 0xcd},
        .upstream = 1,
        .upstream_status = 200,
        .trace = &trace,
    };
}

Test(access_line, everything_that_is_known_is_told)
{
    struct cg_request_record record = sample();
    expect_line(
        &json_style, &record,
        "{\"time\":\"2026-01-02T03:04:05.678Z\",\"client\":\"192.0.2.1\",\"method\":\"GET\","
        "\"scheme\":\"https\",\"host\":\"api.test\",\"path\":\"/items?page=2&token=***\","
        "\"protocol\":\"HTTP/2.0\",\"status\":200,\"complete\":true,\"bytes_in\":0,"
        "\"bytes_out\":512,\"duration_ms\":1.234,\"first_byte_ms\":1.001,"
        "\"store_ms\":0.200,\"route\":\"GET /items\",\"cache\":\"miss\","
        "\"reason\":\"absent\",\"key\":\"abcd0000000000000000000000000000\","
        "\"upstream\":\"billing\",\"upstream_status\":200,\"upstream_ms\":0.900,"
        "\"trace_id\":\"01020000000000000000000000000000\","
        "\"span_id\":\"0300000000000000\",\"user_agent\":\"agent \\\"1\\\"\\u000a\","
        "\"referer\":\"https://***@app.test/?code=***&x=1\"}\n");
    expect_line(&combined_style, &record,
                "192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] \"GET /items?page=2&token=*** "
                "HTTP/2.0\" 200 512 \"https://***@app.test/?code=***&x=1\" "
                "\"agent \\x221\\x22\\x0a\"\n");
}

Test(access_line, what_is_not_known_is_left_out)
{
    struct cg_request_record record = {.upstream = CG_RECORD_NO_UPSTREAM,
                                       .result = CG_RESULT_ERROR,
                                       .reason = CG_REASON_BAD_REQUEST,
                                       .protocol = 10};
    expect_line(&json_style, &record,
                "{\"time\":\"1970-01-01T00:00:00.000Z\",\"protocol\":\"HTTP/1.0\",\"status\":0,"
                "\"complete\":false,\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000,"
                "\"cache\":\"error\",\"reason\":\"bad-request\"}\n");
    expect_line(&combined_style, &record,
                "- - - [01/Jan/1970:00:00:00 +0000] \"- - HTTP/1.0\" 499 0 \"-\" \"-\"\n");
}

Test(access_line, who_shared_a_fetch_names_its_trace)
{
    struct cg_request_record record = sample();
    record.fetch_trace = &other;
    start(&json_style);
    struct cg_str text = cg_access_line_print(&line, &record);
    cr_expect(memmem(text.bytes, text.length, "\"fetch_trace_id\":\"ff00", 22) != NULL);
    cr_expect(memmem(text.bytes, text.length, "span_id", 7) == NULL, "nothing was sent under it");
    end();
}

Test(access_line, users_in_front_of_a_host_are_not_shown)
{
    struct cg_request_record record = sample();
    record.authority = CG_STR("ann:hush@api.test");
    start(&json_style);
    struct cg_str text = cg_access_line_print(&line, &record);
    cr_expect(memmem(text.bytes, text.length, "hush", 4) == NULL, "%.*s", CG_STR_ARG(text));
    cr_expect(memmem(text.bytes, text.length, "\"host\":\"api.test\"", 17) != NULL);
    end();
}

/* The worst that can come: everything long, and every byte an escape. */
static struct cg_request_record worst(char *bytes, size_t length)
{
    static struct cg_field long_items[2];
    static struct cg_fields long_fields;
    static struct cg_route long_route;
    struct cg_request_record record = sample();
    struct cg_str text = cg_str_of(bytes, length);
    long_items[0] = (struct cg_field){CG_STR("user-agent"), text};
    long_items[1] = (struct cg_field){CG_STR("referer"), text};
    long_fields = (struct cg_fields){.items = long_items, .count = 2, .capacity = 2};
    long_route.name = text;
    record.method = record.scheme = record.authority = record.target = record.peer = text;
    record.fields = &long_fields;
    record.route = &long_route;
    record.started_ms = INT64_MAX;
    record.duration_us = record.head_us = record.store_us = record.upstream_us = UINT64_MAX;
    record.request_body_bytes = record.response_body_bytes = INT64_MAX; /* what jansson reads */
    record.status = record.upstream_status = UINT32_MAX;
    record.fetch_trace = &other;
    return record;
}

Test(access_line, no_line_is_longer_than_a_pipe_takes_at_once_or_can_be_forged)
{
    static const char *const fills[] = {
        "x", "\n", "\"", "\xff", "\xc3\xa4", "/?a=", "\xf0\x9f\x98\x80"};
    static char bytes[100000];
    for (size_t i = 0; i < 2 * sizeof(fills) / sizeof(fills[0]); i++) {
        struct cg_str fill = cg_str_from(fills[i / 2]);
        for (size_t at = 0; at < sizeof(bytes); at++)
            bytes[at] = fill.bytes[at % fill.length];
        struct cg_request_record record = worst(bytes, sizeof(bytes));
        start(i % 2 == 0 ? &json_style : &combined_style);
        struct cg_str text = cg_access_line_print(&line, &record);
        cr_expect_leq(text.length, (size_t)CG_ACCESS_LINE_MAX);
        cr_expect_eq(cg_str_find(text, '\n'), text.length - 1, "one line end, at the end");
        json_t *json = i % 2 == 0 ? json_loadb(text.bytes, text.length, 0, NULL) : json_object();
        cr_expect(json_is_object(json), "%.*s", CG_STR_ARG(text));
        json_decref(json);
        end();
    }
}

Test(access_line, an_operator_adds_names_to_mask)
{
    static const struct cg_str names[] = {{"customer_*", 10}};
    struct cg_request_record record = sample();
    record.target = CG_STR("/items?Customer-Id=hush&page=2");
    start(&json_style);
    cg_mask_make(names, 1, &arena, &line.style.mask);
    struct cg_str text = cg_access_line_print(&line, &record);
    cr_expect(memmem(text.bytes, text.length, "/items?Customer-Id=***&page=2", 29) != NULL);
    end();
}
