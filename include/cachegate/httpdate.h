/*
 * httpdate: dates of HTTP fields (RFC 9110 5.6.7), between text and seconds since 1970 UTC.
 *
 * All three forms are read, IMF-fixdate is written. Strict in form: case, widths, `GMT`, existing
 * days. The day's name must be one but need not fit the date: no recipient checks that, and
 * hand-written dates are often wrong there. A leap second counts as the second behind it. No
 * locale, no time zone, no clock: RFC 850's two-digit years are read as seen from `now_seconds`.
 */
#ifndef CACHEGATE_HTTPDATE_H
#define CACHEGATE_HTTPDATE_H

#include "cachegate/str.h"

enum { CG_HTTPDATE_SIZE = 30 }; /* with the NUL */

/* False, with `*ret_seconds` untouched, when `text` is none of the three forms. */
bool cg_httpdate_parse(struct cg_str text, int64_t now_seconds, int64_t *ret_seconds);

/* IMF-fixdate and a NUL. Instants outside of the years 0 to 9999 are clamped to them. */
void cg_httpdate_print(int64_t seconds, char ret_text[CG_HTTPDATE_SIZE]);

#endif
