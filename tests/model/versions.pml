/*
 * versions: one pattern instance, one stored answer that depends on it, and everybody around them.
 *
 * A read that starts after a write was answered never returns the state before that write. A write
 * counts as answered when
 *   - its answer was released after a known outcome, or
 *   - its outcome is unknown to the client (504, or its gateway died) and the upstream committed it
 *     while its mark or hold was in the store. A mark that ran out or was evicted before the
 *     commit, together with a crash, is the stated limit (CONSISTENCY row 18).
 *
 * Time is left out: a mark or a hold may run out at any moment (its gateway was frozen for long
 * enough), a version may be evicted at any moment, and any process may stop for good after any step.
 *
 * Configurations and the switches that remove a safeguard are listed in ./run.
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef EVICTIONS
#define EVICTIONS 1
#endif

#define NOTHING 255
#define BUSY 254
#define MARK_OF(writer) (1 << (writer))
#define HOLD_OF(writer) (4 << (writer))

/* The upstream's state, counted in commits, and the oldest one that a read may return by now. */
byte upstream = 0;
byte oldest_allowed = 0;

/* The store: a version is a base token and a set of marks; base 0 means absent. */
byte base = 0;
byte marks = 0;
byte entry_token = NOTHING;
byte entry_state = 0;

/* Marks and holds that should be in the store; differs from `marks` only in broken variants. */
byte owed = 0;

/* Readers are alike, and so are writers: they start in order, which makes fewer states. */
byte readers_started = 0;
byte writers_started = 0;

/* What each reader remembers of the store. */
byte looked_up[2];
byte stored_under[2];

mtype = { UNDECIDED, COMMITTED, REFUSED };
mtype outcome[WRITERS] = UNDECIDED;
byte committed[WRITERS];  /* the state that the write made */
bool covered[WRITERS];    /* its mark or hold was there when the upstream committed */
bool settled[WRITERS];    /* the version changed after the commit */
bool left_alone[WRITERS]; /* its client knows no outcome and waits no longer */

#ifdef FLIGHTS
mtype = { NO_FLIGHT, ASKED, FETCHED, DELISTED };
mtype flight = NO_FLIGHT;
byte flight_token = 0;
byte flight_state = 0;
#endif

/* ---- the store's operations, each of them one script and so one step ---- */

/* A token that nobody remembers is as good as one that was never used, and makes fewer states. */
#ifdef FLIGHTS
#define KNOWN_TO_FLIGHT(token) || flight_token == (token)
#else
#define KNOWN_TO_FLIGHT(token)
#endif
#define IS_KNOWN(token)                                                                            \
    (base == (token) || entry_token == (token) || looked_up[0] == (token) ||                       \
     stored_under[0] == (token) || looked_up[1] == (token) ||                                      \
     stored_under[1] == (token) KNOWN_TO_FLIGHT(token))

hidden byte fresh;
inline renew_base()
{
    fresh = 1;
    do
    :: IS_KNOWN(fresh) -> fresh++
    :: else -> break
    od;
    base = fresh
}

inline create_when_absent()
{
    if
    :: base == 0 -> renew_base()
    :: else
    fi
}

inline read_version(version)
{
    version = base;
#ifndef BUSY_IS_CURRENT
    if
    :: marks != 0 -> version = BUSY
    :: else
    fi
#endif
}

inline add_mark(mark)
{
    create_when_absent();
#ifdef ONE_MARK_PER_VERSION
    marks = mark;
#else
    marks = marks | mark;
#endif
    owed = owed | mark;
}

inline drop_mark(mark)
{
#ifdef ONE_MARK_PER_VERSION
    marks = 0;
#else
    marks = marks & ~mark;
#endif
}

inline release_mark(mark, renew)
{
    if
    :: base == 0
    :: else ->
        if
#ifdef RENEW_ONLY_WHAT_IS_MARKED
        :: renew && (marks & mark) -> renew_base()
#else
        :: renew -> renew_base()
#endif
        :: else
        fi;
        drop_mark(mark)
    fi
}

inline purge()
{
    if
    :: base != 0 ->
        renew_base();
#ifdef PURGE_ERASES_MARKS
        marks = 0
#endif
    :: else
    fi
}

