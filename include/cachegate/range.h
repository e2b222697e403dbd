/*
 * range: partial answers from a whole one at hand (RFC 9110 14): which bytes a client gets, and how
 * they are framed.
 *
 * Pure arithmetic over lengths; nothing is cut or copied. A request that cannot be read, or asks
 * for more parts than are worth it, counts as one for the whole (14.2 allows it, 17.15 asks for
 * it): a plan never sends more bytes of content than the whole has. A partial answer of the origin
 * is passed on and never gets here.
 */
#ifndef CACHEGATE_RANGE_H
#define CACHEGATE_RANGE_H

#include "cachegate/fields.h"

enum {
    CG_RANGES_MAX = 16,          /* of one request, and of one plan; more count as the whole */
    CG_RANGE_BOUNDARY_MAX = 70,  /* RFC 2046 5.1.1 */
    CG_RANGE_GAP_BYTES_MAX = 80, /* parts that are nearer are sent as one: the framing costs more */
};

struct cg_range {
    uint64_t first;
    uint64_t length; /* at least 1 */
};

enum cg_range_kind {
    CG_RANGE_WHOLE,         /* 200, as if no range had been asked for */
    CG_RANGE_SINGLE,        /* 206, Content-Range */
    CG_RANGE_MULTIPLE,      /* 206, multipart/byteranges */
    CG_RANGE_UNSATISFIABLE, /* 416, Content-Range with the length alone */
};

struct cg_range_set {
    enum cg_range_kind kind;
    struct cg_range ranges[CG_RANGES_MAX]; /* in the order of sending */
    size_t count;
};

/*
 * Reads the Range field of a GET against a representation of `length` bytes. WHOLE for other
 * methods, other units, two fields, anything malformed, and too many parts; ranges that overlap or
 * nearly touch become one, where they come in order, and the whole otherwise.
 */
void cg_range_parse(struct cg_str method, const struct cg_fields *request, uint64_t length,
                    struct cg_range_set *ret_set);

/*
 * RFC 9110 13.1.5: whether the Range of this request counts for the answer at hand: there is no
 * If-Range, or it names just this answer by a strong validator. A date counts as strong when Date
 * is a minute or more behind it (8.8.2.2).
 */
bool cg_range_holds(const struct cg_fields *request, const struct cg_fields *answer,
                    int64_t received_at_ms);

/* A part of what is sent: text of ours, then bytes of the content. */
struct cg_range_piece {
    struct cg_str text;
    struct cg_range content; /* length 0 in the last piece of a multipart */
};

struct cg_range_plan {
    unsigned status;         /* 200, 206 or 416 */
    struct cg_fields fields; /* the answer's, with Content-Range and Content-Type as they must be */
    struct cg_range_piece pieces[CG_RANGES_MAX + 1];
    size_t piece_count;
    uint64_t content_length; /* of all pieces together */
};

/*
 * The whole way from a request to what is sent. `status` and `answer` are of the answer at hand:
 * only a 200 is ever cut. `boundary` is random text of the caller's, 1 to CG_RANGE_BOUNDARY_MAX
 * letters and digits. False: too many fields.
 */
bool cg_range_plan_make(struct cg_str method, const struct cg_fields *request, unsigned status,
                        const struct cg_fields *answer, uint64_t length, int64_t received_at_ms,
                        struct cg_str boundary, struct cg_arena *arena,
                        struct cg_range_plan *ret_plan);

#endif
