/*
 * str: a borrowed slice of bytes.
 *
 * A slice never owns; whoever made the bytes outlives it. `bytes` may be NULL only when `length`
 * is 0. Slices are not NUL-terminated and may hold any byte. All comparisons are of bytes; the
 * `_ci` forms fold ASCII letters only (RFC 9110 5.1: field names are case-insensitive ASCII).
 */
#ifndef CACHEGATE_STR_H
#define CACHEGATE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cg_str {
    const char *bytes;
    size_t length;
};

/* A slice over a string literal. */
#define CG_STR(literal) ((struct cg_str){(literal), sizeof(literal) - 1})
/* For printf: `"%.*s", CG_STR_ARG(s)`; slices longer than INT_MAX are cut. */
#define CG_STR_ARG(s) (int)((s).length > 0x7fffffff ? 0x7fffffff : (s).length), (s).bytes

static inline struct cg_str cg_str_of(const char *bytes, size_t length)
{
    return (struct cg_str){bytes, length};
}

/* A slice over a NUL-terminated string; NULL gives the empty slice. */
static inline struct cg_str cg_str_from(const char *text)
{
    return (struct cg_str){text, text == NULL ? 0 : strlen(text)};
}

static inline bool cg_str_empty(struct cg_str s)
{
    return s.length == 0;
}

static inline bool cg_str_eq(struct cg_str a, struct cg_str b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}
bool cg_str_eq_ci(struct cg_str a, struct cg_str b);
/* Bytewise order, shorter first on a common prefix: <0, 0, >0. */
int cg_str_cmp(struct cg_str a, struct cg_str b);
bool cg_str_starts_with(struct cg_str s, struct cg_str prefix);
bool cg_str_ends_with(struct cg_str s, struct cg_str suffix);

/* Without leading and trailing SP and HTAB (RFC 9110 5.6.3, OWS). */
struct cg_str cg_str_trim(struct cg_str s);
/* From `from` (clamped) to the end; and `[from, from + length)`, clamped. */
static inline struct cg_str cg_str_skip(struct cg_str s, size_t from)
{
    if (from == 0)
        return s; /* NULL + 0 is not defined in C17 */
    if (from > s.length)
        from = s.length;
    return s.bytes == NULL ? s : cg_str_of(s.bytes + from, s.length - from);
}
static inline struct cg_str cg_str_sub(struct cg_str s, size_t from, size_t length)
{
    s = cg_str_skip(s, from);
    if (length < s.length)
        s.length = length;
    return s;
}

/* Index of the first `byte`, or s.length. */
static inline size_t cg_str_find(struct cg_str s, char byte)
{
    if (s.length == 0)
        return 0;
    const char *found = (const char *)memchr(s.bytes, byte, s.length);
    return found == NULL ? s.length : (size_t)(found - s.bytes);
}
/*
 * Cuts the part before the first `separator` off `*rest` into `*ret_part`, and steps `*rest` behind
 * the separator. False when `*rest` is exhausted (its bytes are then NULL). Empty parts are
 * returned: "a,,b" gives three.
 */
bool cg_str_split(struct cg_str *rest, char separator, struct cg_str *ret_part);

/*
 * Decimal digits only, the whole slice, at least one, no sign. False on anything else or when the
 * value exceeds `max`; `*ret_value` is then untouched.
 */
bool cg_str_to_u64(struct cg_str s, uint64_t max, uint64_t *ret_value);

/* The other way round: the digits stand in `room`, without a NUL. */
enum { CG_DECIMAL_MAX = 20 };
struct cg_str cg_str_from_u64(uint64_t value, char room[CG_DECIMAL_MAX]);

/* ASCII, locale-free. */
static inline char cg_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
static inline bool cg_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool cg_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/* 0..15, or -1. */
int cg_hex_digit(char c);

/* What bytes are, as far as messages care. */
enum cg_byte_class {
    CG_BYTE_CONTROL = 1,   /* below space and DEL, but no tab */
    CG_BYTE_BLANK = 2,     /* space and tab */
    CG_BYTE_HIGH = 4,      /* no ASCII */
    CG_BYTE_UPPER = 8,     /* A to Z */
    CG_BYTE_OTHER = 16,    /* no tchar (RFC 9110 5.6.2) */
    CG_BYTE_ESCAPING = 32, /* `%`, `+`, backslash: read in several ways in a target */
    CG_BYTE_FRAGMENT = 64, /* `#` */
    CG_BYTE_COLON = 128,
};
extern const uint8_t cg_byte_classes[256];

/* All classes that occur in the slice. Without early exits: what is read is sound, nearly always.
 */
static inline unsigned cg_str_classes(struct cg_str s)
{
    const unsigned char *bytes = (const unsigned char *)s.bytes;
    unsigned classes = 0;
    size_t i = 0;
    for (; i + 4 <= s.length; i += 4)
        classes |= (unsigned)(cg_byte_classes[bytes[i]] | cg_byte_classes[bytes[i + 1]] |
                              cg_byte_classes[bytes[i + 2]] | cg_byte_classes[bytes[i + 3]]);
    for (; i < s.length; i++)
        classes |= cg_byte_classes[bytes[i]];
    return classes;
}

static inline bool cg_is_tchar(char c)
{
    return (cg_byte_classes[(unsigned char)c] & CG_BYTE_OTHER) == 0;
}
/* A non-empty sequence of tchar. */
static inline bool cg_is_token(struct cg_str s)
{
    return s.length > 0 && (cg_str_classes(s) & CG_BYTE_OTHER) == 0;
}
/* Case-sensitive glob in which `*` stands for any run of bytes; all else is literal. */
bool cg_str_glob(struct cg_str pattern, struct cg_str s);

#endif
