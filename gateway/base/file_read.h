/*
 * file_read: the whole of a small file, in bounded time.
 *
 * Names of files are the operator's, and what they name may be swapped at any time: for a named
 * pipe whose writer never comes, a terminal, a device without an end. Opening and reading such a
 * one must not hold up a reload, and with it the end of the process. A pipe that is written
 * (`-c <(…)`) is read like a file.
 */
#ifndef GATEWAY_BASE_FILE_READ_H
#define GATEWAY_BASE_FILE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { CG_FILE_PATIENCE_MS = 2000 }; /* for whoever writes the pipe */

/* How many bytes it has, at most `room`. -1 and errno; ETIMEDOUT: nobody writes it. */
ssize_t cg_file_read(const char *name, char *bytes, size_t room);
/* For readers that cannot be bounded: whether it is a file that has an end. False and errno. */
bool cg_file_is_regular(const char *name);

#endif