inline run_out(mark)
{
    owed = owed & ~mark;
    if
    :: (marks & mark) ->
        drop_mark(mark);
#ifndef NO_RENEW_ON_EXPIRED_MARK
        renew_base()
#endif
    :: else
    fi
}

proctype environment()
{
    byte evictions = 0;
end:
    do
    :: d_step { base != 0 && evictions < EVICTIONS ->
           evictions++;
           base = 0;
           marks = 0;
           owed = 0 }
    :: d_step { (owed & MARK_OF(0)) -> run_out(MARK_OF(0)) }
    :: d_step { (owed & HOLD_OF(0)) -> run_out(HOLD_OF(0)) }
#if WRITERS > 1
    :: d_step { (owed & MARK_OF(1)) -> run_out(MARK_OF(1)) }
    :: d_step { (owed & HOLD_OF(1)) -> run_out(HOLD_OF(1)) }
#endif
    od
}

/* ---- reads ---- */

#define token looked_up[me]
#define stored_token stored_under[me]

proctype reader(byte me)
{
    byte oldest;
    byte seen;
    bool may_store;
#ifdef FLIGHTS
    bool founder = false;
#endif

    /* The read starts with its first look into the store. Entry and version are two looks: the
     * memory store has two locks, a cluster two nodes. Either may be first. */
#ifdef ONE_LOOK
    atomic {
        readers_started == me -> readers_started++;
        oldest = oldest_allowed;
        stored_token = entry_token;
        seen = entry_state;
        read_version(token)
    }
#else
    atomic {
        if
        :: readers_started == me -> readers_started++; oldest = oldest_allowed; stored_token = entry_token; seen = entry_state;
           goto look_at_version
        :: readers_started == me -> readers_started++; oldest = oldest_allowed; read_version(token); goto look_at_entry
        fi
    }
look_at_version:
    atomic { read_version(token); goto judge }
look_at_entry:
    atomic { stored_token = entry_token; seen = entry_state }
#endif
judge:
    atomic {
        if
#ifdef ABSENT_MATCHES
        :: token != BUSY && stored_token == token -> assert(seen >= oldest); goto done
#else
        :: token != BUSY && token != 0 && stored_token == token -> assert(seen >= oldest); goto done
#endif
        :: else
        fi;
        stored_token = 0;
        seen = 0;
        may_store = true;
        if
        :: token == BUSY -> may_store = false; goto fetch
#ifndef ABSENT_MATCHES
        :: token == 0 -> goto prepare
#endif
        :: else
        fi;
#ifdef FLIGHTS
        goto join;
#else
        goto fetch;
#endif
    }
prepare:
    atomic {
        create_when_absent();
        read_version(token);
        if
        :: token == BUSY -> may_store = false; goto fetch
        :: else
        fi;
#ifdef FLIGHTS
        goto join;
#else
        goto fetch;
#endif
    }

#ifdef FLIGHTS
join:
    atomic {
        if
#ifdef JOIN_WITHOUT_VERSIONS
        :: flight == ASKED || flight == FETCHED -> goto joined
#else
        :: (flight == ASKED || flight == FETCHED) && flight_token == token -> goto joined
#endif
        :: flight == NO_FLIGHT -> founder = true; flight = ASKED; flight_token = token; goto fetch
        :: else -> goto fetch
        fi
    }
joined:
    atomic {
        flight == FETCHED || flight == DELISTED;
        assert(flight_state >= oldest);
        goto done
    }
#endif

fetch:
#ifdef JOIN_WHILE_BUSY
    atomic {
        if
        :: may_store
        :: !may_store && (flight == ASKED || flight == FETCHED) && flight_token == BUSY ->
            goto joined
        :: !may_store && flight == NO_FLIGHT -> founder = true; flight = ASKED; flight_token = BUSY
        :: else
        fi
    }
#endif
    atomic {
        seen = upstream;
        assert(seen >= oldest);
#ifdef FLIGHTS
        if
        :: founder -> flight = FETCHED; flight_state = seen
        :: else
        fi;
#endif
    }
#ifdef VERSIONS_AFTER_FETCH
    atomic {
        read_version(token);
        if
        :: token == BUSY || token == 0 -> may_store = false
        :: else
        fi
    }
#endif
    d_step {
        if
        :: may_store -> entry_token = token; entry_state = seen
        :: else
        fi;
#ifdef FLIGHTS
        if
        :: founder -> flight = DELISTED
        :: else
        fi;
#endif
    }
done:
    atomic { oldest = 0; token = 0; stored_token = 0; seen = 0; may_store = false }
}

