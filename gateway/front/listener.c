/*
 * Binding. All descriptors of all threads are opened here, before a thread runs, so that what can
 * fail fails at the start.
 */
#include "gateway/front/front.h"

#include "cachegate/assert.h"
#include "gateway/config/address.h"
#include "gateway/front/sentence.h"
#include "gateway/net/handover.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage storage;
};

struct target {
    union any_address address;
    socklen_t length;
    uint16_t port; /* as in `address`; 0: one that the first socket finds */
};

static const char *name_of(const struct cg_address *address)
{
    return address->host[0] == '\0' ? "*" : address->host;
}

/* ---- TCP ---- */

static void set_port(struct target *target, uint16_t port)
{
    target->port = port;
    if (target->address.any.sa_family == AF_INET6)
        target->address.v6.sin6_port = htons(port);
    else
        target->address.v4.sin_port = htons(port);
}

static uint16_t port_of(int fd)
{
    union any_address address = {.storage = {0}};
    socklen_t length = sizeof(address);
    if (getsockname(fd, &address.any, &length) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* -1 and errno. `shared`: other sockets of ours listen on the same address. */
static int bind_tcp(const struct target *target, bool shared, bool both_families)
{
    int on = 1, off = 0;
    int fd = socket(target->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        (target->address.any.sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof(on)) != 0) ||
        bind(fd, &target->address.any, target->length) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Which addresses the text means. 0 and a sentence when there is none. */
static size_t resolve(const struct cg_address *address, struct target *targets, char **ret_error)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    size_t count = 0;
    hints.ai_flags = AI_PASSIVE;
    int error = getaddrinfo(address->host, NULL, &hints, &found);
    if (error != 0) {
        *ret_error = cg_sentence("cannot listen on %s:%u: %s", name_of(address),
                                 (unsigned)address->port, gai_strerror(error));
        return 0;
    }
    for (const struct addrinfo *one = found; one != NULL; one = one->ai_next) {
        if (one->ai_family != AF_INET && one->ai_family != AF_INET6)
            continue;
        if (count == CG_LISTENER_SOCKETS_MAX)
            break;
        memcpy(&targets[count].address.storage, one->ai_addr, one->ai_addrlen);
        targets[count].length = one->ai_addrlen;
        set_port(&targets[count], address->port);
        count++;
    }
    freeaddrinfo(found);
    if (count == 0)
        *ret_error = cg_sentence("cannot listen on %s: it has no address", name_of(address));
    return count;
}

/* "Any address": one socket for both families, or IPv4 where the host has no IPv6. */
static size_t any_target(const struct cg_address *address, struct target *targets)
{
    targets[0].address.v6 =
        (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    targets[0].length = sizeof(targets[0].address.v6);
    set_port(&targets[0], address->port);
    int fd = bind_tcp(&targets[0], false, true);
    bool usable = fd >= 0 || errno == EADDRINUSE || errno == EACCES;
    if (fd >= 0)
        close(fd);
    if (!usable) {
        targets[0].address.v4 = (struct sockaddr_in){.sin_family = AF_INET};
        targets[0].address.v4.sin_addr.s_addr = htonl(INADDR_ANY);
        targets[0].length = sizeof(targets[0].address.v4);
        set_port(&targets[0], address->port);
    }
    return 1;
}

/*
 * One socket per thread, on one port. SO_REUSEPORT would also let a second gateway of the same user
 * take half of the connections in silence, so the port must first be free for a socket without it,
 * unless this is a hand-over.
 */
static bool open_target(struct cg_listener *listener, struct target *target, size_t index,
                        bool both_families)
{
    if (target->port != 0 && !listener->handover) {
        int probe = bind_tcp(target, false, both_families);
        if (probe < 0)
            return false;
        close(probe);
    }
    for (size_t thread = 0; thread < listener->thread_count; thread++) {
        int fd = bind_tcp(target, true, both_families);
        listener->fds[thread * listener->address_count + index] = fd;
        if (fd < 0 || listen(fd, BACKLOG) != 0)
            return false;
        set_port(target, port_of(fd));
    }
    return true;
}

static bool open_tcp(struct cg_listener *listener, char **ret_error)
{
    const struct cg_address *address = &listener->settings->address;
    struct target targets[CG_LISTENER_SOCKETS_MAX] = {0};
    bool any = address->host[0] == '\0';
    size_t count = any ? any_target(address, targets) : resolve(address, targets, ret_error);
    if (count == 0)
        return false;
    listener->address_count = count;
    listener->fds = calloc(count * listener->thread_count, sizeof(*listener->fds));
    CG_ASSERT(listener->fds != NULL);
    for (size_t i = 0; i < count * listener->thread_count; i++)
        listener->fds[i] = -1;
    for (size_t i = 0; i < count; i++) {
        if (i > 0) /* all addresses of a name on the same port */
            set_port(&targets[i], port_of(listener->fds[0]));
        if (!open_target(listener, &targets[i], i, any)) {
            *ret_error =
                cg_sentence("cannot listen on %s:%u: %s%s", name_of(address),
                            (unsigned)address->port, strerror(errno), cg_address_remedy(errno));
            return false;
        }
    }
    unsigned port = port_of(listener->fds[0]);
    bool literal = strchr(address->host, ':') != NULL;
    listener->text = cg_sentence(literal ? "[%s]:%u" : "%s:%u", any ? "*" : address->host, port);
    return true;
}

/* ---- UNIX sockets ---- */

/* Whether a file is in the way that may go: a socket on which nobody answers. */
static bool remove_stale(const struct target *target, const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool answered = connect(fd, &target->address.any, target->length) == 0 || errno != ECONNREFUSED;
    close(fd);
    return !answered && unlink(path) == 0;
}

static bool bind_unix(struct cg_listener *listener, int fd, const struct target *target)
{
    const char *path = listener->settings->address.path;
    struct stat status;
    if (listener->handover) {
        if (!cg_handover_listen_unix(fd, path, BACKLOG))
            return false;
    } else if (bind(fd, &target->address.any, target->length) != 0) {
        if (errno != EADDRINUSE)
            return false;
        if (!remove_stale(target, path)) {
            errno = EADDRINUSE; /* not what the attempt to remove it has left there */
            return false;
        }
        if (bind(fd, &target->address.any, target->length) != 0)
            return false;
    }
    if (stat(path, &status) == 0) {
        listener->unlink_at_end = true;
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
    }
    return listener->handover || listen(fd, BACKLOG) == 0;
}

static bool open_unix(struct cg_listener *listener, char **ret_error)
{
    const char *path = listener->settings->address.path;
    struct target target = {.length = sizeof(target.address.local)};
    size_t length = strlen(path);
    if (length >= sizeof(target.address.local.sun_path)) {
        *ret_error = cg_sentence("cannot listen on unix:%s: the path is longer than %zu bytes",
                                 path, sizeof(target.address.local.sun_path) - 1);
        return false;
    }
    target.address.local.sun_family = AF_UNIX;
    memcpy(target.address.local.sun_path, path, length + 1);
    listener->address_count = 1;
    listener->fds = calloc(listener->thread_count, sizeof(*listener->fds));
    CG_ASSERT(listener->fds != NULL);
    for (size_t i = 0; i < listener->thread_count; i++)
        listener->fds[i] = -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    listener->fds[0] = fd;
    bool opened = fd >= 0 && bind_unix(listener, fd, &target);
    /* The threads share the socket, each through its own descriptor. */
    for (size_t i = 1; opened && i < listener->thread_count; i++) {
        listener->fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        opened = listener->fds[i] >= 0;
    }
    if (!opened) {
        *ret_error = cg_sentence("cannot listen on unix:%s: %s%s", path, strerror(errno),
                                 cg_address_remedy(errno));
        return false;
    }
    listener->text = cg_sentence("unix:%s", path);
    return true;
}

/* ---- both ---- */

bool cg_listener_open(struct cg_listener *listener, const struct cg_listener_settings *settings,
                      size_t thread_count, bool handover, char **ret_error)
{
    *listener = (struct cg_listener){
        .settings = settings, .thread_count = thread_count, .handover = handover};
    bool opened = false;
    switch (settings->address.kind) {
    case CG_ADDRESS_TCP:
        opened = open_tcp(listener, ret_error);
        break;
    case CG_ADDRESS_UNIX:
        opened = open_unix(listener, ret_error);
        break;
    }
    if (!opened)
        cg_listener_close(listener);
    return opened;
}

void cg_listener_close(struct cg_listener *listener)
{
    for (size_t i = 0;
         listener->fds != NULL && i < listener->address_count * listener->thread_count; i++)
        if (listener->fds[i] >= 0)
            close(listener->fds[i]);
    free(listener->fds);
    free(listener->text);
    if (listener->unlink_at_end)
        cg_handover_unlink(listener->settings->address.path, listener->device, listener->inode);
    *listener = (struct cg_listener){0};
}

int cg_listener_take(struct cg_listener *listener, size_t thread, size_t address)
{
    int *slot = &listener->fds[thread * listener->address_count + address];
    int fd = *slot;
    *slot = -1;
    return fd;
}
