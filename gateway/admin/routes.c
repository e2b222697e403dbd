#include "gateway/admin/parts.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

enum { SEGMENTS_MAX = 3 };

struct endpoint {
    const char *method;                 /* GET implies HEAD */
    const char *text;                   /* as the index prints it */
    const char *segments[SEGMENTS_MAX]; /* "" stands for any one segment */
    bool guarded;                       /* needs the admin token */
    void (*answer)(const struct cg_admin_call *call);
    const char *sentence;
};

static void answer_index(const struct cg_admin_call *call);

/* The first that matches path and method answers. */
static const struct endpoint endpoints[] = {
    {"GET", "/", {NULL}, false, answer_index, "this list; for browsers the dashboard"},
    {"GET", "/cache/stats", {"cache", "stats"}, false, cg_admin_stats, "what was counted"},
    {"GET",
     "/cache/health",
     {"cache", "health"},
     false,
     cg_admin_health,
     "whether the store answers"},
    {"GET",
     "/cache/history",
     {"cache", "history"},
     false,
     cg_admin_history,
     "how the counters moved; ?step=1 or 30, &after=NUMBER"},
    {"GET",
     "/cache/purges",
     {"cache", "purges"},
     false,
     cg_admin_purges,
     "the last purges and their causes; ?after=NUMBER"},
    {"GET",
     "/cache/groups",
     {"cache", "groups"},
     false,
     cg_admin_groups,
     "the groups of the rules"},
    {"DELETE", "/cache/flush", {"cache", "flush"}, true, cg_admin_flush, "everything"},
    {"POST",
     "/cache/purge",
     {"cache", "purge"},
     true,
     cg_admin_purge,
     "a JSON body with patterns, groups, users and tags"},
    {"POST",
     "/cache/refresh",
     {"cache", "refresh"},
     true,
     cg_admin_refresh,
     "purges as above, and fetches its urls again"},
    {"DELETE",
     "/cache/user/{identity}",
     {"cache", "user", ""},
     true,
     cg_admin_purge_user,
     "all that is stored for one user"},
    {"DELETE",
     "/cache/{group}/{value}",
     {"cache", "", ""},
     true,
     cg_admin_purge_group,
     "all patterns of a group of the rules"},
    {"POST",
     "/reload",
     {"reload"},
     true,
     cg_admin_reload,
     "reads rules, secrets and certificates again"},
    {"GET", "/metrics", {"metrics"}, false, cg_admin_metrics, "for Prometheus"},
    {"GET", "/livez", {"livez"}, false, cg_admin_livez, "whether all threads are turning"},
    {"GET", "/readyz", {"readyz"}, false, cg_admin_readyz, "whether traffic is wanted"},
    {"POST",
     "/drain",
     {"drain"},
     true,
     cg_admin_drain,
     "not ready from now on; clients are told to go, and served on"},
};

enum { ENDPOINTS = sizeof endpoints / sizeof endpoints[0] };

static bool path_matches(const struct endpoint *endpoint, const struct cg_path *path)
{
    size_t count = 0;
    while (count < SEGMENTS_MAX && endpoint->segments[count] != NULL)
        count++;
    if (path->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (endpoint->segments[i][0] != '\0' &&
            !cg_str_eq(path->segments[i], cg_str_from(endpoint->segments[i])))
            return false;
    return true;
}

static bool method_matches(const struct endpoint *endpoint, struct cg_str method)
{
    return cg_str_eq(method, cg_str_from(endpoint->method)) ||
           (cg_str_eq(method, CG_STR("HEAD")) && strcmp(endpoint->method, "GET") == 0);
}

/* ---- refusals ---- */

static void refuse_path(const struct cg_admin_call *call, struct cg_str target)
{
    const char *names[ENDPOINTS];
    for (size_t i = 0; i < ENDPOINTS; i++)
        names[i] = endpoints[i].text;
    target = cg_str_sub(target, 0, cg_str_find(target, '?'));
    const char *nearest = cg_nearest_name(target, names, ENDPOINTS);
    struct cg_str remedy =
        nearest == NULL ? CG_STR("GET / lists what there is")
                        : cg_arena_printf(call->arena, "did you mean %s? GET / lists all", nearest);
    cg_admin_answer_error(call->request, 404, CG_STR("there is nothing under this path"), remedy);
}

static void refuse_method(const struct cg_admin_call *call, const struct endpoint *endpoint)
{
    struct cg_str allowed = cg_arena_printf(call->arena, "%s%s", endpoint->method,
                                            strcmp(endpoint->method, "GET") == 0 ? ", HEAD" : "");
    h2o_iovec_t value = h2o_strdup(&call->request->pool, allowed.bytes, allowed.length);
    h2o_add_header_by_str(&call->request->pool, &call->request->res.headers, H2O_STRLIT("allow"), 0,
                          NULL, value.base, value.len);
    cg_admin_answer_error(
        call->request, 405, CG_STR("this path does not take that method"),
        cg_arena_printf(call->arena, "use %s %s", endpoint->method, endpoint->text));
}

static void refuse_token(const struct cg_admin_call *call)
{
    bool configured = !cg_str_empty(call->admin->settings->admin_token);
    h2o_add_header(&call->request->pool, &call->request->res.headers, H2O_TOKEN_WWW_AUTHENTICATE,
                   NULL, H2O_STRLIT("Bearer"));
    if (configured)
        cg_admin_answer_error(call->request, 401, CG_STR("the admin token is missing or wrong"),
                              CG_STR("send Authorization: Bearer and the admin token"));
    else
        cg_admin_answer_error(
            call->request, 401, CG_STR("no admin token is configured, so nothing may be changed"),
            CG_STR("start the gateway with CACHEGATE_ADMIN_TOKEN, admin.token or admin.token_file "
                   "set, and send Authorization: Bearer and that token"));
}

/* The digests are compared, so the time taken tells neither bytes nor length of the token. */
static bool is_token(struct cg_str given, struct cg_str expected)
{
    unsigned char a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)given.bytes, given.length, a);
    SHA256((const unsigned char *)expected.bytes, expected.length, b);
    return CRYPTO_memcmp(a, b, sizeof a) == 0 && !cg_str_empty(expected);
}

