/* The handover's protocol, small enough to be checked in every order of events.
 *
 * Two workers of a proxy, a client at each, a writer that bypasses the proxy, two databases, and
 * the mover, which may be killed between any two statements and be started again, or never.
 * docs/handover.md tells the same protocol in words. A name in square brackets is the function
 * that carries the transition out, as module.function under strangler_proxy/handover/ (flip lives in
 * strangler_proxy/running/). scripts/check --model runs it; scripts/protocol_model.py lists the
 * configurations, the questions that must be answered yes, and the broken variants that must fail.
 *
 * How real things are told here:
 * - A side's tables are the set of writes they contain (has), in two rows; the tail copies a row as
 *   a whole. So a row overwritten with an older image is a write missing.
 * - A change table is the set of writes whose entry is visible (entries), without order. An entry
 *   appears when its transaction commits, whenever its number was given out.
 * - A write that a database has committed counts (accepted), whether its client heard or not: every
 *   acknowledged write is one of these.
 * - Time is events. A fence lapses and a hold runs out at any moment once they are up, on each
 *   worker apart; a clock may step back and put a lapsed fence up again. No invariant but one needs
 *   more. That one, on errors that clients see, is checked with -DTIMED: then no hold runs out before
 *   the fence has lapsed, which is what F + skew <= H buys.
 * - Verification says yes or no as it likes. Nothing may rest on it.
 *
 * What it does not tell: the order among the requests that one worker parks, deletes and inserts
 * apart from updates, a schema that changes, a database that forgets what it has committed.
 */

#ifndef WRITES
#define WRITES 1        /* of each client */
#endif
#ifndef BYPASSES
#define BYPASSES 1      /* writes past the proxy, to the control's tables: -DBYPASS_EITHER_SIDE */
#endif
#ifndef RUNS
#define RUNS 2          /* cut-overs tried, whichever way they go */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef STEPS_BACK
#ifdef TIMED
#define STEPS_BACK 0
#else
#define STEPS_BACK 1    /* of a database's clock, under a fence */
#endif
#endif

/* No lock keeps the next mover from starting before the dead one's last statement has ended. */
#if defined(LATE_OPENING)
#define LATE OPEN_TARGET
#elif defined(LATE_APPLY)
#define LATE APPLY
#endif

#define CONTROL 0
#define CANDIDATE 1
#define OTHER(side) (1 - (side))

/* What a fence says. Up: writers are refused. Lapsed: its time is over, it refuses nobody. */
#define OPEN 0
#define UP 1
#define LAPSED 2
#define SHUT 3          /* refuses writers until it is told otherwise */

#define LIFTED(side) (fence[side] == OPEN || fence[side] == LAPSED)
#if defined(NO_FENCE)
#define TAKES(side) ((side) == CONTROL || LIFTED(side))
#elif defined(NO_CANDIDATE_FENCE)
#define TAKES(side) ((side) == CANDIDATE || LIFTED(side))
#else
#define TAKES(side) LIFTED(side)
#endif

#define BIT(write) (1 << (write))
#define ROW_0 21        /* writes 0, 2, 4 */
#define ROW_1 42        /* writes 1, 3, 5 */
#define ROWS(writes) ((((writes) & ROW_0) -> ROW_0 : 0) | (((writes) & ROW_1) -> ROW_1 : 0))

#ifdef HIGH_WATER_MARK
#define PENDING(side) fresh[side]
#else
#define PENDING(side) entries[side]
#endif

/* The two databases. */
byte fence[2];          /* in each database, beside the tables it guards */
byte has[2];            /* the rows, as the writes that they contain */
byte entries[2];        /* the change table */
byte in_transaction[2]; /* writers that passed the fence and have not committed */
bit captured[2];        /* whether writes leave entries */
bit numbered[2];        /* the side's sequences are past every id that the other has given out */

/* The proxy. */
bit file;               /* who serves, as strangler.yaml says */
bit served[2];          /* and as each worker does */
bit hold[2];
byte in_flight[2];

/* The ledger, on disk. A cut-over goes from the owner to the other side. */
bit owner;
bit intent;

/* The mover's statements, as the database gets them. */
#define NOTHING 0
#define APPLY 1
#define REMOVE 2
#define RAISE 3
#define INSTALL 4
#define NUMBER 5
#define DECIDE 6
#define OPEN_TARGET 7
#define LIFT_SOURCE 8
byte call;
bit granted;
byte took;              /* the entries that the tail has read */
byte image;             /* the rows as it has read them */

