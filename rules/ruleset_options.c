#include "rules/ruleset_build.h"

enum { SCOPE_PARTS_MAX = 16 };

/* ---- names ---- */

static bool is_header_kind(enum cg_build_name_kind kind)
{
    return kind == CG_BUILD_HEADER || kind == CG_BUILD_HEADER_GLOB ||
           kind == CG_BUILD_IDENTITY_HEADER;
}

static bool is_glob_kind(enum cg_build_name_kind kind)
{
    return kind == CG_BUILD_HEADER_GLOB || kind == CG_BUILD_COOKIE_GLOB ||
           kind == CG_BUILD_QUERY_GLOB;
}

static struct cg_str lower_copy(struct cg_build *build, struct cg_str text)
{
    return cg_hole_normalise(CG_HOLE_NOCASE, text, build->arena);
}

/* What a field of that name may not be used for, or NULL. */
static const char *header_objection(struct cg_str name, enum cg_build_name_kind kind)
{
    if (kind != CG_BUILD_HEADER_GLOB && cg_str_eq(name, CG_STR("cookie")))
        return "cookies are named one by one: say `cookie NAME`, or list them under `cookies`";
    if (kind == CG_BUILD_HEADER && (cg_str_eq(name, CG_STR("authorization")) ||
                                    cg_str_eq(name, CG_STR("proxy-authorization"))))
        return "a credential would stand readable in the store; name it under `identity`";
    return NULL;
}

bool cg_build_name(struct cg_build *build, const struct cg_node *node, struct cg_str text,
                   enum cg_build_name_kind kind, struct cg_str *ret_name)
{
    if (text.length == 0 || text.length > CG_BUILD_NAME_BYTES_MAX) {
        CG_BUILD_ERROR(build, node, "expected a name of 1 to %d bytes",
                       (int)CG_BUILD_NAME_BYTES_MAX);
        return false;
    }
    if (is_header_kind(kind) && !cg_is_token(text)) {
        CG_BUILD_ERROR(build, node, "`%.*s` is no field name", CG_STR_SHOWN(text));
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        char c = text.bytes[i];
        bool refused = (unsigned char)c < ' ' || c == 0x7f || (c == '*' && !is_glob_kind(kind)) ||
                       ((c == ';' || c == '=' || c == ' ') &&
                        (kind == CG_BUILD_COOKIE || kind == CG_BUILD_COOKIE_GLOB));
        if (!refused)
            continue;
        CG_BUILD_ERROR(build, node, "`%.*s`: a name cannot have `%c` here%s", CG_STR_SHOWN(text), c,
                       c == '*' ? "; list the names one by one" : "");
        return false;
    }
    *ret_name = is_header_kind(kind) ? lower_copy(build, text) : cg_arena_copy(build->arena, text);
    const char *objection = is_header_kind(kind) ? header_objection(*ret_name, kind) : NULL;
    if (objection != NULL)
        CG_BUILD_ERROR(build, node, "`%.*s`: %s", CG_STR_SHOWN(text), objection);
    return objection == NULL;
}

void cg_build_names(struct cg_build *build, const struct cg_node *node,
                    enum cg_build_name_kind kind, struct cg_names *ret_names)
{
    *ret_names = (struct cg_names){0};
    bool single = node->kind == CG_NODE_SCALAR;
    if (!single && !cg_node_expect(node, CG_NODE_LIST, build->problems))
        return;
    size_t count = single ? 1 : node->count;
    if (count > CG_BUILD_LIST_MAX) {
        CG_BUILD_ERROR(build, node, "more than %d names", (int)CG_BUILD_LIST_MAX);
        return;
    }
    ret_names->items = CG_ARENA_ARRAY(build->arena, struct cg_str, count);
    for (size_t i = 0; i < count; i++) {
        const struct cg_node *item = single ? node : node->items[i];
        struct cg_str name;
        if (cg_node_expect(item, CG_NODE_SCALAR, build->problems) &&
            cg_build_name(build, item, item->text, kind, &name))
            ret_names->items[ret_names->count++] = name;
    }
}

/* ---- lifetimes ---- */

