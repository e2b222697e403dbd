#include "gateway/store/memory_wake.h"

#include <h2o.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cachegate/assert.h"

struct wake {
    struct cg_store *store;
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t receiver;
    h2o_multithread_message_t message; /* the only one; without any the receiver is not called */
    atomic_bool sent;
};

static void on_message(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    struct wake *wake = H2O_STRUCT_FROM_MEMBER(struct wake, receiver, receiver);
    (void)messages;
    h2o_linklist_unlink(&wake->message.link);
    atomic_store(&wake->sent, false); /* before looking: what comes later is sent again */
    cg_memory_deliver(wake->store);
}

static void notify(void *owner)
{
    struct wake *wake = owner;
    if (!atomic_exchange(&wake->sent, true))
        h2o_multithread_send_message(&wake->receiver, &wake->message);
}

struct cg_store *cg_memory_wake_open(struct cg_memory *memory, struct st_h2o_context_t *context,
                                     struct cg_clock *clock)
{
    struct wake *wake = calloc(1, sizeof(*wake));
    CG_ASSERT(wake != NULL);
    wake->store = cg_memory_open(memory, clock);
    wake->queue = context->queue;
    h2o_multithread_register_receiver(wake->queue, &wake->receiver, on_message);
    cg_memory_on_mail(wake->store, notify, wake);
    return wake->store;
}

struct cg_store *cg_memory_wake_close(struct cg_store *store)
{
    struct wake *wake = cg_memory_on_mail(store, NULL, NULL);
    if (atomic_load(&wake->sent)) /* what nobody waits for any more */
        on_message(&wake->receiver, NULL);
    h2o_multithread_unregister_receiver(wake->queue, &wake->receiver);
    cg_memory_close(store);
    free(wake);
    return NULL;
}
