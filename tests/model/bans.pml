/*
 * bans: open purges. The store has an epoch (a random generation and a counter) and a list of bans,
 * one per step of the counter, complete from `first` on. An entry carries the epoch that was read
 * before its fetch; it is dead when the generation differs, when it is older than `first`, or when
 * a ban since then matches it (CONSISTENCY row 9). A gateway keeps the list that it knows, and
 * fetches it anew when it sees another epoch.
 *
 * One entry, three reads through one gateway, two writes with an open purge each: the first matches
 * the entry, the second matches something else. The list may be lost alone, or with the epoch.
 */
#define NOTHING 255

byte upstream = 0;
byte oldest_allowed = 0;

/* Generation 0: the epoch is absent. Bit n of `matching`: ban n matches our entry. */
byte last_generation = 1;
byte generation = 1;
byte counter = 0;
byte first = 0;
byte matching = 0;

byte entry_generation = NOTHING;
byte entry_counter = 0;
byte entry_state = 0;

/* What the gateway knows; read and used in one go, as in a thread. */
byte known_generation = 0;
byte known_counter = 0;
byte known_first = 0;
byte known_matching = 0;

inline create_when_absent()
{
    if
    :: generation == 0 ->
#ifdef SAME_GENERATION_AGAIN
        generation = 1;
#else
        last_generation++;
        generation = last_generation;
#endif
        counter = 0;
        first = 0;
        matching = 0
    :: else
    fi
}

proctype environment()
{
    if
    :: d_step { generation != 0 && counter > 0 -> first = counter; matching = 0 }
    :: skip
    fi;
    if
    :: d_step { generation != 0 -> generation = 0; counter = 0; first = 0; matching = 0 }
    :: skip
    fi
}

inline read_epoch()
{
    create_when_absent();
    seen_generation = generation;
    seen_counter = counter
}

#ifdef TRIMMED_LIST_IS_TRUSTED
#define IS_COMPLETE true
#else
#define IS_COMPLETE (stored_counter >= known_first)
#endif
#define IS_ALIVE                                                                                   \
    (stored_generation == seen_generation && stored_generation == known_generation &&              \
     IS_COMPLETE && (known_matching >> stored_counter) == 0)

/* Readers are alike: they start in order, which makes fewer states. */
byte started = 0;

proctype reader(byte me)
{
    byte oldest;
    byte stored_generation;
    byte stored_counter;
    byte seen_generation;
    byte seen_counter;
    byte seen;

    atomic {
        started == me -> started++;
        oldest = oldest_allowed;
        stored_generation = entry_generation;
        stored_counter = entry_counter;
        seen = entry_state
    };
    atomic {
        read_epoch();
        if
        :: known_generation == seen_generation && known_counter == seen_counter -> goto judge
        :: else
        fi
    };
    /* The list is complete up to the epoch that it comes with, which may be newer. */
    atomic {
#ifdef EPOCH_BEFORE_LIST
        known_generation = seen_generation;
        known_counter = seen_counter;
#else
        read_epoch();
        known_generation = generation;
        known_counter = counter;
#endif
        known_first = first;
        known_matching = matching;
judge:
        if
        :: stored_generation == NOTHING
        :: stored_generation != NOTHING && IS_ALIVE -> assert(seen >= oldest); goto done
        :: else
        fi
    };
    atomic { seen = upstream };
#ifdef EPOCH_AFTER_FETCH
    atomic { read_epoch() };
#endif
    atomic {
        entry_generation = seen_generation;
        entry_counter = seen_counter;
        entry_state = seen
    };
done:
    skip
}

proctype writer(bool matches)
{
    byte state = 0;
    byte number = 0;
    atomic {
        if
        :: matches -> upstream++; state = upstream
        :: else
        fi
    };
#ifdef EPOCH_BEFORE_LIST
    atomic { create_when_absent(); number = counter; counter++ };
    atomic { matching = matching | (matches << number) };
#else
    atomic {
        create_when_absent();
        number = counter;
        counter++;
        matching = matching | (matches << number)
    };
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
        /* A read long ago may have stored the first state. */
        if
        :: entry_generation = 1
        :: skip
        fi;
        run reader(0);
        run reader(1);
        run reader(2);
        run writer(true);
        run writer(false);
        run environment()
    }
}