static void read_ttl(struct cg_build *build, const struct cg_node *node, struct cg_draft *draft)
{
    draft->has_ttl = true; /* even a wrong one: one complaint is enough */
    draft->route.ttl_origin =
        node->kind == CG_NODE_SCALAR && cg_str_eq(node->text, CG_STR("origin"));
    draft->route.ttl_ms = 0;
    if (draft->route.ttl_origin)
        return;
    if (node->kind == CG_NODE_SCALAR &&
        !cg_node_duration_ms(node, UINT64_MAX, NULL, &draft->route.ttl_ms)) {
        CG_BUILD_ERROR(build, node, "`%.*s` is no lifetime; expected 30s, 5m, 1h, 1d or origin",
                       CG_STR_SHOWN(node->text));
        return;
    }
    if (cg_node_duration_ms(node, cg_build_ttl_max_ms, build->problems, &draft->route.ttl_ms) &&
        draft->route.ttl_ms == 0)
        CG_BUILD_WARNING(build, node,
                         "with a lifetime of 0 no answer is ever fresh; `cache: never` says so "
                         "and costs less");
}

static void read_window(struct cg_build *build, const struct cg_node *map, const char *name,
                        bool *has, uint64_t *window_ms)
{
    const struct cg_node *node = cg_node_get(map, name);
    if (node != NULL)
        *has = cg_node_duration_ms(node, cg_build_ttl_max_ms, build->problems, window_ms);
}

bool cg_build_cache_mode(struct cg_build *build, const struct cg_node *node,
                         enum cg_cache_mode *ret_mode)
{
    static const char *const names[] = {"never", "yes", "on", "off"};
    bool on;
    if (node->kind == CG_NODE_SCALAR && cg_str_eq(node->text, CG_STR("never"))) {
        *ret_mode = CG_CACHE_NEVER;
        return true;
    }
    if (cg_node_bool(node, NULL, &on)) {
        *ret_mode = on ? CG_CACHE_YES : CG_CACHE_NEVER;
        return true;
    }
    size_t index;
    if (!cg_node_choice(node, names, sizeof names / sizeof *names, build->problems, &index))
        return false;
    /* Quoted, and meant: there is no text it could be mistaken for. */
    *ret_mode = index == 0 || index == 3 ? CG_CACHE_NEVER : CG_CACHE_YES;
    return true;
}

/* ---- scope ---- */

static const char scope_help[] =
    "expected user, shared, or a list such as [user, {tenant: header X-Tenant}]";

/* `{tenant: header X-Tenant}` */
static void read_scope_part(struct cg_build *build, const struct cg_node *node,
                            struct cg_route *route)
{
    static const char *const sources[] = {"header", "cookie", "query"};
    static const enum cg_part_source source_of[] = {CG_PART_HEADER, CG_PART_COOKIE, CG_PART_QUERY};
    static const enum cg_build_name_kind kind_of[] = {CG_BUILD_HEADER, CG_BUILD_COOKIE,
                                                      CG_BUILD_QUERY};
    if (node->count != 1 || node->items[0]->kind != CG_NODE_SCALAR) {
        CG_BUILD_ERROR(build, node,
                       "a part of the scope is one entry such as tenant: header "
                       "X-Tenant");
        return;
    }
    struct cg_str name = node->keys[0]->text;
    const struct cg_node *value = node->items[0];
    size_t space = cg_str_find(value->text, ' ');
    struct cg_node word = *value;
    word.text = cg_str_sub(value->text, 0, space);
    for (size_t i = 0; i < route->scope_part_count; i++)
        if (cg_str_eq(route->scope_parts[i].name, name)) {
            CG_BUILD_ERROR(build, node, "the part `%.*s` is given twice", CG_STR_SHOWN(name));
            return;
        }
    size_t index;
    struct cg_scope_part *part = &route->scope_parts[route->scope_part_count];
    if (!cg_node_choice(&word, sources, sizeof sources / sizeof *sources, build->problems, &index))
        return;
    part->source = source_of[index];
    part->name = cg_arena_copy(build->arena, name);
    if (cg_build_name(build, value, cg_str_trim(cg_str_skip(value->text, space)), kind_of[index],
                      &part->field))
        route->scope_part_count++;
}

