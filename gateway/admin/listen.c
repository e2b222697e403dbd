#include "gateway/admin/listen.h"

#include "cachegate/assert.h"
#include "gateway/net/handover.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

__attribute__((format(printf, 1, 2))) static char *sentence(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    CG_ASSERT(length >= 0);
    return text;
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Binds and listens; closes the socket and keeps errno when that fails. */
static bool bind_and_listen(int listener, const struct sockaddr *name, socklen_t length)
{
    if (bind(listener, name, length) == 0 && listen(listener, BACKLOG) == 0)
        return true;
    int error = errno;
    close(listener);
    errno = error;
    return false;
}

/* ---- UNIX sockets ---- */

/* A socket on which nobody answers. Connecting to any other file is refused just the same. */
static bool is_abandoned(const struct sockaddr_un *name)
{
    struct stat status;
    if (lstat(name->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    int probe = open_socket(AF_UNIX);
    if (probe < 0)
        return false;
    bool refused =
        connect(probe, (const struct sockaddr *)name, sizeof *name) != 0 && errno == ECONNREFUSED;
    close(probe);
    return refused;
}

static int listen_unix(const struct cg_address *address, bool handover, char **ret_text,
                       char **ret_error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t length = strlen(address->path);
    CG_ASSERT(length < sizeof name.sun_path); /* address.c refused longer ones */
    memcpy(name.sun_path, address->path, length);
    if (!handover && is_abandoned(&name))
        unlink(address->path);
    int listener = open_socket(AF_UNIX);
    bool listens =
        listener >= 0 &&
        (handover ? cg_handover_listen_unix(listener, address->path, BACKLOG)
                  : bind_and_listen(listener, (const struct sockaddr *)&name, sizeof name));
    if (!listens) {
        *ret_error = sentence("cannot listen on unix:%s: %s", address->path, strerror(errno));
        return -1;
    }
    *ret_text = sentence("unix:%s", address->path);
    return listener;
}

/* ---- TCP ---- */

static char *name_of(int listener)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(listener, (struct sockaddr *)&name, &length) != 0 ||
        getnameinfo((const struct sockaddr *)&name, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return sentence("unknown");
    if (name.ss_family == AF_INET6)
        return sentence("[%s]:%s", host, port);
    return sentence("%s:%s", host, port);
}

/* `shared`: another gateway may listen there too, now or later. */
static int open_tcp(const struct addrinfo *info, bool shared)
{
    int on = 1, off = 0;
    int listener = open_socket(info->ai_family);
    if (listener < 0)
        return -1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared)
        setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (info->ai_family == AF_INET6)
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    return listener;
}

/*
 * Without a hand-over the address must be free for a socket that shares it with nobody. In one, all
 * that is asked from now on is asked of this process: its predecessor is told by signals only.
 */
static int listen_on(const struct addrinfo *info, bool handover)
{
    int alone = handover ? -1 : open_tcp(info, false);
    if (alone >= 0) {
        bool free = bind(alone, info->ai_addr, info->ai_addrlen) == 0;
        int error = errno;
        close(alone);
        errno = error;
        if (!free)
            return -1;
    }
    int listener = open_tcp(info, true);
    if (listener < 0 || !bind_and_listen(listener, info->ai_addr, info->ai_addrlen))
        return -1;
    if (handover)
        cg_handover_steer(listener, 1);
    return listener;
}

static int listen_tcp(const struct cg_address *address, bool handover, char **ret_text,
                      char **ret_error)
{
    char port[8];
    struct addrinfo *found = NULL;
    /* Any address: IPv6's covers IPv4 too; where there is no IPv6, IPv4's. */
    const char *const anywhere[] = {"::", "0.0.0.0"};
    bool any = address->host[0] == '\0';
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int listener = -1;
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    for (size_t i = 0; i < (any ? 2 : 1) && listener < 0; i++) {
        int result = getaddrinfo(any ? anywhere[i] : address->host, port, &hints, &found);
        if (result != 0) {
            *ret_error =
                sentence("cannot listen on %s:%s: %s", address->host, port, gai_strerror(result));
            return -1;
        }
        for (const struct addrinfo *info = found; info != NULL && listener < 0;
             info = info->ai_next)
            listener = listen_on(info, handover);
        int error = errno;
        freeaddrinfo(found);
        errno = error;
    }
    if (listener < 0)
        *ret_error = sentence("cannot listen on %s:%s: %s", address->host, port, strerror(errno));
    else
        *ret_text = name_of(listener);
    return listener;
}

int cg_admin_listen(const struct cg_address *address, bool handover, char **ret_text,
                    char **ret_error)
{
    switch (address->kind) {
    case CG_ADDRESS_UNIX:
        return listen_unix(address, handover, ret_text, ret_error);
    case CG_ADDRESS_TCP:
        return listen_tcp(address, handover, ret_text, ret_error);
    }
    CG_UNREACHABLE();
}
