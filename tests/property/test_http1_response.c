#include "property/seed.h"
#include "read_response.h"

#include <criterion/criterion.h>

/* Sound and broken parts in random order: most of it fails somewhere, some of it is complete. */
static void generate(struct seed *seed, struct cg_buf *input)
{
    static const char *const starts[] = {
        "HTTP/1.1 200 OK\r\n",   "HTTP/1.0 404 No\r\n", "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n",
        "HTTP/1.1 304 Same\r\n", "HTTP/1.1 20 Bad\r\n", "HTTP/1.1 200 OK\n",
    };
    static const char *const fields[] = {
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "A: b\r\n",
        "Set-Cookie: c=d; Path=/\r\n",
        "X : y\r\n",
        " fold\r\n",
        "Content-Length: 6\r\n",
        "Bare: lf\n",
    };
    static const char *const bodies[] = {
        "5\r\nhello\r\n", "1\r\nx\r\n", "0\r\n",
        "0\r\n\r\n",      "hello",      "A: b\r\n",
        "\r\n",           "zz",         "a;ext=1\r\n0123456789\r\n",
    };
    size_t good = seed_below(seed, 3) == 0 ? 0 : 5; /* two of three: sound parts only */
    do
        cg_buf_add_text(input, starts[seed_below(seed, good == 0 ? 6 : 4)]);
    while (cg_str_ends_with(cg_buf_str(input), CG_STR("\r\n\r\n")));
    for (size_t i = seed_below(seed, 4); i > 0; i--)
        cg_buf_add_text(input, fields[seed_below(seed, good == 0 ? 9 : good)]);
    cg_buf_add_text(input, "\r\n");
    for (size_t i = seed_below(seed, 6); i > 0; i--)
        cg_buf_add_text(input, bodies[seed_below(seed, 9)]);
}

static size_t any_piece(void *context, size_t left)
{
    size_t length = 1 + seed_below(context, 9);
    return length < left ? length : left;
}

static size_t one_byte(void *context, size_t left)
{
    (void)context;
    (void)left;
    return 1;
}

Test(http1_response, reading_does_not_depend_on_how_the_bytes_are_cut)
{
    struct seed seed = seed_init();
    size_t complete = 0;
    for (size_t round = 0; round < 4000; round++) {
        struct cg_buf input;
        struct read_response whole, bytes, pieces;
        cg_buf_init(&input, 1 << 16);
        generate(&seed, &input);
        bool head_request = seed_below(&seed, 8) == 0, ends = seed_below(&seed, 2) == 0;
        read_response_run(&whole, cg_buf_str(&input), head_request, ends, NULL, NULL);
        read_response_run(&bytes, cg_buf_str(&input), head_request, ends, one_byte, NULL);
        read_response_run(&pieces, cg_buf_str(&input), head_request, ends, any_piece, &seed);
        complete += whole.progress == CG_HTTP1_COMPLETE;
        cr_assert(read_response_same(&whole, &bytes) && read_response_same(&whole, &pieces),
                  "CACHEGATE_SEED=%llu, round %zu: %.*s", (unsigned long long)seed.start, round,
                  CG_STR_ARG(cg_buf_str(&input)));
        read_response_fini(&whole);
        read_response_fini(&bytes);
        read_response_fini(&pieces);
        cg_buf_fini(&input);
    }
    cr_expect_gt(complete, 200, "the generator makes too few sound messages: %zu", complete);
}
