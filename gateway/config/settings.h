/*
 * settings: everything the operator decided, checked and complete.
 *
 * Built once from flags, environment and file (in that order of precedence) and immutable from then
 * on; shared by all threads, borrowed by everybody for the life of the process. Every member has a
 * row in include/cachegate/tables/options.def, which holds its default, range and sentence.
 */
#ifndef GATEWAY_CONFIG_SETTINGS_H
#define GATEWAY_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cachegate/fields.h"
#include "cachegate/ruleset.h"
#include "cachegate/str.h"
#include "gateway/config/cgroup.h"

enum cg_address_kind { CG_ADDRESS_TCP, CG_ADDRESS_UNIX };

/* `host:port`, `[v6]:port`, `:port` or `unix:/path`. Texts are NUL-terminated, owned. */
struct cg_address {
    enum cg_address_kind kind;
    char *host;    /* "" is any address; a name or a literal without brackets */
    uint16_t port; /* 0 picks one */
    char *path;    /* of a UNIX socket */
};

/* One place that accepts traffic. */
struct cg_listener_settings {
    struct cg_address address;
    bool tls;            /* uses settings.tls */
    bool proxy_protocol; /* expects a PROXY line first */
};

struct cg_tls_settings {
    char *certificate_file; /* PEM chain; NULL when no listener has TLS */
    char *key_file;
    char *minimum_version; /* "1.2" or "1.3" */
};

struct cg_upstream_settings {
    char *name; /* "default" when given by --upstream */
    struct cg_address address;
    bool tls;
    char *authority;       /* what the URL said: host or host:port */
    char *path_prefix;     /* "" or "/base", put before every target */
    bool preserve_host;    /* send the client's Host (default) or `authority` */
    char *tls_ca_file;     /* NULL: the system's */
    char *tls_server_name; /* NULL: the URL's host */
    bool tls_verify;
    uint32_t connect_timeout_ms;
    uint32_t first_byte_timeout_ms;
    uint32_t between_bytes_timeout_ms;
    uint32_t total_timeout_ms; /* 0: none */
    uint32_t keepalive_max;    /* idle connections kept per thread */
    uint32_t keepalive_ms;     /* how long one may idle */
    uint32_t connections_max;  /* per thread; more requests queue */
    uint32_t concurrency_max;  /* cacheable reads over all threads; 0: no bound */
    uint32_t head_bytes_max;   /* of an answer's header section */
};

/* What is asked for at the start (request/warm.h). */
struct cg_warm_settings {
    struct cg_str scheme, authority, target;
    struct cg_fields fields;
};

struct cg_limits {
    size_t request_body_max;   /* 413 above it */
    size_t request_bodies_max; /* of all requests in progress */
    size_t request_head_max;   /* 431 above it */
    uint32_t request_fields_max;
    size_t response_capture_max; /* of a write's answer, for {response.…} */
    size_t json_body_max;        /* larger bodies widen */
    uint32_t json_depth_max;
    uint32_t purge_instances_max; /* of one write; more widen */
    size_t flight_buffer;         /* unsent bytes per fetch before the upstream is paused */
    uint32_t flight_waiters_max;
    uint32_t flight_wait_ms; /* how long a request waits for another's fetch */
    uint32_t flight_takeovers_max;
    uint32_t flight_claim_ms;    /* how long a claim to fetch lives unless renewed */
    uint32_t write_hold_ms;      /* how long a write of unknown outcome keeps its instances busy */
    uint32_t write_mark_ms;      /* how long a mark lives unless renewed */
    uint32_t outage_fetches_max; /* per upstream, over all threads: reads while the store is away */
    uint32_t outage_queue_max;   /* per upstream and thread */
    uint32_t outage_wait_ms;
    uint32_t request_timeout_ms; /* a request must have arrived by then */
    uint32_t idle_timeout_ms;
    uint32_t send_timeout_ms; /* an answer must make progress within */
    uint32_t http2_streams_max;
    uint32_t connections_max; /* over all threads */
};

struct cg_settings {
    struct cg_listener_settings *listeners;
    size_t listener_count;
    struct cg_tls_settings tls;
    bool has_admin;
    struct cg_address admin;
    struct cg_str admin_token; /* empty: every mutation is refused */
    struct cg_upstream_settings *upstreams;
    size_t upstream_count;
    uint32_t threads;
    struct cg_cgroup cgroup;   /* what the machine lets us have */
    bool cache_enabled;        /* `cache: off`: everything passes; writes purge all the same */
    char *redis_url;           /* parsed by its own driver; NULL: the embedded store */
    char *store_namespace;     /* what all keys in Redis begin with */
    uint32_t store_timeout_ms; /* of a command to Redis */
    uint32_t store_stats_ms;   /* between reports to Redis; 0: none */
    size_t near_bytes;         /* of copies of what Redis holds; 0: none */
    uint32_t tracking_timeout_ms;
    uint32_t wait_replicas;    /* that must have a purge; 0: none */
    uint32_t breaker_failures; /* of a Redis server: breaker.h */
    uint32_t breaker_open_ms, breaker_open_longest_ms;
    char *on_outage;          /* "pass" or "memory" */
    uint32_t outage_ttl_ms;   /* how long a copy lives that an outage was answered from */
    char *on_unpurgeable;     /* "journal", "refuse" or "lease" */
    uint32_t journal_entries; /* purges that Redis was not told of; more are a flush */
    char *spool_file;         /* keeps them when the process ends; NULL without */
    uint32_t lease_ms;        /* of a gateway's membership in Redis */
    uint32_t gone_after_ms;   /* after its end: declared gone, with a flush */
    uint32_t failover_ms;     /* in less time no replica is promoted */
    size_t memory_bytes;      /* of the embedded store, entries and versions */
    size_t entry_bytes_max;   /* a larger answer is passed on, not stored */
    struct cg_secret secret;  /* of the deployment; random per process when none is given */
    bool secret_given;
    struct cg_secret secret_previous; /* the other one of a rotation, when there is one */
    bool secret_previous_given;
    struct cg_limits limits;
    struct cg_warm_settings *warm;
    size_t warm_count;
    uint32_t warm_concurrency;
    bool warm_ready;         /* /readyz waits for it */
    char *log_level;         /* error, warn, info, debug */
    char *log_access;        /* "off", "stdout", or a file */
    char *log_access_format; /* "json" or "combined" */
    size_t log_access_buffer;
    struct cg_str *log_secrets; /* globs, as cg_mask_name makes them */
    size_t log_secret_count;
    char *tracing; /* "sampled", "unsampled" or "pass" */
    bool cache_status_key;
    uint32_t drain_accept_ms; /* after the goodbye; then the doors close */
    uint32_t drain_timeout_ms;
    bool handover;              /* another process may listen on the same addresses */
    char *via;                  /* our pseudonym in Via and Cache-Status: "cachegate" */
    struct cg_ruleset *ruleset; /* owned; never NULL unless it was not asked for */
    char *reload_watch;         /* on, poll, off */
    uint32_t reload_debounce_ms, reload_poll_ms;
    /* What they were read from, globs of rules as they are; and what is read again with them. */
    const char **files;
    uint64_t *file_signatures; /* as they were before they were read */
    size_t file_count;
};

struct cg_settings *cg_settings_free(struct cg_settings *settings);

#endif
