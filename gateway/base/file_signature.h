/*
 * file_signature: whether a file is still the one that was looked at, without reading it: which
 * one it is, how long, and when it was changed. For a glob: of all that match.
 */
#ifndef GATEWAY_BASE_FILE_SIGNATURE_H
#define GATEWAY_BASE_FILE_SIGNATURE_H

#include <stdint.h>

/* 0 where there is no such file. */
uint64_t cg_file_signature(const char *name);

#endif
