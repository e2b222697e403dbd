#include "gateway/store/memory_claims.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

enum { BUCKETS = 1024, MAILBOX_MAX = 128 };

struct held {
    struct held *next; /* in its bucket */
    uint8_t id[CG_DIGEST_BYTES], holder[CG_DIGEST_BYTES], digest[CG_DIGEST_BYTES];
    int64_t ends_ms;
    bool done; /* what was fetched is stored: nobody holds it */
};

struct cg_memory_claims {
    pthread_mutex_t lock;
    struct held *buckets[BUCKETS]; /* under the lock, with all that follows */
    struct cg_memory_claimant *claimants;
};

struct cg_memory_claimant {
    struct cg_claims base;
    struct cg_memory_claims *claims;
    struct cg_clock *clock;
    struct cg_waiting waiting; /* this thread's */
    atomic_uint waiters;       /* how many, for other threads */
    /* Under the lock. */
    struct cg_memory_claimant *next;
    void (*notify)(void *owner);
    void *notify_owner;
    uint8_t mailbox[MAILBOX_MAX][CG_DIGEST_BYTES];
    size_t mail_count;
    bool too_much_mail; /* all are to be woken */
};

static struct cg_memory_claimant *claimant_of(struct cg_claims *claims)
{
    return (struct cg_memory_claimant *)claims;
}

static void lock(struct cg_memory_claims *claims)
{
    CG_ASSERT(pthread_mutex_lock(&claims->lock) == 0);
}

static void unlock(struct cg_memory_claims *claims)
{
    CG_ASSERT(pthread_mutex_unlock(&claims->lock) == 0);
}

/* ---- the table, under the lock ---- */

/* What is in its way and has ended goes too: a holder always ends its claim, but late. */
static struct held **find(struct cg_memory_claims *claims, const uint8_t id[CG_DIGEST_BYTES],
                          int64_t now_ms)
{
    uint16_t hash;
    memcpy(&hash, id, sizeof(hash));
    struct held **at = &claims->buckets[hash % BUCKETS];
    while (*at != NULL && ((*at)->ends_ms <= now_ms || memcmp((*at)->id, id, CG_DIGEST_BYTES))) {
        struct held *held = *at;
        if (held->ends_ms > now_ms) {
            at = &held->next;
            continue;
        }
        *at = held->next;
        free(held);
    }
    return at;
}

static bool is_holder(const struct held *held, const struct cg_claim *claim)
{
    return memcmp(held->holder, claim->holder, CG_DIGEST_BYTES) == 0;
}

static void take(struct held *held, const struct cg_claim *claim, int64_t now_ms)
{
    memcpy(held->holder, claim->holder, CG_DIGEST_BYTES);
    memcpy(held->digest, claim->digest, CG_DIGEST_BYTES);
    held->ends_ms = now_ms + (int64_t)claim->lives_ms;
    held->done = false;
}

static void add(struct held **at, const struct cg_claim *claim, int64_t now_ms)
{
    struct held *held = calloc(1, sizeof(*held));
    CG_ASSERT(held != NULL);
    memcpy(held->id, claim->id, CG_DIGEST_BYTES);
    take(held, claim, now_ms);
    held->next = *at;
    *at = held;
}

static void leave_mail(struct cg_memory_claimant *claimant, const uint8_t id[CG_DIGEST_BYTES])
{
    if (claimant->notify == NULL || atomic_load(&claimant->waiters) == 0)
        return;
    if (claimant->mail_count < MAILBOX_MAX)
        memcpy(claimant->mailbox[claimant->mail_count++], id, CG_DIGEST_BYTES);
    else
        claimant->too_much_mail = true;
    claimant->notify(claimant->notify_owner);
}

static bool may_take(const struct held *held, const struct cg_claim *claim)
{
    if (held->done)
        return claim->insists || cg_claim_digests_differ(held->digest, claim->digest);
    return is_holder(held, claim) || cg_claim_digests_differ(held->digest, claim->digest);
}

/* ---- the port ---- */

static void memory_claim(struct cg_claims *base, struct cg_claim *claim, cg_claim_fn answer,
                         void *owner)
{
    struct cg_memory_claimant *claimant = claimant_of(base);
    struct cg_memory_claims *claims = claimant->claims;
    struct cg_claim_answer said = {.state = CG_CLAIM_GRANTED};
    int64_t now_ms = cg_now_ms(claimant->clock);
    /* Before anybody could end it: who waits is never overlooked. */
    atomic_fetch_add(&claimant->waiters, 1);
    lock(claims);
    struct held **at = find(claims, claim->id, now_ms);
    if (*at == NULL) {
        add(at, claim, now_ms);
    } else if (may_take(*at, claim)) {
        take(*at, claim, now_ms);
    } else {
        said.state = CG_CLAIM_HELD;
        said.left_ms = (*at)->done ? 0 : (uint32_t)((*at)->ends_ms - now_ms);
        memcpy(said.digest, (*at)->digest, CG_DIGEST_BYTES);
    }
    unlock(claims);
    if (said.state == CG_CLAIM_HELD)
        cg_waiting_add(&claimant->waiting, claim);
    atomic_store(&claimant->waiters, claimant->waiting.count);
    answer(owner, &said);
}

