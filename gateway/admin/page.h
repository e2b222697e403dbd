/*
 * page: the dashboard, one self-contained page that `GET /` of the admin listener gives to
 * browsers.
 *
 * Made of three files of dashboard/, which the build embeds: index.html with style.css and app.js
 * put in where it says so. Its Content-Security-Policy names the two by their digests and forbids
 * everything else, so nothing is loaded from anywhere and no text that slips into the page can run.
 *
 * Who may do what: reading is open to whoever reaches the listener, as it is without the page. What
 * changes something needs the admin token in an Authorization field, which the person types, the
 * page keeps in memory, and no browser adds by itself. So a foreign site cannot purge through a
 * visitor's browser (no cookie is ever set, and without CORS it can neither send that field nor
 * read an answer). A name that is rebound to this listener's address makes a foreign page look like
 * ours to the browser, but gives it no token: it could read the statistics, and nothing else. Keep
 * the listener off networks where even that is too much.
 */
#ifndef GATEWAY_ADMIN_PAGE_H
#define GATEWAY_ADMIN_PAGE_H

#include "cachegate/buf.h"

/* What the build embeds. */
struct cg_page_file {
    const unsigned char *bytes;
    size_t length;
};
extern const struct cg_page_file cg_page_index_html, cg_page_style_css, cg_page_app_js;

struct cg_page {
    struct cg_buf html;
    struct cg_buf policy; /* the value of Content-Security-Policy */
};

void cg_page_make(struct cg_page *ret_page);
/* Takes a zeroed page. */
void cg_page_fini(struct cg_page *page);
/* Whether a browser asks: some Accept field names text/html. */
bool cg_page_is_wanted(struct cg_str accept);

#endif
