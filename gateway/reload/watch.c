#include "gateway/reload/watch.h"

#include "cachegate/assert.h"

#include <fcntl.h>
#include <glob.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct directory {
    char *name; /* owned */
    int id;     /* of inotify; -1: not watched */
};

struct cg_watch {
    bool events; /* are wanted */
    int descriptor;
    char **files; /* owned, as are the texts */
    size_t file_count;
    struct directory directories[CG_WATCH_DIRECTORIES_MAX];
    size_t directory_count;
};

static const uint32_t what_matters = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE |
                                     IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB;

struct cg_watch *cg_watch_create(bool events)
{
    struct cg_watch *watch = calloc(1, sizeof *watch);
    CG_ASSERT(watch != NULL);
    watch->events = events;
    watch->descriptor = events ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1;
    return watch;
}

static void forget_files(struct cg_watch *watch)
{
    for (size_t i = 0; i < watch->file_count; i++)
        free(watch->files[i]);
    free(watch->files);
    watch->files = NULL;
    watch->file_count = 0;
}

static void forget_directory(struct cg_watch *watch, size_t index)
{
    struct directory *directory = &watch->directories[index];
    if (directory->id >= 0)
        (void)inotify_rm_watch(watch->descriptor, directory->id);
    free(directory->name);
    *directory = watch->directories[--watch->directory_count];
}

struct cg_watch *cg_watch_destroy(struct cg_watch *watch)
{
    if (watch == NULL)
        return NULL;
    forget_files(watch);
    while (watch->directory_count > 0)
        forget_directory(watch, 0);
    if (watch->descriptor >= 0)
        close(watch->descriptor);
    free(watch);
    return NULL;
}

int cg_watch_descriptor(const struct cg_watch *watch)
{
    return watch->descriptor;
}

/* ---- directories ---- */

/* The folder that a file stands in; to be freed. */
static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    if (slash == NULL)
        return strdup(".");
    return slash == file ? strdup("/") : strndup(file, (size_t)(slash - file));
}

/* Asking for one that is watched already gives the same id: whoever took its name is found. */
static bool watch_directory(struct cg_watch *watch, const char *name)
{
    struct directory *found = NULL;
    for (size_t i = 0; i < watch->directory_count && found == NULL; i++)
        if (strcmp(watch->directories[i].name, name) == 0)
            found = &watch->directories[i];
    if (found == NULL) {
        if (watch->directory_count == CG_WATCH_DIRECTORIES_MAX)
            return false;
        found = &watch->directories[watch->directory_count++];
        *found = (struct directory){.name = strdup(name), .id = -1};
        CG_ASSERT(found->name != NULL);
    }
    found->id = inotify_add_watch(watch->descriptor, name, what_matters | IN_ONLYDIR);
    return found->id >= 0;
}

static bool watch_folder_of(struct cg_watch *watch, const char *file)
{
    char *folder = folder_of(file);
    glob_t found;
    CG_ASSERT(folder != NULL);
    bool good = true;
    if (strpbrk(folder, "*?[") == NULL) {
        good = watch_directory(watch, folder);
    } else if (glob(folder, GLOB_ONLYDIR, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            good = watch_directory(watch, found.gl_pathv[i]) && good;
        globfree(&found);
    }
    free(folder);
    return good;
}

static bool still_matters(const struct cg_watch *watch, const char *name)
{
    bool matters = false;
    for (size_t i = 0; i < watch->file_count && !matters; i++) {
        char *folder = folder_of(watch->files[i]);
        CG_ASSERT(folder != NULL);
        matters = strcmp(folder, name) == 0 || strpbrk(folder, "*?[") != NULL;
        free(folder);
    }
    return matters;
}

bool cg_watch_set(struct cg_watch *watch, const char *const *files, size_t count)
{
    char **copies = calloc(count + 1, sizeof *copies);
    CG_ASSERT(copies != NULL);
    for (size_t i = 0; i < count; i++) { /* before the old ones go: they may be the same */
        copies[i] = strdup(files[i]);
        CG_ASSERT(copies[i] != NULL);
    }
    forget_files(watch);
    watch->files = copies;
    watch->file_count = count;
    if (watch->descriptor < 0)
        return !watch->events;
    for (size_t i = watch->directory_count; i > 0; i--)
        if (!still_matters(watch, watch->directories[i - 1].name))
            forget_directory(watch, i - 1);
    bool good = true;
    for (size_t i = 0; i < count; i++)
        good = watch_folder_of(watch, copies[i]) && good;
    return good;
}

bool cg_watch_take(struct cg_watch *watch)
{
    _Alignas(struct inotify_event) char bytes[16384];
    bool any = false;
    while (watch->descriptor >= 0 && read(watch->descriptor, bytes, sizeof bytes) > 0)
        any = true;
    return any;
}

/* ---- contents ---- */

static void add_text(EVP_MD_CTX *digest, const char *text)
{
    CG_ASSERT(EVP_DigestUpdate(digest, text, strlen(text) + 1) == 1);
}

static void add_file(EVP_MD_CTX *digest, const char *name)
{
    char bytes[16384];
    size_t total = 0;
    ssize_t length = -1;
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    add_text(digest, name);
    while (file >= 0 && total < CG_WATCH_FILE_BYTES_MAX &&
           (length = read(file, bytes, sizeof bytes)) > 0) {
        CG_ASSERT(EVP_DigestUpdate(digest, bytes, (size_t)length) == 1);
        total += (size_t)length;
    }
    add_text(digest, length < 0 ? "unreadable" : "end");
    CG_ASSERT(EVP_DigestUpdate(digest, &total, sizeof total) == 1);
    if (file >= 0)
        close(file);
}

void cg_watch_digest(const struct cg_watch *watch, uint8_t ret_digest[CG_WATCH_DIGEST_BYTES])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned length = 0;
    CG_ASSERT(digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < watch->file_count; i++) {
        glob_t found;
        if (strpbrk(watch->files[i], "*?[") == NULL) {
            add_file(digest, watch->files[i]);
        } else if (glob(watch->files[i], 0, NULL, &found) == 0) {
            for (size_t j = 0; j < found.gl_pathc; j++)
                add_file(digest, found.gl_pathv[j]);
            globfree(&found);
        }
    }
    CG_ASSERT(EVP_DigestFinal_ex(digest, ret_digest, &length) == 1 &&
              length == CG_WATCH_DIGEST_BYTES);
    EVP_MD_CTX_free(digest);
}
