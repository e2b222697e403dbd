#include "rules/plan_build.h"

#include "cachegate/trace_context.h"
#include "rules/spelling.h"

static bool is_among(const struct cg_str *names, size_t count, struct cg_str name)
{
    for (size_t i = 0; i < count; i++)
        if (cg_str_eq(names[i], name))
            return true;
    return false;
}

#define IS_AMONG(table, name) is_among((table), sizeof(table) / sizeof(table)[0], (name))

/* The same for what must not get through: in no spelling that an upstream may merge with it. A
 * prefix stands for all that begin with it. All names begin with a letter, which has one spelling.
 */
static bool is_spelling_of(const struct cg_str *names, size_t count, struct cg_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (cg_str_empty(name) || names[i].bytes[0] != name.bytes[0])
            continue;
        bool prefix = names[i].bytes[names[i].length - 1] == '-';
        if (cg_names_merge(names[i], prefix ? cg_str_sub(name, 0, names[i].length) : name))
            return true;
    }
    return false;
}

#define IS_SPELLING_OF(table, name)                                                                \
    is_spelling_of((table), sizeof(table) / sizeof(table)[0], (name))

/* Set by the upstream client or by us (Cookie is put together below), of no use behind a gateway
 * that has the whole body (Expect), or of no use at all (Proxy: CGI reads it as HTTP_PROXY). */
static bool is_ours(struct cg_str name)
{
    static const struct cg_str names[] = {
        {"host", 4},          {"content-length", 14}, {"expect", 6},
        {"forwarded", 9},     {"cookie", 6},          {"x-forwarded", 11},
        {"x-forwarded-", 12}, {"proxy", 5},           {"transfer-encoding", 17},
        {"traceparent", 11},
    };
    return IS_SPELLING_OF(names, name);
}

/* Fields that make some upstreams take the request for one to another place than the one that is
 * keyed, or purged. */
static bool overrides_target(struct cg_str name)
{
    static const struct cg_str names[] = {
        {"x-http-path-override", 20},
        {"x-http-host-override", 20},
        {"x-original-", 11},
        {"x-rewrite-url", 13},
        {"x-rewrite-uri", 13},
        {"x-host", 6},
        {"x-scheme", 8},
        {"x-url-scheme", 12},
        {"front-end-https", 15},
        {"x-middleware-", 13},
        {"x-invoke-", 9},
        {"base-url", 8},
        {"request-uri", 11},
        {"http-url", 8},
    };
    return IS_SPELLING_OF(names, name);
}

/* … or for another method. Of an unsafe request they make another unsafe one. */
static bool overrides_method(struct cg_str name)
{
    static const struct cg_str names[] = {
        {"x-http-method-override", 22},
        {"x-http-method", 13},
        {"x-method-override", 17},
        {"destination", 11},
    };
    return IS_SPELLING_OF(names, name);
}

/* Who the client says it is. X-Forwarded-For says who it was. */
static bool claims_address(struct cg_str name)
{
    static const struct cg_str names[] = {
        {"x-real-ip", 9},       {"x-client-ip", 11},         {"client-ip", 9},
        {"true-client-ip", 14}, {"x-cluster-client-ip", 19}, {"x-originating-ip", 16},
        {"x-remote-ip", 11},    {"x-remote-addr", 13},       {"cf-connecting-ip", 16},
    };
    return IS_SPELLING_OF(names, name);
}

/* RFC 9110 13.1 and 14.2: what is stored is the whole answer. */
static bool is_conditional(struct cg_str name)
{
    static const struct cg_str names[] = {
        {"if-match", 8},           {"if-none-match", 13},
        {"if-modified-since", 17}, {"if-unmodified-since", 19},
        {"if-range", 8},           {"range", 5},
    };
    return IS_AMONG(names, name);
}

/* What `forward: keyed` lets through besides: tracing, which no answer depends on, and
 * Accept-Encoding, which is a variant even when the origin forgets to say so. */
static bool is_well_known(struct cg_str name)
{
    static const struct cg_str names[] = {
        {"accept-encoding", 15},  {"via", 3}, {"tracestate", 10},    {"x-request-id", 12},
        {"x-correlation-id", 16}, {"b3", 2},  {"cache-control", 13}, {"pragma", 6},
    };
    return IS_AMONG(names, name) || cg_str_starts_with(name, CG_STR("x-b3-"));
}

static bool is_keyed(const struct cg_plan *plan, enum cg_part_source source, struct cg_str name)
{
    const struct cg_route *route = plan->route;
    const struct cg_identity_rules *rules = plan->identity_rules;
    enum cg_identity_kind kind = source == CG_PART_HEADER ? CG_IDENTITY_HEADER : CG_IDENTITY_COOKIE;
    if (cg_names_have(source == CG_PART_HEADER ? &route->key_headers : &route->key_cookies, name))
        return true;
    for (size_t i = 0; i < route->scope_part_count; i++)
        if (route->scope_parts[i].source == source && cg_str_eq(route->scope_parts[i].field, name))
            return true;
    for (size_t i = 0; i < rules->source_count; i++)
        if (rules->sources[i].kind == kind && cg_str_eq(rules->sources[i].field, name))
            return true;
    return false;
}

