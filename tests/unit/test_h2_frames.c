#include "cachegate/h2_frames.h"

#include <criterion/criterion.h>

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
    UNKNOWN = 0x42
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

static struct cg_h2_inspector inspector;
static struct cg_h2_budgets budgets;

static void setup(void)
{
    budgets = (struct cg_h2_budgets){
        .frame_bytes_max = 16384,
        .header_block_bytes_max = 100,
        .continuations_max = 3,
        .resets_max = 5,
        .pings_max = 5,
        .settings_max = 5,
        .priorities_max = 5,
        .empty_data_max = 5,
        .window_updates_max = 5,
        .others_max = 5,
        .refuses_trailers = true,
    };
    cg_h2_inspector_init(&inspector, &budgets);
    cr_assert_eq(cg_h2_inspect(&inspector, CG_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
                 CG_H2_SOUND);
}

TestSuite(h2_frames, .init = setup);

/* A frame whose payload is `length` bytes of 'x', the first of them `first`. */
static enum cg_h2_finding feed(unsigned type, unsigned flags, uint32_t stream_id, size_t length,
                               uint8_t first)
{
    static char frame[9 + 20000];
    const uint8_t header[] = {
        (uint8_t)(length >> 16),
        (uint8_t)(length >> 8),
        (uint8_t)length,
        (uint8_t)type,
        (uint8_t)flags,
        (uint8_t)(stream_id >> 24),
        (uint8_t)(stream_id >> 16),
        (uint8_t)(stream_id >> 8),
        (uint8_t)stream_id,
    };
    memcpy(frame, header, sizeof header);
    memset(frame + 9, 'x', length);
    frame[9] = (char)first;
    return cg_h2_inspect(&inspector, cg_str_of(frame, 9 + length));
}

Test(h2_frames, preface_is_checked_byte_by_byte)
{
    static const struct {
        const char *text;
        enum cg_h2_finding finding;
        bool seen;
    } rows[] = {
        {"", CG_H2_SOUND, false},
        {"PRI", CG_H2_SOUND, false},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CG_H2_SOUND, true},
        {"GET / HTTP/1.1", CG_H2_BAD_PREFACE, false},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx", CG_H2_BAD_PREFACE, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cg_h2_inspector_init(&inspector, &budgets);
        cr_expect_eq(cg_h2_inspect(&inspector, cg_str_from(rows[i].text)), rows[i].finding, "'%s'",
                     rows[i].text);
        cr_expect_eq(inspector.preface_seen, rows[i].seen, "'%s'", rows[i].text);
    }
}

