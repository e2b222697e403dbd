#include "cachegate/entry.h"

#include "cachegate/assert.h"
#include "cachegate/buf.h"

/*
 * The block, integers little-endian, texts behind a u32 length:
 *
 *   u8 format, u8 kind, u8 must_revalidate
 *   u64 stored_at_ms, initial_age_ms, lifetime_ms, stale_while_revalidate_ms, stale_if_error_ms
 *   u64 epoch generation, epoch counter
 *   u32 route, u32 status, u32 cost_ms
 *   u32 instance count, then for each: 16 bytes instance, 16 bytes token
 *   text canonical, text variant, text vary
 *   u32 field count, then for each: text name, text value
 *   text body, and nothing behind it
 */
enum {
    NUMBERS_BYTES = 3 + 7 * 8 + 3 * 4,
    INSTANCE_BYTES = 2 * CG_DIGEST_BYTES,
    FIELD_BYTES_MIN = 2 * 4 + 1, /* two lengths and a name of one byte */
    STATUS_MIN = 200,
    STATUS_MAX = 599,
};

/* Stored fields go to clients as they are, so neither side of the codec lets through what could
 * end a line. */
static bool field_is_sound(struct cg_str name, struct cg_str value)
{
    const unsigned bad =
        CG_BYTE_CONTROL | CG_BYTE_BLANK | CG_BYTE_HIGH | CG_BYTE_UPPER | CG_BYTE_COLON;
    return name.length > 0 && (cg_str_classes(name) & bad) == 0 &&
           (cg_str_classes(value) & CG_BYTE_CONTROL) == 0;
}

static bool status_is_sound(enum cg_entry_kind kind, unsigned status)
{
    return kind != CG_ENTRY_ANSWER || (status >= STATUS_MIN && status <= STATUS_MAX);
}

/* ---- encode ---- */

struct writer {
    char *next;
    size_t left;
};

static void put(struct writer *writer, const void *bytes, size_t length)
{
    CG_ASSERT(length <= writer->left);
    if (length > 0)
        memcpy(writer->next, bytes, length);
    writer->next += length;
    writer->left -= length;
}

static void put_number(struct writer *writer, uint64_t value, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put(writer, bytes, width);
}

static void put_text(struct writer *writer, struct cg_str text)
{
    put_number(writer, text.length, 4);
    put(writer, text.bytes, text.length);
}

static size_t text_bytes(struct cg_str text)
{
    CG_ASSERT(text.length <= UINT32_MAX);
    return 4 + text.length;
}

static size_t encoded_bytes(const struct cg_entry *entry)
{
    size_t bytes = NUMBERS_BYTES + 4 + entry->instance_count * INSTANCE_BYTES;
    bytes += text_bytes(entry->canonical) + text_bytes(entry->variant) + text_bytes(entry->vary);
    bytes += 4;
    for (size_t i = 0; i < entry->fields.count; i++)
        bytes += text_bytes(entry->fields.items[i].name) + text_bytes(entry->fields.items[i].value);
    return bytes + text_bytes(entry->body);
}

struct cg_blob *cg_entry_encode(const struct cg_entry *entry)
{
    CG_ASSERT(entry->kind <= CG_ENTRY_PASS);
    CG_ASSERT(entry->instance_count <= CG_INSTANCES_MAX && entry->fields.count <= CG_FIELDS_MAX);
    CG_ASSERT(status_is_sound(entry->kind, entry->status));
    struct cg_blob *blob = cg_blob_alloc(encoded_bytes(entry));
    struct writer writer = {blob->bytes, blob->length};

    put_number(&writer, CG_ENTRY_FORMAT, 1);
    put_number(&writer, entry->kind, 1);
    put_number(&writer, entry->must_revalidate, 1);
    put_number(&writer, (uint64_t)entry->stored_at_ms, 8);
    put_number(&writer, entry->initial_age_ms, 8);
    put_number(&writer, entry->lifetime_ms, 8);
    put_number(&writer, entry->stale_while_revalidate_ms, 8);
    put_number(&writer, entry->stale_if_error_ms, 8);
    put_number(&writer, entry->epoch.generation, 8);
    put_number(&writer, entry->epoch.counter, 8);
    put_number(&writer, entry->route, 4);
    put_number(&writer, entry->status, 4);
    put_number(&writer, entry->cost_ms, 4);
    put_number(&writer, entry->instance_count, 4);
    for (size_t i = 0; i < entry->instance_count; i++) {
        put(&writer, entry->instances[i].id, CG_DIGEST_BYTES);
        put(&writer, entry->tokens[i].bytes, CG_DIGEST_BYTES);
    }
    put_text(&writer, entry->canonical);
    put_text(&writer, entry->variant);
    put_text(&writer, entry->vary);
    put_number(&writer, entry->fields.count, 4);
    for (size_t i = 0; i < entry->fields.count; i++) {
        const struct cg_field *field = &entry->fields.items[i];
        CG_ASSERT(field_is_sound(field->name, field->value));
        put_text(&writer, field->name);
        put_text(&writer, field->value);
    }
    put_text(&writer, entry->body);
    CG_ASSERT(writer.left == 0);
    return blob;
}

