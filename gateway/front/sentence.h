/*
 * sentence: error sentences on the heap, for starting up. Not for the traffic path.
 */
#ifndef GATEWAY_FRONT_SENTENCE_H
#define GATEWAY_FRONT_SENTENCE_H

/* The formatted text, to be freed by the caller. Aborts when out of memory. */
char *cg_sentence(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* `text` (taken, may be NULL) with the separator and `more` behind it. */
char *cg_sentence_join(char *text, const char *separator, const char *more);

#endif
