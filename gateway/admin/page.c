#include "gateway/admin/page.h"

#include "cachegate/assert.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

static struct cg_str text_of(const struct cg_page_file *file)
{
    return cg_str_of((const char *)file->bytes, file->length);
}

/* 'sha256-…' of an element's text, as Content-Security-Policy wants it. */
static void add_digest(struct cg_buf *out, const struct cg_page_file *file)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    unsigned char text[4 * ((SHA256_DIGEST_LENGTH + 2) / 3) + 1];
    SHA256(file->bytes, file->length, digest);
    EVP_EncodeBlock(text, digest, sizeof digest);
    cg_buf_printf(out, "'sha256-%s'", (const char *)text);
}

/* Everything up to `mark`, which stands on a line of its own, and the file in its place. */
static void put_in(struct cg_buf *out, struct cg_str *rest, struct cg_str mark,
                   const struct cg_page_file *file)
{
    size_t at = 0;
    while (at + mark.length <= rest->length && !cg_str_eq(cg_str_sub(*rest, at, mark.length), mark))
        at++;
    CG_ASSERT(at + mark.length <= rest->length); /* the embedded index.html has it */
    cg_buf_add_str(out, cg_str_sub(*rest, 0, at));
    cg_buf_add_str(out, text_of(file));
    *rest = cg_str_skip(*rest, at + mark.length);
}

void cg_page_make(struct cg_page *ret_page)
{
    struct cg_str rest = text_of(&cg_page_index_html);
    cg_buf_init(&ret_page->html, SIZE_MAX / 2);
    cg_buf_init(&ret_page->policy, SIZE_MAX / 2);
    put_in(&ret_page->html, &rest, CG_STR("/*style.css*/"), &cg_page_style_css);
    put_in(&ret_page->html, &rest, CG_STR("/*app.js*/"), &cg_page_app_js);
    cg_buf_add_str(&ret_page->html, rest);
    cg_buf_add_text(&ret_page->policy, "default-src 'none'; style-src ");
    add_digest(&ret_page->policy, &cg_page_style_css);
    cg_buf_add_text(&ret_page->policy, "; script-src ");
    add_digest(&ret_page->policy, &cg_page_app_js);
    cg_buf_add_text(&ret_page->policy,
                    "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                    "frame-ancestors 'none'; require-trusted-types-for 'script'");
}

void cg_page_fini(struct cg_page *page)
{
    cg_buf_fini(&page->html);
    cg_buf_fini(&page->policy);
}

bool cg_page_is_wanted(struct cg_str accept)
{
    static const struct cg_str html = {"text/html", 9};
    for (size_t at = 0; at + html.length <= accept.length; at++)
        if (cg_str_eq_ci(cg_str_sub(accept, at, html.length), html))
            return true;
    return false;
}
