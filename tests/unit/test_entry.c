#include "cachegate/entry.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

static struct cg_arena arena;
static struct cg_entry entry;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 24);
    entry = (struct cg_entry){
        .kind = CG_ENTRY_ANSWER,
        .canonical = CG_STR("canonical \0 request"),
        .variant = CG_STR("gzip"),
        .vary = CG_STR("accept-encoding"),
        .stored_at_ms = -5,
        .initial_age_ms = 1,
        .lifetime_ms = UINT64_MAX,
        .stale_while_revalidate_ms = 3,
        .stale_if_error_ms = 4,
        .must_revalidate = true,
        .epoch = {UINT64_C(0x1122334455667788), 9},
        .instance_count = 2,
        .route = 7,
        .status = 404,
        .body = CG_STR("{\"a\": \"\0\r\n\"}"),
    };
    for (uint8_t i = 0; i < 2; i++) {
        memset(entry.instances[i].id, 10 + i, CG_DIGEST_BYTES);
        memset(entry.tokens[i].bytes, 20 + i, CG_DIGEST_BYTES);
    }
    cg_fields_add(&entry.fields, &arena, CG_STR("etag"), CG_STR("\"x\""));
    cg_fields_add(&entry.fields, &arena, CG_STR("empty"), CG_STR(""));
    cg_fields_add(&entry.fields, &arena, CG_STR("etag"), CG_STR("tab\tand \xff"));
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(entry, .init = setup, .fini = teardown);

/* Decodes a copy that is exactly as large, for the sanitizer to see a read behind its end. */
static bool decode(const char *bytes, size_t length, struct cg_entry *ret_entry)
{
    char *copy = malloc(length == 0 ? 1 : length);
    memcpy(copy, bytes, length);
    bool decoded = cg_entry_decode(cg_str_of(copy, length), &arena, ret_entry);
    free(copy);
    return decoded;
}

/* The encoded entry with one byte replaced. */
static bool decode_changed(size_t at, uint8_t value)
{
    struct cg_blob *blob = cg_entry_encode(&entry);
    struct cg_entry decoded;
    blob->bytes[at] = (char)value;
    bool result = decode(blob->bytes, blob->length, &decoded);
    cg_blob_unref(blob);
    return result;
}

enum { AT_FORMAT = 0, AT_KIND = 1, AT_FLAG = 2, AT_STATUS = 3 + 56 + 4, AT_INSTANCES = 71 };

Test(entry, decoding_gives_back_what_was_encoded)
{
    struct cg_blob *blob = cg_entry_encode(&entry);
    struct cg_entry back;
    cr_assert(cg_entry_decode(cg_blob_str(blob), &arena, &back));
    cr_expect_eq(back.kind, CG_ENTRY_ANSWER);
    cr_expect(cg_str_eq(back.canonical, entry.canonical));
    cr_expect(cg_str_eq(back.variant, entry.variant));
    cr_expect(cg_str_eq(back.vary, entry.vary));
    cr_expect_eq(back.stored_at_ms, -5);
    cr_expect_eq(back.initial_age_ms, 1);
    cr_expect_eq(back.lifetime_ms, UINT64_MAX);
    cr_expect_eq(back.stale_while_revalidate_ms, 3);
    cr_expect_eq(back.stale_if_error_ms, 4);
    cr_expect(back.must_revalidate);
    cr_expect(cg_epoch_eq(back.epoch, entry.epoch));
    cr_expect_eq(back.instance_count, 2);
    cr_expect_arr_eq(back.instances, entry.instances, 2 * sizeof entry.instances[0]);
    cr_expect_arr_eq(back.tokens, entry.tokens, 2 * sizeof entry.tokens[0]);
    cr_expect_eq(back.route, 7);
    cr_expect_eq(back.status, 404);
    cr_expect(cg_str_eq(back.body, entry.body));
    cr_assert_eq(back.fields.count, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_expect(cg_str_eq(back.fields.items[i].name, entry.fields.items[i].name));
        cr_expect(cg_str_eq(back.fields.items[i].value, entry.fields.items[i].value));
    }
    cg_blob_unref(blob);
}

Test(entry, vary_marker_needs_no_status_and_no_body)
{
    struct cg_entry marker = {.kind = CG_ENTRY_VARY,
                              .canonical = CG_STR("c"),
                              .vary = CG_STR("accept-encoding,accept-language")};
    struct cg_blob *blob = cg_entry_encode(&marker);
    struct cg_entry back;
    cr_assert(cg_entry_decode(cg_blob_str(blob), &arena, &back));
    cr_expect_eq(back.kind, CG_ENTRY_VARY);
    cr_expect(cg_str_eq(back.vary, marker.vary));
    cr_expect_eq(back.fields.count, 0);
    cr_expect(cg_str_empty(back.body));
    cg_blob_unref(blob);
}