Test(h2_frames, each_kind_of_flood_is_found_one_frame_over_its_budget)
{
    static const struct {
        const char *name;
        unsigned type, flags;
        size_t length;
        uint8_t first;
        enum cg_h2_finding finding;
    } rows[] = {
        {"RST_STREAM", RST_STREAM, 0, 4, 0, CG_H2_RESET_FLOOD},
        {"PING", PING, 0, 8, 0, CG_H2_PING_FLOOD},
        {"PING ACK", PING, ACK, 8, 0, CG_H2_PING_FLOOD},
        {"SETTINGS", SETTINGS, 0, 0, 0, CG_H2_SETTINGS_FLOOD},
        {"PRIORITY", PRIORITY, 0, 5, 0, CG_H2_PRIORITY_FLOOD},
        {"empty DATA", DATA, 0, 0, 0, CG_H2_EMPTY_DATA_FLOOD},
        {"padding only", DATA, PADDED, 8, 7, CG_H2_EMPTY_DATA_FLOOD},
        {"no padding either", DATA, PADDED, 1, 0, CG_H2_EMPTY_DATA_FLOOD},
        {"too much padding", DATA, PADDED, 8, 200, CG_H2_EMPTY_DATA_FLOOD},
        {"WINDOW_UPDATE", WINDOW_UPDATE, 0, 4, 0, CG_H2_WINDOW_UPDATE_FLOOD},
        {"GOAWAY", GOAWAY, 0, 8, 0, CG_H2_OTHER_FLOOD},
        {"PUSH_PROMISE", PUSH_PROMISE, 0, 8, 0, CG_H2_OTHER_FLOOD},
        {"unknown", UNKNOWN, 0xff, 8, 0, CG_H2_OTHER_FLOOD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        setup();
        for (size_t k = 0; k < 5; k++)
            cr_expect_eq(feed(rows[i].type, rows[i].flags, 1, rows[i].length, rows[i].first),
                         CG_H2_SOUND, "%s %zu", rows[i].name, k);
        cg_h2_inspector_new_window(&inspector);
        for (size_t k = 0; k < 5; k++)
            cr_expect_eq(feed(rows[i].type, rows[i].flags, 1, rows[i].length, rows[i].first),
                         CG_H2_SOUND, "%s %zu of the new window", rows[i].name, k);
        cr_expect_eq(feed(rows[i].type, rows[i].flags, 1, rows[i].length, rows[i].first),
                     rows[i].finding, "%s over the budget", rows[i].name);
        cg_h2_inspector_new_window(&inspector);
        cr_expect_eq(feed(SETTINGS, 0, 0, 0, 0), rows[i].finding, "%s stays found", rows[i].name);
    }
}

Test(h2_frames, data_that_carries_something_is_not_counted)
{
    for (size_t k = 0; k < 20; k++) {
        cr_expect_eq(feed(DATA, 0, 1, 1, 0), CG_H2_SOUND);
        cr_expect_eq(feed(DATA, PADDED, 1, 8, 6), CG_H2_SOUND);
        cr_expect_eq(feed(DATA, END_STREAM, 1, 0, 0), CG_H2_SOUND);
        cr_expect_eq(feed(DATA, END_STREAM | PADDED, 1, 1, 0), CG_H2_SOUND);
    }
    cr_expect_eq(inspector.window.empty_data, 0);
}

Test(h2_frames, header_block_is_open_until_its_end_headers)
{
    cr_expect_eq(feed(HEADERS, END_STREAM, 1, 10, 0), CG_H2_SOUND);
    cr_expect(inspector.header_block_open);
    cr_expect_eq(feed(CONTINUATION, 0, 1, 10, 0), CG_H2_SOUND);
    cr_expect(inspector.header_block_open);
    cr_expect_eq(feed(CONTINUATION, END_HEADERS, 1, 10, 0), CG_H2_SOUND);
    cr_expect_not(inspector.header_block_open);
    cr_expect_eq(inspector.header_block_bytes, 30);
    cr_expect_eq(inspector.continuations, 2);
    cr_expect_eq(feed(HEADERS, END_STREAM | END_HEADERS, 3, 7, 0), CG_H2_SOUND);
    cr_expect_not(inspector.header_block_open);
    cr_expect_eq(inspector.header_block_bytes, 7);
    cr_expect_eq(inspector.continuations, 0);
    cr_expect_eq(inspector.last_stream_id, 3);
}

Test(h2_frames, header_block_is_bounded_in_bytes)
{
    cr_expect_eq(feed(HEADERS, 0, 1, 60, 0), CG_H2_SOUND);
    cr_expect_eq(feed(CONTINUATION, 0, 1, 40, 0), CG_H2_SOUND);
    cr_expect_eq(feed(CONTINUATION, 0, 1, 1, 0), CG_H2_HEADER_BLOCK_TOO_LARGE);
    setup();
    cr_expect_eq(feed(HEADERS, END_HEADERS, 1, 101, 0), CG_H2_HEADER_BLOCK_TOO_LARGE);
}

Test(h2_frames, header_block_is_bounded_in_frames)
{
    cr_expect_eq(feed(HEADERS, 0, 1, 0, 0), CG_H2_SOUND);
    for (size_t k = 0; k < 3; k++)
        cr_expect_eq(feed(CONTINUATION, 0, 1, 0, 0), CG_H2_SOUND);
    cr_expect_eq(feed(CONTINUATION, 0, 1, 0, 0), CG_H2_CONTINUATION_FLOOD);
}

Test(h2_frames, second_headers_of_a_stream_are_trailers)
{
    cr_expect_eq(feed(HEADERS, END_HEADERS, 1, 5, 0), CG_H2_SOUND);
    cr_expect_eq(feed(HEADERS, END_HEADERS, 0x80000003, 5, 0), CG_H2_SOUND, "reserved bit");
    cr_expect_eq(feed(HEADERS, END_HEADERS, 5, 5, 0), CG_H2_SOUND);
    cr_expect_eq(feed(DATA, 0, 1, 5, 0), CG_H2_SOUND);
    cr_expect_eq(feed(HEADERS, END_HEADERS | END_STREAM, 1, 5, 0), CG_H2_TRAILERS);
    cr_expect_eq(inspector.trailer_blocks, 1);
}

Test(h2_frames, trailers_may_only_be_told)
{
    budgets.refuses_trailers = false;
    cg_h2_inspector_init(&inspector, &budgets);
    cg_h2_inspect(&inspector, CG_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    feed(HEADERS, END_HEADERS, 5, 5, 0);
    cr_expect_eq(inspector.trailer_blocks, 0);
    cr_expect_eq(feed(HEADERS, END_HEADERS | END_STREAM, 5, 5, 0), CG_H2_SOUND);
    cr_expect_eq(inspector.trailer_blocks, 1);
    cr_expect_eq(inspector.trailer_stream_id, 5);
}

Test(h2_frames, frame_size_is_bounded)
{
    cr_expect_eq(feed(DATA, 0, 1, 16384, 0), CG_H2_SOUND);
    cr_expect_eq(feed(DATA, 0, 1, 16385, 0), CG_H2_FRAME_TOO_LARGE);
}

Test(h2_frames, default_budgets_let_an_ordinary_page_through)
{
    budgets = cg_h2_budgets_default();
    cg_h2_inspector_init(&inspector, &budgets);
    cg_h2_inspect(&inspector, CG_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    feed(SETTINGS, 0, 0, 18, 0);
    feed(SETTINGS, ACK, 0, 0, 0);
    for (uint32_t id = 1; id < 400; id += 2) {
        feed(HEADERS, END_HEADERS | END_STREAM, id, 300, 0);
        feed(WINDOW_UPDATE, 0, id, 4, 0);
        feed(PRIORITY, 0, id, 5, 0);
        if (id % 4 == 1)
            feed(RST_STREAM, 0, id, 4, 0);
    }
    cr_expect_eq(inspector.finding, CG_H2_SOUND, "%s", cg_h2_finding_text(inspector.finding));
}

Test(h2_frames, every_finding_has_a_sentence)
{
    for (int finding = CG_H2_SOUND; finding <= CG_H2_TRAILERS; finding++)
        cr_expect_gt(strlen(cg_h2_finding_text((enum cg_h2_finding)finding)), 5);
}
