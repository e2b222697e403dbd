/*
 * handover: one process leaves an address to the next without a refused connection.
 *
 * Both listen on it for a while. On TCP that is SO_REUSEPORT: the kernel deals connections out over
 * all sockets, and those that wait in the queue of a socket, or are half open there, are reset when
 * it is closed. So whoever leaves first turns the kernel to the others (steer), then takes what is
 * still coming (accept until empty), then closes. On a UNIX socket the successor's file replaces
 * the old one in one step.
 *
 * A socket has its place among all of one address in the order in which they began to listen. The
 * sockets of the process that leaves are the first ones while it is the oldest; with more than two
 * processes on one address steering only does less.
 *
 * Not what a listener is (front/listener.c, admin/listen.c), and no state. Failures of steering are
 * not reported: without it a connection may be reset, which is how it was.
 */
#ifndef GATEWAY_NET_HANDOVER_H
#define GATEWAY_NET_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * From now on connections to the address of this listening socket go to the one at `place`, counted
 * from 0, as long as there is one; else as without steering. Holds for all processes.
 */
void cg_handover_steer(int listener, uint32_t place);
/* The kernel deals out as it likes again. */
void cg_handover_release(int listener);

/*
 * Binds a socket to a path that another process may be listening on, listens, and takes the path
 * over. False and errno; EADDRINUSE when something there is no socket.
 */
bool cg_handover_listen_unix(int socket, const char *path, int backlog);
/* Removes the file of a UNIX socket unless it is another one by now. */
void cg_handover_unlink(const char *path, dev_t device, ino_t inode);

#endif
