#include "gateway/front/header_blocks.h"

enum { FRAME_HEADER = 9, STATIC_ENTRIES = 61 };
enum { HEADERS = 1, CONTINUATION = 9 };                           /* RFC 9113 6 */
enum { END_HEADERS = 0x04, PADDED = 0x08, WITH_PRIORITY = 0x20 }; /* flags */

/* RFC 7541 6. */
enum form { INDEXED, INSERTED, NOT_INSERTED, TABLE_SIZE };
/* Where in a representation the next byte is. */
enum state { AT_START, IN_INDEX, AT_STRING, IN_LENGTH, IN_STRING };

void cg_header_blocks_init(struct cg_header_blocks *blocks, uint32_t lines_max)
{
    *blocks = (struct cg_header_blocks){.lines_max = lines_max};
}

static void count_reference(struct cg_header_blocks *blocks, uint64_t index)
{
    if (index <= STATIC_ENTRIES || index - STATIC_ENTRIES > blocks->inserted)
        return; /* static, or an error */
    /* Index 62 is the newest entry. */
    uint32_t entry = blocks->inserted - (uint32_t)(index - STATIC_ENTRIES);
    uint8_t *references = &blocks->references[entry % CG_HEADER_ENTRIES];
    if (*references == CG_HEADER_REPEATS_MAX)
        blocks->over = true;
    else
        ++*references;
}

/* A representation is complete but for its strings. */
static void count_line(struct cg_header_blocks *blocks)
{
    if (blocks->form == TABLE_SIZE)
        return;
    if (++blocks->lines > blocks->lines_max)
        blocks->over = true;
    if (blocks->form == INDEXED) /* a reference to a name alone costs little */
        count_reference(blocks, blocks->number);
    if (blocks->form == INSERTED) {
        blocks->references[blocks->inserted % CG_HEADER_ENTRIES] = 0;
        blocks->inserted++;
    }
}

static void next_string(struct cg_header_blocks *blocks)
{
    blocks->state = blocks->strings_left == 0 ? AT_START : AT_STRING;
}

static void number_done(struct cg_header_blocks *blocks)
{
    if (blocks->state == IN_INDEX) {
        blocks->strings_left = 0;
        if (blocks->form == INSERTED || blocks->form == NOT_INSERTED)
            blocks->strings_left = blocks->number == 0 ? 2 : 1; /* name and value, or value */
        count_line(blocks);
        next_string(blocks);
        return;
    }
    blocks->strings_left--;
    if (blocks->number == 0)
        next_string(blocks);
    else
        blocks->state = IN_STRING;
}

/* The first byte of a number with a prefix of `bits` (RFC 7541 5.1). */
static void start_number(struct cg_header_blocks *blocks, uint8_t byte, unsigned bits,
                         enum state state)
{
    uint8_t most = (uint8_t)((1u << bits) - 1);
    blocks->state = (uint8_t)state;
    blocks->number = byte & most;
    blocks->shift = 0;
    if (blocks->number != most)
        number_done(blocks);
}

static void more_number(struct cg_header_blocks *blocks, uint8_t byte)
{
    if (blocks->shift > 28) {
        blocks->over = true; /* no such number fits into any block */
        return;
    }
    blocks->number += (uint64_t)(byte & 0x7f) << blocks->shift;
    blocks->shift += 7;
    if ((byte & 0x80) == 0)
        number_done(blocks);
}

static void start_representation(struct cg_header_blocks *blocks, uint8_t byte)
{
    unsigned bits = 4;
    blocks->form = NOT_INSERTED;
    if ((byte & 0x80) != 0) {
        blocks->form = INDEXED;
        bits = 7;
    } else if ((byte & 0x40) != 0) {
        blocks->form = INSERTED;
        bits = 6;
    } else if ((byte & 0x20) != 0) {
        blocks->form = TABLE_SIZE;
        bits = 5;
    }
    start_number(blocks, byte, bits, IN_INDEX);
}

static void walk_fragment(struct cg_header_blocks *blocks, struct cg_str fragment)
{
    for (size_t i = 0; i < fragment.length && !blocks->over;) {
        uint8_t byte = (uint8_t)fragment.bytes[i];
        switch ((enum state)blocks->state) {
        case AT_START:
            start_representation(blocks, byte);
            i++;
            break;
        case AT_STRING:
            start_number(blocks, byte, 7, IN_LENGTH);
            i++;
            break;
        case IN_INDEX:
        case IN_LENGTH:
            more_number(blocks, byte);
            i++;
            break;
        case IN_STRING: {
            size_t here = fragment.length - i;
            size_t used = blocks->number < here ? (size_t)blocks->number : here;
            blocks->number -= used;
            i += used;
            if (blocks->number == 0)
                next_string(blocks);
            break;
        }
        }
    }
}

/* Without padding and priority (RFC 9113 6.2). Empty where they do not fit: libh2o says so. */
static struct cg_str fragment_of(struct cg_str payload, uint8_t flags)
{
    size_t front = 0, back = 0;
    if ((flags & PADDED) != 0) {
        if (payload.length == 0)
            return payload;
        front = 1;
        back = (uint8_t)payload.bytes[0];
    }
    if ((flags & WITH_PRIORITY) != 0)
        front += 5;
    if (front + back > payload.length)
        return cg_str_sub(payload, 0, 0);
    return cg_str_sub(payload, front, payload.length - front - back);
}

static void walk_frame(struct cg_header_blocks *blocks, uint8_t type, uint8_t flags,
                       struct cg_str payload)
{
    if (type == HEADERS) {
        blocks->lines = 0;
        blocks->state = AT_START;
        memset(blocks->references, 0, sizeof(blocks->references));
        walk_fragment(blocks, fragment_of(payload, flags));
    } else if (type == CONTINUATION && blocks->open) {
        walk_fragment(blocks, payload);
    } else {
        return;
    }
    blocks->open = (flags & END_HEADERS) == 0;
}

/* The length of the frame at the start of the bytes, header included; 0 when it is not whole. */
static size_t whole_frame(const char *bytes, size_t length)
{
    const unsigned char *header = (const unsigned char *)bytes;
    if (length < FRAME_HEADER)
        return 0;
    size_t payload = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
    return length - FRAME_HEADER < payload ? 0 : FRAME_HEADER + payload;
}

size_t cg_header_blocks_strip(const struct cg_header_blocks *blocks, char *bytes, size_t length)
{
    bool open = blocks->open;
    size_t from = 0, to = 0, frame;
    while ((frame = whole_frame(bytes + from, length - from)) > 0) {
        uint8_t type = (uint8_t)bytes[from + 3], flags = (uint8_t)bytes[from + 4];
        if (type == HEADERS || type == CONTINUATION)
            open = (flags & END_HEADERS) == 0;
        if (open || type <= CONTINUATION) {
            memmove(bytes + to, bytes + from, frame);
            to += frame;
        }
        from += frame;
    }
    memmove(bytes + to, bytes + from, length - from);
    return to + length - from;
}

size_t cg_header_blocks_walk(struct cg_header_blocks *blocks, struct cg_str bytes)
{
    size_t walked = 0, frame;
    blocks->settled = 0;
    while (!blocks->over &&
           (frame = whole_frame(bytes.bytes + walked, bytes.length - walked)) > 0) {
        walk_frame(blocks, (uint8_t)bytes.bytes[walked + 3], (uint8_t)bytes.bytes[walked + 4],
                   cg_str_sub(bytes, walked + FRAME_HEADER, frame - FRAME_HEADER));
        walked += frame;
        if (!blocks->open)
            blocks->settled = walked;
    }
    return walked;
}
