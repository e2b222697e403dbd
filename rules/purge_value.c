#include "rules/purge_build.h"

/* ---- bodies ---- */

static const char *find_body(const struct cg_purge_build *build, bool of_answer,
                             struct cg_str *ret_body)
{
    *ret_body = (struct cg_str){NULL, 0};
    if (!of_answer) {
        *ret_body = build->facts->body;
        return build->facts->has_body ? NULL : "the request has no body";
    }
    if (build->answer == NULL || !build->answer->known)
        return "the answer is not known";
    *ret_body = build->answer->body;
    return build->answer->body_complete ? NULL : "the answer's body is too large or was cut";
}

static struct cg_purge_body *load_body(struct cg_purge_build *build, bool of_answer)
{
    struct cg_purge_body *body = of_answer ? &build->response : &build->request;
    struct cg_str bytes;
    if (body->tried)
        return body;
    body->tried = true;
    body->unusable = find_body(build, of_answer, &bytes);
    if (body->unusable == NULL && bytes.length > build->limits->json_body_max)
        body->unusable = "the body is over the size limit for JSON";
    if (body->unusable != NULL)
        return body;
    enum cg_json_outcome outcome = cg_json_parse(bytes, build->limits->json_depth_max, &body->json);
    if (outcome != CG_JSON_FOUND)
        body->unusable = cg_json_outcome_text(outcome);
    return body;
}

/* ---- values ---- */

static struct cg_purge_values one_value(struct cg_purge_build *build, struct cg_str text)
{
    struct cg_str *items = CG_ARENA_NEW(build->arena, struct cg_str);
    *items = text;
    return (struct cg_purge_values){items, 1, NULL};
}

static struct cg_purge_values no_value(const char *why)
{
    return (struct cg_purge_values){NULL, 0, why};
}

static struct cg_purge_values query_values(struct cg_purge_build *build, struct cg_str name)
{
    const struct cg_query *query = &build->plan->query;
    struct cg_str *items = CG_ARENA_ARRAY(build->arena, struct cg_str, query->count);
    size_t count = 0;
    for (size_t i = 0; i < query->count; i++)
        if (cg_str_eq(query->params[i].name, name))
            items[count++] = query->params[i].value;
    return (struct cg_purge_values){items, count, count == 0 ? "the parameter was not sent" : NULL};
}

static struct cg_purge_values header_values(struct cg_purge_build *build, struct cg_str name)
{
    const struct cg_fields *fields = build->facts->fields;
    struct cg_str *items = CG_ARENA_ARRAY(build->arena, struct cg_str, fields->count);
    size_t count = 0;
    for (size_t i = 0; i < fields->count; i++)
        if (cg_str_eq(fields->items[i].name, name))
            items[count++] = fields->items[i].value;
    return (struct cg_purge_values){items, count, count == 0 ? "the field was not sent" : NULL};
}

static struct cg_purge_values body_values(struct cg_purge_build *build, bool of_answer,
                                          struct cg_str path)
{
    struct cg_purge_body *body = load_body(build, of_answer);
    size_t count = 0;
    if (body->unusable != NULL)
        return no_value(body->unusable);
    struct cg_str *items =
        CG_ARENA_ARRAY(build->arena, struct cg_str, build->limits->instances_max);
    enum cg_json_outcome outcome = cg_json_select(&body->json, path, build->arena, items,
                                                  build->limits->instances_max, &count);
    if (outcome != CG_JSON_FOUND)
        return no_value(cg_json_outcome_text(outcome));
    return (struct cg_purge_values){items, count, NULL};
}

struct cg_purge_values cg_purge_value(struct cg_purge_build *build, const struct cg_value *value)
{
    switch (value->source) {
    case CG_VALUE_LITERAL:
        return one_value(build, value->name);
    case CG_VALUE_PATH:
        return one_value(build, build->plan->captures[value->capture]);
    case CG_VALUE_QUERY:
        return query_values(build, value->name);
    case CG_VALUE_HEADER:
        return header_values(build, value->name);
    case CG_VALUE_REQUEST:
        return body_values(build, false, value->name);
    case CG_VALUE_RESPONSE:
        return body_values(build, true, value->name);
    case CG_VALUE_USER:
        return cg_str_empty(build->plan->identity.user)
                   ? no_value("no user was sent")
                   : one_value(build, build->plan->identity.user);
    case CG_VALUE_STATUS:
        break;
    }
    return no_value("a status is no text");
}

/* ---- conditions ---- */

/* `text` is `2xx` or `201`. */
static bool status_is(unsigned status, struct cg_str text)
{
    uint64_t number;
    if (text.length == 3 && cg_is_digit(text.bytes[0]) && text.bytes[1] == 'x' &&
        text.bytes[2] == 'x')
        return status / 100 == (unsigned)(text.bytes[0] - '0');
    return cg_str_to_u64(text, 999, &number) && number == status;
}

/* After a 5xx nobody knows what happened, and what the error page says is no fact about it. */
static bool outcome_is_unknown(const struct cg_write_answer *answer)
{
    return answer == NULL || !answer->known || answer->status >= 500;
}

static bool status_condition_holds(const struct cg_purge_build *build,
                                   const struct cg_condition *condition)
{
    if (outcome_is_unknown(build->answer))
        return true;
    for (size_t i = 0; i < condition->text_count; i++)
        if (status_is(build->answer->status, condition->texts[i]))
            return true;
    return false;
}

static bool is_any_of(const struct cg_condition *condition, struct cg_str value)
{
    for (size_t i = 0; i < condition->text_count; i++)
        if (cg_str_eq(condition->texts[i], value))
            return true;
    return false;
}

/* What cannot be read counts as true; what is readable and lacks the member does not
 * (CONSISTENCY row 27). */
static bool body_condition_holds(struct cg_purge_build *build, bool of_answer,
                                 const struct cg_condition *condition)
{
    struct cg_purge_body *body = load_body(build, of_answer);
    if (body->unusable != NULL || (of_answer && outcome_is_unknown(build->answer)))
        return true;
    size_t count = 0;
    struct cg_str *items =
        CG_ARENA_ARRAY(build->arena, struct cg_str, build->limits->instances_max);
    enum cg_json_outcome outcome = cg_json_select(&body->json, condition->value.name, build->arena,
                                                  items, build->limits->instances_max, &count);
    if (outcome == CG_JSON_NOT_FOUND)
        return false;
    if (outcome != CG_JSON_FOUND)
        return true;
    for (size_t i = 0; i < count; i++)
        if (is_any_of(condition, items[i]))
            return true;
    return false;
}

static bool text_condition_holds(struct cg_purge_build *build, const struct cg_condition *condition)
{
    struct cg_purge_values values = cg_purge_value(build, &condition->value);
    for (size_t i = 0; i < values.count; i++)
        if (is_any_of(condition, values.items[i]))
            return true;
    return false;
}

bool cg_purge_condition_holds(struct cg_purge_build *build, const struct cg_condition *condition)
{
    switch (condition->value.source) {
    case CG_VALUE_STATUS:
        return status_condition_holds(build, condition);
    case CG_VALUE_REQUEST:
        return body_condition_holds(build, false, condition);
    case CG_VALUE_RESPONSE:
        return body_condition_holds(build, true, condition);
    case CG_VALUE_LITERAL:
    case CG_VALUE_PATH:
    case CG_VALUE_QUERY:
    case CG_VALUE_HEADER:
    case CG_VALUE_USER:
        return text_condition_holds(build, condition);
    }
    return true;
}