#undef token
#undef stored_token

/* ---- writes ---- */

/* From now on the write has been answered; what was remembered of it makes no more difference. */
inline count_as_answered(writer)
{
    if
    :: committed[writer] > oldest_allowed -> oldest_allowed = committed[writer]
    :: else
    fi;
    committed[writer] = 0;
    covered[writer] = false;
    settled[writer] = false;
    left_alone[writer] = false;
    outcome[writer] = UNDECIDED
}

/* What the upstream makes of a write that reached it, whether or not somebody still listens. */
proctype commit(byte me)
{
    writers_started > me;
    if
    :: d_step {
           upstream++;
           committed[me] = upstream;
           covered[me] = (owed & (MARK_OF(me) | HOLD_OF(me))) != 0;
           outcome[me] = COMMITTED;
           if
           :: left_alone[me] && covered[me] -> count_as_answered(me)
           :: else
           fi
       }
    :: outcome[me] = REFUSED
    fi
}

inline leave_alone()
{
    left_alone[me] = true;
    if
    :: committed[me] != 0 && (covered[me] || settled[me]) -> count_as_answered(me)
    :: committed[me] != 0 && !covered[me] && !settled[me] -> committed[me] = 0
    :: else
    fi
}

inline release(renew)
{
    release_mark(MARK_OF(me), renew);
    owed = owed & ~MARK_OF(me);
    settled[me] = renew && committed[me] != 0
}

inline hold()
{
#ifdef NO_HOLD
    owed = owed | HOLD_OF(me)
#else
    add_mark(HOLD_OF(me))
#endif
}

/* Its gateway may die instead of any step. */
#define DIE atomic { leave_alone(); goto done }

proctype writer(byte me)
{
    atomic {
        writers_started == me -> writers_started++;
#ifndef ALL_MARKED
        if
        :: skip
        :: goto unmarked
        fi;
#endif
#ifdef NO_MARK
        owed = owed | MARK_OF(me);
#else
        add_mark(MARK_OF(me));
#endif
    }

    if
    :: outcome[me] == COMMITTED -> goto known
    :: d_step { outcome[me] == REFUSED -> release(false) }; goto done
#ifndef ALL_OUTCOMES_KNOWN
    :: goto unknown
#endif
    :: DIE
    fi;

known:
#ifdef PURGE_AFTER_RELEASE
    atomic { count_as_answered(me) };
    d_step { release(true) };
    goto done;
#else
    if
    :: d_step { release(true) }
    :: DIE
    fi;
    if
    :: d_step { count_as_answered(me) }; goto done
    :: DIE
    fi;
#endif

    /* A timeout or a cut: the upstream may commit later. The store keeps the order of the two. */
unknown:
#ifdef HOLD_AFTER_RELEASE
    atomic { release_mark(MARK_OF(me), true); settled[me] = committed[me] != 0 };
    if
    :: d_step { hold(); owed = owed & ~MARK_OF(me) }
    :: DIE
    fi;
#else
    if
    :: d_step { hold() }
    :: DIE
    fi;
    if
    :: d_step { release(true) }
    :: DIE
    fi;
#endif
    atomic { leave_alone() };
    goto done;

    /* What only the answer names: purged afterwards, never marked. Nothing is promised when its
     * gateway dies before the purge. */
unmarked:
    outcome[me] != UNDECIDED;
    if
    :: outcome[me] == COMMITTED ->
#ifdef PURGE_AFTER_RELEASE
        d_step { count_as_answered(me) };
        d_step { purge() };
#else
        d_step { purge() };
        d_step { count_as_answered(me) };
#endif
    :: else
    fi;
    goto done;

done:
    skip
}

init
{
    atomic {
        /* A read long ago may have stored the first state. */
        if
        :: base = 1; entry_token = 1
#ifdef ABSENT_MATCHES
        :: entry_token = 0
#endif
        :: skip
        fi;
        run reader(0);
        run reader(1);
        run writer(0);
        run commit(0);
#if WRITERS > 1
        run writer(1);
        run commit(1);
#endif
        run environment()
    }
}
