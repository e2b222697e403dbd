/*
 * http1_request: what a request must not be.
 *
 * libh2o reads requests leniently and repairs what it reads (PROTOCOL.md 3); a second parser could
 * read the same bytes differently, which is how requests are smuggled. So before a handler acts,
 * the raw HTTP/1.1 head is read again here, strictly (RFC 9112 2.2, 3, 5, 6; RFC 9110 5, 7.2), and
 * what arrived over HTTP/2 is checked in parts (RFC 9113 8.2, 8.3). The answer is yes, or the
 * reason for an error status. Not a parser that anything is served from: libh2o's is. Pure; slices
 * borrow from the input.
 */
#ifndef CACHEGATE_HTTP1_REQUEST_H
#define CACHEGATE_HTTP1_REQUEST_H

#include "cachegate/fields.h"
#include "cachegate/str.h"

enum cg_http1_refusal {
    CG_REFUSED_NOT, /* the request is sound */
    CG_REFUSED_HEAD,
    CG_REFUSED_BARE_LF,
    CG_REFUSED_REQUEST_LINE,
    CG_REFUSED_VERSION,
    CG_REFUSED_METHOD,
    CG_REFUSED_CONNECT,
    CG_REFUSED_TRACE,
    CG_REFUSED_ABSOLUTE_FORM,
    CG_REFUSED_TARGET,
    CG_REFUSED_FOLDED_LINE,
    CG_REFUSED_FIELD_NAME,
    CG_REFUSED_FIELD_VALUE,
    CG_REFUSED_NO_HOST,
    CG_REFUSED_SEVERAL_HOSTS,
    CG_REFUSED_HOST,
    CG_REFUSED_LENGTH,
    CG_REFUSED_SEVERAL_LENGTHS,
    CG_REFUSED_LENGTH_AND_CODING,
    CG_REFUSED_CODING,
    CG_REFUSED_CONNECTION_LENGTH,
    CG_REFUSED_CONNECTION_FIELD,
    CG_REFUSED_TE,
};
/* A sentence for the log and the body of the error. */
const char *cg_http1_refusal_text(enum cg_http1_refusal refusal);
/* The status to answer with; 0 for CG_REFUSED_NOT. The connection should be closed afterwards. */
unsigned cg_http1_refusal_status(enum cg_http1_refusal refusal);

struct cg_http1_request_line {
    struct cg_str method;
    struct cg_str target;
    struct cg_str host; /* empty when an HTTP/1.0 request has none */
    unsigned minor;     /* of HTTP/1.x */
    size_t head_length; /* with the empty line, and an empty line before the request line */
    bool has_content_length;
    bool chunked;
    uint64_t content_length;
};

/*
 * Reads the head at the start of `head`, up to and including the empty line. Bytes may follow; when
 * `head_length` then differs from what libh2o took for the head, refuse with CG_REFUSED_HEAD.
 * Names may have been lower-cased in place. `*ret_line` is untouched when the request is refused.
 */
enum cg_http1_refusal cg_http1_request_check(struct cg_str head,
                                             struct cg_http1_request_line *ret_line);

/*
 * The same for a request in parts, as HTTP/2 gives it. `fields` without pseudo-header fields, names
 * as they arrived. `host`, if it is among them, must equal the authority (RFC 9113 8.3.1).
 */
enum cg_http1_refusal cg_http_request_refusal_of_parts(struct cg_str method, struct cg_str target,
                                                       struct cg_str authority,
                                                       const struct cg_fields *fields);

/*
 * Host and optional port: unreserved characters, or an IPv6 address in brackets. Percent-encoding
 * and sub-delims, which RFC 3986 allows in a name, are refused: no real name has them, and some
 * recipient decodes them or splits at the comma. At most 255 bytes of host, port 0 to 65535.
 */
bool cg_authority_valid(struct cg_str authority);

/* Origin-form: a slash, then bytes of VCHAR without `#` (RFC 9112 3.2.1). */
bool cg_target_valid(struct cg_str target);

#endif
