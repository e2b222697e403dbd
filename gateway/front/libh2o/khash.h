/*
 * khash: what h2o/http2_internal.h needs of a header that it includes and the libh2o package does
 * not install. Only declarations that let its structs be laid out: the table of streams stays an
 * incomplete type, and looking into it from here finds nothing.
 */
#ifndef GATEWAY_FRONT_LIBH2O_KHASH_H
#define GATEWAY_FRONT_LIBH2O_KHASH_H

#include <stdint.h>

typedef uint32_t khiter_t;
#define khash_t(name)                  struct cg_khash_##name
#define KHASH_MAP_INIT_INT64(name, of) khash_t(name);
#define kh_get(name, table, key)       ((void)(table), (void)(key), (khiter_t)0)
#define kh_end(table)                  ((void)(table), (khiter_t)0)
#define kh_val(table, at)              ((void)(table), (void)(at), NULL)

#endif
