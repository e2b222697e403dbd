/*
 * address: the texts that say where to listen and whom to ask, taken apart.
 *
 * No name is resolved here. Sentences of refusal never repeat a URL's user and password.
 */
#ifndef GATEWAY_CONFIG_ADDRESS_H
#define GATEWAY_CONFIG_ADDRESS_H

#include "cachegate/arena.h"
#include "gateway/config/settings.h"

/*
 * `host:port`, `[v6]:port`, `:port` or `unix:/path`. False and a sentence (static) about what is
 * wrong otherwise; *ret_address is then untouched.
 */
bool cg_address_parse(struct cg_str text, struct cg_arena *arena, struct cg_address *ret_address,
                      const char **ret_error);
/* Whether both would bind the same socket; port 0 is never the same. */
bool cg_address_eq(const struct cg_address *a, const struct cg_address *b);
/* What to do when such an address cannot be listened on; begins with `; `, or is empty. */
const char *cg_address_remedy(int error);
/* As it would be written. */
struct cg_str cg_address_text(const struct cg_address *address, struct cg_arena *arena);

/*
 * `http://host[:port][/prefix]`, `https://…` or `unix:/path`: sets address, tls, authority and
 * path_prefix.
 */
bool cg_address_parse_upstream(struct cg_str url, struct cg_arena *arena,
                               struct cg_upstream_settings *ret_upstream, const char **ret_error);
/* The URL without user and password, for messages. */
struct cg_str cg_address_masked(struct cg_str url, struct cg_arena *arena);

#endif
