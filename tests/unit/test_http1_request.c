#include "cachegate/http1_request.h"
#include "cachegate/http1_syntax.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct row {
    const char *name;
    const char *head;
    enum cg_http1_refusal refusal;
};

static void run(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cg_http1_request_line line = {.minor = 4711};
        enum cg_http1_refusal got = cg_http1_request_check(cg_str_from(rows[i].head), &line);
        cr_expect_eq(got, rows[i].refusal, "%s: %s", rows[i].name, cg_http1_refusal_text(got));
        cr_expect_eq(line.minor == 4711, got != CG_REFUSED_NOT, "%s: result", rows[i].name);
    }
}
#define RUN(rows) run(rows, sizeof rows / sizeof rows[0])

#define GET  "GET / HTTP/1.1\r\n"
#define HOST "host: a\r\n"
#define END  "\r\n"

Test(http1_request, sound_heads_are_accepted)
{
    static const struct row rows[] = {
        {"plain", GET HOST END, CG_REFUSED_NOT},
        {"upper-case names", GET "Host: a\r\n" END, CG_REFUSED_NOT},
        {"bytes behind", GET HOST END "GET", CG_REFUSED_NOT},
        {"an empty line before", END GET HOST END, CG_REFUSED_NOT},
        {"1.0 without host", "GET / HTTP/1.0\r\n" END, CG_REFUSED_NOT},
        {"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" HOST END, CG_REFUSED_NOT},
        {"odd method", "M-SEARCH / HTTP/1.1\r\n" HOST END, CG_REFUSED_NOT},
        {"query", "GET /a/%20?b=c&d=[{}]|\\^\" HTTP/1.1\r\n" HOST END, CG_REFUSED_NOT},
        {"length with white space", GET HOST "content-length: 5 \r\n" END, CG_REFUSED_NOT},
        {"chunked", GET HOST "transfer-encoding: chunked\r\n" END, CG_REFUSED_NOT},
        {"Chunked", GET HOST "transfer-encoding: Chunked\r\n" END, CG_REFUSED_NOT},
        {"obs-text and tab in a value", GET HOST "a: \xff\tb\r\n" END, CG_REFUSED_NOT},
        {"empty value", GET HOST "a:\r\n" END, CG_REFUSED_NOT},
    };
    RUN(rows);
}

Test(http1_request, line_ends_and_field_lines_are_strict)
{
    static const struct row rows[] = {
        {"empty", "", CG_REFUSED_HEAD},
        {"no empty line", GET HOST, CG_REFUSED_HEAD},
        {"empty lines only", END END END, CG_REFUSED_REQUEST_LINE},
        {"bare LF", "GET / HTTP/1.1\nhost: a\n\n", CG_REFUSED_BARE_LF},
        {"bare LF in a field", GET HOST "a: b\nc: d\r\n" END, CG_REFUSED_BARE_LF},
        {"bare LF as the empty line", GET HOST "\n", CG_REFUSED_BARE_LF},
        {"bare CR in a value", GET HOST "a: b\rc\r\n" END, CG_REFUSED_FIELD_VALUE},
        {"CR CR LF", GET HOST "a: b\r\r\n" END, CG_REFUSED_FIELD_VALUE},
        {"control byte", GET HOST "a: \x01\r\n" END, CG_REFUSED_FIELD_VALUE},
        {"DEL", GET HOST "a: \x7f\r\n" END, CG_REFUSED_FIELD_VALUE},
        {"obs-fold", GET HOST "a: b\r\n c\r\n" END, CG_REFUSED_FOLDED_LINE},
        {"obs-fold with tab", GET HOST "a: b\r\n\tc: d\r\n" END, CG_REFUSED_FOLDED_LINE},
        {"folded first line", GET " host: a\r\n" END, CG_REFUSED_FOLDED_LINE},
        {"space before the colon", GET "host : a\r\n" END, CG_REFUSED_FIELD_NAME},
        {"empty name", GET HOST ": b\r\n" END, CG_REFUSED_FIELD_NAME},
        {"no colon", GET HOST "ab\r\n" END, CG_REFUSED_FIELD_NAME},
        {"name no token", GET HOST "a(b: c\r\n" END, CG_REFUSED_FIELD_NAME},
        {"high byte in a name", GET HOST "\xe4: c\r\n" END, CG_REFUSED_FIELD_NAME},
    };
    RUN(rows);
}

