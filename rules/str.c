#include "cachegate/str.h"

bool cg_str_eq_ci(struct cg_str a, struct cg_str b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (cg_lower(a.bytes[i]) != cg_lower(b.bytes[i]))
            return false;
    return true;
}

int cg_str_cmp(struct cg_str a, struct cg_str b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common == 0 ? 0 : memcmp(a.bytes, b.bytes, common);
    if (order != 0)
        return order;
    return (a.length > b.length) - (a.length < b.length);
}

bool cg_str_starts_with(struct cg_str s, struct cg_str prefix)
{
    return s.length >= prefix.length && cg_str_eq(cg_str_sub(s, 0, prefix.length), prefix);
}

bool cg_str_ends_with(struct cg_str s, struct cg_str suffix)
{
    return s.length >= suffix.length && cg_str_eq(cg_str_skip(s, s.length - suffix.length), suffix);
}

static bool is_white_space(char c)
{
    return c == ' ' || c == '\t';
}

struct cg_str cg_str_trim(struct cg_str s)
{
    while (s.length > 0 && is_white_space(s.bytes[0])) {
        s.bytes++;
        s.length--;
    }
    while (s.length > 0 && is_white_space(s.bytes[s.length - 1]))
        s.length--;
    return s;
}

bool cg_str_split(struct cg_str *rest, char separator, struct cg_str *ret_part)
{
    if (rest->bytes == NULL)
        return false;
    size_t end = cg_str_find(*rest, separator);
    *ret_part = cg_str_sub(*rest, 0, end);
    *rest = end == rest->length ? (struct cg_str){NULL, 0} : cg_str_skip(*rest, end + 1);
    return true;
}

bool cg_str_to_u64(struct cg_str s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.length == 0)
        return false;
    for (size_t i = 0; i < s.length; i++) {
        if (!cg_is_digit(s.bytes[i]))
            return false;
        uint64_t digit = (uint64_t)(s.bytes[i] - '0');
        if (value > max / 10 || digit > max - value * 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

struct cg_str cg_str_from_u64(uint64_t value, char room[CG_DECIMAL_MAX])
{
    size_t at = CG_DECIMAL_MAX;
    do {
        room[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return cg_str_of(room + at, CG_DECIMAL_MAX - at);
}

int cg_hex_digit(char c)
{
    if (cg_is_digit(c))
        return c - '0';
    c = cg_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* tchar, a bit for each byte of ASCII: letters, digits and !#$%&'*+-.^_`|~ */
#define TCHARS_LOW  0x3ff6cfa00000000u
#define TCHARS_HIGH 0x57ffffffc7fffffeu
#define IS_TCHAR(c) ((c) < 0x80 && (((c) < 64 ? TCHARS_LOW : TCHARS_HIGH) >> ((c)&63) & 1) != 0)
#define CLASSES(c)                                                                                 \
    (((c) < 0x20 && (c) != '\t') || (c) == 0x7f ? CG_BYTE_CONTROL : 0) |                           \
        ((c) == ' ' || (c) == '\t' ? CG_BYTE_BLANK : 0) | ((c) >= 0x80 ? CG_BYTE_HIGH : 0) |       \
        ((c) >= 'A' && (c) <= 'Z' ? CG_BYTE_UPPER : 0) | (IS_TCHAR(c) ? 0 : CG_BYTE_OTHER) |       \
        ((c) == '%' || (c) == '+' || (c) == '\\' ? CG_BYTE_ESCAPING : 0) |                         \
        ((c) == '#' ? CG_BYTE_FRAGMENT : 0) | ((c) == ':' ? CG_BYTE_COLON : 0)
#define FOUR(c)       CLASSES(c), CLASSES((c) + 1), CLASSES((c) + 2), CLASSES((c) + 3)
#define SIXTEEN(c)    FOUR(c), FOUR((c) + 4), FOUR((c) + 8), FOUR((c) + 12)
#define SIXTY_FOUR(c) SIXTEEN(c), SIXTEEN((c) + 16), SIXTEEN((c) + 32), SIXTEEN((c) + 48)

const uint8_t cg_byte_classes[256] = {SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128),
                                      SIXTY_FOUR(192)};

/* Only the last `*` is ever retried: an earlier one can gain nothing by taking more. */
bool cg_str_glob(struct cg_str pattern, struct cg_str s)
{
    size_t p = 0, i = 0;
    size_t star = pattern.length, retry = 0;
    while (i < s.length) {
        if (p < pattern.length && pattern.bytes[p] == '*') {
            star = p++;
            retry = i;
        } else if (p < pattern.length && pattern.bytes[p] == s.bytes[i]) {
            p++;
            i++;
        } else if (star < pattern.length) {
            p = star + 1;
            i = ++retry;
        } else {
            return false;
        }
    }
    while (p < pattern.length && pattern.bytes[p] == '*')
        p++;
    return p == pattern.length;
}
