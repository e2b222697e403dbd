/*
 * assert: what cannot happen. Stays on in release builds: a gateway that no longer knows what it
 * is doing must not answer. Possible and external conditions are results, never asserts.
 */
#ifndef CACHEGATE_ASSERT_H
#define CACHEGATE_ASSERT_H

/* Prints what and where to standard error and aborts. */
_Noreturn void cg_assert_failed(const char *what, const char *file, int line);

#define CG_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : cg_assert_failed(#condition, __FILE__, __LINE__))
/* A branch that must not be reached. */
#define CG_UNREACHABLE() cg_assert_failed("unreachable", __FILE__, __LINE__)

#endif
