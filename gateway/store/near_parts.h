/*
 * near_parts: what near.c and near_changes.c share. Private to them.
 */
#ifndef GATEWAY_STORE_NEAR_PARTS_H
#define GATEWAY_STORE_NEAR_PARTS_H

#include "gateway/store/near.h"

struct cg_near {
    const struct cg_settings *settings;
    struct cg_book *book;
    cg_near_server_fn server_of;
    struct cg_near_copies *copies;
    struct cg_near_watch *watch; /* NULL: all routes are strict */
};

/* One call that waits for the inner store. What it borrows stays valid until it is answered. */
struct cg_near_question {
    struct cg_near_question *previous, *next;
    struct cg_near_handle *handle;
    const struct cg_key *key;
    const struct cg_instance *instances;
    size_t count;
    bool pushed;
    uint64_t moment;           /* before it was sent, if pushed */
    struct cg_near_copy *copy; /* one reference, of a lookup */
    struct cg_blob *entry;     /* one reference, of a fill */
    bool open_purges;          /* of a change */
    cg_store_view_fn answer_view;
    cg_store_done_fn answer_done;
    void *owner;
};

struct cg_near_handle {
    struct cg_store base;
    struct cg_store_port port; /* ours, with the inner store's `seals` */
    struct cg_near *near;
    struct cg_store *inner;
    struct cg_clock *clock;
    struct cg_sheet *sheet;
    struct cg_near_sight sight;
    struct cg_near_question *first;
    struct cg_near_question *spare; /* linked by next */
    size_t spare_count;
};

static inline struct cg_near_handle *cg_near_handle_of(struct cg_store *store)
{
    return (struct cg_near_handle *)store;
}

struct cg_near_question *cg_near_ask(struct cg_near_handle *handle, void *owner);
/* Ends the question and tells its owner. */
void cg_near_tell_done(struct cg_near_question *question, enum cg_store_result result);

/* ---- near_changes.c: members of the port ---- */

void cg_near_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                   cg_store_done_fn answer, void *owner);
void cg_near_mark(struct cg_store *store, const struct cg_instance *instances, size_t count,
                  const struct cg_writer *writer, int64_t deadline_ms, cg_store_done_fn answer,
                  void *owner);
void cg_near_release(struct cg_store *store, const struct cg_instance *instances, const bool *renew,
                     size_t count, const struct cg_writer *writer, cg_store_done_fn answer,
                     void *owner);
void cg_near_ban(struct cg_store *store, const struct cg_ban *bans, size_t count,
                 cg_store_done_fn answer, void *owner);
void cg_near_flush(struct cg_store *store, cg_store_done_fn answer, void *owner);

#endif
