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

static void check_seeds(const struct cg_redis_url *url)
{
    CG_ASSERT(url->seed_count >= 1 && url->seed_count <= CG_REDIS_SEEDS_MAX);
    CG_ASSERT(url->seed_count == 1 || url->form != CG_REDIS_STANDALONE);
    for (size_t i = 0; i < url->seed_count; i++) {
        const struct cg_redis_address *seed = &url->seeds[i];
        check_text(seed->host);
        check_text(seed->socket_path);
        CG_ASSERT((seed->host[0] == '\0') == (seed->socket_path[0] == '/'));
        CG_ASSERT((seed->host[0] == '\0') == (seed->port == 0));
    }
    CG_ASSERT((url->form == CG_REDIS_SENTINEL) == (url->primary_name[0] != '\0'));
    CG_ASSERT(url->form != CG_REDIS_CLUSTER || url->database == 0);
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
        check_text(url.primary_name);
        check_text(url.sentinel_user);
        check_text(url.sentinel_password);
        check_seeds(&url);
        CG_ASSERT(url.has_password == (url.password[0] != '\0'));
        CG_ASSERT(url.database <= CG_REDIS_DATABASE_MAX);
    } else {
        CG_ASSERT(error != NULL);
    }
    cg_arena_fini(&arena);
    return 0;
}
