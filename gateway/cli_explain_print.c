#include "gateway/cli_explain.h"

#include "cachegate/assert.h"

#include <stdio.h>

/* ---- lines ---- */

enum { COLUMN = 15 };

/* Starts a line: a name, or blanks where it is the same as above. */
static void begin(struct cg_buf *out, const char *name)
{
    cg_buf_printf(out, "%-*s", COLUMN, name);
}

static void add_line(struct cg_buf *out, const char *name, struct cg_str text)
{
    begin(out, name);
    cg_buf_add_str(out, text);
    cg_buf_add_char(out, '\n');
}

static void add_duration(struct cg_buf *out, uint64_t ms)
{
    static const struct {
        uint64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (i < 4 && (ms == 0 ? i < 3 : ms % units[i].ms != 0))
        i++;
    cg_buf_printf(out, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].name);
}

/* ---- what every request has ---- */

static void print_route(const struct cg_plan *plan, struct cg_buf *out)
{
    if (plan->route == NULL) {
        add_line(out, "rule", CG_STR("none matches"));
        return;
    }
    begin(out, "rule");
    cg_buf_add_str(out, plan->route->name);
    if (plan->route->where != NULL && plan->route->where->file != NULL)
        cg_buf_printf(out, " (%s:%u)", plan->route->where->file, plan->route->where->line);
    cg_buf_add_char(out, '\n');
}

static const char *kind_text(enum cg_plan_kind kind)
{
    switch (kind) {
    case CG_PLAN_LOOKUP:
        return "look up; on a miss forward, and store what the answer allows";
    case CG_PLAN_PASS:
        return "pass: forward, store nothing";
    case CG_PLAN_WRITE:
        return "write: forward, and purge before the answer is passed on";
    case CG_PLAN_REFUSE:
        return "refuse";
    }
    CG_UNREACHABLE();
}

static void print_decision(const struct cg_plan *plan, struct cg_buf *out)
{
    begin(out, "decision");
    cg_buf_add_text(out, kind_text(plan->kind));
    if (plan->kind == CG_PLAN_REFUSE)
        cg_buf_printf(out, " with %u", plan->refuse_status);
    cg_buf_add_char(out, '\n');
    if (plan->kind == CG_PLAN_LOOKUP)
        return;
    begin(out, "because");
    cg_buf_printf(out, "%s: %s", cg_reason_word(plan->reason), cg_reason_sentence(plan->reason));
    if (!cg_str_empty(plan->detail))
        cg_buf_printf(out, " (%.*s)", CG_STR_ARG(plan->detail));
    cg_buf_add_char(out, '\n');
}

static void print_upstream(const struct cg_settings *settings, const struct cg_plan *plan,
                           const struct cg_request_facts *facts, struct cg_buf *out)
{
    if (plan->kind == CG_PLAN_REFUSE)
        return;
    begin(out, "forwarded as");
    cg_buf_printf(out, "%.*s %s%.*s to %s\n", CG_STR_ARG(facts->method),
                  settings->upstreams[plan->upstream].path_prefix, CG_STR_ARG(plan->target),
                  settings->upstreams[plan->upstream].name);
}

/* ---- reads ---- */

static void add_sources(const struct cg_ruleset *ruleset, struct cg_buf *out)
{
    for (size_t i = 0; i < ruleset->identity.source_count; i++) {
        const struct cg_identity_source *source = &ruleset->identity.sources[i];
        cg_buf_printf(out, "%s%s %.*s", i == 0 ? "" : ", ",
                      source->kind == CG_IDENTITY_HEADER ? "header" : "cookie",
                      CG_STR_ARG(source->field));
    }
}