Test(http1_request, nul_bytes_are_refused)
{
    struct cg_http1_request_line line;
    cr_expect_eq(cg_http1_request_check(CG_STR(GET HOST "a: b\0c\r\n" END), &line),
                 CG_REFUSED_FIELD_VALUE);
    cr_expect_eq(cg_http1_request_check(CG_STR("GET /\0 HTTP/1.1\r\n" HOST END), &line),
                 CG_REFUSED_TARGET);
}

Test(http1_request, request_line_is_method_target_and_version)
{
    static const struct row rows[] = {
        {"no version", "GET /\r\n" HOST END, CG_REFUSED_REQUEST_LINE},
        {"one word", "GET\r\n" HOST END, CG_REFUSED_REQUEST_LINE},
        {"space in the target", "GET /a b HTTP/1.1\r\n" HOST END, CG_REFUSED_REQUEST_LINE},
        {"two spaces", "GET  / HTTP/1.1\r\n" HOST END, CG_REFUSED_REQUEST_LINE},
        {"space behind", "GET / HTTP/1.1 \r\n" HOST END, CG_REFUSED_REQUEST_LINE},
        {"2.0", "PRI * HTTP/2.0\r\n" END, CG_REFUSED_VERSION},
        {"1.2", "GET / HTTP/1.2\r\n" HOST END, CG_REFUSED_VERSION},
        {"lower-case version", "GET / http/1.1\r\n" HOST END, CG_REFUSED_VERSION},
        {"method no token", "G<T / HTTP/1.1\r\n" HOST END, CG_REFUSED_METHOD},
        {"empty method", " / HTTP/1.1\r\n" HOST END, CG_REFUSED_METHOD},
        {"CONNECT", "CONNECT a:443 HTTP/1.1\r\n" HOST END, CG_REFUSED_CONNECT},
        {"connect", "connect / HTTP/1.1\r\n" HOST END, CG_REFUSED_CONNECT},
        {"TRACE", "TRACE / HTTP/1.1\r\n" HOST END, CG_REFUSED_TRACE},
        {"absolute-form", "GET http://a/x HTTP/1.1\r\n" HOST END, CG_REFUSED_ABSOLUTE_FORM},
        {"ftp", "GET ftp://a/x HTTP/1.1\r\n" HOST END, CG_REFUSED_ABSOLUTE_FORM},
        {"authority-form", "GET a:80 HTTP/1.1\r\n" HOST END, CG_REFUSED_TARGET},
        {"*", "GET * HTTP/1.1\r\n" HOST END, CG_REFUSED_TARGET},
        {"OPTIONS **", "OPTIONS ** HTTP/1.1\r\n" HOST END, CG_REFUSED_TARGET},
        {"no slash", "GET x HTTP/1.1\r\n" HOST END, CG_REFUSED_TARGET},
        {"tab", "GET /\tx HTTP/1.1\r\n" HOST END, CG_REFUSED_TARGET},
        {"high byte", "GET /\xc3\xa4 HTTP/1.1\r\n" HOST END, CG_REFUSED_TARGET},
        {"fragment", "GET /#x HTTP/1.1\r\n" HOST END, CG_REFUSED_TARGET},
        {"CR in the target", "GET /\rx HTTP/1.1\r\n" HOST END, CG_REFUSED_TARGET},
    };
    RUN(rows);
}

Test(http1_request, host_is_there_once_and_sound)
{
    static const struct row rows[] = {
        {"none", GET END, CG_REFUSED_NO_HOST},
        {"two", GET HOST HOST END, CG_REFUSED_SEVERAL_HOSTS},
        {"two in 1.0", "GET / HTTP/1.0\r\n" HOST HOST END, CG_REFUSED_SEVERAL_HOSTS},
        {"two, cases differ", GET "Host: a\r\n" HOST END, CG_REFUSED_SEVERAL_HOSTS},
        {"empty", GET "host:\r\n" END, CG_REFUSED_HOST},
        {"list", GET "host: a, b\r\n" END, CG_REFUSED_HOST},
        {"junk port", GET "host: a:b\r\n" END, CG_REFUSED_HOST},
        {"userinfo", GET "host: u@a\r\n" END, CG_REFUSED_HOST},
        {"an empty label", GET "host: a..b\r\n" END, CG_REFUSED_HOST},
        {"two dots at the end", GET "host: a.b..\r\n" END, CG_REFUSED_HOST},
        {"a dot in front", GET "host: .a\r\n" END, CG_REFUSED_HOST},
    };
    RUN(rows);
}

