#include "cachegate/reason.h"

#include "cachegate/assert.h"

struct row {
    const char *word;
    const char *fwd;
    const char *sentence;
};

static const struct row rows[] = {
#define CG_REASON(name, word, fwd, sentence) [CG_REASON_##name] = {word, fwd, sentence},
#include "cachegate/tables/reasons.def"
#undef CG_REASON
};

static const struct row *find_row(enum cg_reason reason)
{
    CG_ASSERT((unsigned)reason < CG_REASON_COUNT);
    return &rows[reason];
}

const char *cg_reason_word(enum cg_reason reason)
{
    return find_row(reason)->word;
}

const char *cg_reason_fwd(enum cg_reason reason)
{
    return find_row(reason)->fwd;
}

const char *cg_reason_sentence(enum cg_reason reason)
{
    return find_row(reason)->sentence;
}
