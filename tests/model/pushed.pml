/*
 * pushed: the near cache whose versions are watched (CONSISTENCY row 12). It trades the promise for
 * a bound: what is asserted here is that a hit is never older than an answered write whose push has
 * arrived, and never older than an answered write that went through this very gateway.
 *
 * One gateway with one near copy, three reads, a write elsewhere and a write through this gateway;
 * the tracking connection may be lost once, with all pushes on it. The entry in the store has its
 * versions checked there, so a lookup answers the state as purged so far.
 */
byte upstream = 0;
byte purged = 0;           /* what a lookup in the store can still return */
byte pushes_under_way = 0; /* on the tracking connection */
byte answered_here = 0;
byte answered_elsewhere = 0;

bool tracking = true;
bool have_near = false;
byte near_state = 0;
byte pushes_seen = 0;

inline handle_push()
{
    have_near = false;
    near_state = 0;
    pushes_seen++
}

proctype tracker()
{
    bool lost = false;
end:
    do
    :: atomic { pushes_under_way > 0 -> pushes_under_way--; handle_push() }
    :: atomic { tracking && !lost -> lost = true; tracking = false; pushes_under_way = 0 }
    :: atomic {
           !tracking -> tracking = true;
#ifndef NEAR_SURVIVES_A_LOST_CONNECTION
           handle_push()
#endif
       }
    od
}

inline check(state)
{
    assert(state >= oldest_here);
    assert(state >= oldest_elsewhere || pushes_under_way > 0)
}

/* Readers are alike: they start in order, which makes fewer states. */
byte started = 0;

proctype reader(byte me)
{
    byte oldest_here;
    byte oldest_elsewhere;
    byte pushes_before;
    byte seen;
    bool was_tracking;
    atomic {
        started == me -> started++;
        oldest_here = answered_here;
        oldest_elsewhere = answered_elsewhere;
        if
        :: have_near && tracking -> check(near_state); goto done
        :: else
        fi;
        pushes_before = pushes_seen;
        was_tracking = tracking
    };
    /* At the store; a miss there is a fetch, and as new or newer. */
    atomic { seen = purged };
    /* The answer arrives, on another connection than the pushes. */
    atomic {
        if
#ifdef INSERT_DESPITE_A_PUSH
        :: tracking && was_tracking -> have_near = true; near_state = seen
#else
        :: tracking && was_tracking && pushes_before == pushes_seen ->
            have_near = true;
            near_state = seen
#endif
        :: else
        fi
    };
done:
    atomic { oldest_here = 0; oldest_elsewhere = 0; pushes_before = 0; seen = 0; was_tracking = false }
}

proctype writer(bool here)
{
    byte state;
    atomic { upstream++; state = upstream };
    /* The purge; the store pushes to whoever watches. */
    atomic {
        purged = upstream;
        if
        :: tracking -> pushes_under_way++
        :: else
        fi
    };
    if
    :: here ->
#ifndef OWN_PURGES_WAIT_FOR_THE_PUSH
        atomic { handle_push() };
#endif
        atomic {
            if
            :: state > answered_here -> answered_here = state
            :: else
            fi
        }
    :: !here ->
        atomic {
            if
            :: state > answered_elsewhere -> answered_elsewhere = state
            :: else
            fi
        }
    fi
}

init
{
    atomic {
        run tracker();
        run reader(0);
        run reader(1);
        run reader(2);
        run writer(true);
        run writer(false)
    }
}
