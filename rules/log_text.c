#include "cachegate/log_text.h"

#include "cachegate/assert.h"
#include "cachegate/httpdate.h"

static const char cut_mark[] = "...";
enum { CUT_MARK = sizeof(cut_mark) - 1, BYTES_MIN = 8 };

/* What is being written, up to where. */
struct pen {
    struct cg_buf *out;
    size_t left; /* for whole units; the mark has room behind */
    bool cut;
};

static struct pen begin(struct cg_buf *out, size_t bytes_max)
{
    CG_ASSERT(bytes_max >= BYTES_MIN);
    cg_buf_add_char(out, '"');
    return (struct pen){out, bytes_max - CUT_MARK, false};
}

/* All of it or, when it does not fit, nothing more. */
static void put(struct pen *pen, const char *bytes, size_t length)
{
    if (pen->cut || length > pen->left) {
        pen->cut = true;
        return;
    }
    cg_buf_add(pen->out, bytes, length);
    pen->left -= length;
}

/* As much of plain bytes as fits. */
static void put_plain(struct pen *pen, struct cg_str text)
{
    size_t length = text.length <= pen->left ? text.length : pen->left;
    put(pen, text.bytes, length);
    if (length < text.length)
        pen->cut = true;
}

static void end(struct pen *pen)
{
    if (pen->cut)
        cg_buf_add(pen->out, cut_mark, CUT_MARK);
    cg_buf_add_char(pen->out, '"');
}

static bool is_plain(char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

static size_t plain_length(struct cg_str text)
{
    size_t length = 0;
    while (length < text.length && is_plain(text.bytes[length]))
        length++;
    return length;
}

static const char digits[] = "0123456789abcdef";

static void put_unit(struct pen *pen, unsigned unit)
{
    const char escape[] = {'\\',
                           'u',
                           digits[unit >> 12 & 15],
                           digits[unit >> 8 & 15],
                           digits[unit >> 4 & 15],
                           digits[unit & 15]};
    put(pen, escape, sizeof(escape));
}

/* How many bytes one character has that begins the text, 0 when they are not UTF-8 (RFC 3629 4). */
static size_t character_of(struct cg_str text, unsigned *ret_character)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text.bytes[0];
    size_t length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length == 0 || first > 0xf4 || length > text.length)
        return 0;
    unsigned character = length == 1 ? first : first & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        unsigned char next = (unsigned char)text.bytes[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (next & 0x3f);
    }
    if (character < least[length] || character > 0x10ffff ||
        (character >= 0xd800 && character < 0xe000))
        return 0;
    *ret_character = character;
    return length;
}

static size_t put_special(struct pen *pen, struct cg_str text)
{
    unsigned character = 0;
    size_t length = character_of(text, &character);
    if (length == 0) {
        unsigned char byte = (unsigned char)text.bytes[0];
        put(pen, (const char[]){'\\', '\\', 'x', digits[byte >> 4], digits[byte & 15]}, 5);
        return 1;
    }
    if (character == '"' || character == '\\') {
        put(pen, (const char[]){'\\', (char)character}, 2);
    } else if (character < 0x10000) {
        put_unit(pen, character);
    } else if (pen->left < 12) { /* a pair is one unit */
        pen->cut = true;
    } else {
        put_unit(pen, 0xd800 + ((character - 0x10000) >> 10));
        put_unit(pen, 0xdc00 + (character & 0x3ff));
    }
    return length;
}

void cg_json_string_print(struct cg_buf *out, struct cg_str text, size_t bytes_max)
{
    struct pen pen = begin(out, bytes_max);
    while (!cg_str_empty(text) && !pen.cut) {
        size_t length = plain_length(text);
        if (length > 0)
            put_plain(&pen, cg_str_sub(text, 0, length));
        else
            length = put_special(&pen, text);
        text = cg_str_skip(text, length);
    }
    end(&pen);
}

void cg_quoted_print(struct cg_buf *out, struct cg_str text, size_t bytes_max)
{
    struct pen pen = begin(out, bytes_max);
    while (!cg_str_empty(text) && !pen.cut) {
        size_t length = plain_length(text);
        if (length > 0) {
            put_plain(&pen, cg_str_sub(text, 0, length));
        } else {
            unsigned char byte = (unsigned char)text.bytes[0];
            put(&pen, (const char[]){'\\', 'x', digits[byte >> 4], digits[byte & 15]}, 4);
            length = 1;
        }
        text = cg_str_skip(text, length);
    }
    end(&pen);
}

void cg_hex_print(struct cg_buf *out, const uint8_t *bytes, size_t count)
{
    char text[64];
    for (size_t length = 0, i = 0; i < count; i++) {
        text[length++] = digits[bytes[i] >> 4];
        text[length++] = digits[bytes[i] & 15];
        if (length == sizeof(text) || i + 1 == count) {
            cg_buf_add(out, text, length);
            length = 0;
        }
    }
}

void cg_decimal_print(struct cg_buf *out, uint64_t value)
{
    cg_buf_add_decimal(out, value);
}

void cg_milliseconds_print(struct cg_buf *out, uint64_t microseconds)
{
    unsigned rest = (unsigned)(microseconds % 1000);
    cg_decimal_print(out, microseconds / 1000);
    cg_buf_add(out,
               (const char[]){'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                              (char)('0' + rest % 10)},
               4);
}

/* ---- times ---- */

static char *take(char *to, const char *from, size_t length)
{
    memcpy(to, from, length);
    return to + length;
}

/* From the other spelling of the same: `Fri, 02 Jan 2026 03:04:05 GMT`. */
static void read_second(struct cg_log_second *second, int64_t unix_s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[CG_HTTPDATE_SIZE];
    if (second->date[0] != '\0' && second->second == unix_s)
        return;
    cg_httpdate_print(unix_s, text);
    unsigned month = 0;
    while (memcmp(months + (size_t)3 * month, text + 8, 3) != 0)
        month++;
    month++;
    char *to = take(second->date, text + 12, 4);
    to = take(to, (const char[]){'-', (char)('0' + month / 10), (char)('0' + month % 10), '-'}, 4);
    to = take(to, text + 5, 2);
    *to++ = 'T';
    take(to, text + 17, 8);
    to = take(second->clf, text + 5, 2);
    *to++ = '/';
    to = take(to, text + 8, 3);
    *to++ = '/';
    to = take(to, text + 12, 4);
    *to++ = ':';
    to = take(to, text + 17, 8);
    take(to, " +0000", 6);
    second->second = unix_s;
}

void cg_rfc3339_print(struct cg_buf *out, struct cg_log_second *second, int64_t unix_ms)
{
    int64_t ms = unix_ms < 0 ? 0 : unix_ms;
    unsigned rest = (unsigned)(ms % 1000);
    read_second(second, ms / 1000);
    cg_buf_add(out, second->date, 19);
    cg_buf_add(out,
               (const char[]){'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                              (char)('0' + rest % 10), 'Z'},
               5);
}

void cg_clf_date_print(struct cg_buf *out, struct cg_log_second *second, int64_t unix_ms)
{
    read_second(second, unix_ms < 0 ? 0 : unix_ms / 1000);
    cg_buf_add(out, second->clf, 26);
}
