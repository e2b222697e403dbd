#include "cachegate/cache_control.h"
#include "cachegate/groups.h"
#include "cachegate/httpdate.h"
#include "cachegate/verdict.h"

#include "rules/spelling.h"

/* The detail comes from rules and from field names of the request: bounded, it stays one. */
enum { DETAIL_BYTES_MAX = 256, STATUS_LINE_BYTES = 96 /* of most lines, beside our name */ };

static bool is_one_of(struct cg_str name, const struct cg_str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (cg_str_eq(names[i], name))
            return true;
    return false;
}
#define IS_ONE_OF(name, names) is_one_of((name), (names), sizeof(names) / sizeof((names)[0]))

/* What we keep with an answer. */
static bool is_note(struct cg_str name)
{
    return cg_str_eq(name, CG_STR(CG_GROUP_NOTE));
}

static bool names_groups(struct cg_str name)
{
    static const struct cg_str names[] = {{"cache-groups", 12},
                                          {"surrogate-key", 13},
                                          {"cache-tag", 9},
                                          {"cache-group-invalidation", 24}};
    return IS_ONE_OF(name, names);
}

/* Framing is made anew for every hop. */
static bool is_framing(struct cg_str name)
{
    static const struct cg_str names[] = {{"content-length", 14}, {"transfer-encoding", 17}};
    return IS_ONE_OF(name, names);
}

/* True for what belongs to one exchange and not to the answer. Proxy-* is between its two ends. */
static bool is_of_one_exchange(struct cg_str name)
{
    static const struct cg_str names[] = {
        {"set-cookie", 10}, {"set-cookie2", 11}, {"age", 3}, {"cache-status", 12}};
    return is_framing(name) || is_note(name) || IS_ONE_OF(name, names) ||
           cg_str_starts_with(name, CG_STR("proxy-"));
}

static bool add_stored_fields(const struct cg_fields *fields, unsigned overrides, bool keep_private,
                              struct cg_arena *arena, struct cg_fields *ret_fields)
{
    struct cg_cache_control control;
    cg_cache_control_of_answer(fields, arena, &control);
    if (keep_private || (overrides & CG_OVERRIDE_PRIVATE) != 0)
        control.private_names.count = 0;
    if ((overrides & CG_OVERRIDE_NO_CACHE) != 0)
        control.no_cache_names.count = 0;
    *ret_fields = (struct cg_fields){0};
    for (size_t i = 0; i < fields->count; i++) {
        const struct cg_field *field = &fields->items[i];
        if (is_of_one_exchange(field->name) || cg_field_is_hop_by_hop(fields, field->name))
            continue;
        if (cg_name_lists_have(&control.private_names, field->name) ||
            cg_name_lists_have(&control.no_cache_names, field->name))
            continue;
        if (!cg_fields_add(ret_fields, arena, field->name, field->value))
            return false;
    }
    return true;
}

bool cg_stored_fields(const struct cg_fields *fields, struct cg_arena *arena,
                      struct cg_fields *ret_fields)
{
    return add_stored_fields(fields, 0, false, arena, ret_fields);
}

bool cg_stored_fields_on(const struct cg_route *route, const struct cg_fields *fields,
                         struct cg_arena *arena, struct cg_fields *ret_fields)
{
    return add_stored_fields(fields, route->overrides, route->scope_user, arena, ret_fields);
}

/* ---- Cache-Status (RFC 9211), a list of structured-field items (RFC 8941 3.3) ---- */

/* sf-token: begins with a letter or `*`, then tchar, `:` or `/`. */
static bool is_sf_token(struct cg_str s)
{
    if (cg_str_empty(s) || !(cg_is_alpha(s.bytes[0]) || s.bytes[0] == '*'))
        return false;
    for (size_t i = 1; i < s.length; i++)
        if (!cg_is_tchar(s.bytes[i]) && s.bytes[i] != ':' && s.bytes[i] != '/')
            return false;
    return true;
}

/* sf-string holds printable ASCII only; what it cannot hold is shown as `?`. */
static void add_sf_string(struct cg_spelling *line, struct cg_str s)
{
    cg_spelling_add_char(line, '"');
    for (size_t i = 0; i < s.length; i++) {
        char c = s.bytes[i];
        if ((unsigned char)c < 0x20 || (unsigned char)c >= 0x7f)
            c = '?';
        if (c == '"' || c == '\\')
            cg_spelling_add_char(line, '\\');
        cg_spelling_add_char(line, c);
    }
    cg_spelling_add_char(line, '"');
}

static void add_token_or_string(struct cg_spelling *line, struct cg_str s)
{
    if (is_sf_token(s))
        cg_spelling_add(line, s);
    else
        add_sf_string(line, s);
}

static void add_detail(struct cg_spelling *line, const struct cg_reply_facts *facts)
{
    bool answer_refused = !facts->hit && facts->not_stored != CG_REASON_STORED &&
                          facts->not_stored != CG_REASON_NOT_STORABLE;
    cg_spelling_add(line, CG_STR("; detail="));
    if (answer_refused || cg_str_empty(facts->detail)) {
        add_token_or_string(
            line, cg_str_from(cg_reason_word(answer_refused ? facts->not_stored : facts->reason)));
        return;
    }
    struct cg_spelling text;
    cg_spelling_init(&text, line->arena, DETAIL_BYTES_MAX);
    cg_spelling_add(&text, cg_str_from(cg_reason_word(facts->reason)));
    cg_spelling_add(&text, CG_STR(": "));
    cg_spelling_add(&text, cg_str_sub(facts->detail, 0, DETAIL_BYTES_MAX));
    add_sf_string(line, cg_spelling_str(&text));
}