/* What the invariants watch. */
byte accepted;          /* writes committed at either side */
byte clients = 3;
bit mover_up = 1;
bit killed;
bit over;               /* the mover has ended, or was killed and is never started again */
bit dead;
byte completed;
bit undone;
bit taken_up;           /* a cut-over was completed by a mover started again */
bit ran_out;            /* a hold of this cut-over has expired: F is past, too */
bit overrun;            /* a hold has expired between the decision and the opening */

#ifdef HIGH_WATER_MARK
byte number[6];
byte last_number;
byte mark[2];
byte fresh[2];
#endif
#ifdef LATE
byte ghost;             /* a statement of a dead mover that a database still carries out */
bit ghost_source;
byte ghost_took, ghost_image;
#endif

inline never_two_sides() {
#ifdef LOSSES_ONLY
    skip                /* the same fault seen by what it does to the rows */
#else
    assert(!(TAKES(CONTROL) && TAKES(CANDIDATE)))
#endif
}

/* ---- Writers ------------------------------------------------------------------------------- */

/* The trigger has looked at the fence, under a lock that it shares with other writers and keeps to
 * the end of the transaction. */
inline begin(side, write) {
    in_transaction[side]++
#ifdef HIGH_WATER_MARK
    ;
    last_number++;
    number[write] = last_number
#endif
}

inline commit(side, write) {
    d_step {
        assert(!(accepted & BIT(write)));       /* applied once, and not at both sides */
        accepted = accepted | BIT(write);
        has[side] = has[side] | BIT(write);
        numbered[OTHER(side)] = 0;
        if
        :: captured[side] -> entries[side] = entries[side] | BIT(write)
        :: else
        fi;
#ifdef HIGH_WATER_MARK
        if
        :: captured[side] && number[write] > mark[side] -> fresh[side] = fresh[side] | BIT(write)
        :: else
        fi;
#endif
        in_transaction[side]--
    }
}

inline answer(worker) {
#ifdef GIVES_UP
    in_flight[worker] = in_flight[worker] - waited;
    waited = 1
#else
    in_flight[worker]--
#endif
}

/* A client, its worker and the application behind it: a request is parked while its route is held,
 * goes to whoever this worker serves, and is written or refused. */
proctype Client(bit own) {
    byte turn, write;
    bit side;
    bit at = own;
#ifdef SENT_TWICE
    bit parked;
#endif
#ifdef GIVES_UP
    bit waited = 1;
#endif
    do
    :: turn < WRITES ->
#ifdef SENT_TWICE
        parked = hold[at];
#endif
        write = own + 3 * turn;
#ifdef ANY_WORKER
        if
        :: at = 0
        :: at = 1
        fi;
#endif
send:   atomic { !hold[at] -> side = served[at]; in_flight[at]++ }
#ifdef GIVES_UP
        /* The worker has waited long enough and answered 504; the application goes on. */
        if
        :: atomic { in_flight[at]--; waited = 0 }
        :: true
        fi;
#endif
        if
        :: atomic { TAKES(side) -> begin(side, write) }
           atomic { commit(side, write); answer(at) }
        :: atomic { !TAKES(side) ->
#ifdef TIMED
               /* No client sees an error, unless a hold ran out in the decision. */
               assert(overrun);
#endif
               answer(at) }
        fi;
#ifdef SENT_TWICE
        /* Released by the mover, and again by the hold's own deadline. */
        if
        :: parked -> parked = 0; goto send
        :: else
        fi;
#endif
        atomic { turn++; side = 0; write = 0; at = own }
    :: else -> break
    od;
    atomic { turn = 0; clients-- }
}

proctype Bypass() {
    byte turn, write;
    bit side = CONTROL;
    do
    :: turn < BYPASSES ->
        write = 2 + 3 * turn;
#ifdef BYPASS_EITHER_SIDE
        if
        :: side = CONTROL
        :: side = CANDIDATE
        fi;
#endif
        if
        :: atomic { TAKES(side) -> begin(side, write) }
           commit(side, write)
        :: !TAKES(side)
        fi;
        atomic { turn++; write = 0; side = CONTROL }
    :: else -> break
    od;
    atomic { turn = 0; clients-- }
}

/* ---- Time, and the proxy's own doing ------------------------------------------------------- */