static bool may_purge(const struct cg_admin_call *call)
{
    static const struct cg_str scheme = {"Bearer ", 7};
    const h2o_headers_t *headers = &call->request->headers;
    ssize_t found = h2o_find_header(headers, H2O_TOKEN_AUTHORIZATION, -1);
    if (found < 0 || h2o_find_header(headers, H2O_TOKEN_AUTHORIZATION, found) >= 0)
        return false;
    h2o_iovec_t value = headers->entries[found].value;
    struct cg_str text = cg_str_of(value.base, value.len);
    return cg_str_eq_ci(cg_str_sub(text, 0, scheme.length), scheme) &&
           is_token(cg_str_trim(cg_str_skip(text, scheme.length)),
                    call->admin->settings->admin_token);
}

/* ---- finding the endpoint ---- */

static void dispatch(const struct cg_admin_call *call, struct cg_str target)
{
    struct cg_str method =
        cg_str_of(call->request->input.method.base, call->request->input.method.len);
    const struct endpoint *other = NULL; /* same path, another method */
    for (size_t i = 0; i < ENDPOINTS; i++) {
        const struct endpoint *endpoint = &endpoints[i];
        if (!path_matches(endpoint, call->path))
            continue;
        if (method_matches(endpoint, method)) {
            if (endpoint->guarded && !may_purge(call))
                refuse_token(call);
            else
                endpoint->answer(call);
            return;
        }
        if (other == NULL)
            other = endpoint;
    }
    if (other != NULL)
        refuse_method(call, other);
    else
        refuse_path(call, target);
}

int cg_admin_on_request(h2o_handler_t *handler, h2o_req_t *request)
{
    struct cg_admin_handler *own = (struct cg_admin_handler *)(void *)handler;
    struct cg_arena arena;
    struct cg_path path;
    struct cg_query query;
    struct cg_str target = cg_str_of(request->input.path.base, request->input.path.len);
    struct cg_admin_call call = {own->admin, request, &path, &query, &arena};
    cg_arena_init(&arena, CG_ADMIN_ARENA_BYTES);
    cg_admin_follow(own->admin);
    if (cg_path_parse(target, &arena, &path, &query) != CG_PATH_OK)
        cg_admin_answer_error(request, 400, CG_STR("the path cannot be understood"),
                              CG_STR("percent-encode what is not a letter or digit"));
    else
        dispatch(&call, target);
    cg_arena_fini(&arena);
    return 0;
}

static bool is_browser(const h2o_req_t *request)
{
    ssize_t at = -1;
    while ((at = h2o_find_header(&request->headers, H2O_TOKEN_ACCEPT, at)) >= 0) {
        h2o_iovec_t value = request->headers.entries[at].value;
        if (cg_page_is_wanted(cg_str_of(value.base, value.len)))
            return true;
    }
    return false;
}

static void answer_index(const struct cg_admin_call *call)
{
    struct cg_buf body;
    if (is_browser(call->request)) {
        cg_admin_answer_page(call->request, &call->admin->page);
        return;
    }
    cg_buf_init(&body, 1 << 16);
    cg_buf_printf(&body, "cachegate %s: admin API\n\n", CACHEGATE_VERSION);
    for (size_t i = 0; i < ENDPOINTS; i++)
        cg_buf_printf(&body, "%-7s %-24s %s%s\n", endpoints[i].method, endpoints[i].text,
                      endpoints[i].sentence, endpoints[i].guarded ? " (admin token)" : "");
    cg_admin_answer_text(call->request, 200, "text/plain; charset=utf-8", cg_buf_str(&body));
    cg_buf_fini(&body);
}
