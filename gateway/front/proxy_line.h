/*
 * proxy_line: the PROXY protocol's text form, version 1 (haproxy.org, proxy-protocol.txt 2.1).
 *
 * Pure. Whoever may send this line is believed, so a listener expects it only where the operator
 * said so, and then a connection without it is refused.
 */
#ifndef GATEWAY_FRONT_PROXY_LINE_H
#define GATEWAY_FRONT_PROXY_LINE_H

#include "cachegate/str.h"

#include <netinet/in.h>

enum { CG_PROXY_LINE_MAX = 107 }; /* with CR LF */

enum cg_proxy_outcome { CG_PROXY_WHOLE, CG_PROXY_NEEDS_MORE, CG_PROXY_BAD };

struct cg_proxy_line {
    size_t length; /* of the line, CR LF included */
    bool known;    /* false for UNKNOWN: the connection's own peer counts */
    union {
        struct sockaddr address;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
    socklen_t peer_length;
};

/* *ret_line is filled only when the line is whole. */
enum cg_proxy_outcome cg_proxy_line_parse(struct cg_str input, struct cg_proxy_line *ret_line);

#endif
