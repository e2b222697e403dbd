#include "cachegate/version.h"

#include <string.h>

bool cg_instance_eq(const struct cg_instance *a, const struct cg_instance *b)
{
    return memcmp(a->id, b->id, sizeof a->id) == 0;
}

bool cg_token_eq(const struct cg_token *a, const struct cg_token *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool cg_versions_concrete(const struct cg_version *versions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (versions[i].state != CG_VERSION_CURRENT)
            return false;
    return true;
}

bool cg_versions_same(const struct cg_version *a, const struct cg_version *b, size_t count)
{
    if (!cg_versions_concrete(a, count) || !cg_versions_concrete(b, count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!cg_token_eq(&a[i].token, &b[i].token))
            return false;
    return true;
}
