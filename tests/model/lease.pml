/*
 * lease: `on_unpurgeable: lease` (CONSISTENCY row 3). Gateway A loses Redis, its clients' writes go
 * on, and B still reaches Redis. A keeps a membership there by heartbeats; when it lapses B stops
 * believing what it reads, until A is back and has purged, or is declared gone, with a flush. A
 * holds the answers of writes that it could not purge until its lease has lapsed and everybody
 * has noticed; near the moment at which it may be declared gone it answers them with an error.
 *
 * Time is a number; the clocks of the three run alike. A command executes at any time after it
 * was sent, or never. One version, one entry, writes through A without marks, reads through B. A
 * third gateway may start at any time.
 */
#define LEASE 2
#define NOTICE 2 /* how long what B was told counts, from when it asked */
#define GONE_AFTER 7
#define END 12
#define NOTHING 255

byte now = 0;
byte upstream = 0;
byte oldest_allowed = 0;

/* In Redis. */
byte base = 1;
byte last_token = 1;
byte generation = 1;
byte entry_token = 1;
byte entry_generation = 1;
byte entry_state = 0;
byte lease_ends = LEASE;
bool is_member = true;

/* Of A. */
bool cut_off = false;
bool owes = false;
byte sent = 0;  /* when the last heartbeat left … */
byte acked = 0; /* … and when the last one did that was answered */
byte in_flight = NOTHING;
bool renewed = false; /* what the last one was told */

/* Of B. */
byte trusted_until = 0;

proctype time()
{
    do
    :: atomic { now < END -> now++ }
    :: atomic { now == END -> break }
    od
}

/* One that comes too late would bring back a member that was declared gone, with no lease. */
inline renew(asked_at)
{
    renewed = false;
    if
#ifdef LATE_HEARTBEATS_RENEW
    :: true -> lease_ends = now + LEASE; is_member = true; renewed = true
#else
#ifdef LAPSED_HEARTBEATS_COUNT
    :: asked_at + LEASE > lease_ends || !is_member ->
#else
    :: asked_at + LEASE > now ->
#endif
        lease_ends = asked_at + LEASE;
        is_member = true;
        renewed = true
    :: else
#endif
    fi
}

inline flush()
{
    generation++;
    is_member = false
}

#ifdef HEARTBEATS_WHILE_OWING
#define MAY_BEAT (in_flight == NOTHING)
#else
#define MAY_BEAT (in_flight == NOTHING && !owes)
#endif

/* Its way to Redis: heartbeats, and purges once it is back. Its end is not looked at. */
proctype connection()
{
    byte beats = 1;
    do
    :: atomic { beats > 0 && MAY_BEAT -> beats--; sent = now; in_flight = now }
    :: atomic {
           in_flight != NOTHING -> renew(in_flight);
           if
           :: renewed && !cut_off -> acked = in_flight
           :: skip
           fi;
           renewed = false;
           in_flight = NOTHING
       }
    :: atomic { !cut_off -> cut_off = true }
    :: atomic {
           cut_off && owes -> last_token++;
           base = last_token;
           renew(now);
           renewed = false;
           sent = now;
           acked = now;
           owes = false;
           cut_off = false;
           break
       }
    :: atomic { now == END -> break }
    od
}

#ifdef NO_HOLD
#define HELD true
#elif defined(HOLD_FROM_THE_ANSWER)
#define HELD (now >= acked + LEASE + NOTICE)
#elif defined(HOLD_FOR_A_LEASE_ONLY)
#define HELD (now >= sent + LEASE)
#else
#define HELD (now >= sent + LEASE + NOTICE)
#endif

#ifdef NO_REFUSAL
#define TOO_LATE false
#else
#define TOO_LATE (now + LEASE >= acked + GONE_AFTER)
#endif

proctype writer()
{
    atomic { cut_off -> upstream++ };
    owes = true;
    if
    :: atomic { HELD && !TOO_LATE -> oldest_allowed = upstream }
    :: atomic { !owes -> oldest_allowed = upstream }
    :: TOO_LATE
    fi
}

#define LAPSED (is_member && lease_ends <= now)
#define GONE (is_member && lease_ends + GONE_AFTER <= now)

proctype reader()
{
    byte asked;
    byte oldest;
    byte token;
    byte epoch;
    byte seen;
    do
    :: atomic { now < END -> asked = now };
       if
       :: atomic {
              /* Executed. */
              if
              :: GONE ->
#ifdef GONE_WITHOUT_A_FLUSH
                  is_member = false
#else
                  flush()
#endif
              :: else
              fi;
              if
              :: !LAPSED && asked + NOTICE > trusted_until ->
#ifdef TRUST_UNTIL_TOLD_OTHERWISE
                  trusted_until = END
#else
                  trusted_until = asked + NOTICE
#endif
              :: else
              fi;
              asked = 0
          }
       :: atomic { skip; asked = 0 }
       fi
    :: atomic {
           now < trusted_until -> oldest = oldest_allowed;
           token = base;
           epoch = generation
       };
       if
       :: atomic {
              entry_token == token && entry_generation == epoch ->
              assert(entry_state >= oldest)
          }
       :: else ->
           atomic { seen = upstream };
           atomic { entry_token = token; entry_generation = epoch; entry_state = seen }
       fi;
       atomic { oldest = 0; token = 0; epoch = 0; seen = 0 }
    :: atomic { now == END -> break }
    od
}

#ifdef STARTER_FORGIVES
/* What a gateway does at its start in the other modes: whoever lapsed is taken for dead. */
proctype starter()
{
    if
    :: atomic { LAPSED -> flush() }
    :: atomic { now == END }
    fi
}
#endif

init
{
    atomic {
        run time();
        run connection();
        run writer();
        run reader();
#ifdef STARTER_FORGIVES
        run starter()
#endif
    }
}
