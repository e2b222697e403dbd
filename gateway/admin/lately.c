/*
 * What happened lately, for the dashboard and for whoever writes one: samples of the counters, and
 * the last purges. Both may be asked for what is new only, by number, so that a page that asks
 * every other second moves little.
 */
#include "gateway/admin/parts.h"

#include "gateway/admin/history.h"
#include "gateway/base/clock.h"
#include "gateway/base/recent.h"

#include <stdlib.h>

enum { DIGITS_MAX = 15 };

/* ---- what is asked for ---- */

/* A query parameter of digits. False: it is there and something else. Absent leaves *ret_number. */
static bool read_number(const struct cg_admin_call *call, const char *name, uint64_t *ret_number)
{
    for (size_t i = 0; i < call->query->count; i++) {
        struct cg_str text = call->query->params[i].value;
        if (!cg_str_eq(call->query->params[i].name, cg_str_from(name)))
            continue;
        uint64_t number = 0;
        for (size_t at = 0; at < text.length; at++) {
            if (text.bytes[at] < '0' || text.bytes[at] > '9' || at >= DIGITS_MAX)
                return false;
            number = number * 10 + (uint64_t)(text.bytes[at] - '0');
        }
        *ret_number = number;
        return !cg_str_empty(text);
    }
    return true;
}

/* ---- GET /cache/history ---- */

/* [bucket, count, bucket, count …]: most buckets of most samples are empty. */
static void add_latency(struct cg_buf *out, const uint32_t buckets[CG_BUCKET_COUNT])
{
    const char *comma = "";
    cg_buf_add_text(out, ",[");
    for (unsigned i = 0; i < CG_BUCKET_COUNT; i++) {
        if (buckets[i] == 0)
            continue;
        cg_buf_printf(out, "%s%u,%u", comma, i, (unsigned)buckets[i]);
        comma = ",";
    }
    cg_buf_add_char(out, ']');
}

static void add_samples(struct cg_buf *out, const struct cg_history *history, unsigned series,
                        uint64_t after)
{
    uint64_t last = cg_history_last(history, series), first = cg_history_first(history, series);
    if (after >= first)
        first = after + 1;
    cg_buf_printf(out, "{\"step_s\": %u, \"kept\": %zu, \"samples\": [",
                  (unsigned)cg_history_step_s(series), cg_history_capacity(series));
    for (uint64_t number = first; number > 0 && number <= last; number++) {
        const struct cg_history_sample *sample = cg_history_at(history, series, number);
        cg_buf_printf(out, "%s\n[%llu,%lld,%u", number == first ? "" : ",",
                      (unsigned long long)number, (long long)sample->end_ms,
                      (unsigned)sample->span_ms);
        for (unsigned i = 0; i < CG_HISTORY_COLUMNS; i++)
            cg_buf_printf(out, ",%llu", (unsigned long long)sample->counts[i]);
        for (unsigned i = 0; i < CG_HISTORY_LATENCIES; i++)
            add_latency(out, sample->latencies[i]);
        cg_buf_add_char(out, ']');
    }
    cg_buf_add_text(out, "]}");
}

static void add_columns(struct cg_buf *out)
{
    cg_buf_add_text(out, "\"columns\": [\"number\", \"end_ms\", \"span_ms\"");
    for (unsigned i = 0; i < CG_HISTORY_COLUMNS; i++)
        cg_buf_printf(out, ", \"%s\"", cg_history_column_name((enum cg_history_column)i));
    for (unsigned i = 0; i < CG_HISTORY_LATENCIES; i++)
        cg_buf_printf(out, ", \"%s\"", cg_history_latency_name((enum cg_history_latency)i));
    cg_buf_add_text(out, "],\n\"bounds_us\": [");
    for (unsigned i = 0; i < CG_BOUND_COUNT; i++)
        cg_buf_printf(out, "%s%llu", i == 0 ? "" : ", ", (unsigned long long)cg_bounds_us[i]);
    cg_buf_add_text(out, "],\n");
}

