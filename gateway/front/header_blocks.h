/*
 * header_blocks: counts what an HTTP/2 client's header blocks will decode to, before they are.
 *
 * libh2o 2.2.5 decodes a block whole before a handler sees it, and joins cookie crumbs one by one,
 * which is quadratic: some kilobytes of references to one large table entry become gigabytes
 * (PROTOCOL.md 2). So field lines are counted in the encoded block (RFC 7541 6), and how often one
 * entry of the dynamic table is referenced: no real client repeats a field line much. Nothing is
 * decoded, and errors of encoding are libh2o's to find.
 *
 * Fed whole frames, in order, beginning after the connection preface. Pure; fixed size.
 */
#ifndef GATEWAY_FRONT_HEADER_BLOCKS_H
#define GATEWAY_FRONT_HEADER_BLOCKS_H

#include "cachegate/str.h"

enum {
    CG_HEADER_REPEATS_MAX = 3, /* references to one entry in one block */
    CG_HEADER_ENTRIES = 256,   /* more than a table of 4096 bytes can hold */
};

struct cg_header_blocks {
    uint32_t lines_max;
    bool open;      /* HEADERS came, the frame with END_HEADERS did not */
    size_t settled; /* of the bytes last walked: those in front of a block that was left open */
    uint32_t lines; /* of the current or last block */
    bool over;      /* a block was over a limit; final */
    /* Private. */
    uint32_t inserted;                     /* entries ever added to the dynamic table */
    uint8_t references[CG_HEADER_ENTRIES]; /* in this block, by insertion number */
    uint8_t state;
    uint8_t form;
    uint8_t strings_left;
    uint32_t shift;
    uint64_t number;
};

void cg_header_blocks_init(struct cg_header_blocks *blocks, uint32_t lines_max);
/*
 * Looks at the whole frames at the start of `bytes` and says how many bytes they are; what follows
 * is the start of the next frame.
 */
size_t cg_header_blocks_walk(struct cg_header_blocks *blocks, struct cg_str bytes);

/*
 * Takes whole frames of unknown types out of `bytes` and returns how many bytes are left. They mean
 * nothing (RFC 9113 5.5), but libh2o 2.2.5 prints a line for each to standard error. Inside a
 * header block they are an error, and stay. To be called before the walk over the same bytes.
 */
size_t cg_header_blocks_strip(const struct cg_header_blocks *blocks, char *bytes, size_t length);

#endif
