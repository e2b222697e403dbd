#include "gateway/front/proxy_line.h"

#include <arpa/inet.h>

/* Address texts are short; a longer one is none. */
static bool parse_address(int family, struct cg_str text, void *ret_address)
{
    char terminated[INET6_ADDRSTRLEN];
    if (text.length >= sizeof(terminated))
        return false;
    memcpy(terminated, text.bytes, text.length);
    terminated[text.length] = '\0';
    return inet_pton(family, terminated, ret_address) == 1;
}

static bool parse_port(struct cg_str text, in_port_t *ret_port)
{
    uint64_t value;
    if (text.length > 5 || !cg_str_to_u64(text, 65535, &value))
        return false;
    *ret_port = htons((uint16_t)value);
    return true;
}

/* `TCP4 source destination port port`; `line` without the keyword and CR LF. */
static bool parse_known(struct cg_str line, struct cg_proxy_line *ret_line)
{
    struct cg_str parts[6];
    size_t count = 0;
    while (count < 6 && cg_str_split(&line, ' ', &parts[count]))
        count++;
    if (count != 5)
        return false;
    unsigned char destination[sizeof(struct in6_addr)];
    in_port_t destination_port;
    if (!parse_port(parts[4], &destination_port))
        return false;
    if (cg_str_eq(parts[0], CG_STR("TCP4"))) {
        ret_line->peer.v4 = (struct sockaddr_in){.sin_family = AF_INET};
        ret_line->peer_length = sizeof(ret_line->peer.v4);
        return parse_address(AF_INET, parts[1], &ret_line->peer.v4.sin_addr) &&
               parse_address(AF_INET, parts[2], destination) &&
               parse_port(parts[3], &ret_line->peer.v4.sin_port);
    }
    if (cg_str_eq(parts[0], CG_STR("TCP6"))) {
        ret_line->peer.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        ret_line->peer_length = sizeof(ret_line->peer.v6);
        return parse_address(AF_INET6, parts[1], &ret_line->peer.v6.sin6_addr) &&
               parse_address(AF_INET6, parts[2], destination) &&
               parse_port(parts[3], &ret_line->peer.v6.sin6_port);
    }
    return false;
}

enum cg_proxy_outcome cg_proxy_line_parse(struct cg_str input, struct cg_proxy_line *ret_line)
{
    struct cg_str keyword = CG_STR("PROXY ");
    if (!cg_str_starts_with(input, cg_str_sub(keyword, 0, input.length)))
        return CG_PROXY_BAD;
    struct cg_str window = cg_str_sub(input, 0, CG_PROXY_LINE_MAX);
    size_t end = cg_str_find(window, '\n');
    if (end == window.length)
        return window.length == CG_PROXY_LINE_MAX ? CG_PROXY_BAD : CG_PROXY_NEEDS_MORE;
    if (end <= keyword.length || window.bytes[end - 1] != '\r')
        return CG_PROXY_BAD;
    struct cg_str line = cg_str_sub(window, keyword.length, end - 1 - keyword.length);
    struct cg_proxy_line found = {.length = end + 1};
    /* After UNKNOWN the rest of the line is to be ignored. */
    found.known =
        !cg_str_eq(line, CG_STR("UNKNOWN")) && !cg_str_starts_with(line, CG_STR("UNKNOWN "));
    if (found.known && !parse_known(line, &found))
        return CG_PROXY_BAD;
    *ret_line = found;
    return CG_PROXY_WHOLE;
}