/* A row a sample, without the names of its columns at each: there are a thousand of them. */
void cg_admin_history(const struct cg_admin_call *call)
{
    const struct cg_admin *admin = call->admin;
    uint64_t step_s = 0, after = 0;
    bool found = false,
         understood = read_number(call, "step", &step_s) && read_number(call, "after", &after);
    for (unsigned i = 0; i < CG_HISTORY_SERIES; i++)
        found = found || step_s == 0 || cg_history_step_s(i) == step_s;
    if (!understood || !found) {
        cg_admin_answer_error(call->request, 400, CG_STR("there is no such history"),
                              CG_STR("ask for ?step=1 or ?step=30, and &after= a sample's number"));
        return;
    }
    struct cg_buf out;
    cg_buf_init(&out, SIZE_MAX / 2);
    cg_buf_printf(&out, "{\"started_ms\": %lld, \"uptime_ms\": %lld,\n",
                  (long long)admin->started_wall_ms,
                  (long long)(cg_clock_monotonic_ms() - admin->started_ms));
    add_columns(&out);
    cg_buf_add_text(&out, "\"series\": [");
    bool first = true;
    for (unsigned i = 0; i < CG_HISTORY_SERIES; i++) {
        if (step_s != 0 && cg_history_step_s(i) != step_s)
            continue;
        cg_buf_add_text(&out, first ? "" : ",\n");
        add_samples(&out, admin->history, i, after);
        first = false;
    }
    cg_buf_add_text(&out, "]}\n");
    cg_admin_answer_text(call->request, 200, "application/json", cg_buf_str(&out));
    cg_buf_fini(&out);
}

/* ---- GET /cache/purges ---- */

static json_t *describe_purge(const struct cg_recent_purge *purge)
{
    json_t *object = json_object();
    json_object_set_new(object, "number", json_integer((json_int_t)purge->number));
    json_object_set_new(object, "time", cg_admin_json_time(purge->at_ms));
    json_object_set_new(object, "cause", json_string(purge->cause));
    json_object_set_new(object, "route", cg_admin_json_name(cg_str_from(purge->route)));
    json_object_set_new(object, "patterns", cg_admin_json_name(cg_str_from(purge->shape)));
    json_object_set_new(object, "purged", json_integer((json_int_t)purge->instances));
    json_object_set_new(object, "banned", json_integer((json_int_t)purge->open));
    json_object_set_new(object, "widened", json_boolean(purge->widened));
    return object;
}

void cg_admin_purges(const struct cg_admin_call *call)
{
    uint64_t after = 0;
    if (!read_number(call, "after", &after)) {
        cg_admin_answer_error(call->request, 400, CG_STR("`after` must be a purge's number"),
                              CG_STR("leave it out to get all that are kept"));
        return;
    }
    struct cg_recent_purge *purges = calloc(CG_RECENT_PURGES_MAX, sizeof *purges);
    if (purges == NULL)
        abort();
    size_t count = cg_recent_read(cg_recent_process(), after, purges, CG_RECENT_PURGES_MAX);
    json_t *object = json_object();
    json_object_set_new(object, "total",
                        json_integer((json_int_t)cg_recent_count(cg_recent_process())));
    json_object_set_new(object, "kept", json_integer(CG_RECENT_PURGES_MAX));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, describe_purge(&purges[i]));
    json_object_set_new(object, "purges", list);
    free(purges);
    cg_admin_answer(call->request, 200, object);
}

/* ---- GET /cache/groups ---- */

void cg_admin_groups(const struct cg_admin_call *call)
{
    const struct cg_ruleset *ruleset = call->admin->settings->ruleset;
    json_t *object = json_object(), *groups = json_array();
    for (size_t i = 0; i < ruleset->group_count; i++) {
        const struct cg_group *group = &ruleset->groups[i];
        json_t *one = json_object(), *params = json_array();
        for (size_t at = 0; at < group->param_count; at++)
            json_array_append_new(params, cg_admin_json_name(group->params[at]));
        json_object_set_new(one, "name", cg_admin_json_name(group->name));
        json_object_set_new(one, "placeholders", params);
        json_array_append_new(groups, one);
    }
    json_object_set_new(object, "groups", groups);
    cg_admin_answer(call->request, 200, object);
}
