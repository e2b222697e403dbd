#include "cachegate/conditional.h"

#include "cachegate/assert.h"

enum { MS_PER_S = 1000 };

/* ---- what a client asks ---- */

enum cg_precondition cg_precondition_of(const struct cg_fields *request, struct cg_str *ret_field)
{
    static const struct {
        struct cg_str name;
        enum cg_precondition condition;
    } rows[] = {
        {{"if-match", 8}, CG_PRECONDITION_ORIGIN},
        {{"if-unmodified-since", 19}, CG_PRECONDITION_ORIGIN},
        {{"if-none-match", 13}, CG_PRECONDITION_CACHE},
        {{"if-modified-since", 17}, CG_PRECONDITION_CACHE},
    };
    *ret_field = CG_STR("");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (cg_fields_find(request, rows[i].name) != NULL) {
            *ret_field = rows[i].name;
            return rows[i].condition;
        }
    return CG_PRECONDITION_NONE;
}

/* Whether one line of If-None-Match names the answer. A member that is no entity tag names nothing,
 * and ends the line: where the next one begins cannot be known. */
static bool line_names(struct cg_str rest, bool has_etag, const struct cg_etag *etag)
{
    if (cg_str_eq(rest, CG_STR("*")))
        return true;
    for (;;) {
        struct cg_etag member;
        rest = cg_str_trim(rest);
        if (cg_str_empty(rest))
            return false;
        if (rest.bytes[0] == ',') {
            rest = cg_str_skip(rest, 1);
            continue;
        }
        if (!cg_etag_take(&rest, &member))
            return false;
        rest = cg_str_trim(rest);
        if (!cg_str_empty(rest) && rest.bytes[0] != ',')
            return false;
        if (has_etag && cg_etag_weak_eq(&member, etag))
            return true;
    }
}

static bool none_match_names(const struct cg_fields *request, const struct cg_fields *answer)
{
    struct cg_etag etag;
    bool has_etag = cg_etag_of(answer, &etag);
    for (size_t i = 0; i < request->count; i++)
        if (cg_str_eq(request->items[i].name, CG_STR("if-none-match")) &&
            line_names(cg_str_trim(request->items[i].value), has_etag, &etag))
            return true;
    return false;
}

static bool unmodified_since(const struct cg_fields *request, const struct cg_fields *answer,
                             int64_t received_at_ms)
{
    int64_t since_s, date_s;
    if (!cg_date_of(request, CG_STR("if-modified-since"), received_at_ms, &since_s))
        return false;
    if (cg_fields_find(answer, CG_STR("last-modified")) != NULL)
        return cg_date_of(answer, CG_STR("last-modified"), received_at_ms, &date_s) &&
               date_s <= since_s;
    if (!cg_date_of(answer, CG_STR("date"), received_at_ms, &date_s))
        date_s = received_at_ms / MS_PER_S;
    return date_s <= since_s;
}

bool cg_is_not_modified(const struct cg_fields *request, unsigned status,
                        const struct cg_fields *answer, int64_t received_at_ms)
{
    if (status != 200)
        return false;
    if (cg_fields_find(request, CG_STR("if-none-match")) != NULL)
        return none_match_names(request, answer);
    return unmodified_since(request, answer, received_at_ms);
}

static bool is_among(struct cg_str name, const struct cg_str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (cg_str_eq(names[i], name))
            return true;
    return false;
}
#define IS_AMONG(name, names) is_among((name), (names), sizeof(names) / sizeof((names)[0]))

bool cg_not_modified_fields(const struct cg_fields *answer, struct cg_arena *arena,
                            struct cg_fields *ret_fields)
{
    /* Content-Location stays: 15.4.5 asks for it. Last-Modified stays: caches update by it. */
    static const struct cg_str of_content[] = {
        {"content-type", 12},
        {"content-encoding", 16},
        {"content-language", 16},
        {"content-length", 14},
        {"content-range", 13},
        {"content-md5", 11},
        {"content-digest", 14},
        {"content-disposition", 19},
        {"accept-ranges", 13},
        {"repr-digest", 11},
        {"digest", 6},
        {"transfer-encoding", 17},
        {"trailer", 7},
    };
    *ret_fields = (struct cg_fields){0};
    for (size_t i = 0; i < answer->count; i++)
        if (!IS_AMONG(answer->items[i].name, of_content) &&
            !cg_fields_add(ret_fields, arena, answer->items[i].name, answer->items[i].value))
            return false;
    return true;
}

/* ---- what we ask the origin ---- */

