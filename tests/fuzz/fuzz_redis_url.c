/* A URL is taken apart into texts that are short enough and hold no control bytes, or refused with
 * a sentence. */
#include "cachegate/assert.h"
#include "cachegate/redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    CG_ASSERT(strlen(text) <= CG_REDIS_URL_MAX);
    for (; *text != '\0'; text++)
        CG_ASSERT((unsigned char)*text >= ' ' && *text != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_arena arena;
    struct cg_redis_url url;
    const char *error = NULL;
    cg_arena_init(&arena, 1 << 18);
    if (cg_redis_url_parse(cg_str_of((const char *)data, size), &arena, &url, &error)) {
        check_text(url.host);
        check_text(url.socket_path);
        check_text(url.user);
        check_text(url.password);
        check_text(url.ca_file);
        check_text(url.server_name);
        CG_ASSERT((url.host[0] == '\0') == (url.socket_path[0] == '/'));
        CG_ASSERT(url.socket_path[0] != '\0' || url.port != 0);
        CG_ASSERT(url.has_password == (url.password[0] != '\0'));
        CG_ASSERT(url.database <= CG_REDIS_DATABASE_MAX);
    } else {
        CG_ASSERT(error != NULL);
    }
    cg_arena_fini(&arena);
    return 0;
}
