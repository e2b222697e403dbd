/*
 * spool: how purges that were not delivered are written in a file that outlives the process.
 *
 * Records of one size, each with a checksum over its bytes and its place: first a header that names
 * the process as the store knows it, then purges, flushes and doubts. A record of zeros ends the
 * file, which is as long as it can get from the start. Pure: bytes in, meaning out; files are the
 * caller's. What cannot be read in the middle counts as a flush; a last record that was cut is
 * left out, since nobody was told about it yet.
 */
#ifndef CACHEGATE_SPOOL_H
#define CACHEGATE_SPOOL_H

#include "cachegate/str.h"
#include "cachegate/version.h"

enum { CG_SPOOL_RECORD_BYTES = 32 };

enum cg_spool_kind {
    CG_SPOOL_HEADER = 'H', /* its id is the process's */
    CG_SPOOL_PURGE = 'P',  /* its id is the instance's */
    CG_SPOOL_FLUSH = 'F',
    CG_SPOOL_DOUBT = 'D', /* a write went out that nothing in the store marked */
    CG_SPOOL_VOID = 'V',  /* was a doubt */
};

struct cg_spool {
    bool has_header;
    uint8_t process[CG_DIGEST_BYTES];
    size_t count; /* purges, in the order written */
    bool flush;   /* … and one is owed, or something could not be read */
    bool doubt;
};

/* `place`: which record of the file it is, the header being 0. */
void cg_spool_record_write(enum cg_spool_kind kind, const uint8_t id[CG_DIGEST_BYTES], size_t place,
                           char ret_bytes[CG_SPOOL_RECORD_BYTES]);
/* `room` takes at most `room_count` instances; more are a flush. */
void cg_spool_read(struct cg_str bytes, struct cg_instance *room, size_t room_count,
                   struct cg_spool *ret_spool);

#endif
