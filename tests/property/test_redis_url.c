/* Whatever a password is, written with escapes it comes back; and no part reaches into another. */
#include "cachegate/redis_url.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "property/seed.h"

enum { ROUNDS = 2000, LENGTH_MAX = 24 };

static size_t put_escaped(char *room, const char *text)
{
    size_t length = 0;
    for (; *text != '\0'; text++)
        if (cg_is_alpha(*text) || cg_is_digit(*text))
            room[length++] = *text;
        else
            length += (size_t)snprintf(room + length, 4, "%%%02X", (unsigned)(unsigned char)*text);
    room[length] = '\0';
    return length;
}

static void make_text(struct seed *seed, char *room)
{
    size_t length = 1 + seed_below(seed, LENGTH_MAX - 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)(0x20 + seed_below(seed, 0xe0));
        room[i] = byte == 0x7f ? '@' : (char)byte;
    }
    room[length] = '\0';
}

Test(redis_url, credentials_survive_being_escaped)
{
    struct seed seed = seed_init();
    for (unsigned round = 0; round < ROUNDS; round++) {
        char user[LENGTH_MAX + 1], password[LENGTH_MAX + 1];
        char escaped[2][3 * LENGTH_MAX + 1], text[512];
        struct cg_arena arena;
        struct cg_redis_url url;
        const char *error = "none";
        make_text(&seed, user);
        make_text(&seed, password);
        put_escaped(escaped[0], user);
        put_escaped(escaped[1], password);
        unsigned database = (unsigned)seed_below(&seed, 65536);
        snprintf(text, sizeof text, "redis+sentinel://%s:%s@host:7000,other/p/%u", escaped[0],
                 escaped[1], database);
        cg_arena_init(&arena, 1 << 16);
        cr_assert(cg_redis_url_parse(cg_str_from(text), &arena, &url, &error), "%s: %s (seed %llu)",
                  text, error, (unsigned long long)seed.start);
        cr_assert_str_eq(url.user, user);
        cr_assert_str_eq(url.password, password);
        cr_assert_str_eq(url.seeds[0].host, "host");
        cr_assert_str_eq(url.seeds[1].host, "other");
        cr_assert(url.port == 7000 && url.database == database);
        cg_arena_fini(&arena);
    }
}
