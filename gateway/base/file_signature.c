#include "gateway/base/file_signature.h"

#include <glob.h>
#include <string.h>
#include <sys/stat.h>

static uint64_t mix(uint64_t sum, uint64_t value)
{
    sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 29;
}

static uint64_t signature_of(const char *name)
{
    struct stat found;
    if (stat(name, &found) != 0)
        return 0;
    uint64_t sum = mix(1, (uint64_t)found.st_dev);
    sum = mix(sum, (uint64_t)found.st_ino);
    sum = mix(sum, (uint64_t)found.st_size);
    sum = mix(sum, (uint64_t)found.st_mtim.tv_sec);
    sum = mix(sum, (uint64_t)found.st_mtim.tv_nsec);
    sum = mix(sum, (uint64_t)found.st_ctim.tv_sec);
    return mix(sum, (uint64_t)found.st_ctim.tv_nsec);
}

uint64_t cg_file_signature(const char *name)
{
    glob_t found;
    uint64_t sum = 0;
    if (strpbrk(name, "*?[") == NULL)
        return signature_of(name);
    if (glob(name, 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++)
        sum = mix(sum, signature_of(found.gl_pathv[i]));
    globfree(&found);
    return sum;
}
