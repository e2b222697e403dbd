#include "cachegate/range.h"

#include "cachegate/assert.h"
#include "cachegate/validator.h"

enum { STRONG_DATE_GAP_S = 60 };

/* ---- which bytes (RFC 9110 14.1.1, 14.1.2) ---- */

enum spec { SPEC_MALFORMED, SPEC_UNSATISFIABLE, SPEC_RANGE };

/* Digits; what does not fit is beyond every length. */
static bool read_position(struct cg_str digits, uint64_t *ret_position)
{
    for (size_t i = 0; i < digits.length; i++)
        if (!cg_is_digit(digits.bytes[i]))
            return false;
    if (!cg_str_to_u64(digits, UINT64_MAX, ret_position))
        *ret_position = UINT64_MAX;
    return !cg_str_empty(digits);
}

/* `first-last`, `first-` or `-suffix`. */
static enum spec read_spec(struct cg_str text, uint64_t length, struct cg_range *range)
{
    size_t dash = cg_str_find(text, '-');
    struct cg_str before = cg_str_sub(text, 0, dash), after = cg_str_skip(text, dash + 1);
    uint64_t first, last = UINT64_MAX;
    if (dash == text.length)
        return SPEC_MALFORMED;
    if (cg_str_empty(before)) {
        uint64_t suffix;
        /* The end of nothing is satisfiable, but no Content-Range could say so. */
        if (!read_position(after, &suffix) || (suffix > 0 && length == 0))
            return SPEC_MALFORMED;
        if (suffix == 0)
            return SPEC_UNSATISFIABLE;
        range->length = suffix < length ? suffix : length;
        range->first = length - range->length;
        return SPEC_RANGE;
    }
    if (!read_position(before, &first) || (!cg_str_empty(after) && !read_position(after, &last)) ||
        last < first)
        return SPEC_MALFORMED;
    if (first >= length)
        return SPEC_UNSATISFIABLE;
    range->first = first;
    range->length = (last < length ? last : length - 1) - first + 1;
    return SPEC_RANGE;
}

/* The bytes of `bytes=…`, or false. Units have no case (14.1). */
static bool take_unit(struct cg_str value, struct cg_str *ret_specs)
{
    size_t equals = cg_str_find(value, '=');
    if (equals == value.length || !cg_str_eq_ci(cg_str_sub(value, 0, equals), CG_STR("bytes")))
        return false;
    *ret_specs = cg_str_skip(value, equals + 1);
    return true;
}

static uint64_t end_of(const struct cg_range *range)
{
    return range->first + range->length;
}

static bool is_ascending(const struct cg_range_set *set)
{
    for (size_t i = 1; i < set->count; i++)
        if (set->ranges[i].first < set->ranges[i - 1].first)
            return false;
    return true;
}

static bool any_overlap(const struct cg_range_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        for (size_t j = 0; j < i; j++)
            if (set->ranges[i].first < end_of(&set->ranges[j]) &&
                set->ranges[j].first < end_of(&set->ranges[i]))
                return true;
    return false;
}

/* Of ascending ranges: those that overlap, or lie nearer than framing is long, become one. */
static void coalesce(struct cg_range_set *set)
{
    size_t kept = 0;
    for (size_t i = 1; i < set->count; i++) {
        struct cg_range *last = &set->ranges[kept];
        const struct cg_range *next = &set->ranges[i];
        if (next->first > end_of(last) && next->first - end_of(last) > CG_RANGE_GAP_BYTES_MAX) {
            set->ranges[++kept] = *next;
            continue;
        }
        if (end_of(next) > end_of(last))
            last->length = end_of(next) - last->first;
    }
    set->count = kept + 1;
}