static void add_ttl(struct cg_spelling *line, int64_t ttl_s)
{
    char digits[CG_DECIMAL_MAX];
    cg_spelling_add(line, ttl_s < 0 ? CG_STR("; ttl=-") : CG_STR("; ttl="));
    cg_spelling_add(line, cg_str_from_u64(ttl_s < 0 ? -(uint64_t)ttl_s : (uint64_t)ttl_s, digits));
}

static void add_cache_status(struct cg_spelling *line, const struct cg_reply_facts *facts)
{
    char digits[CG_DECIMAL_MAX];
    struct cg_str forward = cg_str_from(cg_reason_fwd(facts->reason));
    add_token_or_string(line, cg_str_sub(facts->via, 0, DETAIL_BYTES_MAX));
    /* `hit` and `fwd` exclude each other (RFC 9211 2.1): stale-if-error did go forward. */
    if (facts->hit && cg_str_empty(forward))
        cg_spelling_add(line, CG_STR("; hit"));
    if (!cg_str_empty(forward)) {
        cg_spelling_add(line, CG_STR("; fwd="));
        cg_spelling_add(line, forward);
    }
    if (!cg_str_empty(forward) && facts->forward_status != 0) {
        cg_spelling_add(line, CG_STR("; fwd-status="));
        cg_spelling_add(line, cg_str_from_u64(facts->forward_status, digits));
    }
    if (facts->hit || facts->has_ttl)
        add_ttl(line, facts->ttl_s);
    if (!facts->hit && (facts->not_stored == CG_REASON_STORED || facts->stored_expired))
        cg_spelling_add(line, CG_STR("; stored"));
    if (facts->collapsed)
        cg_spelling_add(line, CG_STR("; collapsed"));
    if (!cg_str_empty(facts->key)) {
        cg_spelling_add(line, CG_STR("; key="));
        add_sf_string(line, cg_str_sub(facts->key, 0, DETAIL_BYTES_MAX));
    }
    add_detail(line, facts);
}

static struct cg_str print_cache_status(const struct cg_reply_facts *facts, struct cg_arena *arena)
{
    struct cg_spelling line;
    cg_spelling_init(&line, arena, facts->via.length + STATUS_LINE_BYTES);
    add_cache_status(&line, facts);
    return cg_spelling_str(&line);
}

/* RFC 9110 6.6.1: whoever passes on an answer without Date says when it arrived. */
static bool add_date(const struct cg_reply_facts *facts, struct cg_arena *arena,
                     struct cg_fields *fields)
{
    char text[CG_HTTPDATE_SIZE];
    if (facts->received_at_ms == 0 || cg_fields_find(fields, CG_STR("date")) != NULL)
        return true;
    cg_httpdate_print(facts->received_at_ms / 1000, text);
    return cg_fields_add(fields, arena, CG_STR("date"), cg_arena_copy(arena, cg_str_from(text)));
}

static struct cg_str print_age(const struct cg_reply_facts *facts, struct cg_arena *arena)
{
    char digits[CG_DECIMAL_MAX];
    return cg_arena_copy(arena, cg_str_from_u64(facts->age_s, digits));
}

static struct cg_str print_via(const struct cg_reply_facts *facts, struct cg_arena *arena)
{
    struct cg_spelling text;
    cg_spelling_init(&text, arena, facts->via.length + 4);
    cg_spelling_add(&text, CG_STR("1.1 "));
    cg_spelling_add(&text, facts->via);
    return cg_spelling_str(&text);
}

bool cg_reply_fields(const struct cg_fields *fields, const struct cg_reply_facts *facts,
                     struct cg_arena *arena, struct cg_fields *ret_fields)
{
    bool connected = cg_fields_find(fields, CG_STR("connection")) != NULL;
    *ret_fields = (struct cg_fields){0};
    for (size_t i = 0; i < fields->count; i++) {
        const struct cg_field *field = &fields->items[i];
        if (is_framing(field->name) || is_note(field->name) ||
            cg_field_is_always_hop_by_hop(field->name) ||
            (connected && cg_field_is_hop_by_hop(fields, field->name)))
            continue;
        if (facts->removes_groups && names_groups(field->name))
            continue;
        /* A hit's age is ours to say; a forwarded answer keeps what caches before us said. */
        if (facts->hit && cg_str_eq(field->name, CG_STR("age")))
            continue;
        if (!cg_fields_add(ret_fields, arena, field->name, field->value))
            return false;
    }
    if (facts->hit && !cg_fields_add(ret_fields, arena, CG_STR("age"), print_age(facts, arena)))
        return false;
    return add_date(facts, arena, ret_fields) &&
           cg_fields_add(ret_fields, arena, CG_STR("via"), print_via(facts, arena)) &&
           cg_fields_add(ret_fields, arena, CG_STR("cache-status"),
                         print_cache_status(facts, arena));
}
