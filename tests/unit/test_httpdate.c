#include "cachegate/httpdate.h"

#include <criterion/criterion.h>

enum { NOW_2026 = 1767225600 }; /* 2026-01-01 00:00:00 */

struct row {
    const char *text;
    int64_t seconds;
};

Test(httpdate, all_three_forms_are_read)
{
    static const struct row rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Wed Nov 16 08:49:37 1994", 784975777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799)},
        {"Sat, 01 Jan 0000 00:00:00 GMT", INT64_C(-62167219200)},
        {"Mon, 26 Jul 1997 05:00:00 GMT", 869893200}, /* a Saturday, as PHP once wrote it */
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t seconds = 4711;
        cr_expect(cg_httpdate_parse(cg_str_from(rows[i].text), NOW_2026, &seconds), "%s",
                  rows[i].text);
        cr_expect_eq(seconds, rows[i].seconds, "%s: %lld", rows[i].text, (long long)seconds);
    }
}

Test(httpdate, two_digit_years_are_at_most_fifty_years_ahead)
{
    static const struct {
        const char *text;
        const char *same_as;
        const char *now;
    } rows[] = {
        {"Thursday, 01-Jan-26 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:00 GMT",
         "Thu, 01 Jan 2026 00:00:00 GMT"},
        {"Wednesday, 01-Jan-76 00:00:00 GMT", "Wed, 01 Jan 2076 00:00:00 GMT",
         "Thu, 01 Jan 2026 00:00:00 GMT"},
        {"Wednesday, 01-Jan-76 00:00:01 GMT", "Thu, 01 Jan 1976 00:00:01 GMT",
         "Thu, 01 Jan 2026 00:00:00 GMT"},
        {"Friday, 01-Jan-77 00:00:00 GMT", "Sat, 01 Jan 1977 00:00:00 GMT",
         "Thu, 01 Jan 2026 00:00:00 GMT"},
        {"Friday, 31-Dec-99 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:59 GMT",
         "Sat, 01 Jan 2000 00:00:00 GMT"},
        {"Monday, 01-Jan-05 00:00:00 GMT", "Thu, 01 Jan 2105 00:00:00 GMT",
         "Thu, 01 Jan 2099 00:00:00 GMT"},
        {"Thursday, 29-Feb-24 00:00:00 GMT", "Thu, 29 Feb 2024 00:00:00 GMT",
         "Thu, 01 Jan 2026 00:00:00 GMT"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t now = 0, expected = 1, seconds = 2;
        cr_assert(cg_httpdate_parse(cg_str_from(rows[i].now), 0, &now));
        cr_assert(cg_httpdate_parse(cg_str_from(rows[i].same_as), 0, &expected));
        cr_expect(cg_httpdate_parse(cg_str_from(rows[i].text), now, &seconds), "%s", rows[i].text);
        cr_expect_eq(seconds, expected, "%s: %lld", rows[i].text, (long long)seconds);
    }
}

Test(httpdate, anything_else_is_refused_and_leaves_the_result_alone)
{
    static const char *const rows[] = {
        "",
        "0",
        "-1",
        "Sun",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Xxx 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 00:00:00 GMT",
        "Mon, 29 Feb 2100 00:00:00 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov 06 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Wed Nov  16 08:49:37 1994",
        "Sunday Nov  6 08:49:37 1994",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t seconds = 4711;
        cr_expect_not(cg_httpdate_parse(cg_str_from(rows[i]), NOW_2026, &seconds), "'%s'", rows[i]);
        cr_expect_eq(seconds, 4711, "'%s'", rows[i]);
    }
}

Test(httpdate, printed_form_is_imf_fixdate_and_clamped)
{
    static const struct row rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777}, {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},        {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
        {"Fri, 31 Dec 9999 23:59:59 GMT", INT64_MAX}, {"Sat, 01 Jan 0000 00:00:00 GMT", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[CG_HTTPDATE_SIZE];
        cg_httpdate_print(rows[i].seconds, text);
        cr_expect_str_eq(text, rows[i].text);
    }
}