static void settle(struct cg_range_set *set)
{
    if (set->count == 0) {
        set->kind = CG_RANGE_UNSATISFIABLE;
        return;
    }
    bool ascending = is_ascending(set);
    if (ascending) {
        coalesce(set);
    } else if (any_overlap(set)) {
        set->count = 0; /* 17.15: nobody needs that */
        return;
    }
    set->kind = set->count == 1 ? CG_RANGE_SINGLE : CG_RANGE_MULTIPLE;
}

void cg_range_parse(struct cg_str method, const struct cg_fields *request, uint64_t length,
                    struct cg_range_set *ret_set)
{
    struct cg_range_set *set = ret_set;
    struct cg_str rest, member;
    size_t members = 0;
    *set = (struct cg_range_set){.kind = CG_RANGE_WHOLE};
    if (!cg_str_eq(method, CG_STR("GET")) || cg_fields_count(request, CG_STR("range")) != 1 ||
        !take_unit(cg_fields_value(request, CG_STR("range")), &rest))
        return;
    for (; cg_list_next(&rest, &member); members++) {
        struct cg_range range;
        enum spec spec = read_spec(member, length, &range);
        if (spec == SPEC_MALFORMED || members == CG_RANGES_MAX) {
            *set = (struct cg_range_set){.kind = CG_RANGE_WHOLE};
            return;
        }
        if (spec == SPEC_RANGE)
            set->ranges[set->count++] = range;
    }
    if (members > 0)
        settle(set);
}

/* ---- If-Range ---- */

static bool names_by_date(struct cg_str value, const struct cg_fields *answer,
                          int64_t received_at_ms)
{
    struct cg_str modified = CG_STR("last-modified");
    int64_t modified_s, date_s;
    return cg_date_of(answer, modified, received_at_ms, &modified_s) &&
           cg_str_eq(value, cg_fields_value(answer, modified)) &&
           cg_date_of(answer, CG_STR("date"), received_at_ms, &date_s) &&
           date_s - modified_s >= STRONG_DATE_GAP_S;
}

bool cg_range_holds(const struct cg_fields *request, const struct cg_fields *answer,
                    int64_t received_at_ms)
{
    struct cg_str name = CG_STR("if-range");
    size_t lines = cg_fields_count(request, name);
    struct cg_str value = cg_fields_value(request, name);
    struct cg_etag asked, ours;
    if (lines == 0)
        return true;
    if (lines > 1)
        return false;
    if (cg_etag_parse(value, &asked))
        return cg_etag_of(answer, &ours) && cg_etag_strong_eq(&asked, &ours);
    return names_by_date(value, answer, received_at_ms);
}

/* ---- what is sent ---- */

static struct cg_str print_content_range(struct cg_arena *arena, const struct cg_range *range,
                                         uint64_t length)
{
    return cg_arena_printf(arena, "bytes %llu-%llu/%llu", (unsigned long long)range->first,
                           (unsigned long long)(end_of(range) - 1), (unsigned long long)length);
}

/* What a 416 must not take over: what describes content, and what would let another cache keep it
 * in the place of the answer. */
static bool is_of_answer_alone(struct cg_str name)
{
    static const struct cg_str lifetimes[] = {
        {"cache-control", 13},     {"expires", 7}, {"cdn-cache-control", 17},
        {"surrogate-control", 17}, {"age", 3},     {"cachegate-cache-control", 23},
    };
    for (size_t i = 0; i < sizeof lifetimes / sizeof lifetimes[0]; i++)
        if (cg_str_eq(name, lifetimes[i]))
            return true;
    return cg_str_starts_with(name, CG_STR("content-")) &&
           !cg_str_starts_with(name, CG_STR("content-security-policy"));
}