#if defined(TIMED) && !defined(HOLD_SHORTER_THAN_FENCE)
#define HOLD_MAY_RUN_OUT (fence[CONTROL] != UP && fence[CANDIDATE] != UP)
#else
#define HOLD_MAY_RUN_OUT true
#endif

proctype Worker(bit at) {
end:
    do
    :: served[at] != file -> served[at] = file
#ifndef HOLD_NEVER_EXPIRES
    :: atomic { hold[at] && HOLD_MAY_RUN_OUT -> hold[at] = 0;
           ran_out = 1;
           if
           :: fence[CONTROL] == SHUT && fence[CANDIDATE] == SHUT -> overrun = 1
           :: else
           fi }
#endif
    od
}

proctype Clocks() {
    byte steps_back = STEPS_BACK;
end:
    do
#ifndef FENCE_NEVER_LIFTS
    :: atomic { fence[CONTROL] == UP -> fence[CONTROL] = LAPSED; never_two_sides() }
    :: atomic { fence[CANDIDATE] == UP -> fence[CANDIDATE] = LAPSED; never_two_sides() }
#endif
    :: atomic { steps_back && fence[CONTROL] == LAPSED -> fence[CONTROL] = UP; steps_back-- }
    :: atomic { steps_back && fence[CANDIDATE] == LAPSED -> fence[CANDIDATE] = UP; steps_back-- }
    od
}

proctype Killer() {
    byte crashes = CRASHES;
end:
    do
    :: atomic { crashes && mover_up && !killed && !over -> killed = 1; crashes-- }
    od
}

#ifdef FLIPPED_BY_HAND
/* Somebody flips the route by hand, once, at any moment. */
proctype Meddler() {
    file = OTHER(file)
}
#endif

/* ---- What a database does with a statement of the mover ------------------------------------- */

/* One transaction: it locks the fence against every writer, waits for those that have passed, looks
 * at the clock and at the change table, and shuts. */
inline decide(source) {
    granted = (
#ifndef DECIDED_WITHOUT_CLOCK
        fence[source] == UP &&
#endif
#ifndef OPEN_TRANSACTIONS_IGNORED
        in_transaction[source] == 0 &&
#endif
#if !defined(FLIP_BEFORE_DRAINED) && !defined(DECIDED_WITHOUT_ENTRIES)
        PENDING(source) == 0 &&
#endif
        true);
    if
    :: granted -> fence[source] = SHUT
    :: else
    fi
}

inline remove(source, applied) {
#ifdef EVERY_ENTRY_REMOVED
    entries[source] = 0;
#else
    entries[source] = entries[source] & ~applied;
#endif
#ifdef HIGH_WATER_MARK
    byte each;
    each = 0;
    do
    :: each < 6 ->
        if
        :: (applied & BIT(each)) && number[each] > mark[source] -> mark[source] = number[each]
        :: else
        fi;
        each++
    :: else -> break
    od;
    each = 0;
    do
    :: each < 6 ->
        if
        :: number[each] <= mark[source] -> fresh[source] = fresh[source] & ~BIT(each)
        :: else
        fi;
        each++
    :: else -> break
    od;
    each = 0;
#endif
}

inline perform(statement, source, keys, rows) {
    if
    :: statement == APPLY ->
        has[OTHER(source)] = (has[OTHER(source)] & ~ROWS(keys)) | (rows & ROWS(keys));
#ifdef MOVER_CAPTURED
        entries[OTHER(source)] = entries[OTHER(source)] | (captured[OTHER(source)] -> keys : 0);
#endif
    :: statement == REMOVE -> remove(source, keys)
    :: statement == RAISE ->
        /* `until` is the hold's deadline less the skew, whatever the time is by now. */
#ifdef TIMED
        fence[source] = (ran_out -> LAPSED : UP)
#else
        fence[source] = UP
#endif
    :: statement == INSTALL -> captured[OTHER(source)] = 1
    :: statement == NUMBER -> numbered[OTHER(source)] = 1
    :: statement == DECIDE -> decide(source)
    :: statement == OPEN_TARGET ->
        fence[OTHER(source)] = OPEN;
        assert(numbered[OTHER(source)]);
        /* Nothing goes back that nobody wrote: the loop of forward and reverse does not exist. */
        assert(entries[OTHER(source)] == 0)
    :: statement == LIFT_SOURCE -> fence[source] = OPEN
    fi;
    never_two_sides()
}

