/*
 * A stand-in for Criterion where the thread sanitizer runs: Criterion 2.4's sandbox maps memory at
 * fixed addresses that the sanitizer keeps for itself, so its programs cannot start. This header
 * takes the same words (those that our tests use), runs each test in a forked child and prints the
 * same closing line. Only the `tsan` preset includes it.
 */
#ifndef TESTS_TSAN_CRITERION_H
#define TESTS_TSAN_CRITERION_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct shim_options {
    void (*init)(void);
    void (*fini)(void);
    int signal;
    double timeout;
    bool disabled;
};

struct shim_test {
    const char *suite, *name;
    void (*run)(void); /* NULL: the row stands for its suite's options */
    struct shim_options options;
    struct shim_test *next;
};

__attribute__((weak)) struct shim_test *shim_tests;
__attribute__((weak)) unsigned shim_failures;

#define SHIM_ROW(suite_, name_, run_, unique, ...)                                                 \
    __attribute__((constructor)) static void unique(void)                                          \
    {                                                                                              \
        static struct shim_test row = {#suite_, name_, run_, {__VA_ARGS__}, NULL};                 \
        row.next = shim_tests;                                                                     \
        shim_tests = &row;                                                                         \
    }
#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_impl(void);                                                     \
    SHIM_ROW(suite_, #name_, suite_##_##name_##_impl, suite_##_##name_##_register, __VA_ARGS__)    \
    static void suite_##_##name_##_impl(void)
#define TestSuite(suite_, ...)                                                                     \
    SHIM_ROW(suite_, "", NULL, suite_##_suite_register, __VA_ARGS__)                               \
    extern struct shim_test *shim_tests

__attribute__((format(printf, 6, 7), unused)) static bool shim_check(bool fatal, bool condition,
                                                                     const char *what,
                                                                     const char *file, int line,
                                                                     const char *format, ...)
{
    if (condition)
        return true;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "[----] %s:%d: %s: ", file, line, what);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    shim_failures++;
    if (fatal)
        _exit(1);
    return false;
}

#define SHIM(fatal, condition, ...)                                                                \
    shim_check(fatal, (condition), #condition, __FILE__, __LINE__, " " __VA_ARGS__)
#define cr_assert(c, ...)               SHIM(true, (c), __VA_ARGS__)
#define cr_assert_not(c, ...)           SHIM(true, !(c), __VA_ARGS__)
#define cr_assert_fail(...)             SHIM(true, false, __VA_ARGS__)
#define cr_assert_eq(a, b, ...)         SHIM(true, (a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...)        SHIM(true, (a) != (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...)         SHIM(true, (a) < (b), __VA_ARGS__)
#define cr_assert_leq(a, b, ...)        SHIM(true, (a) <= (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...)         SHIM(true, (a) > (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...)        SHIM(true, (a) >= (b), __VA_ARGS__)
#define cr_assert_null(a, ...)          SHIM(true, (a) == NULL, __VA_ARGS__)
#define cr_assert_not_null(a, ...)      SHIM(true, (a) != NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)     SHIM(true, strcmp((a), (b)) == 0, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)    SHIM(true, strcmp((a), (b)) != 0, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)  SHIM(true, memcmp((a), (b), (n)) == 0, __VA_ARGS__)
#define cr_expect(c, ...)               SHIM(false, (c), __VA_ARGS__)
#define cr_expect_not(c, ...)           SHIM(false, !(c), __VA_ARGS__)
#define cr_expect_eq(a, b, ...)         SHIM(false, (a) == (b), __VA_ARGS__)
#define cr_expect_neq(a, b, ...)        SHIM(false, (a) != (b), __VA_ARGS__)
#define cr_expect_lt(a, b, ...)         SHIM(false, (a) < (b), __VA_ARGS__)
#define cr_expect_leq(a, b, ...)        SHIM(false, (a) <= (b), __VA_ARGS__)
#define cr_expect_gt(a, b, ...)         SHIM(false, (a) > (b), __VA_ARGS__)
#define cr_expect_geq(a, b, ...)        SHIM(false, (a) >= (b), __VA_ARGS__)
#define cr_expect_null(a, ...)          SHIM(false, (a) == NULL, __VA_ARGS__)
#define cr_expect_not_null(a, ...)      SHIM(false, (a) != NULL, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)     SHIM(false, strcmp((a), (b)) == 0, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...)    SHIM(false, strcmp((a), (b)) != 0, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...)  SHIM(false, memcmp((a), (b), (n)) == 0, __VA_ARGS__)
#define cr_expect_arr_neq(a, b, n, ...) SHIM(false, memcmp((a), (b), (n)) != 0, __VA_ARGS__)

/* One test, in a child of its own. */
__attribute__((unused)) static bool shim_run(const struct shim_test *test)
{
    struct shim_options options = test->options;
    for (const struct shim_test *row = shim_tests; row != NULL; row = row->next)
        if (row->run == NULL && strcmp(row->suite, test->suite) == 0) {
            if (options.init == NULL)
                options.init = row->options.init;
            if (options.fini == NULL)
                options.fini = row->options.fini;
        }
    pid_t child = fork();
    if (child == 0) {
        if (options.init != NULL)
            options.init();
        test->run();
        if (options.fini != NULL)
            options.fini();
        exit(shim_failures == 0 ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (options.signal != 0)
        return WIFSIGNALED(status) && WTERMSIG(status) == options.signal;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Weak: every source of a program brings one, the linker keeps one. */
__attribute__((weak)) int main(void)
{
    unsigned tested = 0, failing = 0;
    for (const struct shim_test *test = shim_tests; test != NULL; test = test->next) {
        if (test->run == NULL || test->options.disabled)
            continue;
        tested++;
        if (!shim_run(test)) {
            failing++;
            fprintf(stderr, "[FAIL] %s::%s\n", test->suite, test->name);
        }
    }
    fprintf(stderr, "[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: 0\n",
            tested, tested - failing, failing);
    return failing == 0 && tested > 0 ? 0 : 1;
}

#endif
