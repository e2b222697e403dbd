/*
 * replay: the main() of a fuzz target where libFuzzer is not linked. Feeds the target every file of
 * the directory argv[1], so that every build runs over the whole corpus. A directory without a
 * file is an error: a corpus that got lost must not pass.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1 for a file that was fed, 0 for something that is no file, -1 on an error. */
static int replay_file(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return -1;
    if (!S_ISREG(status.st_mode))
        return 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL || status.st_size > FILE_BYTES_MAX) {
        if (file != NULL)
            fclose(file);
        return -1;
    }
    /* Exactly as large as the file, for the sanitizers to see a read behind its end. */
    uint8_t *bytes = malloc(status.st_size == 0 ? 1 : (size_t)status.st_size);
    size_t size = bytes == NULL ? 0 : fread(bytes, 1, (size_t)status.st_size, file);
    fclose(file);
    bool complete = bytes != NULL && size == (size_t)status.st_size;
    if (complete)
        LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    return complete ? 1 : -1;
}

int main(int argc, char **argv)
{
    DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
    if (directory == NULL) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY (which must exist)\n", argv[0]);
        return 2;
    }
    int files = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char path[4096];
        int length = snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        int replayed = length < 0 || (size_t)length >= sizeof path ? -1 : replay_file(path);
        if (replayed < 0) {
            fprintf(stderr, "cannot replay %s/%s\n", argv[1], entry->d_name);
            closedir(directory);
            return 1;
        }
        files += replayed;
    }
    closedir(directory);
    printf("%d inputs replayed\n", files);
    if (files == 0)
        fprintf(stderr, "%s holds no input: restore the corpus\n", argv[1]);
    return files == 0;
}
