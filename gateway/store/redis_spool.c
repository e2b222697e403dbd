#include "gateway/store/redis_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cachegate/assert.h"
#include "cachegate/buf.h"

struct cg_redis_spool {
    int file;
    uint8_t process[CG_DIGEST_BYTES];
    size_t used;     /* records, the header included */
    size_t room;     /* records in all */
    size_t doubt_at; /* 0: there is none */
};

static char *sentence(const char *path, const char *what, const char *why)
{
    struct cg_buf text;
    cg_buf_init(&text, 8192);
    cg_buf_printf(&text, "store.spool %s: %s%s%s", path, what, why == NULL ? "" : ": ",
                  why == NULL ? "" : why);
    cg_buf_add_char(&text, '\0');
    return text.bytes;
}

/* ---- records ---- */

static bool write_all(int file, const char *bytes, size_t length, off_t offset)
{
    while (length > 0) {
        ssize_t written = pwrite(file, bytes, length, offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
        offset += written;
    }
    return true;
}

static off_t offset_of(size_t place)
{
    return (off_t)(place * CG_SPOOL_RECORD_BYTES);
}

static bool write_records(struct cg_redis_spool *spool, enum cg_spool_kind kind,
                          const struct cg_instance *ids, size_t count)
{
    static const struct cg_instance nobody;
    size_t length = count * CG_SPOOL_RECORD_BYTES;
    char *bytes = malloc(length);
    CG_ASSERT(bytes != NULL);
    for (size_t i = 0; i < count; i++)
        cg_spool_record_write(kind, ids == NULL ? nobody.id : ids[i].id, spool->used + i,
                              bytes + i * CG_SPOOL_RECORD_BYTES);
    bool good = write_all(spool->file, bytes, length, offset_of(spool->used));
    free(bytes);
    if (good)
        spool->used += count;
    return good;
}

size_t cg_redis_spool_room(const struct cg_redis_spool *spool)
{
    return spool->used + 1 < spool->room ? spool->room - spool->used - 1 : 0;
}

bool cg_redis_spool_add(struct cg_redis_spool *spool, enum cg_spool_kind kind,
                        const struct cg_instance *ids, size_t count)
{
    CG_ASSERT(count > 0);
    if (spool->used + count > spool->room) {
        errno = ENOSPC;
        return false;
    }
    if (kind == CG_SPOOL_DOUBT)
        spool->doubt_at = spool->used;
    return write_records(spool, kind, ids, count) && fdatasync(spool->file) == 0;
}

/*
 * From the end to the beginning, so that what a crash leaves is a shorter list: all of it was
 * delivered anyway. The header is written again, in case it was not there.
 */
bool cg_redis_spool_empty(struct cg_redis_spool *spool, bool doubt)
{
    static const char zeros[CG_SPOOL_RECORD_BYTES];
    struct cg_instance process;
    bool good = true;
    while (spool->used > 1)
        good = write_all(spool->file, zeros, sizeof(zeros), offset_of(--spool->used)) && good;
    memcpy(process.id, spool->process, sizeof(process.id));
    spool->used = 0;
    spool->doubt_at = doubt ? 1 : 0;
    good = write_records(spool, CG_SPOOL_HEADER, &process, 1) && good;
    if (doubt)
        good = write_records(spool, CG_SPOOL_DOUBT, NULL, 1) && good;
    return fdatasync(spool->file) == 0 && good;
}

bool cg_redis_spool_settle(struct cg_redis_spool *spool)
{
    static const uint8_t nobody[CG_DIGEST_BYTES];
    char bytes[CG_SPOOL_RECORD_BYTES];
    if (spool->doubt_at == 0)
        return true;
    cg_spool_record_write(CG_SPOOL_VOID, nobody, spool->doubt_at, bytes);
    return write_all(spool->file, bytes, sizeof(bytes), offset_of(spool->doubt_at)) &&
           fdatasync(spool->file) == 0;
}

/* ---- the file ---- */

/* Whether the name of a file that was made just now is on the disk too. */
static bool sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    CG_ASSERT(folder != NULL);
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = file >= 0 && fsync(file) == 0;
    if (file >= 0)
        close(file);
    free(folder);
    return good;
}

static bool read_content(struct cg_redis_spool *spool, struct cg_instance *room, size_t room_count,
                         struct cg_spool *ret_content)
{
    struct stat status;
    size_t length = 0;
    if (fstat(spool->file, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    /* One that was made for more is read as far as ours reaches, and one record beyond: a flush. */
    size_t longest = (spool->room + 1) * CG_SPOOL_RECORD_BYTES;
    size_t wanted = (size_t)status.st_size < longest ? (size_t)status.st_size : longest;
    char *bytes = calloc(1, longest);
    CG_ASSERT(bytes != NULL);
    while (length < wanted) {
        ssize_t got = pread(spool->file, bytes + length, wanted - length, (off_t)length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    cg_spool_read(cg_str_of(bytes, length), room, room_count, ret_content);
    free(bytes);
    return length == wanted;
}

/* What was read is written anew: whatever the file held, from here on it is whole. */
static bool write_content(struct cg_redis_spool *spool, const struct cg_instance *instances,
                          const struct cg_spool *content)
{
    spool->used = spool->room;
    if (!cg_redis_spool_empty(spool, false))
        return false;
    if (content->count > 0 && !write_records(spool, CG_SPOOL_PURGE, instances, content->count))
        return false;
    if ((content->flush || content->doubt) && !write_records(spool, CG_SPOOL_FLUSH, NULL, 1))
        return false;
    return fdatasync(spool->file) == 0;
}

struct cg_redis_spool *cg_redis_spool_open(const char *path, const uint8_t process[CG_DIGEST_BYTES],
                                           struct cg_instance *room, size_t room_count,
                                           struct cg_spool *ret_content, char **ret_error)
{
    struct cg_redis_spool *spool = calloc(1, sizeof(*spool));
    const char *what = NULL;
    int error = 0;
    CG_ASSERT(spool != NULL);
    spool->room = 2 * room_count + 4;
    spool->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (spool->file < 0)
        what = "cannot be opened (its folder must exist, and the gateway's user must be allowed to "
               "write there)";
    else if (flock(spool->file, LOCK_EX | LOCK_NB) != 0)
        what = "is used by another process";
    else if (!read_content(spool, room, room_count, ret_content))
        what = "cannot be read";
    else if ((error = posix_fallocate(spool->file, 0, offset_of(spool->room))) != 0)
        what = "has not enough room on its disk";
    if (what == NULL) {
        if (!ret_content->has_header)
            memcpy(ret_content->process, process, CG_DIGEST_BYTES);
        memcpy(spool->process, ret_content->process, CG_DIGEST_BYTES);
        if (!write_content(spool, room, ret_content) || !sync_folder(path))
            what = "cannot be written";
    }
    if (what == NULL)
        return spool;
    bool locked = spool->file >= 0 && strcmp(what, "is used by another process") == 0;
    *ret_error = sentence(path, what, locked ? NULL : strerror(error != 0 ? error : errno));
    return cg_redis_spool_close(spool);
}

struct cg_redis_spool *cg_redis_spool_close(struct cg_redis_spool *spool)
{
    if (spool == NULL)
        return NULL;
    if (spool->file >= 0)
        close(spool->file);
    free(spool);
    return NULL;
}
