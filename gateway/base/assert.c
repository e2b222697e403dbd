#include "cachegate/assert.h"

#include <stdio.h>
#include <stdlib.h>

void cg_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "cachegate: assertion failed: %s (%s:%d)\n", what, file, line);
    fflush(stderr);
    abort();
}
