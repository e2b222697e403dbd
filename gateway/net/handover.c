#include "gateway/net/handover.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A filter that answers the same for every connection; of a place that no socket has the kernel
 * makes nothing. */
static void choose(int listener, uint32_t place)
{
    struct sock_filter answer = {.code = BPF_RET | BPF_K, .k = place};
    struct sock_fprog program = {.len = 1, .filter = &answer};
    (void)setsockopt(listener, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

void cg_handover_steer(int listener, uint32_t place)
{
    choose(listener, place);
}

void cg_handover_release(int listener)
{
    choose(listener, UINT32_MAX);
}

/* ---- UNIX sockets ---- */

static bool is_free_for_a_socket(const char *path)
{
    struct stat status;
    return lstat(path, &status) != 0 || S_ISSOCK(status.st_mode);
}

bool cg_handover_listen_unix(int socket, const char *path, int backlog)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(name.sun_path, sizeof name.sun_path, "%s.%d", path, (int)getpid());
    if (!is_free_for_a_socket(path)) {
        errno = EADDRINUSE;
        return false;
    }
    if (length < 0 || (size_t)length >= sizeof name.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    unlink(name.sun_path); /* of a process that had our number and died here */
    if (bind(socket, (const struct sockaddr *)&name, sizeof name) != 0)
        return false;
    if (listen(socket, backlog) == 0 && rename(name.sun_path, path) == 0)
        return true;
    int error = errno;
    unlink(name.sun_path);
    errno = error;
    return false;
}

void cg_handover_unlink(const char *path, dev_t device, ino_t inode)
{
    struct stat status;
    if (stat(path, &status) == 0 && status.st_dev == device && status.st_ino == inode)
        unlink(path);
}
