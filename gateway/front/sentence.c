#include "gateway/front/sentence.h"

#include "cachegate/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *cg_sentence(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    CG_ASSERT(length >= 0);
    return text;
}

char *cg_sentence_join(char *text, const char *separator, const char *more)
{
    if (text == NULL)
        return cg_sentence("%s", more);
    char *joined = cg_sentence("%s%s%s", text, separator, more);
    free(text);
    return joined;
}
