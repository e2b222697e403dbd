/*
 * cli_inspect: what the files of `cachegate inspect` share: what stands under one key of Redis,
 * told without any secret.
 *
 * cli_inspect.c has the command and asks Redis, only with commands that read; cli_inspect_print.c
 * knows the kinds of values that a gateway writes. Neither opens what is sealed.
 */
#ifndef GATEWAY_CLI_INSPECT_H
#define GATEWAY_CLI_INSPECT_H

#include "cachegate/buf.h"
#include "cachegate/version.h"
#include "gateway/config/settings.h"
#include "gateway/store/redis_client.h"

struct cg_inspection {
    const struct cg_settings *settings;
    struct cg_redis_client *client; /* NULL: the bytes are all there is */
    struct cg_str key;              /* empty: not known */
    struct cg_str namespace;        /* what its neighbours' keys begin with */
    int64_t now_ms;                 /* of the server's clock, or of ours without one */
    int64_t expires_in_ms;          /* negative: not known, or never */
    struct cg_buf *out;
};

/* False: it is no value that a gateway writes. */
bool cg_inspect_string(const struct cg_inspection *inspection, struct cg_str value);
/* A list, a sorted set with its scores, or a hash: by what the key is called. */
bool cg_inspect_elements(const struct cg_inspection *inspection, const redisReply *elements);
/* The state of an instance, asked of Redis; `token` is what an entry was stored under. */
const char *cg_inspect_instance(const struct cg_inspection *inspection,
                                const struct cg_instance *instance, const struct cg_token *token,
                                bool *ret_alive);
/* `name` padded, then the text. */
void cg_inspect_line(const struct cg_inspection *inspection, const char *name, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
/* Texts that others wrote, for a terminal: what is not printable ASCII becomes `?`, the rest of a
 * long one `...`. */
enum { CG_INSPECT_SHOWN_MAX = 256 };
const char *cg_inspect_shown(struct cg_str text, char room[CG_INSPECT_SHOWN_MAX]);
/* A date and how far away it is. */
void cg_inspect_when(const struct cg_inspection *inspection, const char *name, int64_t at_ms);

#endif