bool cg_validation_fields(const struct cg_verdict *verdict, const struct cg_entry *entry,
                          struct cg_arena *arena, struct cg_fields *fields)
{
    struct cg_etag etag;
    int64_t modified_s;
    CG_ASSERT(verdict->may_validate);
    if (cg_etag_of(&entry->fields, &etag) &&
        !cg_fields_add(fields, arena, CG_STR("if-none-match"), etag.text))
        return false;
    return !cg_date_of(&entry->fields, CG_STR("last-modified"), entry->stored_at_ms, &modified_s) ||
           cg_fields_add(fields, arena, CG_STR("if-modified-since"),
                         cg_fields_value(&entry->fields, CG_STR("last-modified")));
}

/* RFC 9111 4.3.4: a strong tag selects by itself, a weak one by what it holds, and a date where
 * there is no tag. An answer without validators can only mean the one that was asked about. */
static bool is_of_entry(const struct cg_entry *entry, const struct cg_fields *answer,
                        bool *ret_by_validator)
{
    struct cg_str modified = CG_STR("last-modified");
    int64_t now_ms = entry->stored_at_ms, theirs_s, ours_s;
    struct cg_etag theirs, ours;
    *ret_by_validator = true;
    if (cg_etag_of(answer, &theirs)) {
        if (!cg_etag_of(&entry->fields, &ours))
            return false;
        return theirs.weak ? cg_etag_weak_eq(&theirs, &ours) : cg_etag_strong_eq(&theirs, &ours);
    }
    if (cg_date_of(answer, modified, now_ms, &theirs_s))
        return cg_date_of(&entry->fields, modified, now_ms, &ours_s) && theirs_s == ours_s;
    *ret_by_validator = false;
    return true;
}

enum cg_validation cg_validation_of(const struct cg_verdict *verdict, const struct cg_entry *entry,
                                    unsigned status, const struct cg_fields *answer)
{
    bool by_validator;
    CG_ASSERT(verdict->may_validate);
    if (status != 304)
        return CG_VALIDATION_REPLACED;
    return is_of_entry(entry, answer, &by_validator) ? CG_VALIDATION_CONFIRMED
                                                     : CG_VALIDATION_OTHER;
}

/* What tells how the stored bytes are to be read. */
static bool describes_bytes(struct cg_str name)
{
    static const struct cg_str names[] = {
        {"content-length", 14}, {"content-encoding", 16}, {"content-range", 13},
        {"content-md5", 11},    {"content-digest", 14},   {"transfer-encoding", 17},
    };
    return IS_AMONG(name, names);
}

bool cg_merged_fields(const struct cg_verdict *verdict, const struct cg_entry *entry,
                      const struct cg_fields *answer, struct cg_arena *arena,
                      struct cg_fields *ret_fields)
{
    CG_ASSERT(verdict->alive);
    *ret_fields = (struct cg_fields){0};
    for (size_t i = 0; i < entry->fields.count; i++) {
        const struct cg_field *field = &entry->fields.items[i];
        bool replaced = !describes_bytes(field->name) &&
                        cg_fields_find(answer, field->name) != NULL &&
                        !cg_field_is_hop_by_hop(answer, field->name);
        if (!replaced && !cg_fields_add(ret_fields, arena, field->name, field->value))
            return false;
    }
    for (size_t i = 0; i < answer->count; i++) {
        const struct cg_field *field = &answer->items[i];
        if (!describes_bytes(field->name) && !cg_field_is_hop_by_hop(answer, field->name) &&
            !cg_fields_add(ret_fields, arena, field->name, field->value))
            return false;
    }
    return true;
}

/* A HEAD counts only if all of its validators fit, not just the strongest. */
static bool dates_differ(const struct cg_entry *entry, const struct cg_fields *answer)
{
    struct cg_str name = CG_STR("last-modified");
    int64_t theirs_s, ours_s;
    return cg_date_of(answer, name, entry->stored_at_ms, &theirs_s) &&
           (!cg_date_of(&entry->fields, name, entry->stored_at_ms, &ours_s) || theirs_s != ours_s);
}

enum cg_head_effect cg_head_effect_of(const struct cg_verdict *verdict,
                                      const struct cg_entry *entry, unsigned status,
                                      const struct cg_fields *answer)
{
    struct cg_str length = cg_fields_value(answer, CG_STR("content-length"));
    uint64_t bytes;
    bool by_validator;
    CG_ASSERT(verdict->alive);
    if (status != 200 || entry->status != 200)
        return CG_HEAD_NOTHING;
    if (!is_of_entry(entry, answer, &by_validator) || dates_differ(entry, answer))
        return CG_HEAD_INVALIDATE;
    if (cg_str_to_u64(length, UINT64_MAX, &bytes) && bytes != entry->body.length)
        return CG_HEAD_INVALIDATE;
    /* Nothing contradicts, but nothing confirms either: a new lifetime needs a reason. */
    return by_validator ? CG_HEAD_UPDATE : CG_HEAD_NOTHING;
}
