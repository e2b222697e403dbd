#include "gateway/front/proxy_line.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>

static const struct {
    const char *name;
    const char *input;
    enum cg_proxy_outcome outcome;
    const char *peer; /* NULL: the connection's own */
    unsigned port;
    size_t length; /* 0: of the whole input */
} rows[] = {
    {"ipv4", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", CG_PROXY_WHOLE, "192.0.2.1", 56324,
     0},
    {"ipv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", CG_PROXY_WHOLE, "2001:db8::1", 1, 0},
    {"bytes behind", "PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\nGET / HTTP/1.1\r\n", CG_PROXY_WHOLE,
     "1.2.3.4", 1, 32},
    {"unknown", "PROXY UNKNOWN\r\n", CG_PROXY_WHOLE, NULL, 0, 0},
    {"unknown with more", "PROXY UNKNOWN ff::1 x 1 2\r\n", CG_PROXY_WHOLE, NULL, 0, 0},
    {"nothing yet", "", CG_PROXY_NEEDS_MORE, NULL, 0, 0},
    {"part of the keyword", "PRO", CG_PROXY_NEEDS_MORE, NULL, 0, 0},
    {"part of the line", "PROXY TCP4 1.2.3.4 1.2", CG_PROXY_NEEDS_MORE, NULL, 0, 0},
    {"line without its last byte", "PROXY UNKNOWN\r", CG_PROXY_NEEDS_MORE, NULL, 0, 0},
    {"a request", "GET / HTTP/1.1\r\n\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"lower case", "proxy TCP4 1.2.3.4 1.2.3.5 1 2\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"bare LF", "PROXY UNKNOWN\n", CG_PROXY_BAD, NULL, 0, 0},
    {"keyword alone", "PROXY \r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"wrong family", "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"bad destination", "PROXY TCP4 1.2.3.4 nowhere 1 2\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"port too large", "PROXY TCP4 1.2.3.4 1.2.3.5 65536 2\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"port with a sign", "PROXY TCP4 1.2.3.4 1.2.3.5 -1 2\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"too few parts", "PROXY TCP4 1.2.3.4 1.2.3.5 1\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"too many parts", "PROXY TCP4 1.2.3.4 1.2.3.5 1 2 3\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"two spaces", "PROXY TCP4  1.2.3.4 1.2.3.5 1 2\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"another protocol", "PROXY UDP4 1.2.3.4 1.2.3.5 1 2\r\n", CG_PROXY_BAD, NULL, 0, 0},
    {"longer than any line",
     "PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890\r\n",
     CG_PROXY_BAD, NULL, 0, 0},
};

Test(proxy_line, is_read_strictly)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cg_str input = cg_str_from(rows[i].input);
        struct cg_proxy_line line = {0};
        char peer[INET6_ADDRSTRLEN] = "";
        cr_expect_eq(cg_proxy_line_parse(input, &line), rows[i].outcome, "%s", rows[i].name);
        if (rows[i].outcome != CG_PROXY_WHOLE)
            continue;
        size_t length = rows[i].length == 0 ? input.length : rows[i].length;
        cr_expect_eq(line.length, length, "%s: %zu bytes", rows[i].name, line.length);
        cr_expect_eq(line.known, rows[i].peer != NULL, "%s", rows[i].name);
        if (!line.known)
            continue;
        bool v4 = line.peer.address.sa_family == AF_INET;
        inet_ntop(line.peer.address.sa_family,
                  v4 ? (const void *)&line.peer.v4.sin_addr : (const void *)&line.peer.v6.sin6_addr,
                  peer, sizeof(peer));
        cr_expect_str_eq(peer, rows[i].peer, "%s", rows[i].name);
        cr_expect_eq(ntohs(v4 ? line.peer.v4.sin_port : line.peer.v6.sin6_port), rows[i].port, "%s",
                     rows[i].name);
    }
}

Test(proxy_line, is_incomplete_at_every_earlier_byte)
{
    struct cg_str whole = CG_STR("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
    for (size_t length = 0; length < whole.length; length++) {
        struct cg_proxy_line line;
        cr_expect_eq(cg_proxy_line_parse(cg_str_sub(whole, 0, length), &line), CG_PROXY_NEEDS_MORE,
                     "%zu bytes", length);
    }
}
