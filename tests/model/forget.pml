/*
 * forget: a Redis that forgot. It restarts from an old snapshot, or a replica that lagged is
 * promoted and the old primary comes back with what it had. Old versions and old entries return
 * together, so versions cannot tell; the epoch does (CONSISTENCY row 10). One gateway is enough to
 * bump it, but not before the other trusts: both are here.
 *
 * One version, one entry, two gateways, three reads, a write through the first. No marks: the
 * outcome is known, and versions.pml has them. A server that is cut off from its replicas is
 * trusted no longer by the time that another is promoted (row 11: a heartbeat that is replicated);
 * that much is assumed here.
 *
 * A gateway that lost sight of its server for so long that it may have been replaced and come back
 * takes it for strange, unless another gateway has believed this same server all the while: its
 * lease there is live, and no lease lives as long as a failover takes.
 */
#define NONE 0
#define NOTHING 255

byte upstream = 0;
byte oldest_allowed = 0;
byte last_token = 1;
byte last_generation = 1;
byte last_id = 2;

/* Two servers and the snapshot. `record` is the id of the server that the epoch was made under. */
#define SNAPSHOT 2
byte base[3];
byte entry_token[3];
byte entry_epoch[3];
byte entry_state[3];
byte epoch[3];
byte record[3];
byte id[2]; /* run id and replication history in one */
byte primary = 0; /* the one that can be reached */

byte connected_to[2];
byte last_trusted[2];
bool is_live[2]; /* its lease, on the server that can be reached */

/* What is not looked at any more makes no difference, and fewer states. */
inline wipe(which)
{
    base[which] = 0;
    entry_token[which] = 0;
    entry_epoch[which] = 0;
    entry_state[which] = 0;
    epoch[which] = 0;
    record[which] = 0
}

inline copy(from, to)
{
    base[to] = base[from];
    entry_token[to] = entry_token[from];
    entry_epoch[to] = entry_epoch[from];
    entry_state[to] = entry_state[from];
    epoch[to] = epoch[from];
    record[to] = record[from]
}

inline lose_sight()
{
    connected_to[0] = NONE;
    connected_to[1] = NONE;
#ifndef TRUST_SURVIVES_A_LAPSE
    last_trusted[0] = NONE;
    last_trusted[1] = NONE;
#endif
#ifndef LEASES_OUTLIVE_A_FAILOVER
    is_live[0] = false;
    is_live[1] = false
#endif
}

/* A gateway by itself loses its connection for long, or ends and starts anew. */
proctype accident()
{
    atomic { connected_to[1] = NONE; last_trusted[1] = NONE }
}

proctype environment()
{
    atomic { copy(0, SNAPSHOT) };
    if
#ifndef ONLY_FAILOVER
    :: atomic {
           copy(SNAPSHOT, 0);
           wipe(SNAPSHOT);
           last_id++;
           id[0] = last_id
       }
#endif
#ifndef ONLY_RESTART
    :: d_step {
           copy(SNAPSHOT, 1);
           wipe(SNAPSHOT);
           primary = 1;
           lose_sight()
       };
       d_step {
           primary = 0;
           wipe(1);
           lose_sight()
       }
#endif
    fi
}

/* Commands on a connection to a server that is gone fail. */
#define IS_CONNECTED (connected_to[me] == id[primary])

inline bump()
{
#ifdef EPOCH_COUNTS_ON
    epoch[primary]++;
#else
    last_generation++;
    epoch[primary] = last_generation;
#endif
    record[primary] = id[primary]
}

#ifdef NO_EPOCH_BUMP_AFTER_FORGET
#define IS_STRANGE false
#elif defined(ONLY_THE_RECORD_COUNTS)
#define IS_STRANGE (record[primary] != id[primary])
#else
#define IS_NEWS (last_trusted[me] != id[primary])
#define IS_VOUCHED_FOR (last_trusted[me] == NONE && is_live[1 - me])
#define IS_STRANGE (record[primary] != id[primary] || (IS_NEWS && !IS_VOUCHED_FOR))
#endif

/* A connection is trusted once the server was looked at, and the epoch bumped where need be. */
inline connect()
{
#ifdef TRUST_BEFORE_BUMP
    late_bump = IS_STRANGE;
#else
    if
    :: IS_STRANGE -> bump()
    :: else
    fi;
#endif
    last_trusted[me] = id[primary];
    is_live[me] = true;
    connected_to[me] = id[primary]
}

#ifdef TRUST_BEFORE_BUMP
#define RECONNECT                                                                                  \
    atomic { !IS_CONNECTED -> connect() }                                                          \
    ::atomic { late_bump && IS_CONNECTED -> late_bump = false; bump() }
bool late_bump = false;
#else
#define RECONNECT atomic { !IS_CONNECTED -> connect() }
#endif

/* `me` is its gateway. Reads through one gateway are alike: they start in order. */
byte started[2];

proctype reader(byte me; byte number)
{
    byte oldest;
    byte token;
    byte generation;
    byte seen;

    atomic { started[me] == number -> started[me]++; oldest = oldest_allowed };
    do
    :: RECONNECT
    :: atomic {
           IS_CONNECTED -> token = base[primary];
           generation = epoch[primary];
           if
           :: entry_token[primary] == token && entry_epoch[primary] == generation ->
               assert(entry_state[primary] >= oldest);
               goto done
           :: else
           fi;
           break
       }
    od;
    atomic { seen = upstream };
    do
    :: RECONNECT
    :: atomic {
           IS_CONNECTED -> entry_token[primary] = token;
           entry_epoch[primary] = generation;
           entry_state[primary] = seen;
           break
       }
    od;
done:
    atomic { oldest = 0; token = 0; generation = 0; seen = 0 }
}

proctype writer(byte me)
{
    byte state;
    atomic { upstream++; state = upstream };
    do
    :: RECONNECT
    :: atomic {
           IS_CONNECTED -> last_token++;
           base[primary] = last_token;
           break
       }
    od;
    atomic { oldest_allowed = state }
}

init
{
    atomic {
        id[0] = 1;
        id[1] = 2;
        base[0] = 1;
        epoch[0] = 1;
        record[0] = 1;
        entry_token[0] = NOTHING;
        /* The gateways have been here before, or start now. */
        if
        :: connected_to[0] = 1; last_trusted[0] = 1;
           connected_to[1] = 1; last_trusted[1] = 1;
           is_live[0] = true; is_live[1] = true
        :: skip
        fi;
        /* A read long ago may have stored the first state. */
        if
        :: entry_token[0] = 1; entry_epoch[0] = 1
        :: skip
        fi;
        run reader(0, 0);
        run reader(1, 0);
        run reader(1, 1);
        run writer(0);
        run accident();
        run environment()
    }
}
