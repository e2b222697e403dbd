#include "gateway/admin/parts.h"

#include "cachegate/assert.h"

#include <stdlib.h>
#include <time.h>

static const char *reason_phrase(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 202:
        return "Accepted";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 422:
        return "Unprocessable Content";
    case 501:
        return "Not Implemented";
    default:
        return "Service Unavailable";
    }
}

/* `name` is static. */
static void add_field(h2o_req_t *request, const char *name, struct cg_str value)
{
    h2o_iovec_t copy = h2o_strdup(&request->pool, value.bytes, value.length);
    h2o_add_header_by_str(&request->pool, &request->res.headers, name, strlen(name), 1, NULL,
                          copy.base, copy.len);
}

void cg_admin_answer_text(h2o_req_t *request, unsigned status, const char *type, struct cg_str body)
{
    static h2o_generator_t generator = {NULL, NULL};
    bool head =
        h2o_memis(request->input.method.base, request->input.method.len, H2O_STRLIT("HEAD"));
    h2o_iovec_t copy = h2o_strdup(&request->pool, body.bytes, body.length);
    request->res.status = (int)status;
    request->res.reason = reason_phrase(status);
    request->res.content_length = body.length;
    request->http1_is_persistent = 0; /* one answer a connection: nothing is idle at the end */
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type,
                   strlen(type));
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   H2O_STRLIT("no-store"));
    add_field(request, "x-content-type-options", CG_STR("nosniff"));
    h2o_start_response(request, &generator);
    h2o_send(request, &copy, head || body.length == 0 ? 0 : 1, H2O_SEND_STATE_FINAL);
}

void cg_admin_answer_page(h2o_req_t *request, const struct cg_page *page)
{
    add_field(request, "vary", CG_STR("accept"));
    add_field(request, "content-security-policy", cg_buf_str(&page->policy));
    add_field(request, "referrer-policy", CG_STR("no-referrer"));
    add_field(request, "x-frame-options", CG_STR("DENY"));
    add_field(request, "cross-origin-opener-policy", CG_STR("same-origin"));
    add_field(request, "cross-origin-resource-policy", CG_STR("same-origin"));
    cg_admin_answer_text(request, 200, "text/html; charset=utf-8", cg_buf_str(&page->html));
}

void cg_admin_answer(h2o_req_t *request, unsigned status, json_t *object)
{
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    CG_ASSERT(text != NULL);
    struct cg_buf body;
    cg_buf_init(&body, SIZE_MAX / 2);
    cg_buf_add_text(&body, text);
    cg_buf_add_char(&body, '\n');
    cg_admin_answer_text(request, status, "application/json", cg_buf_str(&body));
    cg_buf_fini(&body);
    free(text);
    json_decref(object);
}

void cg_admin_answer_error(h2o_req_t *request, unsigned status, struct cg_str error,
                           struct cg_str remedy)
{
    json_t *object = json_object();
    json_object_set_new(object, "error", cg_admin_json_text(error));
    if (!cg_str_empty(remedy))
        json_object_set_new(object, "remedy", cg_admin_json_text(remedy));
    cg_admin_answer(request, status, object);
}

json_t *cg_admin_json_text(struct cg_str text)
{
    struct cg_buf copy;
    cg_buf_init(&copy, SIZE_MAX / 2);
    for (size_t i = 0; i < text.length; i++) {
        char c = text.bytes[i];
        cg_buf_add_char(&copy, c >= ' ' && c < 0x7f ? c : '?');
    }
    json_t *json = json_stringn(copy.length == 0 ? "" : copy.bytes, copy.length);
    cg_buf_fini(&copy);
    CG_ASSERT(json != NULL);
    return json;
}

json_t *cg_admin_json_name(struct cg_str name)
{
    json_t *json = json_stringn(name.length == 0 ? "" : name.bytes, name.length);
    return json != NULL ? json : cg_admin_json_text(name);
}

json_t *cg_admin_json_time(int64_t at_ms)
{
    char text[40];
    struct tm parts;
    time_t seconds = (time_t)(at_ms / 1000);
    if (gmtime_r(&seconds, &parts) == NULL)
        return json_null();
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, sizeof text - length, ".%03uZ", (unsigned)(at_ms % 1000) % 1000);
    return json_string(text);
}
