#include "cachegate/assert.h"
#include "cachegate/freshness.h"
#include "cachegate/validator.h"
#include "cachegate/verdict.h"
#include "cachegate/wishes.h"

/* An answer that varies by more fields than this varies by everything. */
enum { VARY_NAMES_MAX = 32 };

/* What the decision is made from. */
struct answer {
    const struct cg_route *route;
    const struct cg_plan *plan;
    unsigned status;
    const struct cg_fields *fields;
    struct cg_cache_control control;
    int64_t response_at_ms;
};

static bool overridden(const struct answer *answer, enum cg_override override)
{
    return (answer->route->overrides & (unsigned) override) != 0;
}

/* ---- Vary ---- */

static void insert_sorted(struct cg_str names[VARY_NAMES_MAX], size_t *count, struct cg_str name)
{
    size_t place = 0;
    while (place < *count && cg_str_cmp(names[place], name) < 0)
        place++;
    if (place < *count && cg_str_eq(names[place], name))
        return;
    for (size_t i = *count; i > place; i--)
        names[i] = names[i - 1];
    names[place] = name;
    (*count)++;
}

static struct cg_str lower_copy(struct cg_arena *arena, struct cg_str s)
{
    char *copy = cg_arena_alloc(arena, s.length + 1);
    for (size_t i = 0; i < s.length; i++)
        copy[i] = cg_lower(s.bytes[i]);
    return cg_str_of(copy, s.length);
}

static struct cg_str join_names(struct cg_arena *arena, const struct cg_str *names, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += names[i].length + 1;
    char *text = cg_arena_alloc(arena, length);
    char *next = text;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *next++ = ',';
        memcpy(next, names[i].bytes, names[i].length);
        next += names[i].length;
    }
    return cg_str_of(text, (size_t)(next - text));
}

static bool is_encoded(const struct cg_fields *fields)
{
    struct cg_list_walk walk = {0};
    struct cg_str coding;
    while (cg_fields_next_member(fields, CG_STR("content-encoding"), &walk, &coding))
        if (!cg_str_eq_ci(coding, CG_STR("identity")))
            return true;
    return false;
}

/* Fields that we set ourselves: what the client sent under these names is not what the origin saw.
 * X-Forwarded-Host and -Proto are no such case: they follow from the host and scheme in the key. */
static bool is_set_by_us(struct cg_str name)
{
    return cg_str_eq_ci(name, CG_STR("x-forwarded-for")) ||
           cg_str_eq_ci(name, CG_STR("forwarded")) || cg_str_eq_ci(name, CG_STR("via"));
}

/* False: it varies by something that no request can show (RFC 9111 4.1), or by too much. */
static bool normalise_vary(const struct answer *answer, struct cg_arena *arena,
                           struct cg_str *ret_vary)
{
    struct cg_str names[VARY_NAMES_MAX];
    size_t count = 0;
    struct cg_list_walk walk = {0};
    struct cg_str member;
    while (cg_fields_next_member(answer->fields, CG_STR("vary"), &walk, &member)) {
        if (cg_str_eq(member, CG_STR("*")) || is_set_by_us(member)) {
            if (!overridden(answer, CG_OVERRIDE_VARY))
                return false;
            continue;
        }
        /* One place stays free for accept-encoding. */
        if (!cg_is_token(member) || count == VARY_NAMES_MAX - 1)
            return false;
        insert_sorted(names, &count, lower_copy(arena, member));
    }
    if (is_encoded(answer->fields))
        insert_sorted(names, &count, CG_STR("accept-encoding"));
    *ret_vary = count == 0 ? (struct cg_str){NULL, 0} : join_names(arena, names, count);
    return true;
}

/* ---- prohibitions and lifetime ---- */

/* CONSISTENCY row 20: what one credential was shown is for everyone only when the origin says so.
 */
static bool shared_without_leave(const struct answer *answer)
{
    bool leave = answer->control.is_public ||
                 (answer->control.has_s_maxage && answer->control.s_maxage_s > 0);
    return !answer->route->scope_user && answer->plan->credentialed && !leave &&
           !overridden(answer, CG_OVERRIDE_AUTHORIZATION);
}

/* RFC 9111 3 and 5.2.2.3: the statuses whose rules for caches are known here, which are those of
 * RFC 9110 15. 206 and 304 are handled as what they are, and not stored. */
static bool is_understood(unsigned status)
{
    static const unsigned known[] = {200, 201, 202, 203, 204, 205, 300, 301, 302, 303,
                                     305, 307, 308, 400, 401, 402, 403, 404, 405, 406,
                                     407, 408, 409, 410, 411, 412, 413, 414, 415, 416,
                                     417, 421, 422, 426, 500, 501, 502, 503, 504, 505};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i] == status)
            return true;
    return false;
}