static void print_scope(const struct cg_ruleset *ruleset, const struct cg_plan *plan,
                        struct cg_buf *out)
{
    static const char *const sources[] = {
        [CG_PART_HEADER] = "header", [CG_PART_COOKIE] = "cookie", [CG_PART_QUERY] = "query"};
    begin(out, "scope");
    cg_buf_add_text(out, plan->route->scope_user ? "user: by " : "shared: one copy for everyone");
    if (plan->route->scope_user) {
        add_sources(ruleset, out);
        cg_buf_add_text(out, plan->identity.present ? " (sent)"
                                                    : " (not sent: the anonymous partition)");
    }
    cg_buf_add_char(out, '\n');
    for (size_t i = 0; i < plan->route->scope_part_count; i++) {
        const struct cg_scope_part *part = &plan->route->scope_parts[i];
        begin(out, "");
        cg_buf_printf(out, "%.*s: by %s %.*s\n", CG_STR_ARG(part->name), sources[part->source],
                      CG_STR_ARG(part->field));
    }
    if (!plan->route->scope_user && plan->credentialed &&
        (plan->route->overrides & CG_OVERRIDE_AUTHORIZATION) == 0)
        add_line(out, "",
                 CG_STR("the request has a credential: stored only if the origin says public or "
                        "s-maxage"));
}

static void print_names(const char *what, const struct cg_names *names, struct cg_buf *out)
{
    for (size_t i = 0; i < names->count; i++) {
        begin(out, "");
        cg_buf_printf(out, "%s %.*s\n", what, CG_STR_ARG(names->items[i]));
    }
}

static void print_key(const struct cg_plan *plan, const struct cg_request_facts *facts,
                      struct cg_buf *out)
{
    struct cg_str path, query;
    bool has_query;
    cg_target_split(plan->target, &path, &query, &has_query);
    begin(out, "key");
    cg_buf_printf(out, "host %.*s\n", CG_STR_ARG(facts->authority));
    begin(out, "");
    cg_buf_printf(out, "path %.*s\n", CG_STR_ARG(path));
    if (has_query) {
        begin(out, "");
        cg_buf_printf(out, "query %.*s\n", CG_STR_ARG(query));
    }
    print_names("header", &plan->route->key_headers, out);
    print_names("cookie", &plan->route->key_cookies, out);
}

static void print_window(const char *name, bool given, uint64_t ms, struct cg_buf *out)
{
    begin(out, "");
    cg_buf_printf(out, "%s: ", name);
    if (given)
        add_duration(out, ms);
    else
        cg_buf_add_text(out, "what the origin says");
    cg_buf_add_char(out, '\n');
}

static void print_lifetime(const struct cg_route *route, struct cg_buf *out)
{
    begin(out, "lifetime");
    if (route->ttl_origin) {
        cg_buf_add_text(out, "what the origin says (Cache-Control, Expires)\n");
    } else {
        add_duration(out, route->ttl_ms);
        cg_buf_add_text(out, ", by the rule; the origin may still forbid to store\n");
    }
    print_window("stale while revalidating", route->has_swr, route->swr_ms, out);
    print_window("stale if the upstream fails", route->has_sie, route->sie_ms, out);
    print_window("kept to be asked about", true, route->keep_ms, out);
    if (route->ttl_origin && route->heuristic_ms > 0)
        print_window("guessed where the origin says nothing, at most", true, route->heuristic_ms,
                     out);
    begin(out, "near copies");
    cg_buf_add_text(out, route->pushed ? "pushed: used without asking, behind other gateways' "
                                         "writes by up to store.tracking_timeout\n"
                                       : "strict: used when Redis says that they are current\n");
}

/* Which directives of requests count. */
static void print_wishes(const struct cg_route *route, struct cg_buf *out)
{
    static const struct {
        enum cg_wish bit;
        const char *name;
    } names[] = {
        {CG_WISH_NO_STORE, "no-store"},   {CG_WISH_ONLY_IF_CACHED, "only-if-cached"},
        {CG_WISH_NO_CACHE, "no-cache"},   {CG_WISH_PRAGMA, "pragma"},
        {CG_WISH_MAX_AGE, "max-age"},     {CG_WISH_MIN_FRESH, "min-fresh"},
        {CG_WISH_MAX_STALE, "max-stale"},
    };
    const char *separator = "";
    begin(out, "honoured");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((route->wishes & (unsigned)names[i].bit) != 0) {
            cg_buf_printf(out, "%s%s", separator, names[i].name);
            separator = ", ";
        }
    cg_buf_add_text(out, route->wishes == 0 ? "nothing that clients ask of caches\n"
                                            : ", where clients ask for it\n");
}

