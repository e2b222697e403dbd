/* The words of what metrics.h counts by. */
#include "gateway/base/metrics.h"

#include "cachegate/assert.h"

const char *cg_metric_name(enum cg_metric metric)
{
    static const char *const names[] = {
#define CG_METRIC(name, exposition, sentence) [CG_METRIC_##name] = exposition,
#include "cachegate/tables/metrics.def"
    };
    CG_ASSERT(metric < CG_METRIC_COUNT);
    return names[metric];
}

const char *cg_metric_sentence(enum cg_metric metric)
{
    static const char *const sentences[] = {
#define CG_METRIC(name, exposition, sentence) [CG_METRIC_##name] = sentence,
#include "cachegate/tables/metrics.def"
    };
    CG_ASSERT(metric < CG_METRIC_COUNT);
    return sentences[metric];
}

const char *cg_result_word(enum cg_result result)
{
    static const char *const words[] = {
#define CG_RESULT(name, word, sentence) [CG_RESULT_##name] = word,
#include "cachegate/tables/results.def"
#undef CG_RESULT
    };
    CG_ASSERT(result < CG_RESULT_COUNT);
    return words[result];
}

const char *cg_method_word(enum cg_method method)
{
    static const char *const words[] = {
        [CG_METHOD_GET] = "GET",     [CG_METHOD_HEAD] = "HEAD",       [CG_METHOD_POST] = "POST",
        [CG_METHOD_PUT] = "PUT",     [CG_METHOD_PATCH] = "PATCH",     [CG_METHOD_DELETE] = "DELETE",
        [CG_METHOD_PURGE] = "PURGE", [CG_METHOD_OPTIONS] = "OPTIONS", [CG_METHOD_OTHER] = "other",
    };
    CG_ASSERT(method < CG_METHOD_COUNT);
    return words[method];
}

enum cg_method cg_method_of(struct cg_str token)
{
    for (unsigned i = 0; i < CG_METHOD_OTHER; i++)
        if (cg_str_eq(token, cg_str_from(cg_method_word((enum cg_method)i))))
            return (enum cg_method)i;
    return CG_METHOD_OTHER;
}

const char *cg_class_word(enum cg_class status_class)
{
    static const char *const words[] = {
        [CG_CLASS_2XX] = "2xx", [CG_CLASS_3XX] = "3xx",   [CG_CLASS_4XX] = "4xx",
        [CG_CLASS_5XX] = "5xx", [CG_CLASS_NONE] = "none",
    };
    CG_ASSERT(status_class < CG_CLASS_COUNT);
    return words[status_class];
}

enum cg_class cg_class_of(unsigned status)
{
    switch (status / 100) {
    case 2:
        return CG_CLASS_2XX;
    case 3:
        return CG_CLASS_3XX;
    case 4:
        return CG_CLASS_4XX;
    case 5:
        return CG_CLASS_5XX;
    default:
        return CG_CLASS_NONE;
    }
}

const char *cg_operation_word(enum cg_operation operation)
{
    static const char *const words[] = {
        [CG_OPERATION_LOOKUP] = "lookup", [CG_OPERATION_PREPARE] = "prepare",
        [CG_OPERATION_FILL] = "fill",     [CG_OPERATION_MARK] = "mark",
        [CG_OPERATION_PURGE] = "purge",
    };
    CG_ASSERT(operation < CG_OPERATION_COUNT);
    return words[operation];
}

const char *cg_trouble_word(enum cg_trouble trouble)
{
    static const char *const words[] = {
        [CG_TROUBLE_PROXY_LINE] = "proxy-line",
        [CG_TROUBLE_TLS] = "tls",
        [CG_TROUBLE_SLOW] = "slow",
        [CG_TROUBLE_STALLED] = "stalled",
        [CG_TROUBLE_HTTP2] = "http2",
        [CG_TROUBLE_BODIES] = "bodies",
    };
    CG_ASSERT(trouble < CG_TROUBLE_COUNT);
    return words[trouble];
}
