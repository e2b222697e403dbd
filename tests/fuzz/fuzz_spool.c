/* Any bytes: what is read and written again is read as the same; what is cut says no more. */
#include "cachegate/assert.h"
#include "cachegate/spool.h"

enum { ROOM = 8, RECORDS_MAX = ROOM + 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t write_all(const struct cg_spool *spool, const struct cg_instance *instances,
                        char *bytes)
{
    static const uint8_t nobody[CG_DIGEST_BYTES];
    size_t place = 0;
    cg_spool_record_write(spool->has_header ? CG_SPOOL_HEADER : CG_SPOOL_VOID, spool->process,
                          place, bytes);
    place++;
    for (size_t i = 0; i < spool->count; i++, place++)
        cg_spool_record_write(CG_SPOOL_PURGE, instances[i].id, place,
                              bytes + place * CG_SPOOL_RECORD_BYTES);
    if (spool->flush) {
        cg_spool_record_write(CG_SPOOL_FLUSH, nobody, place, bytes + place * CG_SPOOL_RECORD_BYTES);
        place++;
    }
    if (spool->doubt) {
        cg_spool_record_write(CG_SPOOL_DOUBT, nobody, place, bytes + place * CG_SPOOL_RECORD_BYTES);
        place++;
    }
    return place * CG_SPOOL_RECORD_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_instance room[ROOM], again_room[ROOM];
    char bytes[RECORDS_MAX * CG_SPOOL_RECORD_BYTES];
    struct cg_spool spool, again;
    struct cg_str input = cg_str_of((const char *)data, size);
    cg_spool_read(input, room, ROOM, &spool);
    CG_ASSERT(spool.count <= ROOM);
    size_t length = write_all(&spool, room, bytes);
    cg_spool_read(cg_str_of(bytes, length), again_room, ROOM, &again);
    CG_ASSERT(again.has_header == spool.has_header && again.count == spool.count);
    CG_ASSERT(again.flush == spool.flush && again.doubt == spool.doubt);
    for (size_t i = 0; i < spool.count; i++)
        CG_ASSERT(cg_instance_eq(&room[i], &again_room[i]));
    /* The last record cut: all before it is told, and nothing is made up. */
    cg_spool_read(cg_str_of(bytes, length - 1), again_room, ROOM, &again);
    CG_ASSERT(again.count <= spool.count && (!again.doubt || spool.doubt));
    CG_ASSERT(!again.flush || spool.flush || length == CG_SPOOL_RECORD_BYTES);
    return 0;
}
