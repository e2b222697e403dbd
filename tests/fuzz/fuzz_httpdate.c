/* What is read can be printed, and is then read as the same instant. */
#include "cachegate/assert.h"
#include "cachegate/httpdate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int64_t now = 1767225600;
    int64_t seconds, again;
    if (!cg_httpdate_parse(cg_str_of((const char *)data, size), now, &seconds))
        return 0;
    char text[CG_HTTPDATE_SIZE];
    cg_httpdate_print(seconds, text);
    /* A leap second at the end of the year 9999 is the one instant that cannot be written. */
    if (seconds <= INT64_C(253402300799))
        CG_ASSERT(cg_httpdate_parse(cg_str_from(text), now, &again) && again == seconds);
    return 0;
}
