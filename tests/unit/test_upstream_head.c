#include "gateway/upstream/request_head.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct row {
    const char *name;
    const char *method;
    const char *target;
    const char *client_host;
    const char *prefix;
    bool rewrite_host;
    struct cg_field fields[2];
    const char *body; /* NULL: none */
    const char *head; /* NULL: refused */
};

#define F(name, value)                                                                             \
    {                                                                                              \
        CG_STR(name), CG_STR(value)                                                                \
    }
#define REFUSED .head = NULL
#define GET     .method = "GET", .target = "/a", .client_host = "x.example"

static struct cg_upstream_settings settings_of(const struct row *row)
{
    static char authority[] = "up.example:81";
    static char prefix[64];
    snprintf(prefix, sizeof(prefix), "%s", row->prefix == NULL ? "" : row->prefix);
    return (struct cg_upstream_settings){
        .authority = authority, .path_prefix = prefix, .preserve_host = !row->rewrite_host};
}

static void run(const struct row *row)
{
    struct cg_upstream_settings settings = settings_of(row);
    struct cg_fields fields = {.items = (struct cg_field *)row->fields};
    while (fields.count < 2 && row->fields[fields.count].name.bytes != NULL)
        fields.count++;
    struct cg_origin_request request = {
        .method = cg_str_from(row->method),
        .target = cg_str_from(row->target),
        .authority = cg_str_from(row->client_host),
        .fields = &fields,
        .body = cg_str_from(row->body),
        .has_body = row->body != NULL,
    };
    struct cg_buf out;
    cg_buf_init(&out, CG_REQUEST_HEAD_BYTES_MAX);
    bool printed = cg_request_head_print(&out, &settings, &request);
    cr_expect_eq(printed, row->head != NULL, "%s: printed %d", row->name, printed);
    if (printed && row->head != NULL)
        cr_expect(cg_str_eq(cg_buf_str(&out), cg_str_from(row->head)), "%s: %.*s", row->name,
                  CG_STR_ARG(cg_buf_str(&out)));
    cg_buf_fini(&out);
}

Test(upstream_head, head_holds_what_the_request_and_the_settings_say)
{
    static const struct row rows[] = {
        {"plain", GET, .head = "GET /a HTTP/1.1\r\nhost: x.example\r\n\r\n"},
        {"upstream's host", GET, .rewrite_host = true,
         .head = "GET /a HTTP/1.1\r\nhost: up.example:81\r\n\r\n"},
        {"client without host", "GET", "/a", "",
         .head = "GET /a HTTP/1.1\r\nhost: up.example:81\r\n\r\n"},
        {"prefix", GET, .prefix = "/base",
         .head = "GET /base/a HTTP/1.1\r\nhost: x.example\r\n\r\n"},
        {"fields in order", GET, .fields = {F("b", "1"), F("a", "x y\t\xe9")},
         .head = "GET /a HTTP/1.1\r\nhost: x.example\r\nb: 1\r\na: x y\t\xe9\r\n\r\n"},
        {"body", "POST", "/a?q", "x", .body = "hello",
         .head = "POST /a?q HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"},
        {"empty body", "POST", "/", "x", .body = "",
         .head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"},
        {"asterisk", "OPTIONS", "*", "x", .prefix = "/base",
         .head = "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run(&rows[i]);
}

Test(upstream_head, what_could_become_a_second_request_is_refused)
{
    static const struct row rows[] = {
        {"method", "GET /x HTTP/1.1\r\n", "/a", "x", REFUSED},
        {"no method", "", "/a", "x", REFUSED},
        {"target with space", "GET", "/a b", "x", REFUSED},
        {"target with CR LF", "GET", "/a\r\nx: y", "x", REFUSED},
        {"target with DEL", "GET", "/a\x7f", "x", REFUSED},
        {"no target", "GET", "", "x", REFUSED},
        {"absolute target", "GET", "http://x/", "x", REFUSED},
        {"asterisk of GET", "GET", "*", "x", REFUSED},
        {"host with LF", "GET", "/", "x\nb: c", REFUSED},
        {"prefix with space", GET, .prefix = "/ba se", REFUSED},
        {"field name with colon", GET, .fields = {F("a:b", "c")}, REFUSED},
        {"no field name", GET, .fields = {F("", "c")}, REFUSED},
        {"field value with CR", GET, .fields = {F("a", "b\rc")}, REFUSED},
        {"field value with LF", GET, .fields = {F("a", "b\nc")}, REFUSED},
        {"field value with NUL", GET, .fields = {F("ok", "1"), F("a", "b\0c")}, REFUSED},
        {"second host", GET, .fields = {F("host", "y")}, REFUSED},
        {"second framing", GET, .fields = {F("Content-Length", "3")}, REFUSED},
        {"coding", GET, .fields = {F("transfer-encoding", "chunked")}, REFUSED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run(&rows[i]);
}

Test(upstream_head, head_beyond_the_ceiling_is_refused)
{
    static char value[CG_REQUEST_HEAD_BYTES_MAX];
    memset(value, 'x', sizeof(value));
    struct row row = {"large", GET, .fields = {{CG_STR("a"), {value, sizeof(value)}}}};
    run(&row);
}
