/*
 * http1_response: a strict, incremental parser of HTTP/1.1 answers (RFC 9112 4, 6, 7).
 *
 * A pure function of bytes: the caller feeds what the connection gave and takes body bytes out; no
 * sockets, no clock. What two parsers could read differently (RFC 9112 6.3: Content-Length beside
 * Transfer-Encoding, unequal or malformed lengths, codings other than a final `chunked`, bare LF,
 * obs-fold, white space before a colon, control bytes) is an error, never a guess: the caller
 * answers 502 and drops the connection. A body is complete only when its last chunk, all of its
 * Content-Length, or (close-delimited) the orderly end was seen.
 */
#ifndef CACHEGATE_HTTP1_RESPONSE_H
#define CACHEGATE_HTTP1_RESPONSE_H

#include "cachegate/arena.h"
#include "cachegate/fields.h"
#include "cachegate/str.h"

/* Why an answer is refused; NONE while all is well. cg_http1_error_text gives the sentence. */
enum cg_http1_error {
    CG_HTTP1_OK,
    CG_HTTP1_BAD_STATUS_LINE,
    CG_HTTP1_BAD_FIELD,
    CG_HTTP1_BAD_LENGTH, /* malformed, unequal, or beside Transfer-Encoding */
    CG_HTTP1_BAD_CODING, /* a Transfer-Encoding other than `chunked` alone */
    CG_HTTP1_BAD_CHUNK,
    CG_HTTP1_HEAD_TOO_LARGE, /* over head_bytes_max or CG_FIELDS_MAX */
    CG_HTTP1_UNEXPECTED_101, /* a protocol switch that nobody asked for */
    CG_HTTP1_CUT,            /* the connection ended before the message did */
    CG_HTTP1_STRAY_BYTES,    /* bytes behind a complete message: not an error of this message, but
                                the connection must not be reused */
};
const char *cg_http1_error_text(enum cg_http1_error error);

/* How the body's end is known (RFC 9112 6.3). */
enum cg_http1_framing { CG_HTTP1_NO_BODY, CG_HTTP1_LENGTH, CG_HTTP1_CHUNKED, CG_HTTP1_UNTIL_CLOSE };

enum cg_http1_progress {
    CG_HTTP1_NEEDS_MORE, /* all bytes that could be used were used */
    CG_HTTP1_HAS_HEAD,   /* the final (not 1xx) head was just completed: look at it, call again */
    CG_HTTP1_HAS_BODY,   /* *ret_body holds decoded bytes: take them, call again */
    CG_HTTP1_COMPLETE,   /* the message ended; `keep_alive` says whether the connection may serve on
                          */
    CG_HTTP1_FAILED,     /* `error` says why */
};

struct cg_http1_response {
    /* Set by init. */
    struct cg_arena *arena; /* borrowed: head bytes and fields are copied into it */
    bool head_request;      /* answers to HEAD have no body */
    size_t head_bytes_max;
    /* Valid from CG_HTTP1_HAS_HEAD on. Field names are lower-cased. All fields are kept, framing
     * and hop-by-hop ones included. */
    unsigned status;
    struct cg_fields fields;
    enum cg_http1_framing framing;
    uint64_t content_length; /* when framing is CG_HTTP1_LENGTH; for HEAD and 304 what the field
                                said, with has_content_length */
    bool has_content_length;
    bool keep_alive;
    enum cg_http1_error error;
    /* Private. */
    unsigned state;
    uint64_t body_left;
    size_t head_bytes;      /* over all heads of this exchange, 1xx included */
    unsigned interim_count; /* 1xx heads skipped; bounded */
};

void cg_http1_response_init(struct cg_http1_response *response, struct cg_arena *arena,
                            bool head_request, size_t head_bytes_max);
/*
 * Looks at `input` (bytes not consumed yet, in order), uses a prefix of it and says in
 * *ret_consumed how long. The caller drops that prefix and calls again until CG_HTTP1_NEEDS_MORE,
 * COMPLETE or FAILED. *ret_body borrows from `input`. An incomplete head is not consumed: feed it
 * again with more.
 */
enum cg_http1_progress cg_http1_response_feed(struct cg_http1_response *response,
                                              struct cg_str input, size_t *ret_consumed,
                                              struct cg_str *ret_body);
/* The connection ended in an orderly way: COMPLETE for a close-delimited body, else FAILED (CUT).
 */
enum cg_http1_progress cg_http1_response_end(struct cg_http1_response *response);

#endif
