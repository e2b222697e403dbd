/*
 * http1_syntax: the lines that requests and answers of HTTP/1.1 share (RFC 9112 2.2, 5; RFC 9110
 * 5.5, 5.6.2).
 *
 * Pure and strict: CR LF ends a line and nothing else does; a field line is a token, a colon with
 * nothing before it, and a value of printable bytes, white space and obs-text. Not a parser of
 * messages: http1_request and http1_response are. All slices borrow from the input.
 */
#ifndef CACHEGATE_HTTP1_SYNTAX_H
#define CACHEGATE_HTTP1_SYNTAX_H

#include "cachegate/str.h"

/* Of all Connection lines of one message. Every field is looked for in them, so their length is
 * what one message can cost; real ones have some words. */
enum { CG_CONNECTION_BYTES_MAX = 1024 };

enum cg_http1_line {
    CG_HTTP1_LINE_FOUND,
    CG_HTTP1_LINE_INCOMPLETE, /* more bytes are needed to say */
    CG_HTTP1_LINE_BARE_LF,    /* ends with LF alone */
    CG_HTTP1_LINE_TOO_LONG,   /* does not end within the limit */
};

/*
 * The first line of `input`, without its CR LF, which must lie within the first `bytes_max` bytes.
 * The answer is a function of those bytes alone: more input never turns one refusal into another.
 */
enum cg_http1_line cg_http1_line_find(struct cg_str input, size_t bytes_max,
                                      struct cg_str *ret_line);

/*
 * The head up to and including its empty line, under the same rule. `input` starts at the start
 * line; a start line that is empty ends the head at once.
 */
enum cg_http1_line cg_http1_head_find(struct cg_str input, size_t bytes_max,
                                      struct cg_str *ret_head);

/* Cuts the first line off `*head`, which cg_http1_head_find found. False behind the last one. */
bool cg_http1_line_next(struct cg_str *head, struct cg_str *ret_line);

/*
 * Splits `line` into name and trimmed value. False unless the name is a token that the colon
 * follows directly and the value is valid: so also for a folded line, which begins with white
 * space.
 */
bool cg_http1_field_split(struct cg_str line, struct cg_str *ret_name, struct cg_str *ret_value);

/* No control byte but HTAB: so no CR, LF, NUL or DEL (RFC 9110 5.5). The empty value is valid. */
bool cg_field_value_valid(struct cg_str value);

#endif
