/* reason: every decision's name (tables/reasons.def). */
#ifndef CACHEGATE_REASON_H
#define CACHEGATE_REASON_H

enum cg_reason {
#define CG_REASON(name, word, fwd, sentence) CG_REASON_##name,
#include "cachegate/tables/reasons.def"
#undef CG_REASON
    CG_REASON_COUNT
};

const char *cg_reason_word(enum cg_reason reason);
const char *cg_reason_fwd(enum cg_reason reason);
const char *cg_reason_sentence(enum cg_reason reason);

#endif
