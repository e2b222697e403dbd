#include "cachegate/blob.h"

#include <criterion/criterion.h>

Test(blob, copies_what_it_is_made_of)
{
    char bytes[] = "stored";
    struct cg_blob *blob = cg_blob_create(cg_str_from(bytes));
    bytes[0] = 'X';
    cr_expect(cg_str_eq(cg_blob_str(blob), CG_STR("stored")));
    cr_expect_null(cg_blob_unref(blob));
}

Test(blob, may_be_empty)
{
    struct cg_blob *blob = cg_blob_create((struct cg_str){NULL, 0});
    cr_expect(cg_str_empty(cg_blob_str(blob)));
    cg_blob_unref(blob);
}

Test(blob, lives_until_its_last_reference_goes)
{
    struct cg_blob *blob = cg_blob_create(CG_STR("held"));
    cr_expect_eq(cg_blob_ref(blob), blob);
    cg_blob_unref(blob);
    cr_expect(cg_str_eq(cg_blob_str(blob), CG_STR("held")));
    cg_blob_unref(blob);
}

Test(blob, no_blob_may_be_dropped_too)
{
    cr_expect_null(cg_blob_unref(NULL));
}
