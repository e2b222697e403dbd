#include "gateway/base/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What `run` wrote to standard error; each test is a process of its own. */
static struct cg_str logged(void (*run)(void), char *bytes, size_t size)
{
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    int kept = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    run();
    dup2(kept, STDERR_FILENO);
    close(kept);
    ssize_t length = pread(fileno(file), bytes, size, 0);
    fclose(file);
    cr_assert(length >= 0);
    return cg_str_of(bytes, (size_t)length);
}

/* The line behind time and level. */
static struct cg_str after_time(struct cg_str line)
{
    cr_assert_gt(line.length, 25u);
    cr_expect_eq(line.bytes[10], 'T');
    cr_expect_eq(line.bytes[19], '.');
    cr_expect_eq(line.bytes[23], 'Z');
    return cg_str_skip(line, 25);
}

static struct cg_str value;
static void log_value(void)
{
    struct cg_log_pair pairs[] = {{"key", value}, {"n", CG_STR("1")}};
    cg_log_pairs(CG_LOG_INFO, "event", pairs, 2);
}

Test(log, values_that_could_forge_a_line_are_quoted_and_escaped)
{
    static const struct {
        const char *name;
        struct cg_str value;
        const char *expected;
    } rows[] = {
        {"plain", {"a/b?c", 5}, "info event key=a/b?c n=1\n"},
        {"empty", {"", 0}, "info event key=\"\" n=1\n"},
        {"space", {"a b", 3}, "info event key=\"a b\" n=1\n"},
        {"quote", {"a\"b", 3}, "info event key=\"a\\\"b\" n=1\n"},
        {"backslash", {"a\\b", 3}, "info event key=\"a\\\\b\" n=1\n"},
        {"newline", {"a\nx y", 5}, "info event key=\"a\\nx y\" n=1\n"},
        {"equals", {"a=b", 3}, "info event key=\"a=b\" n=1\n"},
        {"escape code", {"\x1b[2J", 4}, "info event key=\"\\x1b[2J\" n=1\n"},
        {"nul", {"a\0b", 3}, "info event key=\"a\\x00b\" n=1\n"},
        {"high byte", {"\xc3\xa4", 2}, "info event key=\"\\xc3\\xa4\" n=1\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char bytes[8192];
        value = rows[i].value;
        struct cg_str line = after_time(logged(log_value, bytes, sizeof bytes));
        cr_expect(cg_str_eq(line, cg_str_from(rows[i].expected)), "%s: %.*s", rows[i].name,
                  CG_STR_ARG(line));
    }
}

Test(log, a_long_line_is_cut_and_says_so)
{
    static char long_value[2 * CG_LOG_LINE_MAX];
    static const char fills[] = {'x', '\n', '"', '\x01'};
    for (size_t fill = 0; fill < sizeof fills; fill++)
        for (size_t length = CG_LOG_LINE_MAX - 60; length < CG_LOG_LINE_MAX + 10; length++) {
            char bytes[3 * CG_LOG_LINE_MAX];
            memset(long_value, fills[fill], sizeof long_value);
            value = cg_str_of(long_value, length);
            struct cg_str line = logged(log_value, bytes, sizeof bytes);
            cr_assert_leq(line.length, CG_LOG_LINE_MAX);
            cr_assert_eq(cg_str_find(line, '\n'), line.length - 1, "one line");
            if (length >= CG_LOG_LINE_MAX)
                cr_assert(cg_str_ends_with(line, CG_STR("...\n")));
        }
}

static void log_all_levels(void)
{
    cg_log(CG_LOG_ERROR, "e", "%s", "x");
    cg_log(CG_LOG_WARN, "w", "%d of %d", 1, 2);
    cg_log(CG_LOG_INFO, "i", "hidden");
    cg_log(CG_LOG_DEBUG, "d", "hidden");
}

Test(log, only_levels_up_to_the_chosen_one_are_written)
{
    enum cg_log_level level = CG_LOG_DEBUG;
    cr_assert(cg_log_level_from(CG_STR("warn"), &level));
    cr_expect_eq(level, CG_LOG_WARN);
    cr_expect_not(cg_log_level_from(CG_STR("warning"), &level));
    cg_log_set_level(level);
    cr_expect(cg_log_enabled(CG_LOG_ERROR));
    cr_expect(cg_log_enabled(CG_LOG_WARN));
    cr_expect_not(cg_log_enabled(CG_LOG_INFO));
    char bytes[8192];
    struct cg_str rest = logged(log_all_levels, bytes, sizeof bytes), line;
    cr_assert(cg_str_split(&rest, '\n', &line));
    cr_expect(cg_str_eq(after_time(line), CG_STR("error e message=x")));
    cr_assert(cg_str_split(&rest, '\n', &line));
    cr_expect(cg_str_eq(after_time(line), CG_STR("warn w message=\"1 of 2\"")));
    cr_expect(cg_str_empty(rest));
}

Test(log, a_gate_opens_once_a_second_and_counts_what_it_held_back)
{
    struct cg_log_gate gate = {0};
    uint64_t held = 99;
    cr_expect(cg_log_gate_open(&gate, 5000, &held));
    cr_expect_eq(held, 0u);
    cr_expect_not(cg_log_gate_open(&gate, 5999, &held));
    cr_expect_not(cg_log_gate_open(&gate, 5999, &held));
    cr_expect(cg_log_gate_open(&gate, 6000, &held));
    cr_expect_eq(held, 2u);
    cr_expect(cg_log_gate_open(&gate, 10, &held), "a clock that went back does not shut it");
    cr_expect_eq(held, 0u);
}
