#include "gateway/upstream/resolver.h"

#include <string.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

static void on_expiry(void *owner)
{
    struct cg_resolver *resolver = owner;
    resolver->fresh = false;
}

void cg_resolver_init(struct cg_resolver *resolver, const struct cg_upstream *upstream,
                      h2o_context_t *context, struct cg_clock *clock)
{
    *resolver = (struct cg_resolver){
        .upstream = upstream,
        .context = context,
        .clock = clock,
        .expiry = {.on_expiry = on_expiry, .owner = resolver},
    };
    if (upstream->has_address) {
        resolver->addresses[0] = upstream->address;
        resolver->count = 1;
        resolver->fresh = true;
    }
}

void cg_resolver_fini(struct cg_resolver *resolver)
{
    CG_ASSERT(resolver->waiters == NULL);
    cg_timer_disarm(resolver->clock, &resolver->expiry);
    resolver->lookup = cg_lookup_cancel(resolver->lookup);
}

static void take_addresses(struct cg_resolver *resolver, const struct addrinfo *found)
{
    resolver->count = 0;
    resolver->first = 0;
    for (; found != NULL && resolver->count < CG_RESOLVER_ADDRESSES_MAX; found = found->ai_next) {
        struct cg_socket_address *address = &resolver->addresses[resolver->count];
        if (found->ai_addrlen > sizeof(address->storage))
            continue;
        memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
        address->length = found->ai_addrlen;
        resolver->count++;
    }
    resolver->error = "the name has no address";
    resolver->fresh = resolver->count > 0;
    if (resolver->fresh)
        cg_timer_arm(resolver->clock, &resolver->expiry, CG_RESOLVER_FRESH_MS);
}

static void on_lookup(void *owner, const char *error, const struct addrinfo *found)
{
    struct cg_resolver *resolver = owner;
    resolver->lookup = NULL;
    if (error == NULL)
        take_addresses(resolver, found);
    else
        resolver->error = error;

    /* Detached first: who is told may ask again, and may take other questions back. */
    struct cg_resolver_waiter *waiters = resolver->waiters;
    resolver->waiters = NULL;
    if (waiters != NULL)
        waiters->link = &waiters;
    while (waiters != NULL) {
        struct cg_resolver_waiter *waiter = waiters;
        cg_resolver_forget(waiter);
        waiter->on_resolved(waiter->owner);
    }
}

void cg_resolver_ask(struct cg_resolver *resolver, struct cg_resolver_waiter *waiter)
{
    if (resolver->fresh) {
        waiter->on_resolved(waiter->owner);
        return;
    }
    waiter->next = resolver->waiters;
    waiter->link = &resolver->waiters;
    if (waiter->next != NULL)
        waiter->next->link = &waiter->next;
    resolver->waiters = waiter;
    if (resolver->lookup != NULL)
        return;
    const struct cg_address *address = &resolver->upstream->settings->address;
    resolver->lookup =
        cg_lookup_start(resolver->context, address->host, address->port, on_lookup, resolver);
}

void cg_resolver_forget(struct cg_resolver_waiter *waiter)
{
    if (waiter->link == NULL)
        return;
    *waiter->link = waiter->next;
    if (waiter->next != NULL)
        waiter->next->link = waiter->link;
    waiter->link = NULL;
    waiter->next = NULL;
}

struct cg_socket_address *cg_resolver_address(struct cg_resolver *resolver, size_t attempt)
{
    CG_ASSERT(attempt < resolver->count);
    return &resolver->addresses[(resolver->first + attempt) % resolver->count];
}

void cg_resolver_prefer(struct cg_resolver *resolver, size_t attempt)
{
    /* A lookup may have replaced the list since. */
    if (attempt < resolver->count)
        resolver->first = (resolver->first + attempt) % resolver->count;
}
