/*
 * access_log: where the lines of the access log go. What is in them is request/access_line.h's.
 *
 * One target for the process: standard output or a file. Each thread has a pen: lines gather in its
 * buffer and leave with one write at the end of a turn of its loop, or when the buffer is full. A
 * pen never waits: what a reader does not take stays in the buffer, and when that is full, new
 * lines are dropped, counted (cachegate_access_log_dropped_total) and, once a second at most, said
 * in the log. Lines stay whole whatever happens: pipes, terminals and sockets get pieces of whole
 * lines that the kernel takes or refuses as one, which is why a line has at most CG_ACCESS_LINE_MAX
 * bytes. A file is appended to in one write, which may wait for a disk as every write to a file
 * may.
 *
 * For rotation: rename the file, then reopen. The new file takes the old one's descriptor, so no
 * thread is stopped and no line is lost. Standard output is opened anew where that can be done,
 * since O_NONBLOCK on the descriptor that we were given would also be set for whoever else has it.
 */
#ifndef GATEWAY_BASE_ACCESS_LOG_H
#define GATEWAY_BASE_ACCESS_LOG_H

#include "cachegate/str.h"
#include "gateway/base/metrics.h"

enum { CG_ACCESS_LINE_MAX = 4096 }; /* PIPE_BUF */

/* "stdout", or a file, which is made with mode 0640 where it is missing. False and a sentence with
 * the remedy (to be freed) when it cannot be opened. Before threads start. */
bool cg_access_log_open(const char *target, char **ret_error);
/* Opens the file again, by its name. When that fails the old one stays, and the log says why.
 * Nothing to do for standard output, or when no access log is open. Any thread. */
void cg_access_log_reopen(void);
/* When all pens are gone. Nothing to do when none is open. */
void cg_access_log_close(void);

struct cg_access_pen;

/* One thread's; `buffer_bytes` is at least 2 * CG_ACCESS_LINE_MAX. The sheet is borrowed. */
struct cg_access_pen *cg_access_pen_create(size_t buffer_bytes, struct cg_sheet *sheet);
/* Waits for a slow reader, a second at most. Takes NULL; returns NULL. */
struct cg_access_pen *cg_access_pen_destroy(struct cg_access_pen *pen);
/* A whole line, with its newline. */
void cg_access_pen_write(struct cg_access_pen *pen, struct cg_str line);
void cg_access_pen_flush(struct cg_access_pen *pen);

#endif
