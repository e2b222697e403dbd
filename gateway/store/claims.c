#include "gateway/store/claims.h"

#include <string.h>

#include "cachegate/assert.h"

static struct cg_claim **bucket_of(struct cg_waiting *waiting, const uint8_t id[CG_DIGEST_BYTES])
{
    return &waiting->buckets[id[0] % CG_WAITING_BUCKETS];
}

static void link_at(struct cg_claim **head, struct cg_claim *claim)
{
    claim->next = *head;
    if (claim->next != NULL)
        claim->next->place = &claim->next;
    claim->place = head;
    *head = claim;
}

static void unlink_claim(struct cg_claim *claim)
{
    *claim->place = claim->next;
    if (claim->next != NULL)
        claim->next->place = claim->place;
    claim->next = NULL;
    claim->place = NULL;
}

void cg_waiting_add(struct cg_waiting *waiting, struct cg_claim *claim)
{
    CG_ASSERT(claim->place == NULL);
    link_at(bucket_of(waiting, claim->id), claim);
    waiting->count++;
}

void cg_waiting_remove(struct cg_waiting *waiting, struct cg_claim *claim)
{
    if (claim->place == NULL)
        return;
    unlink_claim(claim);
    waiting->count--;
}

/* Put aside first, so that who waits again is not woken again; linked all the while, so that who is
 * woken may end another. */
static void wake_aside(struct cg_waiting *waiting, struct cg_claim **aside)
{
    while (*aside != NULL) {
        struct cg_claim *claim = *aside;
        cg_waiting_remove(waiting, claim);
        claim->on_wake(claim->owner);
    }
}

static void put_aside(struct cg_claim **bucket, const uint8_t *id, struct cg_claim **aside)
{
    struct cg_claim *next;
    for (struct cg_claim *claim = *bucket; claim != NULL; claim = next) {
        next = claim->next;
        if (id != NULL && memcmp(claim->id, id, CG_DIGEST_BYTES) != 0)
            continue;
        if (claim->asked) {
            claim->woken = true;
            continue;
        }
        unlink_claim(claim);
        link_at(aside, claim);
    }
}

void cg_waiting_wake(struct cg_waiting *waiting, const uint8_t id[CG_DIGEST_BYTES])
{
    struct cg_claim *aside = NULL;
    put_aside(bucket_of(waiting, id), id, &aside);
    wake_aside(waiting, &aside);
}

void cg_waiting_wake_all(struct cg_waiting *waiting)
{
    struct cg_claim *aside = NULL;
    for (size_t i = 0; i < CG_WAITING_BUCKETS; i++)
        put_aside(&waiting->buckets[i], NULL, &aside);
    wake_aside(waiting, &aside);
}

bool cg_claim_digest_known(const uint8_t digest[CG_DIGEST_BYTES])
{
    static const uint8_t none[CG_DIGEST_BYTES];
    return memcmp(digest, none, CG_DIGEST_BYTES) != 0;
}

bool cg_claim_digests_differ(const uint8_t one[CG_DIGEST_BYTES],
                             const uint8_t other[CG_DIGEST_BYTES])
{
    return cg_claim_digest_known(one) && cg_claim_digest_known(other) &&
           memcmp(one, other, CG_DIGEST_BYTES) != 0;
}