Test(http1_request, framing_has_one_meaning)
{
    static const struct row rows[] = {
        {"length and coding", GET HOST "content-length: 5\r\ntransfer-encoding: chunked\r\n" END,
         CG_REFUSED_LENGTH_AND_CODING},
        {"coding and length", GET HOST "transfer-encoding: chunked\r\ncontent-length: 5\r\n" END,
         CG_REFUSED_LENGTH_AND_CODING},
        {"lengths differ", GET HOST "content-length: 5\r\ncontent-length: 6\r\n" END,
         CG_REFUSED_SEVERAL_LENGTHS},
        {"lengths equal", GET HOST "content-length: 5\r\ncontent-length: 5\r\n" END,
         CG_REFUSED_SEVERAL_LENGTHS},
        {"list of lengths", GET HOST "content-length: 5, 5\r\n" END, CG_REFUSED_LENGTH},
        {"negative", GET HOST "content-length: -5\r\n" END, CG_REFUSED_LENGTH},
        {"signed", GET HOST "content-length: +5\r\n" END, CG_REFUSED_LENGTH},
        {"hex", GET HOST "content-length: 0x5\r\n" END, CG_REFUSED_LENGTH},
        {"empty", GET HOST "content-length:\r\n" END, CG_REFUSED_LENGTH},
        {"overflow", GET HOST "content-length: 9223372036854775808\r\n" END, CG_REFUSED_LENGTH},
        {"two codings", GET HOST "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n" END,
         CG_REFUSED_CODING},
        {"gzip, chunked", GET HOST "transfer-encoding: gzip, chunked\r\n" END, CG_REFUSED_CODING},
        {"identity", GET HOST "transfer-encoding: identity\r\n" END, CG_REFUSED_CODING},
        {"xchunked", GET HOST "transfer-encoding: xchunked\r\n" END, CG_REFUSED_CODING},
        {"parameter", GET HOST "transfer-encoding: chunked;a=b\r\n" END, CG_REFUSED_CODING},
        {"empty coding", GET HOST "transfer-encoding:\r\n" END, CG_REFUSED_CODING},
        {"coding in 1.0", "GET / HTTP/1.0\r\n" HOST "transfer-encoding: chunked\r\n" END,
         CG_REFUSED_CODING},
    };
    RUN(rows);
}

Test(http1_request, result_tells_what_was_read)
{
    struct cg_http1_request_line line;
    struct cg_str head =
        CG_STR(END "PUT /a?b HTTP/1.1\r\nhost:  x:1 \r\ncontent-length: 7\r\n" END);
    char input[128];
    memcpy(input, head.bytes, head.length);
    memcpy(input + head.length, "more", 4);
    cr_assert_eq(cg_http1_request_check(cg_str_of(input, head.length + 4), &line), CG_REFUSED_NOT);
    cr_expect(cg_str_eq(line.method, CG_STR("PUT")));
    cr_expect(cg_str_eq(line.target, CG_STR("/a?b")));
    cr_expect(cg_str_eq(line.host, CG_STR("x:1")));
    cr_expect_eq(line.minor, 1);
    cr_expect_eq(line.head_length, head.length);
    cr_expect(line.has_content_length && line.content_length == 7 && !line.chunked);
}

