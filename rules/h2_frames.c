#include "cachegate/h2_frames.h"

#include "cachegate/assert.h"

/* RFC 9113 6. */
enum frame_type {
    DATA = 0,
    HEADERS = 1,
    PRIORITY = 2,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    WINDOW_UPDATE = 8,
    CONTINUATION = 9,
};
enum frame_flag { END_STREAM = 0x01, END_HEADERS = 0x04, PADDED = 0x08 };

struct frame {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint32_t stream_id;
};

const char *cg_h2_finding_text(enum cg_h2_finding finding)
{
    switch (finding) {
    case CG_H2_SOUND:
        return "nothing to object to";
    case CG_H2_BAD_PREFACE:
        return "the connection does not begin with the HTTP/2 preface";
    case CG_H2_FRAME_TOO_LARGE:
        return "a frame is larger than we allowed";
    case CG_H2_RESET_FLOOD:
        return "too many streams were reset in a short time";
    case CG_H2_PING_FLOOD:
        return "too many PING frames in a short time";
    case CG_H2_SETTINGS_FLOOD:
        return "too many SETTINGS frames in a short time";
    case CG_H2_PRIORITY_FLOOD:
        return "too many PRIORITY frames in a short time";
    case CG_H2_EMPTY_DATA_FLOOD:
        return "too many DATA frames without data in a short time";
    case CG_H2_WINDOW_UPDATE_FLOOD:
        return "too many WINDOW_UPDATE frames in a short time";
    case CG_H2_OTHER_FLOOD:
        return "too many frames of unknown or unexpected types in a short time";
    case CG_H2_HEADER_BLOCK_TOO_LARGE:
        return "a header block is too large";
    case CG_H2_CONTINUATION_FLOOD:
        return "a header block comes in too many CONTINUATION frames";
    case CG_H2_TRAILERS:
        return "a request has trailers";
    }
    CG_UNREACHABLE();
}

struct cg_h2_budgets cg_h2_budgets_default(void)
{
    return (struct cg_h2_budgets){
        .frame_bytes_max = 16384,
        .header_block_bytes_max = 65536,
        .continuations_max = 16,
        .resets_max = 200,
        .pings_max = 100,
        .settings_max = 50,
        .priorities_max = 1000,
        .empty_data_max = 200,
        /* A fast download costs its client one or two for every frame that we send. */
        .window_updates_max = 400000,
        .others_max = 100,
        .refuses_trailers = true,
    };
}

void cg_h2_inspector_init(struct cg_h2_inspector *inspector, const struct cg_h2_budgets *budgets)
{
    *inspector = (struct cg_h2_inspector){.budgets = *budgets, .finding = CG_H2_SOUND};
}

void cg_h2_inspector_new_window(struct cg_h2_inspector *inspector)
{
    inspector->window = (struct cg_h2_counts){0};
}

static void find(struct cg_h2_inspector *inspector, enum cg_h2_finding finding)
{
    if (inspector->finding == CG_H2_SOUND)
        inspector->finding = finding;
}

static void count(struct cg_h2_inspector *inspector, uint32_t *counter, uint32_t counter_max,
                  enum cg_h2_finding finding)
{
    if (*counter >= counter_max)
        find(inspector, finding);
    else
        ++*counter;
}

static void count_empty_data(struct cg_h2_inspector *inspector)
{
    count(inspector, &inspector->window.empty_data, inspector->budgets.empty_data_max,
          CG_H2_EMPTY_DATA_FLOOD);
}

/* `frame_bytes_max` and the block's own limit keep the sum far from an overflow. */
static void add_to_header_block(struct cg_h2_inspector *inspector, const struct frame *frame)
{
    if (frame->length > inspector->budgets.header_block_bytes_max - inspector->header_block_bytes)
        find(inspector, CG_H2_HEADER_BLOCK_TOO_LARGE);
    else
        inspector->header_block_bytes += frame->length;
    inspector->header_block_open = (frame->flags & END_HEADERS) == 0;
}

/*
 * A client's new streams have ever higher ids (RFC 9113 5.1.1), so HEADERS at or below the highest
 * are trailers, or an error that libh2o answers. No list of open streams is needed for that.
 */
static void inspect_headers(struct cg_h2_inspector *inspector, const struct frame *frame)
{
    if (frame->stream_id > inspector->last_stream_id) {
        inspector->last_stream_id = frame->stream_id;
    } else {
        inspector->trailer_blocks += inspector->trailer_blocks < UINT32_MAX;
        inspector->trailer_stream_id = frame->stream_id;
        if (inspector->budgets.refuses_trailers)
            find(inspector, CG_H2_TRAILERS);
    }
    inspector->header_block_bytes = 0;
    inspector->continuations = 0;
    add_to_header_block(inspector, frame);
}

