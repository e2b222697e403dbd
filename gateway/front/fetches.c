#include "gateway/front/fetches.h"

#include "cachegate/assert.h"
#include "gateway/base/log.h"

#include <h2o.h>
#include <pthread.h>
#include <stdlib.h>

enum { ORDERS_MAX = 16 };

struct cg_fetches {
    struct cg_machine *machine;
    uint32_t concurrency;
    struct cg_warm *warm;           /* owned; of `current` */
    struct cg_warm_order *current;  /* owned; NULL: nothing is under way */
    h2o_multithread_queue_t *queue; /* NULL before it was opened */
    h2o_multithread_receiver_t receiver;
    h2o_multithread_message_t message; /* the only one; linked while `sent` */
    pthread_mutex_t lock;
    /* Under the lock. */
    struct cg_warm_order *first, *last; /* that wait */
    size_t count;
    bool accepts, sent;
};

static struct cg_warm_order *take_next(struct cg_fetches *fetches)
{
    pthread_mutex_lock(&fetches->lock);
    struct cg_warm_order *order = fetches->first;
    if (order != NULL) {
        fetches->first = order->next;
        fetches->count--;
    }
    pthread_mutex_unlock(&fetches->lock);
    return order;
}

static void begin_next(struct cg_fetches *fetches);

static void on_end(void *owner, size_t failed)
{
    struct cg_fetches *fetches = owner;
    cg_log(failed == 0 ? CG_LOG_INFO : CG_LOG_WARN, "refresh", "%zu fetched, %zu of them failed",
           fetches->current->count, failed);
    fetches->warm = cg_warm_destroy(fetches->warm);
    fetches->current = cg_warm_order_destroy(fetches->current);
    begin_next(fetches);
}

static void begin_next(struct cg_fetches *fetches)
{
    if (fetches->current != NULL)
        return;
    fetches->current = take_next(fetches);
    if (fetches->current != NULL)
        fetches->warm =
            cg_warm_once(fetches->machine, fetches->current->wishes, fetches->current->count,
                         fetches->concurrency, on_end, fetches);
}

static void on_message(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    struct cg_fetches *fetches = H2O_STRUCT_FROM_MEMBER(struct cg_fetches, receiver, receiver);
    (void)messages;
    h2o_linklist_unlink(&fetches->message.link);
    pthread_mutex_lock(&fetches->lock);
    fetches->sent = false; /* before looking: what comes later is sent again */
    bool accepts = fetches->accepts;
    pthread_mutex_unlock(&fetches->lock);
    if (accepts)
        begin_next(fetches);
}

bool cg_fetches_hand_over(struct cg_fetches *fetches, struct cg_warm_order *order)
{
    CG_ASSERT(order->next == NULL && order->count > 0);
    pthread_mutex_lock(&fetches->lock);
    bool takes = fetches->accepts && fetches->count < ORDERS_MAX;
    if (takes) {
        if (fetches->first == NULL)
            fetches->first = order;
        else
            fetches->last->next = order;
        fetches->last = order;
        fetches->count++;
    }
    /* Under the lock: closing asks for it before it takes the queue apart. */
    if (takes && !fetches->sent) {
        fetches->sent = true;
        h2o_multithread_send_message(&fetches->receiver, &fetches->message);
    }
    pthread_mutex_unlock(&fetches->lock);
    return takes;
}

/* ---- life ---- */

struct cg_fetches *cg_fetches_create(void)
{
    struct cg_fetches *fetches = calloc(1, sizeof(*fetches));
    CG_ASSERT(fetches != NULL);
    CG_ASSERT(pthread_mutex_init(&fetches->lock, NULL) == 0);
    return fetches;
}

void cg_fetches_open(struct cg_fetches *fetches, struct cg_machine *machine,
                     struct st_h2o_context_t *context, uint32_t concurrency)
{
    fetches->machine = machine;
    fetches->concurrency = concurrency;
    fetches->queue = context->queue;
    h2o_multithread_register_receiver(fetches->queue, &fetches->receiver, on_message);
    pthread_mutex_lock(&fetches->lock);
    fetches->accepts = true;
    pthread_mutex_unlock(&fetches->lock);
}

void cg_fetches_stop(struct cg_fetches *fetches)
{
    pthread_mutex_lock(&fetches->lock);
    fetches->accepts = false;
    pthread_mutex_unlock(&fetches->lock);
    cg_warm_stop(fetches->warm);
}

void cg_fetches_close(struct cg_fetches *fetches)
{
    cg_fetches_stop(fetches);
    fetches->warm = cg_warm_destroy(fetches->warm);
    fetches->current = cg_warm_order_destroy(fetches->current);
    if (fetches->queue == NULL)
        return;
    if (fetches->sent) /* nobody sends any more */
        on_message(&fetches->receiver, NULL);
    h2o_multithread_unregister_receiver(fetches->queue, &fetches->receiver);
    fetches->queue = NULL;
}

struct cg_fetches *cg_fetches_destroy(struct cg_fetches *fetches)
{
    if (fetches == NULL)
        return NULL;
    CG_ASSERT(fetches->queue == NULL && fetches->current == NULL);
    for (struct cg_warm_order *order; (order = take_next(fetches)) != NULL;)
        cg_warm_order_destroy(order);
    CG_ASSERT(pthread_mutex_destroy(&fetches->lock) == 0);
    free(fetches);
    return NULL;
}