proctype Databases() {
end:
    do
    :: d_step { call != NOTHING -> perform(call, owner, took, image); call = NOTHING }
    /* The mover was killed and its statement had not left it. */
    :: d_step { call != NOTHING && !mover_up -> call = NOTHING }
#ifdef LATE
    :: d_step { ghost != NOTHING ->
           perform(ghost, ghost_source, ghost_took, ghost_image);
           ghost = NOTHING; ghost_took = 0; ghost_image = 0 }
#endif
    od
}

/* ---- The mover ------------------------------------------------------------------------------ */

inline ask(statement) {
    call = statement;
    call == NOTHING
}

/* One pass of the tail: [tail.drain] */
inline pass() {
#ifdef ROW_READ_FIRST
    image = has[owner];
    took = PENDING(owner);
#else
    took = PENDING(owner);          /* all that is visible, however low its number */
    image = has[owner] & ROWS(took);
#endif
#ifdef REMOVED_BEFORE_APPLIED
    ask(REMOVE);
    ask(APPLY);
#else
    ask(APPLY);                     /* committed at the target */
    ask(REMOVE);                    /* and only then taken from the source: exactly these */
#endif
    d_step { took = 0; image = 0 }
}

inline drain() {
    do
    :: PENDING(owner) -> pass()
    :: else -> break
    od
}

/* The route's hold is taken off, on every worker: [hold.release] */
inline release() {
    hold[0] = 0;
    hold[1] = 0
}

/* Until every worker says so: [flip.flip] */
inline all_serve(side) {
    file = side;
#ifndef FLIP_UNCONFIRMED
    do
    :: served[0] == side && served[1] == side -> break
    :: file != side -> file = side
    od
#endif
}

proctype Mover() {
    byte runs = RUNS;

started:
    {
        /* The ledger says that something was begun; the databases say how far it came.
         * [cutover.resume] */
        if
        :: !intent
#ifdef RESUMED_BY_LEDGER
        :: intent -> goto undo
#else
        :: intent && fence[OTHER(owner)] != SHUT -> goto completed_by_resume
        :: intent && fence[OTHER(owner)] == SHUT && fence[owner] == SHUT -> goto decided
        :: intent && fence[OTHER(owner)] == SHUT && fence[owner] != SHUT -> goto undo
#endif
        fi;

next:
        drain();                                        /* [tail.drain], in its steady run */
        if
        :: runs == 0 -> goto settle
        :: runs > 0 -> runs--
        fi;

        /* [cutover.run] */
        intent = 1;                                     /* 1 [ledger.record] */
        ran_out = 0;

        hold[0] = 1;                                    /* 2 [hold.acquire], with an answer of each */
#ifndef NO_HOLD_ACK
        if
        :: hold[1] = 1
        :: goto undo                                    /* one does not answer */
        fi;
#endif

#ifndef IN_FLIGHT_IGNORED
        if                                              /* 3 [hold.acquire]: the writes in flight */
        :: in_flight[0] == 0
        :: goto undo                                    /* not in time */
        fi;
        if
        :: in_flight[1] == 0
        :: goto undo
        fi;
#endif

        ask(RAISE);                                     /* 4 [fence.raise_] */
#ifndef OPEN_TRANSACTIONS_IGNORED
        if
        :: in_transaction[owner] == 0                   /* who passed before has ended */
        :: goto undo                                    /* not in time */
        fi;
#endif

#ifndef FLIP_BEFORE_DRAINED
        drain();                                        /* 5 [tail.drain] */
#endif

        if                                              /* 6 [verify.changed_since] */
        :: true
        :: goto undo
        fi;

#ifndef SEQUENCES_FORGOTTEN
        ask(NUMBER);                                    /* 7 [sequences.set_] */
#endif
#ifndef REVERSE_LATE
        ask(INSTALL);                                   /* 8 [reverse.install] */
#endif

#ifdef PERMANENT_LAST
        all_serve(OTHER(owner));
        ask(OPEN_TARGET);
        ask(DECIDE);
        goto opened;
#endif
        ask(DECIDE);                                    /* 9 [fence.make_permanent] */
        if
        :: granted
        :: !granted -> goto undo                        /* lapsed, or somebody wrote */
        fi;

decided:
        /* Both sides are shut: workers may take the new table over one by one. [flip.flip] */
        file = OTHER(owner);
#ifndef FLIP_UNCONFIRMED
        if
        :: served[0] == OTHER(owner) && served[1] == OTHER(owner)
        :: goto undo                                    /* refused: nothing was written there yet */
        fi;
#endif
#ifdef RELEASED_BEFORE_OPENED
        release();
#endif
        ask(OPEN_TARGET);                               /* [fence.lift]: from here on only forward */
        goto opened;

completed_by_resume:
        all_serve(OTHER(owner));
opened:
#ifdef REVERSE_LATE
        ask(INSTALL);
#endif
        release();                                      /* 10 [hold.release] */
        /* 11 [ledger.record]: the other side is the owner, and the tail runs the other way */
        d_step { owner = OTHER(owner); intent = 0; completed++ }
        goto next;

undo:
        /* [cutover.undo] The target is shut, so nothing was written there. */
#ifdef RELEASED_BEFORE_LIFTED
        release();
#endif
        all_serve(owner);                               /* [flip.flip] */
        ask(LIFT_SOURCE);                               /* [fence.lift] */
        release();                                      /* [hold.release] */
        d_step { intent = 0; undone = 1 }               /* [ledger.record] */
        goto next;

settle:
        clients == 0;
        drain();                                        /* [tail.drain] */
        over = 1
    } unless { killed };

    if
    :: over                                             /* ended; there was nobody to kill */
    :: !over ->
        d_step {
            mover_up = 0; killed = 0;
#ifdef LATE
            if
            :: call == LATE ->
                ghost = call; ghost_source = owner; ghost_took = took; ghost_image = image
            :: else
            fi;
            call = NOTHING
#endif
        };
        if
        :: atomic { call == NOTHING ->                  /* the lock: its last statement has ended */
               mover_up = 1; took = 0; image = 0; granted = 0; taken_up = intent }
           goto started
        :: atomic { dead = 1; over = 1 }
        fi
    fi
}