static void read_scope_list(struct cg_build *build, const struct cg_node *node,
                            struct cg_route *route)
{
    bool user = false, shared = false;
    if (node->count == 0 || node->count > SCOPE_PARTS_MAX) {
        CG_BUILD_ERROR(build, node, "a scope has 1 to %d parts; %s", (int)SCOPE_PARTS_MAX,
                       scope_help);
        return;
    }
    route->scope_parts = CG_ARENA_ARRAY(build->arena, struct cg_scope_part, node->count);
    for (size_t i = 0; i < node->count; i++) {
        const struct cg_node *item = node->items[i];
        if (item->kind == CG_NODE_MAP)
            read_scope_part(build, item, route);
        else if (item->kind == CG_NODE_SCALAR && cg_str_eq(item->text, CG_STR("user")))
            user = true;
        else if (item->kind == CG_NODE_SCALAR && cg_str_eq(item->text, CG_STR("shared")))
            shared = true;
        else
            CG_BUILD_ERROR(build, item,
                           "no part of a scope; expected user, shared, or an entry "
                           "such as {tenant: header X-Tenant}");
    }
    if (user && shared)
        CG_BUILD_ERROR(build, node, "`shared` replaces the user, so it cannot stand beside `user`");
    route->scope_user = !shared;
}

static void read_scope(struct cg_build *build, const struct cg_node *node, struct cg_route *route)
{
    static const char *const names[] = {"user", "shared"};
    size_t index = 0;
    route->scope_user = true;
    route->scope_parts = NULL;
    route->scope_part_count = 0;
    if (node->kind == CG_NODE_LIST)
        read_scope_list(build, node, route);
    else if (node->kind == CG_NODE_SCALAR &&
             cg_node_choice(node, names, sizeof names / sizeof *names, NULL, &index))
        route->scope_user = index == 0;
    else if (node->kind == CG_NODE_SCALAR && cg_nearest_name(node->text, names, 2) != NULL)
        (void)cg_node_choice(node, names, sizeof names / sizeof *names, build->problems, &index);
    else
        CG_BUILD_ERROR(build, node, "no scope; %s", scope_help);
}

/* ---- key ---- */

static void read_sort(struct cg_build *build, const struct cg_node *map, struct cg_route *route)
{
    const struct cg_node *sort = cg_node_get(map, "sort");
    if (sort != NULL)
        (void)cg_node_bool(sort, build->problems, &route->query_sorted);
}

static void read_key_query(struct cg_build *build, const struct cg_node *node,
                           struct cg_route *route)
{
    static const char *const keys[] = {"only", "ignore", "sort"};
    if (!cg_node_expect(node, CG_NODE_MAP, build->problems) ||
        !cg_node_known_keys(node, keys, sizeof keys / sizeof *keys, build->problems))
        return;
    const struct cg_node *only = cg_node_get(node, "only");
    const struct cg_node *ignore = cg_node_get(node, "ignore");
    if (only != NULL && ignore != NULL) {
        CG_BUILD_ERROR(build, node, "`only` and `ignore` exclude each other");
        return;
    }
    if (only != NULL) {
        route->query_mode = CG_QUERY_ONLY;
        cg_build_names(build, only, CG_BUILD_QUERY_GLOB, &route->query_names);
    }
    if (ignore != NULL) {
        route->query_mode = CG_QUERY_IGNORE;
        cg_build_names(build, ignore, CG_BUILD_QUERY_GLOB, &route->query_names);
    }
    read_sort(build, node, route);
}

static void read_key(struct cg_build *build, const struct cg_node *node, struct cg_route *route)
{
    static const char *const keys[] = {"query", "headers", "cookies", "sort"};
    route->query_mode = CG_QUERY_ALL;
    route->query_names = route->key_headers = route->key_cookies = (struct cg_names){0};
    route->query_sorted = true;
    if (!cg_node_expect(node, CG_NODE_MAP, build->problems))
        return;
    (void)cg_node_known_keys(node, keys, sizeof keys / sizeof *keys, build->problems);
    const struct cg_node *query = cg_node_get(node, "query");
    const struct cg_node *headers = cg_node_get(node, "headers");
    const struct cg_node *cookies = cg_node_get(node, "cookies");
    read_sort(build, node, route);
    if (query != NULL)
        read_key_query(build, query, route);
    if (headers != NULL)
        cg_build_names(build, headers, CG_BUILD_HEADER, &route->key_headers);
    if (cookies != NULL)
        cg_build_names(build, cookies, CG_BUILD_COOKIE, &route->key_cookies);
}