Test(entry, head_alone_tells_numbers_and_versions_but_no_text)
{
    struct cg_blob *blob = cg_entry_encode(&entry);
    struct cg_entry back;
    size_t length = AT_INSTANCES + 4 + 2 * 2 * CG_DIGEST_BYTES;
    cr_expect_eq(cg_entry_decode_head(cg_blob_str(blob), &back), length);
    cr_expect_eq(cg_entry_decode_head(cg_str_of(blob->bytes, length), &back), length);
    cr_expect_eq(back.status, 404);
    cr_expect_eq(back.lifetime_ms, UINT64_MAX);
    cr_expect_eq(back.instance_count, 2);
    cr_expect_arr_eq(back.tokens, entry.tokens, 2 * sizeof entry.tokens[0]);
    cr_expect(cg_str_empty(back.canonical) && cg_str_empty(back.variant));
    cr_expect(cg_str_empty(back.vary) && cg_str_empty(back.body));
    cr_expect_eq(back.fields.count, 0);
    for (size_t cut = 0; cut < length; cut++)
        cr_expect_eq(cg_entry_decode_head(cg_str_of(blob->bytes, cut), &back), 0, "%zu", cut);
    cg_blob_unref(blob);
}

Test(entry, cut_anywhere_it_is_not_an_entry)
{
    struct cg_blob *blob = cg_entry_encode(&entry);
    struct cg_entry back;
    for (size_t length = 0; length < blob->length; length++)
        cr_expect_not(decode(blob->bytes, length, &back), "cut to %zu bytes", length);
    cg_blob_unref(blob);
}

Test(entry, bytes_behind_the_body_are_not_an_entry)
{
    struct cg_blob *blob = cg_entry_encode(&entry);
    char longer[1024] = {0};
    struct cg_entry back;
    memcpy(longer, blob->bytes, blob->length);
    cr_expect(decode(longer, blob->length, &back));
    cr_expect_not(decode(longer, blob->length + 1, &back));
    cg_blob_unref(blob);
}

Test(entry, numbers_that_stand_for_nothing_are_not_an_entry)
{
    static const struct {
        const char *name;
        size_t at;
        uint8_t value;
    } rows[] = {
        {"format of the future", AT_FORMAT, CG_ENTRY_FORMAT + 1},
        {"format zero", AT_FORMAT, 0},
        {"unknown kind", AT_KIND, 3},
        {"flag that is not one", AT_FLAG, 2},
        {"status over 599", AT_STATUS + 1, 3},
        {"status 148", AT_STATUS + 1, 0},
        {"too many instances", AT_INSTANCES, CG_INSTANCES_MAX + 1},
        {"instances without end", AT_INSTANCES + 3, 0xff},
        {"canonical longer than the block", AT_INSTANCES + 4 + 64 + 3, 0xff},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_not(decode_changed(rows[i].at, rows[i].value), "%s", rows[i].name);
}

Test(entry, fields_that_could_end_a_line_are_not_decoded)
{
    static const char bad_in_value[] = {'\r', '\n', '\0', 0x7f, 0x1f};
    static const char bad_in_name[] = {'E', ':', ' ', '\n', '\0', (char)0x80};
    struct cg_blob *blob = cg_entry_encode(&entry);
    size_t at = 0;
    while (memcmp(blob->bytes + at, "etag", 4) != 0)
        at++;
    cg_blob_unref(blob);
    for (size_t i = 0; i < sizeof bad_in_name; i++)
        cr_expect_not(decode_changed(at + 1, (uint8_t)bad_in_name[i]), "name, row %zu", i);
    for (size_t i = 0; i < sizeof bad_in_value; i++)
        cr_expect_not(decode_changed(at + 8, (uint8_t)bad_in_value[i]), "value, row %zu", i);
    cr_expect(decode_changed(at + 1, 'x'));
    cr_expect(decode_changed(at + 8, '\t'));
}

Test(entry, field_count_is_believed_only_as_far_as_the_bytes_go)
{
    struct cg_entry bare = {.kind = CG_ENTRY_ANSWER, .status = 200};
    struct cg_blob *blob = cg_entry_encode(&bare);
    size_t at_fields = AT_INSTANCES + 4 + 3 * 4;
    struct cg_entry back;
    cr_assert(decode(blob->bytes, blob->length, &back));
    blob->bytes[at_fields + 1] = 3; /* 768 fields in four bytes */
    size_t before = arena.used;
    cr_expect_not(decode(blob->bytes, blob->length, &back));
    cr_expect_eq(arena.used, before, "nothing was allocated for them");
    cg_blob_unref(blob);
}

Test(entry, encoding_more_instances_than_fit_is_a_bug, .signal = SIGABRT)
{
    entry.instance_count = CG_INSTANCES_MAX + 1;
    cg_entry_encode(&entry);
}

Test(entry, encoding_a_field_with_a_line_end_is_a_bug, .signal = SIGABRT)
{
    cg_fields_add(&entry.fields, &arena, CG_STR("x"), CG_STR("a\r\nset-cookie: b"));
    cg_entry_encode(&entry);
}

Test(entry, encoding_an_interim_answer_is_a_bug, .signal = SIGABRT)
{
    entry.status = 103;
    cg_entry_encode(&entry);
}