/* A cookie that the origin itself sets aside, by naming it, does not taint the rest. */
static bool sets_cookie(const struct answer *answer)
{
    struct cg_str name = CG_STR("set-cookie");
    return cg_fields_find(answer->fields, name) != NULL &&
           !cg_name_lists_have(&answer->control.no_cache_names, name) &&
           !cg_name_lists_have(&answer->control.private_names, name);
}

/* STORED when nothing forbids it (RFC 9111 3). no-cache forbids no storing: see find_lifetime. */
static enum cg_reason find_prohibition(const struct answer *answer)
{
    const struct cg_cache_control *control = &answer->control;
    if (answer->status == 206)
        return CG_REASON_PARTIAL;
    if (answer->status < 200 || answer->status == 304 || answer->status > 599)
        return CG_REASON_STATUS;
    if (control->must_understand && !is_understood(answer->status))
        return CG_REASON_MUST_UNDERSTAND;
    if (control->no_store && !control->must_understand && !overridden(answer, CG_OVERRIDE_NO_STORE))
        return CG_REASON_NO_STORE;
    /* The qualified form forbids the fields that it names: cg_stored_fields leaves them out. */
    if (control->is_private && !control->private_names_fields && !answer->route->scope_user &&
        !overridden(answer, CG_OVERRIDE_PRIVATE))
        return CG_REASON_PRIVATE;
    if (sets_cookie(answer) && !overridden(answer, CG_OVERRIDE_SET_COOKIE))
        return CG_REASON_SET_COOKIE;
    if (shared_without_leave(answer))
        return CG_REASON_CREDENTIAL_SHARED;
    return CG_REASON_STORED;
}

/* Unqualified, it forbids reuse without asking (RFC 9111 5.2.2.4). */
static bool must_be_asked(const struct answer *answer)
{
    const struct cg_cache_control *control = &answer->control;
    return control->no_cache && !control->no_cache_names_fields &&
           !overridden(answer, CG_OVERRIDE_NO_CACHE);
}

/* RFC 9110 15.1; 206 is among them and never gets here. RFC 9111 4.2.2 adds what says public. */
static bool may_be_guessed(const struct answer *answer)
{
    static const unsigned statuses[] = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i] == answer->status)
            return true;
    return answer->control.is_public;
}

/* A rule's duration is meant for the answers that say how things are, not for failures. */
static bool rule_covers_status(unsigned status)
{
    return status == 200 || status == 203 || status == 301 || status == 308;
}

/*
 * The lifetime, to be compared with the current age. A rule's duration counts from the arrival
 * here, whatever age the answer brought along, so that age is added to it.
 */
static enum cg_reason find_lifetime(const struct answer *answer, uint64_t initial_age_ms,
                                    uint64_t *ret_lifetime_ms)
{
    const struct cg_route *route = answer->route;
    uint64_t lifetime_ms = 0;
    bool is_explicit = cg_explicit_lifetime_ms(&answer->control, answer->fields,
                                               answer->response_at_ms, &lifetime_ms);
    if (!route->ttl_origin && rule_covers_status(answer->status)) {
        *ret_lifetime_ms = cg_add_ms(route->ttl_ms, initial_age_ms);
        return route->ttl_ms == 0 ? CG_REASON_NO_LIFETIME : CG_REASON_STORED;
    }
    if (!is_explicit && !route->ttl_origin)
        return CG_REASON_STATUS;
    bool is_guess = !is_explicit && route->heuristic_ms > 0 && may_be_guessed(answer) &&
                    cg_heuristic_lifetime_ms(answer->fields, answer->response_at_ms,
                                             route->heuristic_ms, &lifetime_ms);
    if (!is_explicit && !is_guess)
        return CG_REASON_NO_LIFETIME;
    /* Kept only because the origin said for how long; the rule's duration is then a ceiling. */
    if (!route->ttl_origin && lifetime_ms > cg_add_ms(route->ttl_ms, initial_age_ms))
        lifetime_ms = cg_add_ms(route->ttl_ms, initial_age_ms);
    /* Bans are kept for as long as an entry can matter; an origin's year would outlive them. */
    if (lifetime_ms > CG_ORIGIN_LIFETIME_MAX_MS)
        lifetime_ms = CG_ORIGIN_LIFETIME_MAX_MS;
    *ret_lifetime_ms = lifetime_ms;
    return lifetime_ms > initial_age_ms ? CG_REASON_STORED : CG_REASON_NO_LIFETIME;
}