Test(http1_request, authorities_are_names_or_addresses_with_a_port)
{
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"a", true},
        {"example.com", true},
        {"EXAMPLE.com:8080", true},
        {"a_b-c~d.e", true},
        {"127.0.0.1:0", true},
        {"a:65535", true},
        {"[::]", true},
        {"[::1]:443", true},
        {"[1:2:3:4:5:6:7:8]", true},
        {"[1::8]", true},
        {"[1:2:3:4:5:6:7::]", true},
        {"[::ffff:1.2.3.4]", true},
        {"[1:2:3:4:5:6:1.2.3.4]", true},
        {"", false},
        {":80", false},
        {"a:", false},
        {"a:65536", false},
        {"a:000080", false},
        {"a:+80", false},
        {"a:80:80", false},
        {"a b", false},
        {"a/b", false},
        {"a,b", false},
        {"a@b", false},
        {"a?b", false},
        {"a%41", false},
        {"a!b", false},
        {"\xe4", false},
        {"::1", false},
        {"[]", false},
        {"[", false},
        {"[::1", false},
        {"[::1]x", false},
        {"[::1]:", false},
        {"[:::]", false},
        {"[1::2::3]", false},
        {"[1:2:3:4:5:6:7]", false},
        {"[1:2:3:4:5:6:7:8:9]", false},
        {"[1:2:3:4:5:6:7:8::]", false},
        {"[1:]", false},
        {"[1:2:3:4:5:6:7:8:]", false},
        {"[:1]", false},
        {"[12345::]", false},
        {"[g::]", false},
        {"[1.2.3.4]", false},
        {"[::1.2.3.4:5]", false},
        {"[::1.2.3.256]", false},
        {"[::1.2.3]", false},
        {"[fe80::1%eth0]", false},
        {"[v1.a]", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(cg_authority_valid(cg_str_from(rows[i].text)), rows[i].valid, "'%s'",
                     rows[i].text);
    char name[256];
    memset(name, 'a', sizeof name);
    cr_expect(cg_authority_valid(cg_str_of(name, 255)));
    cr_expect_not(cg_authority_valid(cg_str_of(name, 256)));
}

struct part_row {
    const char *name, *method, *target, *authority;
    const char *fields[4]; /* name, value, … */
    enum cg_http1_refusal refusal;
};