static void inspect_data(struct cg_h2_inspector *inspector, const struct frame *frame)
{
    if ((frame->flags & END_STREAM) != 0)
        return;
    if (frame->length == 0)
        count_empty_data(inspector);
    else
        inspector->padding_expected = (frame->flags & PADDED) != 0;
}

static void inspect_frame(struct cg_h2_inspector *inspector, const struct frame *frame)
{
    const struct cg_h2_budgets *budgets = &inspector->budgets;
    struct cg_h2_counts *window = &inspector->window;
    inspector->payload_left = frame->length;
    inspector->padding_expected = false;
    if (frame->length > budgets->frame_bytes_max) {
        find(inspector, CG_H2_FRAME_TOO_LARGE);
        return;
    }
    switch (frame->type) {
    case DATA:
        inspect_data(inspector, frame);
        break;
    case HEADERS:
        inspect_headers(inspector, frame);
        break;
    case CONTINUATION:
        count(inspector, &inspector->continuations, budgets->continuations_max,
              CG_H2_CONTINUATION_FLOOD);
        add_to_header_block(inspector, frame);
        break;
    case PRIORITY:
        count(inspector, &window->priorities, budgets->priorities_max, CG_H2_PRIORITY_FLOOD);
        break;
    case RST_STREAM:
        count(inspector, &window->resets, budgets->resets_max, CG_H2_RESET_FLOOD);
        break;
    case SETTINGS:
        count(inspector, &window->settings, budgets->settings_max, CG_H2_SETTINGS_FLOOD);
        break;
    case PING:
        count(inspector, &window->pings, budgets->pings_max, CG_H2_PING_FLOOD);
        break;
    case WINDOW_UPDATE:
        count(inspector, &window->window_updates, budgets->window_updates_max,
              CG_H2_WINDOW_UPDATE_FLOOD);
        break;
    default: /* any other of the 256 types */
        count(inspector, &window->others, budgets->others_max, CG_H2_OTHER_FLOOD);
    }
}

static struct frame parse_frame_header(const uint8_t *header)
{
    return (struct frame){
        .length = (uint32_t)header[0] << 16 | (uint32_t)header[1] << 8 | header[2],
        .type = header[3],
        .flags = header[4],
        .stream_id = ((uint32_t)header[5] << 24 | (uint32_t)header[6] << 16 |
                      (uint32_t)header[7] << 8 | header[8]) &
                     0x7fffffff,
    };
}

/* The steps below look at the start of `rest`, which is not empty, and say how much they used. */
static size_t take_preface(struct cg_h2_inspector *inspector, struct cg_str rest)
{
    struct cg_str preface = CG_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    struct cg_str expected = cg_str_sub(preface, inspector->preface_length, rest.length);
    if (!cg_str_starts_with(rest, expected))
        find(inspector, CG_H2_BAD_PREFACE);
    inspector->preface_length += (uint32_t)expected.length;
    inspector->preface_seen =
        inspector->finding == CG_H2_SOUND && inspector->preface_length == preface.length;
    return expected.length;
}

static size_t take_frame_header(struct cg_h2_inspector *inspector, struct cg_str rest)
{
    struct cg_str part = cg_str_sub(rest, 0, CG_H2_FRAME_HEADER_BYTES - inspector->header_length);
    memcpy(inspector->header + inspector->header_length, part.bytes, part.length);
    inspector->header_length += (uint32_t)part.length;
    if (inspector->header_length == CG_H2_FRAME_HEADER_BYTES) {
        struct frame frame = parse_frame_header(inspector->header);
        inspector->header_length = 0;
        inspect_frame(inspector, &frame);
    }
    return part.length;
}

static size_t take_payload(struct cg_h2_inspector *inspector, struct cg_str rest)
{
    if (inspector->padding_expected) {
        inspector->padding_expected = false;
        /* The length byte itself and at least so much padding: no data is left. */
        if ((uint8_t)rest.bytes[0] + 1u >= inspector->payload_left)
            count_empty_data(inspector);
    }
    struct cg_str part = cg_str_sub(rest, 0, inspector->payload_left);
    inspector->payload_left -= (uint32_t)part.length;
    return part.length;
}

enum cg_h2_finding cg_h2_inspect(struct cg_h2_inspector *inspector, struct cg_str bytes)
{
    while (bytes.length > 0 && inspector->finding == CG_H2_SOUND) {
        size_t used;
        if (!inspector->preface_seen)
            used = take_preface(inspector, bytes);
        else if (inspector->payload_left > 0)
            used = take_payload(inspector, bytes);
        else
            used = take_frame_header(inspector, bytes);
        CG_ASSERT(used > 0);
        bytes = cg_str_skip(bytes, used);
    }
    return inspector->finding;
}