static void print_lookup(const struct cg_settings *settings, const struct cg_plan *plan,
                         const struct cg_request_facts *facts, struct cg_buf *out)
{
    print_scope(settings->ruleset, plan, out);
    print_key(plan, facts, out);
    print_lifetime(plan->route, out);
    print_wishes(plan->route, out);
    for (size_t i = 0; i < plan->instance_count; i++)
        add_line(out, i == 0 ? "purged by" : "", plan->instance_names[i]);
    if (plan->route->groups != CG_GROUPS_IGNORE)
        add_line(
            out, "",
            CG_STR("groups that the answer names in Cache-Groups, Surrogate-Key or Cache-Tag"));
    add_line(out, "", CG_STR("open purges that match it, and flushes"));
}

/* ---- writes ---- */

static void print_set(const char *name, const struct cg_purge_set *set, struct cg_buf *out)
{
    if (set->instance_count == 0 && set->ban_count == 0)
        add_line(out, name, CG_STR("nothing"));
    for (size_t i = 0; i < set->instance_count; i++)
        add_line(out, i == 0 ? name : "", set->names[i]);
    for (size_t i = 0; i < set->ban_count; i++) {
        bool all = cg_str_empty(set->bans[i].pattern);
        begin(out, i == 0 && set->instance_count == 0 ? name : "");
        cg_buf_printf(out, "open: %.*s",
                      CG_STR_ARG(all ? CG_STR("everything") : set->bans[i].pattern));
        if (!cg_str_empty(set->bans[i].user))
            cg_buf_printf(out, " of user %.*s", CG_STR_ARG(set->bans[i].user));
        cg_buf_add_char(out, '\n');
    }
    if (set->widened > 0) {
        begin(out, "");
        cg_buf_printf(out, "widened: %.*s\n", CG_STR_ARG(set->widened_detail));
    }
}

static void print_write(const struct cg_settings *settings, const struct cg_plan *plan,
                        const struct cg_explain_question *question, struct cg_arena *arena,
                        struct cg_buf *out)
{
    struct cg_purge_limits limits = {
        .json_body_max = settings->limits.json_body_max,
        .json_depth_max = settings->limits.json_depth_max,
        .instances_max = settings->limits.purge_instances_max,
    };
    struct cg_purge_set before = {0}, after = {0};
    cg_purge_before(settings->ruleset, plan, &question->facts, &limits, true, arena, &before);
    cg_purge_after(settings->ruleset, plan, &question->facts, &question->answer, &limits, true,
                   arena, &after);
    print_set("kept busy", &before, out);
    char name[32];
    snprintf(name, sizeof name, "purged at %u", question->answer.status);
    print_set(name, &after, out);
    if (!cg_purge_applies(&question->answer))
        add_line(out, "", CG_STR("an answer of this status purges nothing"));
    else if (cg_purge_needs_answer_body(plan) && !question->answer_has_body)
        add_line(out, "",
                 CG_STR("the rule reads the answer's body: give one with --response-body"));
    if (plan->route != NULL && plan->route->needs_request_body && !question->facts.has_body)
        add_line(out, "",
                 CG_STR("the rule reads the request's body: give one with --request-body"));
}

void cg_explain_print(const struct cg_settings *settings,
                      const struct cg_explain_question *question, struct cg_arena *arena,
                      struct cg_buf *out)
{
    const struct cg_request_facts *facts = &question->facts;
    struct cg_plan *plan = CG_ARENA_NEW(arena, struct cg_plan);
    cg_plan_make(settings->ruleset, facts, true, arena, plan);
    begin(out, "request");
    cg_buf_printf(out, "%.*s %.*s\n", CG_STR_ARG(facts->method), CG_STR_ARG(facts->target));
    print_route(plan, out);
    print_decision(plan, out);
    print_upstream(settings, plan, facts, out);
    switch (plan->kind) {
    case CG_PLAN_LOOKUP:
        print_lookup(settings, plan, facts, out);
        break;
    case CG_PLAN_WRITE:
        print_write(settings, plan, question, arena, out);
        break;
    case CG_PLAN_PASS:
    case CG_PLAN_REFUSE:
        break;
    }
}
