#include "gateway/base/log.h"

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static atomic_int threshold = CG_LOG_INFO;

static const char *const level_names[] = {
    [CG_LOG_NOTICE] = "notice", [CG_LOG_ERROR] = "error", [CG_LOG_WARN] = "warn",
    [CG_LOG_INFO] = "info",     [CG_LOG_DEBUG] = "debug",
};

void cg_log_set_level(enum cg_log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool cg_log_level_from(struct cg_str text, enum cg_log_level *ret_level)
{
    for (unsigned i = CG_LOG_ERROR; i < sizeof level_names / sizeof level_names[0]; i++)
        if (cg_str_eq(text, cg_str_from(level_names[i]))) {
            *ret_level = (enum cg_log_level)i;
            return true;
        }
    return false;
}

bool cg_log_enabled(enum cg_log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* A line being written. The last bytes are kept free for the mark that it was cut, and its end. */
struct line {
    char bytes[CG_LOG_LINE_MAX];
    size_t length;
    bool cut;
};

static const char cut_mark[] = "...";
enum { LINE_ROOM = CG_LOG_LINE_MAX - (int)sizeof cut_mark - 1 }; /* a quote, the mark, a newline */

/* All or nothing, so that an escape is never halved. */
static void put(struct line *line, const char *bytes, size_t length)
{
    if (line->cut || length > LINE_ROOM - line->length) {
        line->cut = true;
        return;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static bool is_plain(struct cg_str value)
{
    for (size_t i = 0; i < value.length; i++) {
        char c = value.bytes[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return value.length > 0;
}

static void put_value(struct line *line, struct cg_str value)
{
    static const char digits[] = "0123456789abcdef";
    if (is_plain(value)) {
        /* Byte by byte: a long value is cut, not dropped. */
        for (size_t i = 0; i < value.length && !line->cut; i++)
            put(line, &value.bytes[i], 1);
        return;
    }
    put(line, "\"", 1);
    bool opened = !line->cut;
    for (size_t i = 0; i < value.length && !line->cut; i++) {
        unsigned char c = (unsigned char)value.bytes[i];
        if (c == '"' || c == '\\')
            put(line, (const char[]){'\\', (char)c}, 2);
        else if (c == '\n')
            put(line, "\\n", 2);
        else if (c < ' ' || c >= 0x7f)
            put(line, (const char[]){'\\', 'x', digits[c >> 4], digits[c & 15]}, 4);
        else
            put(line, (const char[]){(char)c}, 1);
    }
    if (opened) { /* the room that `put` keeps free has place for this one */
        line->bytes[line->length] = '"';
        line->length++;
    }
}

static void put_time(struct line *line, int64_t now_ms)
{
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts = {0};
    gmtime_r(&seconds, &parts);
    char text[64];
    int length = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                          parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                          parts.tm_min, parts.tm_sec, (int)(now_ms % 1000));
    CG_ASSERT(length > 0 && (size_t)length < sizeof text);
    put(line, text, (size_t)length);
}

static void write_line(const struct line *line)
{
    size_t written = 0;
    while (written < line->length) {
        ssize_t result = write(STDERR_FILENO, line->bytes + written, line->length - written);
        if (result < 0 && errno == EINTR)
            continue;
        if (result <= 0)
            return; /* nobody can be told */
        written += (size_t)result;
    }
}

void cg_log_pairs(enum cg_log_level level, const char *event, const struct cg_log_pair *pairs,
                  unsigned count)
{
    if (!cg_log_enabled(level))
        return;
    struct line line;
    line.length = 0;
    line.cut = false;
    put_time(&line, cg_clock_wall_ms());
    put_text(&line, " ");
    put_text(&line, level_names[level]);
    put_text(&line, " ");
    put_text(&line, event);
    for (unsigned i = 0; i < count; i++) {
        put_text(&line, " ");
        put_text(&line, pairs[i].key);
        put_text(&line, "=");
        put_value(&line, pairs[i].value);
    }
    if (line.cut) {
        memcpy(line.bytes + line.length, cut_mark, sizeof cut_mark - 1);
        line.length += sizeof cut_mark - 1;
    }
    line.bytes[line.length] = '\n';
    line.length++;
    CG_ASSERT(line.length <= sizeof line.bytes);
    write_line(&line);
}

void cg_log(enum cg_log_level level, const char *event, const char *format, ...)
{
    if (!cg_log_enabled(level))
        return;
    char text[CG_LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    CG_ASSERT(length >= 0);
    size_t kept = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    struct cg_log_pair message = {"message", cg_str_of(text, kept)};
    cg_log_pairs(level, event, &message, 1);
}

bool cg_log_gate_open(struct cg_log_gate *gate, int64_t now_ms, uint64_t *ret_held)
{
    int64_t since_ms = now_ms - gate->last_ms;
    if (gate->last_ms != 0 && since_ms >= 0 && since_ms < 1000) {
        gate->held++;
        return false;
    }
    *ret_held = gate->held;
    *gate = (struct cg_log_gate){.last_ms = now_ms};
    return true;
}

const char *cg_log_held(uint64_t held, char room[CG_LOG_HELD_MAX])
{
    room[0] = '\0';
    if (held > 0)
        (void)snprintf(room, CG_LOG_HELD_MAX, " (%llu more were not logged)",
                       (unsigned long long)held);
    return room;
}
