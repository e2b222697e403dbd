/* First line: If-None-Match; the rest: the answer's entity tag. A 304 is right only for a tag that
 * stands in the list as it is, or for a star. */
#include "cachegate/assert.h"
#include "cachegate/conditional.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool contains(struct cg_str whole, struct cg_str part)
{
    for (size_t i = 0; i + part.length <= whole.length; i++)
        if (cg_str_eq(cg_str_sub(whole, i, part.length), part))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_str rest = cg_str_of((const char *)data, size), list = {NULL, 0};
    (void)cg_str_split(&rest, '\n', &list);
    struct cg_field asked[] = {{CG_STR("if-none-match"), list}};
    struct cg_field had[] = {{CG_STR("etag"), rest}, {CG_STR("last-modified"), list}};
    struct cg_fields request = {.items = asked, .count = 1, .capacity = 1};
    struct cg_fields answer = {.items = had, .count = 2, .capacity = 2};
    struct cg_etag etag;
    bool has_etag = cg_etag_of(&answer, &etag);
    bool is_star = cg_str_eq(cg_str_trim(list), CG_STR("*"));
    CG_ASSERT(!has_etag || cg_str_ends_with(etag.text, etag.opaque));
    if (cg_is_not_modified(&request, 200, &answer, 0))
        CG_ASSERT(is_star || (has_etag && contains(list, etag.opaque)));
    else
        CG_ASSERT(!is_star && !(has_etag && cg_str_eq(list, etag.text)));
    /* An answer is always one that the same tag asks for. */
    asked[0].value = rest;
    CG_ASSERT(!has_etag || cg_is_not_modified(&request, 200, &answer, 0));
    asked[0].name = CG_STR("if-modified-since");
    (void)cg_is_not_modified(&request, 200, &answer, 0);
    return 0;
}
