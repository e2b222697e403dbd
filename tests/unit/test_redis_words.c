#include "gateway/store/redis_words.h"

#include <criterion/criterion.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>

/* hiredis knows how. */
static void expect_spelled_as_hiredis_does(struct cg_redis_words *words)
{
    struct cg_buf buf;
    char *expected = NULL;
    int length = redisFormatCommandArgv(&expected, (int)words->count, words->items, words->lengths);
    cg_buf_init(&buf, 1 << 20);
    cg_redis_words_spell(words, &buf);
    cr_assert_eq(buf.length, (size_t)length);
    cr_expect_arr_eq(buf.bytes, expected, (size_t)length);
    cr_expect_leq(buf.length, cg_redis_words_length(words));
    redisFreeCommand(expected);
    cg_buf_fini(&buf);
}

Test(redis_words, commands_are_spelled_as_redis_reads_them)
{
    static char long_one[123456];
    struct cg_redis_words words = {0};
    memset(long_one, 'x', sizeof long_one);
    cg_redis_words_add(&words, CG_STR("SET"));
    expect_spelled_as_hiredis_does(&words);
    cg_redis_words_add(&words, CG_STR("a key\r\n\0of any bytes"));
    cg_redis_words_add(&words, (struct cg_str){NULL, 0});
    cg_redis_words_add(&words, cg_str_of(long_one, sizeof long_one));
    expect_spelled_as_hiredis_does(&words);
    while (words.count < CG_REDIS_WORDS_MAX)
        cg_redis_words_add(&words, CG_STR("0123456789"));
    expect_spelled_as_hiredis_does(&words);
}

Test(redis_words, there_is_an_end_to_them, .signal = SIGABRT)
{
    struct cg_redis_words words = {0};
    for (size_t i = 0; i <= CG_REDIS_WORDS_MAX; i++)
        cg_redis_words_add(&words, CG_STR("x"));
}