static bool identity_names(const struct cg_build *build, struct cg_str header)
{
    const struct cg_identity_rules *identity = &build->ruleset->identity;
    for (size_t i = 0; i < identity->source_count; i++)
        if (identity->sources[i].kind == CG_IDENTITY_HEADER &&
            cg_str_eq(identity->sources[i].field, header))
            return true;
    return false;
}

static void read_inert(struct cg_build *build, const struct cg_node *node, struct cg_route *route)
{
    static const char *const keys[] = {"headers", "cookies"};
    route->inert_headers = route->inert_cookies = (struct cg_names){0};
    if (!cg_node_expect(node, CG_NODE_MAP, build->problems))
        return;
    (void)cg_node_known_keys(node, keys, sizeof keys / sizeof *keys, build->problems);
    const struct cg_node *headers = cg_node_get(node, "headers");
    const struct cg_node *cookies = cg_node_get(node, "cookies");
    if (headers != NULL)
        cg_build_names(build, headers, CG_BUILD_HEADER_GLOB, &route->inert_headers);
    if (cookies != NULL)
        cg_build_names(build, cookies, CG_BUILD_COOKIE_GLOB, &route->inert_cookies);
    for (size_t i = 0; i < route->inert_headers.count; i++)
        if (cg_str_glob(route->inert_headers.items[i], CG_STR("authorization")) &&
            !identity_names(build, CG_STR("authorization")))
            CG_BUILD_WARNING(build, headers,
                             "`%.*s` declares Authorization inert: requests that differ in it "
                             "share answers",
                             CG_STR_SHOWN(route->inert_headers.items[i]));
}

/* ---- the rest ---- */

static void read_upstream(struct cg_build *build, const struct cg_node *node,
                          struct cg_route *route)
{
    size_t index;
    if (build->options->upstream_count == 0)
        CG_BUILD_ERROR(build, node, "no upstream is configured under a name");
    else if (cg_node_choice(node, build->options->upstream_names, build->options->upstream_count,
                            build->problems, &index))
        route->upstream = (unsigned)index;
}

void cg_build_overrides(struct cg_build *build, const struct cg_node *node, struct cg_route *route)
{
    static const char *const names[] = {"no-store",   "private", "no-cache",
                                        "set-cookie", "vary",    "authorization"};
    static const unsigned bits[] = {CG_OVERRIDE_NO_STORE, CG_OVERRIDE_PRIVATE,
                                    CG_OVERRIDE_NO_CACHE, CG_OVERRIDE_SET_COOKIE,
                                    CG_OVERRIDE_VARY,     CG_OVERRIDE_AUTHORIZATION};
    bool single = node->kind == CG_NODE_SCALAR;
    if (!single && !cg_node_expect(node, CG_NODE_LIST, build->problems))
        return;
    for (size_t i = 0; i < (single ? 1 : node->count); i++) {
        size_t index;
        if (cg_node_choice(single ? node : node->items[i], names, sizeof names / sizeof *names,
                           build->problems, &index))
            route->overrides |= bits[index];
    }
}

static void read_wishes(struct cg_build *build, const struct cg_node *node, struct cg_route *route)
{
    static const char *const names[] = {"no-store", "only-if-cached", "no-cache", "pragma",
                                        "max-age",  "min-fresh",      "max-stale"};
    const unsigned all = (1u << sizeof names / sizeof *names) - 1;
    bool single = node->kind == CG_NODE_SCALAR;
    route->wishes = 0;
    if (single && cg_str_eq(node->text, CG_STR("none")))
        return;
    if (single && cg_str_eq(node->text, CG_STR("all"))) {
        route->wishes = all;
        return;
    }
    if (!single && !cg_node_expect(node, CG_NODE_LIST, build->problems))
        return;
    for (size_t i = 0; i < (single ? 1 : node->count); i++) {
        size_t index; /* the place in the table is the place of the bit */
        if (cg_node_choice(single ? node : node->items[i], names, sizeof names / sizeof *names,
                           build->problems, &index))
            route->wishes |= 1u << index;
    }
}