static uint64_t window_ms(bool by_rule, uint64_t rule_ms, bool by_origin, int64_t origin_s)
{
    if (by_rule)
        return rule_ms;
    uint64_t origin_ms = by_origin && origin_s > 0 ? (uint64_t)origin_s * 1000 : 0;
    return origin_ms < CG_ORIGIN_WINDOW_MAX_MS ? origin_ms : CG_ORIGIN_WINDOW_MAX_MS;
}

static void fill_windows(const struct answer *answer, struct cg_storable *storable)
{
    const struct cg_cache_control *control = &answer->control;
    const struct cg_route *route = answer->route;
    storable->stale_while_revalidate_ms = window_ms(route->has_swr, route->swr_ms, control->has_swr,
                                                    control->stale_while_revalidate_s);
    storable->stale_if_error_ms =
        window_ms(route->has_sie, route->sie_ms, control->has_sie, control->stale_if_error_s);
    /* RFC 9111 5.2.2.10: s-maxage has the semantics of proxy-revalidate. */
    storable->must_revalidate =
        control->must_revalidate || control->proxy_revalidate || control->has_s_maxage;
    /* RFC 9110 13.2.1: only what is answered 2xx can be asked about. */
    if (answer->status < 300 && cg_has_validator(answer->fields, answer->response_at_ms))
        storable->keep_ms = route->keep_ms;
}

/* RFC 9111 5.2.1.5 is a MUST NOT for the answer to such a request; the rule may override it. */
static bool client_forbids(const struct cg_request_facts *facts, const struct cg_route *route)
{
    if (facts == NULL || facts->fields == NULL || (route->overrides & CG_OVERRIDE_NO_STORE) != 0)
        return false;
    struct cg_wishes wishes;
    cg_wishes_of(route, facts->fields, &wishes);
    return wishes.no_store;
}

/* Whether an answer that is never fresh is good for something all the same. Who gives no lifetime
 * and no permission leaves only what RFC 9111 3 lists: the statuses that are cacheable anyway. */
static bool is_good_expired(const struct answer *answer, const struct cg_storable *storable)
{
    uint64_t lifetime_ms;
    bool is_explicit = cg_explicit_lifetime_ms(&answer->control, answer->fields,
                                               answer->response_at_ms, &lifetime_ms);
    bool is_cacheable = is_explicit || may_be_guessed(answer) || answer->control.is_private;
    return is_cacheable && cg_storable_after_ms(storable) > 0 &&
           (storable->reason == CG_REASON_NO_CACHE || storable->reason == CG_REASON_NO_LIFETIME);
}

/* What is kept, and for how long, once nothing forbids it. */
static void fill_lifetime(const struct answer *answer, struct cg_storable *storable)
{
    storable->reason = find_lifetime(answer, storable->initial_age_ms, &storable->lifetime_ms);
    fill_windows(answer, storable);
    if (storable->reason != CG_REASON_STATUS && must_be_asked(answer)) {
        storable->reason = CG_REASON_NO_CACHE;
        storable->lifetime_ms = 0;
        storable->must_revalidate = true;
    }
    storable->store = storable->reason == CG_REASON_STORED;
    storable->store_expired = !storable->store && is_good_expired(answer, storable);
}

uint64_t cg_storable_after_ms(const struct cg_storable *storable)
{
    uint64_t swr_ms = storable->must_revalidate ? 0 : storable->stale_while_revalidate_ms;
    uint64_t sie_ms = storable->must_revalidate ? 0 : storable->stale_if_error_ms;
    uint64_t after_ms = swr_ms > sie_ms ? swr_ms : sie_ms;
    return after_ms > storable->keep_ms ? after_ms : storable->keep_ms;
}

void cg_storable_of(const struct cg_plan *plan, const struct cg_request_facts *facts,
                    unsigned status, const struct cg_fields *fields, int64_t request_at_ms,
                    int64_t response_at_ms, struct cg_arena *arena,
                    struct cg_storable *ret_storable)
{
    CG_ASSERT(plan->route != NULL);
    struct answer answer = {.route = plan->route,
                            .plan = plan,
                            .status = status,
                            .fields = fields,
                            .response_at_ms = response_at_ms};
    cg_cache_control_of_answer(fields, arena, &answer.control);
    struct cg_storable *storable = ret_storable;
    *storable = (struct cg_storable){.initial_age_ms =
                                         cg_initial_age_ms(fields, request_at_ms, response_at_ms)};
    if (plan->kind != CG_PLAN_LOOKUP || client_forbids(facts, plan->route)) {
        storable->reason = CG_REASON_NOT_STORABLE;
        return;
    }
    storable->reason = find_prohibition(&answer);
    if (storable->reason == CG_REASON_STORED && !normalise_vary(&answer, arena, &storable->vary))
        storable->reason = CG_REASON_VARY_ANY;
    if (storable->reason == CG_REASON_STORED)
        fill_lifetime(&answer, storable);
}
