#include "cachegate/httpdate.h"

#include "cachegate/assert.h"

#include <stdio.h>

enum { DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60, YEAR_MAX = 9999 };

/* Days from 0000-01-01 to 1970-01-01 of the proleptic Gregorian calendar. */
#define EPOCH_DAYS INT64_C(719528)

static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
/* From Sunday; the short name is the first three letters. */
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

struct date {
    int64_t year;  /* 0 .. 9999 */
    int64_t month; /* 0 .. 11 */
    int64_t day;   /* 1 .. 31 */
    int64_t hour, minute, second;
};

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month] + (month == 1 && is_leap(year));
}

/* From 0000-01-01 to the first day of `year`; the year 0 is a leap year. */
static int64_t days_before_year(int64_t year)
{
    return year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
}

static int64_t seconds_of(const struct date *date)
{
    int64_t days = days_before_year(date->year) + date->day - 1 - EPOCH_DAYS;
    for (int64_t month = 0; month < date->month; month++)
        days += month_days(date->year, month);
    return days * DAY_S + date->hour * HOUR_S + date->minute * MINUTE_S + date->second;
}

static int64_t clamp_seconds(int64_t seconds)
{
    int64_t first = -EPOCH_DAYS * DAY_S;
    int64_t last = (days_before_year(YEAR_MAX + 1) - EPOCH_DAYS) * DAY_S - 1;
    if (seconds < first)
        return first;
    return seconds > last ? last : seconds;
}

/* `seconds` was clamped. */
static struct date date_of(int64_t seconds)
{
    int64_t since_0 = seconds + EPOCH_DAYS * DAY_S;
    int64_t days = since_0 / DAY_S, rest = since_0 % DAY_S;
    struct date date = {.year = days * 400 / 146097};
    while (days_before_year(date.year) > days)
        date.year--;
    while (days_before_year(date.year + 1) <= days)
        date.year++;
    days -= days_before_year(date.year);
    while (days >= month_days(date.year, date.month))
        days -= month_days(date.year, date.month++);
    date.day = days + 1;
    date.hour = rest / HOUR_S;
    date.minute = rest % HOUR_S / MINUTE_S;
    date.second = rest % MINUTE_S;
    return date;
}

/* Cuts `expected` off `*rest`. */
static bool take(struct cg_str *rest, struct cg_str expected)
{
    if (!cg_str_starts_with(*rest, expected))
        return false;
    *rest = cg_str_skip(*rest, expected.length);
    return true;
}

/* Cuts exactly `width` digits off. */
static bool take_number(struct cg_str *rest, size_t width, int64_t *ret_number)
{
    uint64_t number;
    if (rest->length < width || !cg_str_to_u64(cg_str_sub(*rest, 0, width), 9999, &number))
        return false;
    *ret_number = (int64_t)number;
    *rest = cg_str_skip(*rest, width);
    return true;
}

static bool take_month(struct cg_str *rest, int64_t *ret_month)
{
    for (size_t i = 0; i < sizeof months / sizeof months[0]; i++) {
        if (take(rest, cg_str_from(months[i]))) {
            *ret_month = (int64_t)i;
            return true;
        }
    }
    return false;
}

/* A whole name of a day, or its first three letters. */
static bool take_weekday(struct cg_str *rest, bool whole)
{
    for (size_t i = 0; i < sizeof weekdays / sizeof weekdays[0]; i++) {
        struct cg_str name = cg_str_from(weekdays[i]);
        if (take(rest, whole ? name : cg_str_sub(name, 0, 3)))
            return true;
    }
    return false;
}

static bool take_time(struct cg_str *rest, struct date *date)
{
    return take_number(rest, 2, &date->hour) && take(rest, CG_STR(":")) &&
           take_number(rest, 2, &date->minute) && take(rest, CG_STR(":")) &&
           take_number(rest, 2, &date->second);
}

/* `Sun, 06 Nov 1994 08:49:37 GMT` */
static bool parse_imf_fixdate(struct cg_str text, struct date *date)
{
    return take_weekday(&text, false) && take(&text, CG_STR(", ")) &&
           take_number(&text, 2, &date->day) && take(&text, CG_STR(" ")) &&
           take_month(&text, &date->month) && take(&text, CG_STR(" ")) &&
           take_number(&text, 4, &date->year) && take(&text, CG_STR(" ")) &&
           take_time(&text, date) && cg_str_eq(text, CG_STR(" GMT"));
}

/* `Sunday, 06-Nov-94 08:49:37 GMT`; the year has two digits afterwards. */
static bool parse_rfc850(struct cg_str text, struct date *date)
{
    return take_weekday(&text, true) && take(&text, CG_STR(", ")) &&
           take_number(&text, 2, &date->day) && take(&text, CG_STR("-")) &&
           take_month(&text, &date->month) && take(&text, CG_STR("-")) &&
           take_number(&text, 2, &date->year) && take(&text, CG_STR(" ")) &&
           take_time(&text, date) && cg_str_eq(text, CG_STR(" GMT"));
}

/* `Sun Nov  6 08:49:37 1994` */
static bool parse_asctime(struct cg_str text, struct date *date)
{
    if (!take_weekday(&text, false) || !take(&text, CG_STR(" ")) ||
        !take_month(&text, &date->month) || !take(&text, CG_STR(" ")))
        return false;
    size_t width = take(&text, CG_STR(" ")) ? 1 : 2;
    return take_number(&text, width, &date->day) && take(&text, CG_STR(" ")) &&
           take_time(&text, date) && take(&text, CG_STR(" ")) &&
           take_number(&text, 4, &date->year) && cg_str_empty(text);
}

/* The latest year with these two digits in which the date is at most 50 years ahead of now. */
static void choose_century(struct date *date, int64_t now_seconds)
{
    int64_t now_year = date_of(clamp_seconds(now_seconds)).year;
    int64_t year = now_year - now_year % 100 + 100 + date->year;
    for (;; year -= 100) {
        struct date earlier = *date;
        earlier.year = year - 50;
        if (year <= YEAR_MAX && year >= 50 && seconds_of(&earlier) <= now_seconds)
            break;
        if (year < 100)
            break;
    }
    date->year = year;
}

static bool exists(const struct date *date)
{
    return date->day >= 1 && date->day <= month_days(date->year, date->month) && date->hour < 24 &&
           date->minute < 60 && date->second <= 60;
}

bool cg_httpdate_parse(struct cg_str text, int64_t now_seconds, int64_t *ret_seconds)
{
    struct date date = {0};
    if (parse_rfc850(text, &date))
        choose_century(&date, now_seconds);
    else if (!parse_imf_fixdate(text, &date) && !parse_asctime(text, &date))
        return false;
    if (!exists(&date))
        return false;
    *ret_seconds = seconds_of(&date);
    return true;
}

void cg_httpdate_print(int64_t seconds, char ret_text[CG_HTTPDATE_SIZE])
{
    seconds = clamp_seconds(seconds);
    struct date date = date_of(seconds);
    /* 0000-01-01 was a Saturday. */
    size_t weekday = (size_t)((seconds + EPOCH_DAYS * DAY_S) / DAY_S + 6) % 7;
    int length = snprintf(ret_text, CG_HTTPDATE_SIZE, "%.3s, %02d %s %04d %02d:%02d:%02d GMT",
                          weekdays[weekday], (int)date.day, months[date.month], (int)date.year,
                          (int)date.hour, (int)date.minute, (int)date.second);
    CG_ASSERT(length == CG_HTTPDATE_SIZE - 1);
}