static bool is_only_keyed(const struct cg_plan *plan)
{
    return plan->kind == CG_PLAN_LOOKUP && plan->route->forward_keyed;
}

/* W3C Trace Context 3.3: `tracestate` means nothing without the trace it belongs to. */
static bool continues_trace(const struct cg_fields *fields)
{
    struct cg_trace trace;
    return cg_trace_of_fields(fields, &trace);
}

static bool is_forwarded(const struct cg_plan *plan, const struct cg_request_facts *facts,
                         struct cg_str name)
{
    if (is_ours(name) || cg_field_is_hop_by_hop(facts->fields, name))
        return false;
    if (cg_str_eq(name, CG_STR("tracestate")) && !continues_trace(facts->fields))
        return false;
    if (overrides_target(name) || (overrides_method(name) && cg_method_is_safe(facts->method)))
        return false;
    if (plan->kind == CG_PLAN_LOOKUP &&
        (is_conditional(name) || (claims_address(name) && !is_keyed(plan, CG_PART_HEADER, name))))
        return false;
    return !is_only_keyed(plan) || is_well_known(name) || is_keyed(plan, CG_PART_HEADER, name);
}

/* One Cookie line, whatever came (RFC 9113 8.2.3); with `forward: keyed` of the keyed ones only. */
static bool add_cookies(const struct cg_plan *plan, const struct cg_request_facts *facts,
                        struct cg_arena *arena, struct cg_fields *fields)
{
    struct cg_str name = CG_STR("cookie");
    bool filtered = is_only_keyed(plan);
    struct cg_spelling joined;
    if (cg_fields_find(facts->fields, name) == NULL || cg_field_is_hop_by_hop(facts->fields, name))
        return true;
    cg_spelling_init(&joined, arena, 256);
    for (size_t i = 0; i < facts->fields->count; i++) {
        struct cg_str rest = facts->fields->items[i].value, piece;
        if (!cg_str_eq(facts->fields->items[i].name, name))
            continue;
        if (!filtered) {
            cg_spelling_add(&joined, joined.length > 0 ? CG_STR("; ") : CG_STR(""));
            cg_spelling_add(&joined, rest);
        }
        while (filtered && cg_str_split(&rest, ';', &piece)) {
            piece = cg_str_trim(piece);
            struct cg_str cookie = cg_str_trim(cg_str_sub(piece, 0, cg_str_find(piece, '=')));
            if (cg_str_empty(piece) || !is_keyed(plan, CG_PART_COOKIE, cookie))
                continue;
            cg_spelling_add(&joined, joined.length > 0 ? CG_STR("; ") : CG_STR(""));
            cg_spelling_add(&joined, piece);
        }
    }
    return (filtered && joined.length == 0) ||
           cg_fields_add(fields, arena, name, cg_spelling_str(&joined));
}

struct cg_str cg_forward_authority(const struct cg_plan *plan, const struct cg_request_facts *facts,
                                   struct cg_arena *arena)
{
    return plan->kind == CG_PLAN_LOOKUP ? cg_canonical_host(facts->authority, facts->scheme, arena)
                                        : facts->authority;
}

bool cg_forward_fields(const struct cg_plan *plan, const struct cg_request_facts *facts,
                       struct cg_str via, struct cg_str traceparent, struct cg_arena *arena,
                       struct cg_fields *ret_fields)
{
    struct cg_fields fields = {0};
    bool added = true;
    for (size_t i = 0; added && i < facts->fields->count; i++) {
        const struct cg_field *field = &facts->fields->items[i];
        if (is_forwarded(plan, facts, field->name))
            added = cg_fields_add(&fields, arena, field->name, field->value);
    }
    struct cg_spelling line;
    cg_spelling_init(&line, arena, via.length + 4);
    cg_spelling_add(&line, facts->http2 ? CG_STR("2 ") : CG_STR("1.1 "));
    cg_spelling_add(&line, via);
    added = added && add_cookies(plan, facts, arena, &fields) &&
            cg_fields_add(&fields, arena, CG_STR("x-forwarded-for"), facts->peer_address) &&
            cg_fields_add(&fields, arena, CG_STR("x-forwarded-proto"), facts->scheme) &&
            cg_fields_add(&fields, arena, CG_STR("x-forwarded-host"),
                          cg_forward_authority(plan, facts, arena)) &&
            cg_fields_add(&fields, arena, CG_STR("via"), cg_spelling_str(&line)) &&
            (cg_str_empty(traceparent) ||
             cg_fields_add(&fields, arena, CG_STR("traceparent"), traceparent));
    if (added)
        *ret_fields = fields;
    return added;
}
