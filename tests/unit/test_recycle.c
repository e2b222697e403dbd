#include "gateway/base/recycle.h"

#include <criterion/criterion.h>

#if defined(__SANITIZE_ADDRESS__)
static const bool keeps = false;
#else
static const bool keeps = true;
#endif

Test(recycle, what_was_given_back_last_is_taken_first)
{
    struct cg_recycler recycler;
    cg_recycler_init(&recycler, 3000, 2);
    void *a = cg_recycler_take(&recycler), *b = cg_recycler_take(&recycler);
    cr_assert_neq(a, b);
    memset(a, 1, 3000);
    memset(b, 2, 3000);
    cg_recycler_give(&recycler, a);
    cg_recycler_give(&recycler, b);
    if (keeps) {
        cr_expect_eq(cg_recycler_take(&recycler), b);
        cr_expect_eq(cg_recycler_take(&recycler), a);
        cg_recycler_give(&recycler, a);
        cg_recycler_give(&recycler, b);
    }
    cg_recycler_fini(&recycler);
    cg_recycler_fini(&recycler);
}

Test(recycle, no_more_is_kept_than_was_said)
{
    struct cg_recycler recycler;
    void *blocks[5];
    cg_recycler_init(&recycler, sizeof(void *), 3);
    for (size_t i = 0; i < 5; i++)
        blocks[i] = cg_recycler_take(&recycler);
    for (size_t i = 0; i < 5; i++)
        cg_recycler_give(&recycler, blocks[i]);
    cr_expect_eq(recycler.count, keeps ? 3 : 0);
    cg_recycler_fini(&recycler);
    cr_expect_eq(recycler.count, 0);
}