static void memory_renew(struct cg_claims *base, const struct cg_claim *claim)
{
    struct cg_memory_claimant *claimant = claimant_of(base);
    int64_t now_ms = cg_now_ms(claimant->clock);
    lock(claimant->claims);
    struct held **at = find(claimant->claims, claim->id, now_ms);
    if (*at != NULL && is_holder(*at, claim) && !(*at)->done)
        take(*at, claim, now_ms);
    unlock(claimant->claims);
}

static void memory_end(struct cg_claims *base, struct cg_claim *claim, enum cg_claim_end how)
{
    struct cg_memory_claimant *claimant = claimant_of(base);
    struct cg_memory_claims *claims = claimant->claims;
    cg_waiting_remove(&claimant->waiting, claim);
    atomic_store(&claimant->waiters, claimant->waiting.count);
    if (how == CG_CLAIM_WITHDRAWN)
        return;
    int64_t now_ms = cg_now_ms(claimant->clock);
    lock(claims);
    struct held **at = find(claims, claim->id, now_ms);
    if (*at != NULL && is_holder(*at, claim) && how == CG_CLAIM_STORED) {
        (*at)->done = true;
        (*at)->ends_ms = now_ms + CG_CLAIM_DONE_MS;
    } else if (*at != NULL && is_holder(*at, claim)) {
        struct held *held = *at;
        *at = held->next;
        free(held);
    }
    for (struct cg_memory_claimant *each = claims->claimants; each != NULL; each = each->next)
        leave_mail(each, claim->id);
    unlock(claims);
}

static const struct cg_claims_port memory_claims_port = {memory_claim, memory_renew, memory_end};

/* ---- mail ---- */

void *cg_memory_claimant_notify(struct cg_memory_claimant *claimant, void (*notify)(void *owner),
                                void *owner)
{
    lock(claimant->claims);
    void *before = claimant->notify_owner;
    claimant->notify = notify;
    claimant->notify_owner = owner;
    unlock(claimant->claims);
    return before;
}

void cg_memory_claimant_deliver(struct cg_memory_claimant *claimant)
{
    uint8_t mail[MAILBOX_MAX][CG_DIGEST_BYTES];
    lock(claimant->claims);
    size_t count = claimant->mail_count;
    bool all = claimant->too_much_mail;
    memcpy(mail, claimant->mailbox, count * CG_DIGEST_BYTES);
    claimant->mail_count = 0;
    claimant->too_much_mail = false;
    unlock(claimant->claims);
    if (all)
        cg_waiting_wake_all(&claimant->waiting);
    for (size_t i = 0; i < count && !all; i++)
        cg_waiting_wake(&claimant->waiting, mail[i]);
    atomic_store(&claimant->waiters, claimant->waiting.count);
}

/* ---- life ---- */

struct cg_memory_claims *cg_memory_claims_create(void)
{
    struct cg_memory_claims *claims = calloc(1, sizeof(*claims));
    CG_ASSERT(claims != NULL);
    CG_ASSERT(pthread_mutex_init(&claims->lock, NULL) == 0);
    return claims;
}

struct cg_memory_claims *cg_memory_claims_destroy(struct cg_memory_claims *claims)
{
    if (claims == NULL)
        return NULL;
    CG_ASSERT(claims->claimants == NULL);
    for (size_t i = 0; i < BUCKETS; i++)
        while (claims->buckets[i] != NULL) {
            struct held *held = claims->buckets[i];
            claims->buckets[i] = held->next;
            free(held);
        }
    CG_ASSERT(pthread_mutex_destroy(&claims->lock) == 0);
    free(claims);
    return NULL;
}

struct cg_memory_claimant *cg_memory_claimant_create(struct cg_memory_claims *claims,
                                                     struct cg_clock *clock)
{
    struct cg_memory_claimant *claimant = calloc(1, sizeof(*claimant));
    CG_ASSERT(claimant != NULL);
    claimant->base.port = &memory_claims_port;
    claimant->claims = claims;
    claimant->clock = clock;
    lock(claims);
    claimant->next = claims->claimants;
    claims->claimants = claimant;
    unlock(claims);
    return claimant;
}

struct cg_memory_claimant *cg_memory_claimant_destroy(struct cg_memory_claimant *claimant)
{
    if (claimant == NULL)
        return NULL;
    lock(claimant->claims);
    struct cg_memory_claimant **at = &claimant->claims->claimants;
    while (*at != claimant)
        at = &(*at)->next;
    *at = claimant->next;
    unlock(claimant->claims);
    CG_ASSERT(claimant->waiting.count == 0);
    free(claimant);
    return NULL;
}

struct cg_claims *cg_memory_claimant_claims(struct cg_memory_claimant *claimant)
{
    return &claimant->base;
}
