#include "cachegate/url.h"

static bool is_plain(struct cg_str text, const char *refused)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.bytes[i];
        if (byte <= ' ' || byte == 0x7f)
            return false;
        for (const char *at = refused; *at != '\0'; at++)
            if (text.bytes[i] == *at)
                return false;
    }
    return !cg_str_empty(text);
}

bool cg_url_read(struct cg_str text, struct cg_url *ret_url)
{
    bool secure = cg_str_starts_with(text, CG_STR("https://"));
    *ret_url = (struct cg_url){CG_STR("http"), CG_STR("localhost"), text};
    if (secure || cg_str_starts_with(text, CG_STR("http://"))) {
        if (secure)
            ret_url->scheme = CG_STR("https");
        text = cg_str_skip(text, ret_url->scheme.length + CG_STR("://").length);
        size_t slash = cg_str_find(text, '/');
        ret_url->authority = cg_str_sub(text, 0, slash);
        ret_url->target = cg_str_skip(text, slash);
    }
    /* Credentials before an @ are nothing that a request says there. */
    return is_plain(ret_url->authority, "@?#\\") && is_plain(ret_url->target, "#") &&
           cg_str_starts_with(ret_url->target, CG_STR("/"));
}

bool cg_url_is_field_value(struct cg_str text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.bytes[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

bool cg_url_is_field_name(struct cg_str text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!cg_is_alpha(text.bytes[i]) && !cg_is_digit(text.bytes[i]) && text.bytes[i] != '-')
            return false;
    return !cg_str_empty(text);
}
