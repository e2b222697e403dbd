#include "cachegate/buf.h"
#include "property/seed.h"

#include <criterion/criterion.h>

enum { ITEMS_MAX = 40, ITEM_BYTES_MAX = 300 };

/* What was written, to be compared with what is read. */
struct item {
    size_t form; /* 0 u8, 1 u32, 2 u64, 3 prefixed, 4 bytes */
    uint64_t number;
    char bytes[ITEM_BYTES_MAX];
    size_t length;
};

static void write_item(struct cg_buf *buf, const struct item *item)
{
    switch (item->form) {
    case 0:
        cg_buf_add_u8(buf, (uint8_t)item->number);
        break;
    case 1:
        cg_buf_add_u32(buf, (uint32_t)item->number);
        break;
    case 2:
        cg_buf_add_u64(buf, item->number);
        break;
    case 3:
        cg_buf_add_prefixed(buf, cg_str_of(item->bytes, item->length));
        break;
    default:
        cg_buf_add(buf, item->bytes, item->length);
    }
}

static bool read_item(struct cg_reader *reader, const struct item *item)
{
    struct cg_str bytes = cg_str_of(item->bytes, item->length);
    switch (item->form) {
    case 0:
        return cg_read_u8(reader) == (uint8_t)item->number;
    case 1:
        return cg_read_u32(reader) == (uint32_t)item->number;
    case 2:
        return cg_read_u64(reader) == item->number;
    case 3:
        return cg_str_eq(cg_read_prefixed(reader), bytes);
    default:
        return cg_str_eq(cg_read_bytes(reader, item->length), bytes);
    }
}

Test(buf, reader_gives_back_what_was_written_and_fails_on_every_shorter_input)
{
    static struct item items[ITEMS_MAX];
    struct seed seed = seed_init();
    for (size_t round = 0; round < 500; round++) {
        struct cg_buf buf;
        cg_buf_init(&buf, 1 << 20);
        size_t count = 1 + seed_below(&seed, ITEMS_MAX);
        for (size_t i = 0; i < count; i++) {
            items[i] = (struct item){.form = seed_below(&seed, 5), .number = seed_next(&seed)};
            items[i].length = 1 + seed_below(&seed, ITEM_BYTES_MAX);
            for (size_t k = 0; k < items[i].length; k++)
                items[i].bytes[k] = (char)seed_next(&seed);
            write_item(&buf, &items[i]);
        }
        cr_assert_not(buf.overflowed);
        struct cg_reader reader = {.rest = cg_buf_str(&buf)};
        for (size_t i = 0; i < count; i++)
            cr_assert(read_item(&reader, &items[i]), "CACHEGATE_SEED=%llu round %zu item %zu",
                      (unsigned long long)seed.start, round, i);
        cr_assert(!reader.failed && cg_str_empty(reader.rest));
        struct cg_reader shorter = {
            .rest = cg_str_sub(cg_buf_str(&buf), 0, seed_below(&seed, buf.length))};
        for (size_t i = 0; i < count; i++)
            (void)read_item(&shorter, &items[i]);
        cr_assert(shorter.failed, "CACHEGATE_SEED=%llu round %zu", (unsigned long long)seed.start,
                  round);
        cg_buf_fini(&buf);
    }
}
