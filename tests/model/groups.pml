/*
 * groups: instances that only the answer names (CONSISTENCY row 1). Their versions cannot be read
 * before the fetch, because nobody knows them yet. A counter per upstream stands in for all of
 * them: read before the fetch, moved by every purge of a group before the group's own version, and
 * compared after the group's version was read.
 *
 * One group, one entry, two reads, two writes of known outcome.
 */
#define NOTHING 0

byte upstream = 0;
byte oldest_allowed = 0;
byte group = 1;
byte last_token = 1;
byte counter = 0;
byte entry_token = NOTHING;
byte entry_state = 0;

proctype reader()
{
    byte oldest;
    byte token;
    byte before;
    byte after;
    byte seen;
    /* The entry names its group: the version is a second look. */
    atomic { oldest = oldest_allowed; token = entry_token; seen = entry_state };
    atomic {
        if
        :: token != NOTHING && token == group -> assert(seen >= oldest); goto done
        :: else
        fi
    };
    atomic { before = counter };
    atomic { seen = upstream };
#ifdef GROUP_AFTER_COUNTER
    atomic { after = counter };
    atomic { token = group };
#else
    atomic { token = group };
    atomic { after = counter };
#endif
#ifdef NO_GROUP_COUNTER
    after = before;
#endif
    atomic {
        if
        :: before == after -> entry_token = token; entry_state = seen
        :: else
        fi
    };
done:
    skip
}

proctype writer()
{
    byte state;
    atomic { upstream++; state = upstream };
#ifdef COUNTER_MOVES_LAST
    atomic { last_token++; group = last_token };
    counter++;
#else
    counter++;
    atomic { last_token++; group = last_token };
#endif
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