/* The answer's fields but those that are said anew. */
static bool copy_fields(const struct cg_fields *answer, enum cg_range_kind kind,
                        struct cg_arena *arena, struct cg_fields *fields)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct cg_str name = answer->items[i].name;
        if (cg_str_eq(name, CG_STR("content-length")) || cg_str_eq(name, CG_STR("content-range")))
            continue;
        if (kind == CG_RANGE_MULTIPLE && cg_str_eq(name, CG_STR("content-type")))
            continue;
        if (kind == CG_RANGE_UNSATISFIABLE && is_of_answer_alone(name))
            continue;
        if (!cg_fields_add(fields, arena, name, answer->items[i].value))
            return false;
    }
    return kind != CG_RANGE_UNSATISFIABLE ||
           cg_fields_add(fields, arena, CG_STR("cache-control"), CG_STR("no-store"));
}

static void add_piece(struct cg_range_plan *plan, struct cg_str text, struct cg_range content)
{
    CG_ASSERT(plan->piece_count < CG_RANGES_MAX + 1);
    plan->pieces[plan->piece_count++] = (struct cg_range_piece){text, content};
    plan->content_length += text.length + content.length;
}

/* RFC 9110 14.6: each part with its own Content-Range, and the Content-Type of the whole. */
static void add_parts(struct cg_range_plan *plan, const struct cg_range_set *set,
                      const struct cg_fields *answer, uint64_t length, struct cg_str boundary,
                      struct cg_arena *arena)
{
    struct cg_str type = cg_fields_value(answer, CG_STR("content-type"));
    const char *label = cg_str_empty(type) ? "" : "\r\nContent-Type: ";
    for (size_t i = 0; i < set->count; i++) {
        struct cg_str range = print_content_range(arena, &set->ranges[i], length);
        struct cg_str text = cg_arena_printf(arena, "%s--%.*s%s%.*s\r\nContent-Range: %.*s\r\n\r\n",
                                             i == 0 ? "" : "\r\n", CG_STR_ARG(boundary), label,
                                             CG_STR_ARG(type), CG_STR_ARG(range));
        add_piece(plan, text, set->ranges[i]);
    }
    add_piece(plan, cg_arena_printf(arena, "\r\n--%.*s--\r\n", CG_STR_ARG(boundary)),
              (struct cg_range){0, 0});
}

bool cg_range_plan_make(struct cg_str method, const struct cg_fields *request, unsigned status,
                        const struct cg_fields *answer, uint64_t length, int64_t received_at_ms,
                        struct cg_str boundary, struct cg_arena *arena,
                        struct cg_range_plan *ret_plan)
{
    struct cg_range_plan *plan = ret_plan;
    struct cg_range_set set = {.kind = CG_RANGE_WHOLE};
    struct cg_str content_range = CG_STR("");
    CG_ASSERT(boundary.length > 0 && boundary.length <= CG_RANGE_BOUNDARY_MAX);
    if (status == 200 && cg_range_holds(request, answer, received_at_ms))
        cg_range_parse(method, request, length, &set);
    *plan = (struct cg_range_plan){.status = status};
    switch (set.kind) {
    case CG_RANGE_WHOLE:
        add_piece(plan, CG_STR(""), (struct cg_range){0, length});
        break;
    case CG_RANGE_SINGLE:
        plan->status = 206;
        content_range = print_content_range(arena, &set.ranges[0], length);
        add_piece(plan, CG_STR(""), set.ranges[0]);
        break;
    case CG_RANGE_MULTIPLE:
        plan->status = 206;
        add_parts(plan, &set, answer, length, boundary, arena);
        break;
    case CG_RANGE_UNSATISFIABLE:
        plan->status = 416;
        content_range = cg_arena_printf(arena, "bytes */%llu", (unsigned long long)length);
        break;
    }
    if (!copy_fields(answer, set.kind, arena, &plan->fields))
        return false;
    if (!cg_str_empty(content_range) &&
        !cg_fields_add(&plan->fields, arena, CG_STR("content-range"), content_range))
        return false;
    return set.kind != CG_RANGE_MULTIPLE ||
           cg_fields_add(
               &plan->fields, arena, CG_STR("content-type"),
               cg_arena_printf(arena, "multipart/byteranges; boundary=%.*s", CG_STR_ARG(boundary)));
}
