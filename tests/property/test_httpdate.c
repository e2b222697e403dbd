#include "cachegate/httpdate.h"
#include "property/seed.h"

#include <criterion/criterion.h>

static void expect_identity(int64_t seconds, const struct seed *seed)
{
    char text[CG_HTTPDATE_SIZE];
    int64_t again = 0;
    cg_httpdate_print(seconds, text);
    cr_assert(cg_httpdate_parse(cg_str_from(text), 0, &again) && again == seconds,
              "CACHEGATE_SEED=%llu: %lld printed as %s", (unsigned long long)seed->start,
              (long long)seconds, text);
}

Test(httpdate, parsing_what_was_printed_gives_the_same_instant)
{
    struct seed seed = seed_init();
    const int64_t first = INT64_C(-62167219200), last = INT64_C(253402300799);
    for (size_t i = 0; i < 100000; i++)
        expect_identity(first + (int64_t)(seed_next(&seed) % (uint64_t)(last - first + 1)), &seed);
    /* Every midnight of four centuries, and the second before. */
    for (int64_t day = -135140; day < 146097 - 135140; day++) {
        expect_identity(day * 86400, &seed);
        expect_identity(day * 86400 - 1, &seed);
    }
}

Test(httpdate, printed_weekdays_follow_each_other)
{
    static const char names[] = "ThuFriSatSunMonTueWed";
    for (int64_t day = 0; day < 20000; day++) {
        char text[CG_HTTPDATE_SIZE];
        cg_httpdate_print(day * 86400, text);
        cr_assert_eq(memcmp(text, names + day % 7 * 3, 3), 0, "%s", text);
    }
}
