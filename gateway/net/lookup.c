#include "gateway/net/lookup.h"

#include <h2o.h>
#include <stdio.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

enum { PORT_TEXT_BYTES = 8, TURN_MS = 50 };

struct cg_lookup {
    cg_lookup_fn answer; /* NULL when disowned */
    void *owner;
};

/* How many of this thread are under way. */
static _Thread_local size_t under_way;

static void on_found(h2o_hostinfo_getaddr_req_t *request, const char *error, struct addrinfo *found,
                     void *data)
{
    struct cg_lookup lookup = *(struct cg_lookup *)data;
    (void)request;
    under_way--;
    free(data);
    if (lookup.answer == NULL)
        return;
    if (error == NULL && found == NULL)
        error = "the name has no address";
    lookup.answer(lookup.owner, error, error == NULL ? found : NULL);
}

struct cg_lookup *cg_lookup_start(struct st_h2o_context_t *context, const char *host, uint16_t port,
                                  cg_lookup_fn answer, void *owner)
{
    struct cg_lookup *lookup = calloc(1, sizeof(*lookup));
    char port_text[PORT_TEXT_BYTES];
    CG_ASSERT(lookup != NULL);
    *lookup = (struct cg_lookup){.answer = answer, .owner = owner};
    snprintf(port_text, sizeof(port_text), "%u", (unsigned)port);
    under_way++;
    /* Both texts are copied. */
    h2o_hostinfo_getaddr(&context->receivers.hostinfo_getaddr, h2o_iovec_init(host, strlen(host)),
                         h2o_iovec_init(port_text, strlen(port_text)), AF_UNSPEC, SOCK_STREAM,
                         IPPROTO_TCP, AI_ADDRCONFIG | AI_NUMERICSERV, on_found, lookup);
    return lookup;
}

struct cg_lookup *cg_lookup_cancel(struct cg_lookup *lookup)
{
    if (lookup != NULL)
        lookup->answer = NULL;
    return NULL;
}

bool cg_lookups_drain(struct st_h2o_context_t *context, uint32_t within_ms)
{
    int64_t until_ms = cg_clock_monotonic_ms() + within_ms;
    while (under_way > 0 && cg_clock_monotonic_ms() < until_ms)
        h2o_evloop_run(context->loop, TURN_MS);
    return under_way == 0;
}
