#include "gateway/base/file_read.h"

#include "gateway/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

/* A pipe that was opened without blocking seems to end before its writer has come; asking first
 * waits for him. */
static bool wait_for(int file, int64_t until_ms)
{
    struct pollfd poller = {.fd = file, .events = POLLIN};
    int64_t left_ms = until_ms - cg_clock_monotonic_ms();
    if (left_ms > 0 && poll(&poller, 1, (int)left_ms) != 0)
        return true; /* an error is told by reading */
    errno = ETIMEDOUT;
    return false;
}

ssize_t cg_file_read(const char *name, char *bytes, size_t room)
{
    int64_t until_ms = cg_clock_monotonic_ms() + CG_FILE_PATIENCE_MS;
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    size_t total = 0;
    ssize_t length = file < 0 ? -1 : 1;
    while (length > 0 && total < room) {
        length = wait_for(file, until_ms) ? read(file, bytes + total, room - total) : -1;
        if (length > 0)
            total += (size_t)length;
        else if (length < 0 && (errno == EINTR || errno == EAGAIN))
            length = 1;
    }
    int error = errno;
    if (file >= 0)
        close(file);
    errno = error;
    return length < 0 ? -1 : (ssize_t)total;
}

bool cg_file_is_regular(const char *name)
{
    struct stat found;
    if (stat(name, &found) != 0)
        return false;
    errno = S_ISDIR(found.st_mode) ? EISDIR : EINVAL;
    return S_ISREG(found.st_mode);
}