/* ---- In the end ------------------------------------------------------------------------------ */

/* Being unable to get here is an error, too: then something is held, fenced or waited for forever. */
proctype Judge() {
    atomic {
        over && clients == 0 && call == NOTHING && !hold[0] && !hold[1] &&
        fence[CONTROL] != UP && fence[CANDIDATE] != UP && served[0] == file && served[1] == file ->
        if
        :: !dead ->
            assert(!intent && fence[owner] == OPEN && fence[OTHER(owner)] == SHUT);
#ifndef FLIPPED_BY_HAND
            assert(file == owner);
#endif
            assert(has[CONTROL] == accepted && has[CANDIDATE] == accepted);
            assert(entries[CONTROL] == 0 && entries[CANDIDATE] == 0)
        :: dead && fence[CONTROL] == SHUT && fence[CANDIDATE] == SHUT ->
            /* Decided and not opened: shut until the mover is started again, and nothing lost. */
            assert(intent && has[CONTROL] == accepted && has[CANDIDATE] == accepted)
        :: dead && !(fence[CONTROL] == SHUT && fence[CANDIDATE] == SHUT) ->
            /* Whatever it was at: one side serves, takes writes, and has them all. */
#ifndef FLIPPED_BY_HAND
            assert(TAKES(file) && fence[OTHER(file)] == SHUT);
#endif
            assert(TAKES(CONTROL) || TAKES(CANDIDATE));
            assert(has[CONTROL] == accepted || !TAKES(CONTROL));
            assert(has[CANDIDATE] == accepted || !TAKES(CANDIDATE))
        fi;
        /* Claims that must be refuted: the model is not true for want of anything happening. */
#ifdef CLAIM_NEVER_ROLLED_BACK
        assert(completed < 2 || accepted != BIT(0) + BIT(1) + BIT(2))
#endif
#ifdef CLAIM_NEVER_UNDONE_THEN_DONE
        assert(!(undone && completed))
#endif
#ifdef CLAIM_NEVER_TAKEN_UP
        assert(!(taken_up && completed && !undone))
#endif
#ifdef CLAIM_NEVER_SHUT
        assert(fence[CONTROL] != SHUT || fence[CANDIDATE] != SHUT)
#endif
    }
}

init {
    atomic {
        fence[CANDIDATE] = SHUT;                        /* since the move began */
        captured[CONTROL] = 1;
        run Databases();
        run Clocks();
        run Worker(0);
        run Worker(1);
        run Client(0);
        run Client(1);
        run Bypass();
        run Killer();
#ifdef FLIPPED_BY_HAND
        run Meddler();
#endif
        run Mover();
        run Judge()
    }
}
