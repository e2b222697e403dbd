/*
 * watch: tells when files may have changed, and what is in them.
 *
 * The directories are watched, not the files: an editor, and kubelet with its `..data` link, put
 * another file under the same name, and a watch on the file would be dead after the first change.
 * An event only says "look": what counts is the digest of all contents. Where there are no events
 * (network file systems, too many directories) the caller polls. Belongs to one thread.
 */
#ifndef GATEWAY_RELOAD_WATCH_H
#define GATEWAY_RELOAD_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CG_WATCH_DIRECTORIES_MAX = 64, /* more are only polled */
    CG_WATCH_DIGEST_BYTES = 32,
    CG_WATCH_FILE_BYTES_MAX = 16 << 20, /* what is behind that is not looked at */
};

struct cg_watch;

/* Without `events` it only computes digests. */
struct cg_watch *cg_watch_create(bool events);
/* Takes NULL; returns NULL. */
struct cg_watch *cg_watch_destroy(struct cg_watch *watch);
/* Becomes readable when something happened; -1 where there are no events. */
int cg_watch_descriptor(const struct cg_watch *watch);
/*
 * Names of files, and globs, that matter from now on; copied. Directories that come and go are
 * found when it is asked again. False: some directory cannot be watched.
 */
bool cg_watch_set(struct cg_watch *watch, const char *const *files, size_t count);
/* Takes all events. True: a look is worth it. */
bool cg_watch_take(struct cg_watch *watch);
/* Of the names and contents of all files. */
void cg_watch_digest(const struct cg_watch *watch, uint8_t ret_digest[CG_WATCH_DIGEST_BYTES]);

#endif
