/*
 * late: a command that was given up and executes after all (CONSISTENCY row 5). A gateway's
 * connection freezes with `SET v T1` on it, the purge is tried again elsewhere, and at some later
 * moment the first command runs. It may do so at any time, once, and set the version back to
 * whatever it carries; so what it carries must never have been read by anybody.
 *
 * One version, one entry, two reads, two writes of known outcome, no marks (versions.pml has them).
 */
#define NOTHING 0

byte upstream = 0;
byte oldest_allowed = 0;
byte base = 1;
byte last_token = 1;
byte entry_token = NOTHING;
byte entry_state = 0;

proctype frozen_connection(byte token)
{
    base = token
}

proctype reader()
{
    byte oldest;
    byte token;
    byte seen;
    atomic {
        oldest = oldest_allowed;
        token = base;
        if
        :: entry_token == token -> assert(entry_state >= oldest); goto done
        :: else
        fi
    };
    atomic { seen = upstream };
    atomic { entry_token = token; entry_state = seen };
done:
    skip
}

proctype writer()
{
    byte state;
    byte token;
    atomic { upstream++; state = upstream; last_token++; token = last_token };
    if
    :: run frozen_connection(token);
#ifndef TOKEN_REUSE
       atomic { last_token++; token = last_token }
#endif
    :: skip
    fi;
    base = token;
    atomic {
        if
        :: state > oldest_allowed -> oldest_allowed = state
        :: else
        fi
    }
}

init
{
    atomic {
        run reader();
        run reader();
        run writer();
        run writer()
    }
}