/* "off", or a number like 0.5; two decimals count. */
static void read_early_refresh(struct cg_build *build, const struct cg_node *node,
                               struct cg_route *route)
{
    struct cg_str rest, whole;
    uint64_t units, hundredths = 0;
    if (!cg_node_expect(node, CG_NODE_SCALAR, build->problems))
        return;
    if (cg_str_eq(node->text, CG_STR("off"))) {
        route->early_refresh_percent = 0;
        return;
    }
    rest = node->text;
    bool good = cg_str_split(&rest, '.', &whole) && cg_str_to_u64(whole, 10, &units);
    if (good && cg_str_find(node->text, '.') < node->text.length)
        good = rest.length >= 1 && rest.length <= 2 && cg_str_to_u64(rest, 99, &hundredths);
    if (!good || units * 100 + hundredths > 1000) {
        CG_BUILD_ERROR(build, node, "expected `off` or a strength from 0 to 10, like 1 or 0.5");
        return;
    }
    route->early_refresh_percent =
        (uint32_t)(units * 100 + (rest.length == 1 ? hundredths * 10 : hundredths));
}

static void read_herd(struct cg_build *build, const struct cg_node *map, struct cg_route *route)
{
    static const char *const scopes[] = {"fleet", "thread"};
    const struct cg_node *node;
    size_t index;
    if ((node = cg_node_get(map, "coalesce")) != NULL &&
        cg_node_choice(node, scopes, sizeof scopes / sizeof *scopes, build->problems, &index))
        route->coalesces = index == 0;
    if ((node = cg_node_get(map, "hit_for_miss")) != NULL)
        (void)cg_node_duration_ms(node, CG_HIT_FOR_MISS_MAX_MS, build->problems,
                                  &route->hit_for_miss_ms);
    if ((node = cg_node_get(map, "early_refresh")) != NULL)
        read_early_refresh(build, node, route);
}

void cg_build_options(struct cg_build *build, const struct cg_node *map, struct cg_draft *draft)
{
    static const char *const forwards[] = {"all", "keyed"};
    static const char *const consistencies[] = {"strict", "pushed"};
    static const char *const groups[] = {"ignore", "keep", "remove"};
    struct cg_route *route = &draft->route;
    const struct cg_node *node;
    size_t index;
    if ((node = cg_node_get(map, "ttl")) != NULL)
        read_ttl(build, node, draft);
    read_window(build, map, "stale_while_revalidate", &route->has_swr, &route->swr_ms);
    read_window(build, map, "stale_if_error", &route->has_sie, &route->sie_ms);
    if ((node = cg_node_get(map, "keep")) != NULL)
        (void)cg_node_duration_ms(node, cg_build_ttl_max_ms, build->problems, &route->keep_ms);
    if ((node = cg_node_get(map, "heuristic")) != NULL)
        (void)cg_node_duration_ms(node, CG_ORIGIN_LIFETIME_MAX_MS, build->problems,
                                  &route->heuristic_ms);
    if ((node = cg_node_get(map, "client")) != NULL)
        read_wishes(build, node, route);
    if ((node = cg_node_get(map, "cache")) != NULL)
        (void)cg_build_cache_mode(build, node, &route->cache);
    if ((node = cg_node_get(map, "scope")) != NULL)
        read_scope(build, node, route);
    if ((node = cg_node_get(map, "key")) != NULL)
        read_key(build, node, route);
    if ((node = cg_node_get(map, "inert")) != NULL)
        read_inert(build, node, route);
    if ((node = cg_node_get(map, "forward")) != NULL &&
        cg_node_choice(node, forwards, sizeof forwards / sizeof *forwards, build->problems, &index))
        route->forward_keyed = index == 1;
    if ((node = cg_node_get(map, "consistency")) != NULL &&
        cg_node_choice(node, consistencies, sizeof consistencies / sizeof *consistencies,
                       build->problems, &index))
        route->pushed = index == 1;
    if ((node = cg_node_get(map, "groups")) != NULL &&
        cg_node_choice(node, groups, sizeof groups / sizeof *groups, build->problems, &index))
        route->groups = (enum cg_groups_mode)index;
    read_herd(build, map, route);
    if ((node = cg_node_get(map, "upstream")) != NULL)
        read_upstream(build, node, route);
}