Test(http1_request, parts_of_an_http2_request_are_as_strict)
{
    static const struct part_row rows[] = {
        {"plain", "GET", "/", "a", {"x", "y"}, CG_REFUSED_NOT},
        {"no fields", "GET", "/", "a:1", {NULL}, CG_REFUSED_NOT},
        {"OPTIONS *", "OPTIONS", "*", "a", {NULL}, CG_REFUSED_NOT},
        {"te: trailers", "GET", "/", "a", {"te", "trailers"}, CG_REFUSED_NOT},
        {"the same host", "GET", "/", "a", {"host", "A"}, CG_REFUSED_NOT},
        {"empty value", "GET", "/", "a", {"x", ""}, CG_REFUSED_NOT},
        {"request line in the method", "GET /x HTTP/1.1", "/", "a", {NULL}, CG_REFUSED_METHOD},
        {"empty method", "", "/", "a", {NULL}, CG_REFUSED_METHOD},
        {"CONNECT", "CONNECT", "/", "a", {NULL}, CG_REFUSED_CONNECT},
        {"TRACE", "TRACE", "/", "a", {NULL}, CG_REFUSED_TRACE},
        {"request line in the path", "GET", "/x HTTP/1.1", "a", {NULL}, CG_REFUSED_TARGET},
        {"empty path", "GET", "", "a", {NULL}, CG_REFUSED_TARGET},
        {"absolute path", "GET", "http://b/", "a", {NULL}, CG_REFUSED_ABSOLUTE_FORM},
        {"no authority", "GET", "/", "", {"host", "a"}, CG_REFUSED_NO_HOST},
        {"bad authority", "GET", "/", "a/b", {NULL}, CG_REFUSED_HOST},
        {"another host", "GET", "/", "a", {"host", "b"}, CG_REFUSED_SEVERAL_HOSTS},
        {"empty name", "GET", "/", "a", {"", "y"}, CG_REFUSED_FIELD_NAME},
        {"upper-case name", "GET", "/", "a", {"X", "y"}, CG_REFUSED_FIELD_NAME},
        {"colon in a name", "GET", "/", "a", {":x", "y"}, CG_REFUSED_FIELD_NAME},
        {"space in a name", "GET", "/", "a", {"x ", "y"}, CG_REFUSED_FIELD_NAME},
        {"LF in a value", "GET", "/", "a", {"x", "a\nb"}, CG_REFUSED_FIELD_VALUE},
        {"CR in a value", "GET", "/", "a", {"x", "a\rb"}, CG_REFUSED_FIELD_VALUE},
        {"space before a value", "GET", "/", "a", {"x", " y"}, CG_REFUSED_FIELD_VALUE},
        {"tab behind a value", "GET", "/", "a", {"x", "y\t"}, CG_REFUSED_FIELD_VALUE},
        {"connection", "GET", "/", "a", {"connection", "x"}, CG_REFUSED_CONNECTION_FIELD},
        {"keep-alive", "GET", "/", "a", {"keep-alive", "x"}, CG_REFUSED_CONNECTION_FIELD},
        {"proxy-connection",
         "GET",
         "/",
         "a",
         {"proxy-connection", "x"},
         CG_REFUSED_CONNECTION_FIELD},
        {"upgrade", "GET", "/", "a", {"upgrade", "x"}, CG_REFUSED_CONNECTION_FIELD},
        {"transfer-encoding",
         "GET",
         "/",
         "a",
         {"transfer-encoding", "chunked"},
         CG_REFUSED_CONNECTION_FIELD},
        {"te: gzip", "GET", "/", "a", {"te", "gzip"}, CG_REFUSED_TE},
        {"bad length", "GET", "/", "a", {"content-length", "-1"}, CG_REFUSED_LENGTH},
        {"two lengths",
         "GET",
         "/",
         "a",
         {"content-length", "1", "content-length", "1"},
         CG_REFUSED_SEVERAL_LENGTHS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct part_row *row = &rows[i];
        struct cg_field items[2];
        struct cg_fields fields = {.items = items, .capacity = 2};
        for (; fields.count < 2 && row->fields[fields.count * 2] != NULL; fields.count++)
            items[fields.count] = (struct cg_field){cg_str_from(row->fields[fields.count * 2]),
                                                    cg_str_from(row->fields[fields.count * 2 + 1])};
        enum cg_http1_refusal got =
            cg_http_request_refusal_of_parts(cg_str_from(row->method), cg_str_from(row->target),
                                             cg_str_from(row->authority), &fields);
        cr_expect_eq(got, row->refusal, "%s: %s", row->name, cg_http1_refusal_text(got));
    }
}

Test(http1_request, every_refusal_has_a_sentence_and_an_error_status)
{
    cr_expect_eq(cg_http1_refusal_status(CG_REFUSED_NOT), 0);
    for (int i = CG_REFUSED_HEAD; i <= CG_REFUSED_TE; i++) {
        enum cg_http1_refusal refusal = (enum cg_http1_refusal)i;
        cr_expect_not_null(cg_http1_refusal_text(refusal), "%d", i);
        cr_expect(cg_http1_refusal_status(refusal) >= 400 && cg_http1_refusal_status(refusal) < 600,
                  "%d", i);
    }
}

/* Every field is looked for in Connection: its length times their number is work. */
Test(http1_request, a_connection_field_has_a_limit_of_its_own)
{
    char head[4096];
    struct cg_http1_request_line line;
    for (int lines = 1; lines <= 2; lines++) {
        int options = CG_CONNECTION_BYTES_MAX / lines;
        char text[CG_CONNECTION_BYTES_MAX + 1];
        memset(text, 'a', sizeof text);
        for (int more = 0; more <= 1; more++) {
            int length = snprintf(head, sizeof head, GET HOST "connection: %.*s\r\n%s%.*s%s" END,
                                  options + (lines == 1 ? more : 0), text,
                                  lines == 1 ? "" : "Connection: ", lines == 1 ? 0 : options + more,
                                  text, lines == 1 ? "" : "\r\n");
            cr_assert(length > 0 && (size_t)length < sizeof head);
            cr_expect_eq(cg_http1_request_check(cg_str_of(head, (size_t)length), &line),
                         more ? CG_REFUSED_CONNECTION_LENGTH : CG_REFUSED_NOT, "%d lines, %d more",
                         lines, more);
        }
    }
}
