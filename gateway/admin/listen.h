/* listen: one listening socket from an address. The admin API needs a single one, on one thread. */
#ifndef GATEWAY_ADMIN_LISTEN_H
#define GATEWAY_ADMIN_LISTEN_H

#include "gateway/config/settings.h"

/*
 * A non-blocking listening socket, or -1 and a sentence in *ret_error (to be freed).
 * *ret_text is the address it got, ports resolved (to be freed). A UNIX socket's file is replaced
 * when nobody listens there any more, or in a hand-over (net/handover.h).
 */
int cg_admin_listen(const struct cg_address *address, bool handover, char **ret_text,
                    char **ret_error);

#endif
