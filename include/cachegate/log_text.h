/*
 * log_text: values and times as lines of a log show them, so that nobody can forge a line.
 *
 * Whatever bytes come in, printable ASCII goes out, without line ends and with quotes escaped. What
 * would not fit into `bytes_max` (the quotes not counted) with room for the mark is cut between two
 * escapes and ends with `...`. Pure appending; `bytes_max` is at least 8.
 */
#ifndef CACHEGATE_LOG_TEXT_H
#define CACHEGATE_LOG_TEXT_H

#include "cachegate/buf.h"

/* A JSON string with its quotes (RFC 8259 7). Text beyond ASCII comes as \uXXXX, so that a reader
 * has the same characters back; bytes that are not UTF-8 come as the four characters \xHH. */
void cg_json_string_print(struct cg_buf *out, struct cg_str text, size_t bytes_max);
/* Between quotes, as the log formats of nginx and Apache httpd have it: \xHH for quotes,
 * backslashes and whatever is not printable ASCII. */
void cg_quoted_print(struct cg_buf *out, struct cg_str text, size_t bytes_max);
void cg_hex_print(struct cg_buf *out, const uint8_t *bytes, size_t count);
void cg_decimal_print(struct cg_buf *out, uint64_t value);
/* Milliseconds with three decimals, from microseconds. */
void cg_milliseconds_print(struct cg_buf *out, uint64_t microseconds);

/* The text of a second, kept because many lines share it. Start with a zeroed one. */
struct cg_log_second {
    int64_t second;
    char date[20]; /* 2026-01-02T03:04:05 */
    char clf[27];  /* 02/Jan/2026:03:04:05 +0000 */
};
/* RFC 3339 in UTC with milliseconds: 2026-01-02T03:04:05.678Z. */
void cg_rfc3339_print(struct cg_buf *out, struct cg_log_second *second, int64_t unix_ms);
/* As the combined format has it, without brackets. */
void cg_clf_date_print(struct cg_buf *out, struct cg_log_second *second, int64_t unix_ms);

#endif
