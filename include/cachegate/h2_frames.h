/*
 * h2_frames: looks at the frames of an HTTP/2 client before libh2o does (RFC 9113 4, 6).
 *
 * libh2o 2.2.5 has no limits on the rates of resets and control frames, on header blocks in small
 * pieces, or on unknown frames, and merges request trailers into the header section (PROTOCOL.md 2,
 * 3). The inspector is fed the decrypted bytes in order, however they were cut, counts, and says
 * when the connection should be dropped. It does not check the protocol beyond that, answers
 * nothing and decodes no header block: libh2o does. Pure; fixed size; no clock: the caller opens a
 * new rate window as its time passes.
 */
#ifndef CACHEGATE_H2_FRAMES_H
#define CACHEGATE_H2_FRAMES_H

#include "cachegate/str.h"

/* Why the connection should be dropped. Final: every later call says the same. */
enum cg_h2_finding {
    CG_H2_SOUND,
    CG_H2_BAD_PREFACE,
    CG_H2_FRAME_TOO_LARGE,
    CG_H2_RESET_FLOOD,
    CG_H2_PING_FLOOD,
    CG_H2_SETTINGS_FLOOD,
    CG_H2_PRIORITY_FLOOD,
    CG_H2_EMPTY_DATA_FLOOD,
    CG_H2_WINDOW_UPDATE_FLOOD,
    CG_H2_OTHER_FLOOD,
    CG_H2_HEADER_BLOCK_TOO_LARGE,
    CG_H2_CONTINUATION_FLOOD,
    CG_H2_TRAILERS,
};
const char *cg_h2_finding_text(enum cg_h2_finding finding);

/* The most that is let through; one more is a finding. */
struct cg_h2_budgets {
    uint32_t frame_bytes_max; /* payload of one frame */
    /* Of one header block. */
    uint32_t header_block_bytes_max; /* as sent: compressed, with padding */
    uint32_t continuations_max;
    /* In one rate window. */
    uint32_t resets_max;
    uint32_t pings_max; /* acknowledgements included, as below */
    uint32_t settings_max;
    uint32_t priorities_max;
    uint32_t empty_data_max; /* no data but padding, and not the end of the stream */
    uint32_t window_updates_max;
    uint32_t others_max; /* unknown types, GOAWAY, PUSH_PROMISE */
    /* Whether request trailers are a finding; else they are only told in trailer_blocks. */
    bool refuses_trailers;
};

/* Made for a window of ten seconds. */
struct cg_h2_budgets cg_h2_budgets_default(void);

struct cg_h2_counts {
    uint32_t resets;
    uint32_t pings;
    uint32_t settings;
    uint32_t priorities;
    uint32_t empty_data;
    uint32_t window_updates;
    uint32_t others;
};

enum { CG_H2_FRAME_HEADER_BYTES = 9 };

struct cg_h2_inspector {
    struct cg_h2_budgets budgets;
    enum cg_h2_finding finding;
    struct cg_h2_counts window; /* since cg_h2_inspector_new_window */
    bool preface_seen;
    bool header_block_open; /* HEADERS came, its END_HEADERS did not: not a moment to shut down */
    uint32_t header_block_bytes; /* of the current or last block */
    uint32_t continuations;
    uint32_t last_stream_id;    /* the highest that HEADERS opened */
    uint32_t trailer_blocks;    /* HEADERS on a stream that had them already */
    uint32_t trailer_stream_id; /* of the last of these */
    /* Private. */
    uint32_t preface_length;
    uint32_t header_length;
    uint8_t header[CG_H2_FRAME_HEADER_BYTES];
    bool padding_expected; /* the next byte is the Pad Length of a DATA frame */
    uint32_t payload_left;
};

void cg_h2_inspector_init(struct cg_h2_inspector *inspector, const struct cg_h2_budgets *budgets);
/* Looks at the next bytes of the connection, which start with the client's preface. */
enum cg_h2_finding cg_h2_inspect(struct cg_h2_inspector *inspector, struct cg_str bytes);
/* Sets the rate counts to zero. A finding stays. */
void cg_h2_inspector_new_window(struct cg_h2_inspector *inspector);

#endif
