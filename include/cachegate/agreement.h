/*
 * agreement: the routes that all gateways on one store define alike, and purge alike.
 *
 * A *route set* is what one gateway tells the others of its rules: the short digests
 * (CG_ROUTE_SHORT_BYTES of cg_route_digest) of the routes that it answers from the store,
 * ascending, each once, one behind the other. Where the sets differ, a write through one gateway
 * may leave alone what another one keeps of a route that is not in both (CONSISTENCY row 14). Pure.
 */
#ifndef CACHEGATE_AGREEMENT_H
#define CACHEGATE_AGREEMENT_H

#include <stdbool.h>

#include "cachegate/buf.h"
#include "cachegate/ruleset.h"

enum { CG_ROUTE_SHORT_BYTES = 8 };

/* Appends the set of those rules. */
void cg_route_set_write(const struct cg_ruleset *ruleset, struct cg_buf *out);
/* Whether it is one: of whole digests, ascending. */
bool cg_route_set_is_valid(struct cg_str set);
bool cg_route_set_has(struct cg_str set, const uint8_t digest[CG_DIGEST_BYTES]);
/* Appends what is in both. */
void cg_route_set_common(struct cg_str a, struct cg_str b, struct cg_buf *out);

#endif
