#include "cachegate/lease.h"

/* Heartbeats come twice as often as what they were told counts, so one of them may be lost. */
enum { PACES_PER_LEASE = 6, NOTICES_PER_LEASE = 3 };

static int64_t notice_ms(const struct cg_lease_terms *terms)
{
    return terms->lease_ms / NOTICES_PER_LEASE;
}

/* Two clocks that should run alike may differ by one part in a hundred. */
static int64_t slack_ms(int64_t span_ms)
{
    return span_ms / 100 + 1;
}

uint32_t cg_lease_pace_ms(const struct cg_lease_terms *terms)
{
    uint32_t pace_ms = terms->lease_ms / PACES_PER_LEASE;
    if ((terms->replicated || terms->replaceable) && pace_ms > terms->failover_ms / 3)
        pace_ms = terms->failover_ms / 3;
    return pace_ms == 0 ? 1 : pace_ms;
}

int64_t cg_lease_send(struct cg_lease *lease, int64_t now_ms)
{
    if (!lease->told)
        return 0;
    if (now_ms > lease->sent_ms)
        lease->sent_ms = now_ms;
    /* The store's clock is at least this far by now: it may ask for too little, never too much. */
    return lease->server_ms + (now_ms - lease->heard_ms) + lease->terms.lease_ms;
}

void cg_lease_hear(struct cg_lease *lease, const struct cg_lease_answer *answer, int64_t now_ms)
{
    if (answer->renewed && (!lease->joined || answer->sent_ms > lease->renewed_ms)) {
        lease->joined = true;
        lease->renewed_ms = answer->sent_ms;
    }
    if (answer->replicated && (!lease->has_replicated || answer->sent_ms > lease->replicated_ms)) {
        lease->has_replicated = true;
        lease->replicated_ms = answer->sent_ms;
    }
    if (lease->told && answer->sent_ms <= lease->told_ms)
        return;
    if (!lease->told)
        lease->sent_ms = answer->sent_ms;
    lease->told = true;
    lease->told_ms = answer->sent_ms;
    lease->others_lapsed = answer->others_lapsed || answer->sent_ms < lease->doubted_until_ms;
    lease->server_ms = answer->server_ms;
    lease->heard_ms = now_ms;
}

void cg_lease_move(struct cg_lease *lease)
{
    lease->told = lease->joined = lease->has_replicated = false;
}

void cg_lease_doubt(struct cg_lease *lease, int64_t now_ms)
{
    lease->others_lapsed = true;
    lease->doubted_until_ms = now_ms + lease->terms.gone_after_ms + lease->terms.lease_ms;
}

int64_t cg_lease_trusted_until_ms(const struct cg_lease *lease)
{
    int64_t until_ms = INT64_MAX;
    if (lease->terms.binding) {
        if (!lease->told || lease->others_lapsed)
            return INT64_MIN;
        until_ms = lease->told_ms + notice_ms(&lease->terms);
    }
    if (lease->terms.replaceable) {
        if (!lease->told)
            return INT64_MIN;
        int64_t heard_ms = lease->told_ms + lease->terms.failover_ms;
        if (heard_ms < until_ms)
            until_ms = heard_ms;
    }
    if (lease->terms.replicated) {
        if (!lease->has_replicated)
            return INT64_MIN;
        int64_t replicated_ms = lease->replicated_ms + lease->terms.failover_ms;
        if (replicated_ms < until_ms)
            until_ms = replicated_ms;
    }
    return until_ms;
}

bool cg_lease_lapsed(const struct cg_lease *lease, int64_t now_ms)
{
    if (!lease->terms.replaceable)
        return false;
    return !lease->told || now_ms - lease->told_ms >= lease->terms.failover_ms;
}

bool cg_lease_is_listed(const struct cg_lease *lease, int64_t now_ms)
{
    int64_t gone_ms = (int64_t)lease->terms.lease_ms + lease->terms.gone_after_ms;
    return lease->joined && now_ms - lease->renewed_ms < gone_ms - slack_ms(gone_ms);
}

uint32_t cg_lease_hold_ms(const struct cg_lease *lease, int64_t now_ms)
{
    const struct cg_lease_terms *terms = &lease->terms;
    int64_t lease_ms = terms->lease_ms;
    if (!terms->binding)
        return 0;
    if (!lease->joined) /* nobody would notice its absence */
        return CG_LEASE_REFUSE;
    int64_t noticed_ms = lease->sent_ms + lease_ms + notice_ms(terms);
    noticed_ms += slack_ms(lease_ms + notice_ms(terms));
    int64_t gone_ms = lease->renewed_ms + terms->gone_after_ms - lease_ms;
    int64_t released_ms = noticed_ms > now_ms ? noticed_ms : now_ms;
    return released_ms >= gone_ms ? CG_LEASE_REFUSE : (uint32_t)(released_ms - now_ms);
}
