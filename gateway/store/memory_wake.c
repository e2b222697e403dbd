#include "gateway/store/memory_wake.h"

#include <h2o.h>
#include <stdlib.h>

#include "cachegate/assert.h"

struct wake {
    struct cg_store *store;
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t receiver;
};

static void on_message(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)messages; /* there are none */
    cg_memory_deliver(H2O_STRUCT_FROM_MEMBER(struct wake, receiver, receiver)->store);
}

static void notify(void *owner)
{
    struct wake *wake = owner;
    h2o_multithread_send_message(&wake->receiver, NULL);
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
    h2o_multithread_unregister_receiver(wake->queue, &wake->receiver);
    cg_memory_close(store);
    free(wake);
    return NULL;
}
