/* A walk ends, hands out slices of its value only, and each member is sound by itself. */
#include "cachegate/assert.h"
#include "cachegate/structured.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct cg_str part, struct cg_str whole)
{
    return cg_str_empty(part) ||
           (part.bytes >= whole.bytes && part.bytes + part.length <= whole.bytes + whole.length);
}

static void check_value(const struct cg_sf_value *value, struct cg_str whole)
{
    CG_ASSERT(is_inside(value->text, whole));
    CG_ASSERT(value->integer >= INT64_C(-999999999999999) &&
              value->integer <= INT64_C(999999999999999));
    if (value->type == CG_SF_STRING || value->type == CG_SF_TOKEN)
        for (size_t i = 0; i < value->text.length; i++)
            CG_ASSERT(value->text.bytes[i] >= ' ' && value->text.bytes[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_str whole = cg_str_of((const char *)data, size), key;
    struct cg_sf_walk list = {.rest = whole}, dictionary = {.rest = whole};
    struct cg_sf_value value;
    size_t members = 0;
    while (cg_sf_next_in_list(&list, &value) == CG_SF_MEMBER) {
        check_value(&value, whole);
        CG_ASSERT(++members <= size);
    }
    members = 0;
    while (cg_sf_next_in_dictionary(&dictionary, &key, &value) == CG_SF_MEMBER) {
        CG_ASSERT(!cg_str_empty(key) && is_inside(key, whole));
        check_value(&value, whole);
        CG_ASSERT(++members <= size);
    }
    return 0;
}
