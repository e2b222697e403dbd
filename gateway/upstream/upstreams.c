#include "gateway/upstream/upstreams.h"

#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "cachegate/assert.h"
#include "gateway/upstream/origin.h"
#include "gateway/upstream/tls.h"

static bool set_unix_address(struct cg_upstream *upstream, char **ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = upstream->settings->address.path;
    size_t length = strlen(path);
    if (length >= sizeof(address.sun_path)) {
        if (asprintf(ret_error, "upstream %s: the socket's path is too long: %s",
                     upstream->settings->name, path) < 0)
            *ret_error = NULL;
        return false;
    }
    memcpy(address.sun_path, path, length + 1);
    memcpy(&upstream->address.storage, &address, sizeof(address));
    upstream->address.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    upstream->has_address = true;
    return true;
}

/* Literals only, so this does not block; a name stays without an address. */
static void set_literal_address(struct cg_upstream *upstream)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char port[8];
    snprintf(port, sizeof(port), "%u", upstream->settings->address.port);
    if (getaddrinfo(upstream->settings->address.host, port, &hints, &found) != 0)
        return;
    CG_ASSERT(found->ai_addrlen <= sizeof(upstream->address.storage));
    memcpy(&upstream->address.storage, found->ai_addr, found->ai_addrlen);
    upstream->address.length = found->ai_addrlen;
    upstream->has_address = true;
    freeaddrinfo(found);
}

static bool prepare(struct cg_upstream *upstream, char **ret_error)
{
    if (upstream->settings->address.kind == CG_ADDRESS_TCP)
        set_literal_address(upstream);
    else if (!set_unix_address(upstream, ret_error))
        return false;
    return !upstream->settings->tls || cg_tls_prepare(upstream, ret_error);
}

struct cg_upstreams *cg_upstreams_create(const struct cg_settings *settings, char **ret_error)
{
    struct cg_upstreams *upstreams = calloc(1, sizeof(*upstreams));
    CG_ASSERT(upstreams != NULL);
    upstreams->items = calloc(settings->upstream_count + 1, sizeof(*upstreams->items));
    CG_ASSERT(upstreams->items != NULL);
    for (size_t i = 0; i < settings->upstream_count; i++) {
        upstreams->items[i].settings = &settings->upstreams[i];
        upstreams->count++;
        if (!prepare(&upstreams->items[i], ret_error))
            return cg_upstreams_destroy(upstreams);
    }
    return upstreams;
}

struct cg_upstreams *cg_upstreams_destroy(struct cg_upstreams *upstreams)
{
    if (upstreams == NULL)
        return NULL;
    for (size_t i = 0; i < upstreams->count; i++) {
        SSL_CTX_free(upstreams->items[i].tls);
        free(upstreams->items[i].tls_name);
    }
    free(upstreams->items);
    free(upstreams);
    return NULL;
}