/* ---- decode ---- */

/* False where a number stands for nothing; a read past the end is asked for at the end. */
static bool read_numbers(struct cg_reader *whole, struct cg_entry *entry)
{
    /* Of this length for sure, which spares a check for each of them. */
    struct cg_reader numbers = {.rest = cg_read_bytes(whole, NUMBERS_BYTES)}, *reader = &numbers;
    if (whole->failed)
        return false;
    uint8_t format = cg_read_u8(reader);
    uint8_t kind = cg_read_u8(reader);
    uint8_t must_revalidate = cg_read_u8(reader);
    if (format != CG_ENTRY_FORMAT || kind > CG_ENTRY_PASS || must_revalidate > 1)
        return false;
    entry->kind = (enum cg_entry_kind)kind;
    entry->must_revalidate = must_revalidate == 1;
    entry->stored_at_ms = (int64_t)cg_read_u64(reader);
    entry->initial_age_ms = cg_read_u64(reader);
    entry->lifetime_ms = cg_read_u64(reader);
    entry->stale_while_revalidate_ms = cg_read_u64(reader);
    entry->stale_if_error_ms = cg_read_u64(reader);
    entry->epoch.generation = cg_read_u64(reader);
    entry->epoch.counter = cg_read_u64(reader);
    entry->route = cg_read_u32(reader);
    entry->status = cg_read_u32(reader);
    entry->cost_ms = cg_read_u32(reader);
    return status_is_sound(entry->kind, entry->status);
}

static bool read_instances(struct cg_reader *reader, struct cg_entry *entry)
{
    uint32_t count = cg_read_u32(reader);
    if (count > CG_INSTANCES_MAX)
        return false;
    struct cg_str bytes = cg_read_bytes(reader, count * (size_t)INSTANCE_BYTES);
    if (reader->failed)
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *pair = bytes.bytes + i * INSTANCE_BYTES;
        memcpy(entry->instances[i].id, pair, CG_DIGEST_BYTES);
        memcpy(entry->tokens[i].bytes, pair + CG_DIGEST_BYTES, CG_DIGEST_BYTES);
    }
    entry->instance_count = count;
    return true;
}

static bool read_fields(struct cg_reader *reader, struct cg_arena *arena, struct cg_fields *fields)
{
    uint32_t count = cg_read_u32(reader);
    /* The count is believed only as far as the bytes could hold it. */
    if (reader->failed || count > CG_FIELDS_MAX || count > reader->rest.length / FIELD_BYTES_MIN)
        return false;
    *fields = (struct cg_fields){0};
    if (count == 0)
        return true;
    fields->items = CG_ARENA_ARRAY(arena, struct cg_field, count);
    fields->capacity = count;
    for (; fields->count < count; fields->count++) {
        struct cg_str name = cg_read_prefixed(reader);
        struct cg_str value = cg_read_prefixed(reader);
        if (reader->failed || !field_is_sound(name, value))
            return false;
        fields->items[fields->count] = (struct cg_field){name, value};
    }
    return true;
}

size_t cg_entry_decode_head(struct cg_str bytes, struct cg_entry *ret_entry)
{
    struct cg_reader reader = {.rest = bytes};
    if (!read_numbers(&reader, ret_entry) || !read_instances(&reader, ret_entry))
        return 0;
    ret_entry->canonical = ret_entry->variant = ret_entry->vary = CG_STR("");
    ret_entry->fields = (struct cg_fields){0};
    ret_entry->body = CG_STR("");
    return bytes.length - reader.rest.length;
}

bool cg_entry_decode(struct cg_str bytes, struct cg_arena *arena, struct cg_entry *ret_entry)
{
    struct cg_reader reader = {.rest = bytes};
    struct cg_entry *entry = ret_entry;
    if (!read_numbers(&reader, entry) || !read_instances(&reader, entry))
        return false;
    entry->canonical = cg_read_prefixed(&reader);
    entry->variant = cg_read_prefixed(&reader);
    entry->vary = cg_read_prefixed(&reader);
    if (!read_fields(&reader, arena, &entry->fields))
        return false;
    entry->body = cg_read_prefixed(&reader);
    return !reader.failed && cg_str_empty(reader.rest);
}
