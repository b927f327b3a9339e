/* The rule, for any entity: an operation is answered as soon as its answer is the same in every way the open ones may
 * still end. One text for accounts, items and codes.
 *
 * Here the possible states are always the exact set, one bit for each: bit n is set if the state may be n.
 */

/* What an operation is to an entity. */
#define NONE        0
#define OUTSIDE     1   /* it names some that have not joined the log */
#define WAITING     2
#define ACCEPTED    3   /* it waits, and is certain not to be refused */
#define HELD        4   /* reserved, in flight */
#define SPENT       5   /* captured */
#define FREED       6   /* released */
#define LAPSED      7   /* expired */
#define TOO_FEW     8   /* refused by the state: coins, pieces or uses are too few, or the limit is too low */
#define WITHDRAWN   9   /* ended before it was answered: cancelled, failed or overdue; or a tombstone */
#define DONE        10  /* multiplied or credited */

#define STATE(e, op)   state[(e) * OPERATIONS + (op)]
#define LOG(e, place)  log[(e) * OPERATIONS + (place)]
#define IS_OPEN(e, op) (STATE(e, op) >= WAITING && STATE(e, op) <= HELD)
#define WAITS(e, op)   (STATE(e, op) == WAITING || STATE(e, op) == ACCEPTED)

/* Its kind. What is no reservation is a doubling or a bonus, and refused where the state would exceed the limit. */
#define RESERVES(e, op) (!IS_ACCOUNT(e) || IS_ORDER(op))
#define SIZE(e, op)     (IS_ACCOUNT(e) -> AMOUNT(op) : 1)
#define REVOCABLE(op)   (IS_ORDER(op) || !((IRREVOCABLE >> (op)) & 1))
#define BELOW(n)        ((1 << (n)) - 1)
#define CHANGED_MAX(op) (DOUBLES(op) -> LIMIT / 2 : LIMIT - BONUS)
#define FITS(op)        (possible & BELOW(CHANGED_MAX(op) + 1))
#define DOES_NOT(op)    (possible & ~BELOW(CHANGED_MAX(op) + 1))

byte value[ENTITIES];               /* the state before the first open operation */
byte log[ENTITIES * OPERATIONS];
byte length[ENTITIES];
byte state[ENTITIES * OPERATIONS];
byte added[OPERATIONS];             /* what a doubling or a bonus added */
#if NAMES
byte outside[OPERATIONS];           /* in the order of arrival */
byte outsiders;
#endif

byte serial[ENTITIES];              /* the state of the one-at-a-time program */

hidden int possible;
hidden int changed;
hidden byte entity;
hidden byte at;
hidden byte each;
hidden byte open_ahead;
hidden byte joined;
hidden byte ahead;
hidden byte waits_for[OPERATIONS];

/* The serial program executes the operation that leaves the log; so much for its answer. */
inline execute_serially(e, op) {
	if
	:: STATE(e, op) == WITHDRAWN -> skip
	:: STATE(e, op) == TOO_FEW && RESERVES(e, op) -> assert(serial[e] < SIZE(e, op))
	:: STATE(e, op) == TOO_FEW && !RESERVES(e, op) -> assert(serial[e] > CHANGED_MAX(op))
	:: STATE(e, op) == DONE && DOUBLES(op) ->
		assert(added[op] == serial[e] && serial[e] * 2 <= LIMIT);
		serial[e] = serial[e] * 2
	:: STATE(e, op) == DONE && !DOUBLES(op) ->
		serial[e] = serial[e] + BONUS;
		assert(serial[e] <= LIMIT)
	:: else ->
		assert(STATE(e, op) == SPENT || STATE(e, op) == FREED || STATE(e, op) == LAPSED);
		assert(serial[e] >= SIZE(e, op)); /* nothing is oversold, no coin spent twice, no use taken twice */
		serial[e] = serial[e] - (STATE(e, op) == SPENT -> SIZE(e, op) : 0)
	fi;
#if NAMES
	at = 0;
	do
	:: IS_ACCOUNT(e) && STATE(e, op) != WITHDRAWN && at < OPERATIONS ->
		assert(!(AFTER(op) & (1 << at)) || STATE(e, at) > HELD); /* those it names came before it */
		at++
	:: else -> break
	od;
	assert(!(AFTER(op) & NEVER_COMES) || STATE(e, op) == WITHDRAWN)
#endif
}

/* Move the settled front into the state. */
inline fold(e) {
	do
	:: length[e] > 0 && !IS_OPEN(e, LOG(e, 0)) ->
		each = LOG(e, 0);
		execute_serially(e, each);
		if
		:: STATE(e, each) == SPENT ->
			assert(value[e] >= SIZE(e, each)); /* never negative */
			value[e] = value[e] - SIZE(e, each)
		:: STATE(e, each) == DONE -> value[e] = value[e] + added[each]
		:: else -> skip
		fi;
		assert(value[e] == serial[e]);
		at = 1;
		do
		:: at < length[e] -> LOG(e, at - 1) = LOG(e, at); at++
		:: else -> break
		od;
		length[e]--;
		LOG(e, length[e]) = 0
	:: else -> break
	od
}

/* The one possible state. */
inline find_state(op) {
	added[op] = 0;
	do
	:: !(possible & (1 << added[op])) -> added[op]++
	:: else -> break
	od
}

inline refuse(e, op) {
	assert(STATE(e, op) != ACCEPTED); /* accepted is never refused */
	STATE(e, op) = TOO_FEW;
	tell(e, op, REFUSED)
}

/* Answer a waiting operation, if every possible state answers the same; else accept it, if none of them refuses it and
 * nothing can withdraw it. */
inline answer(e, op) {
	if
	:: RESERVES(e, op) && !(possible & BELOW(SIZE(e, op))) -> STATE(e, op) = HELD; tell(e, op, RESERVED)
	:: RESERVES(e, op) && !(possible & ~BELOW(SIZE(e, op))) -> refuse(e, op)
	:: !RESERVES(e, op) && !FITS(op) -> refuse(e, op)
#if BROKEN == 1
	:: !RESERVES(e, op) && DOUBLES(op) && FITS(op) ->
#else
	:: !RESERVES(e, op) && DOUBLES(op) && FITS(op) && !(possible & (possible - 1)) ->
#endif
		assert(!open_ahead); /* never doubled while a reservation ahead is open */
		find_state(op);
		STATE(e, op) = DONE;
		tell(e, op, ANSWERED)
	:: !RESERVES(e, op) && !DOUBLES(op) && !DOES_NOT(op) ->
		added[op] = BONUS;
		STATE(e, op) = DONE;
		tell(e, op, ANSWERED)
#if BROKEN == 16
	:: else -> STATE(e, op) = (REVOCABLE(op) || RESERVES(e, op) -> WAITING : ACCEPTED)
#else
	:: else -> STATE(e, op) = (REVOCABLE(op) || RESERVES(e, op) || DOES_NOT(op) -> WAITING : ACCEPTED)
#endif
	fi
}

/* The states that a waiting doubling or bonus makes of the possible ones, if it is answered. */
inline change(op) {
	changed = FITS(op);
	if
	:: DOUBLES(op) ->
		changed = (changed | (changed << 4)) & 3855; /* bit n becomes bit 2n */
		changed = (changed | (changed << 2)) & 13107;
		changed = (changed | (changed << 1)) & 21845
	:: else -> changed = changed << BONUS
	fi;
	changed = changed | DOES_NOT(op)
}

/* The possible states behind the operation, given those before it. */
inline span(e, op) {
	if
	:: STATE(e, op) == HELD ->
		assert(!(possible & BELOW(SIZE(e, op)))); /* what is reserved is there, however others end */
#if BROKEN == 13
		possible = possible | (e != ITEM -> possible >> SIZE(e, op) : 0)
#elif BROKEN == 14
		possible = possible | (e == ITEM || IS_ACCOUNT(e) -> possible >> SIZE(e, op) : 0)
#else
		possible = possible | (possible >> SIZE(e, op))
#endif
	:: STATE(e, op) == SPENT -> possible = possible >> SIZE(e, op)
	:: STATE(e, op) == DONE -> possible = possible << added[op]
#if BROKEN != 4
	:: STATE(e, op) == WAITING && RESERVES(e, op) -> possible = possible | (possible >> SIZE(e, op))
#endif
	:: WAITS(e, op) && !RESERVES(e, op) ->
		change(op);
		possible = changed | (REVOCABLE(op) -> possible : 0)
	:: else -> skip
	fi;
	assert(possible != 0);
	open_ahead = open_ahead || IS_OPEN(e, op)
}

/* Walk the log once, answer what can be answered, fold its settled front. */
inline settle(e) {
	if
	:: length[e] > 0 ->
		possible = 1 << value[e];
		open_ahead = 0;
		at = 0;
		do
		:: at < length[e] ->
			each = LOG(e, at);
			if
			:: WAITS(e, each) -> answer(e, each)
			:: else -> skip
			fi;
			span(e, each);
			at++
		:: else -> break
		od;
		fold(e)
	:: else -> skip
	fi
}

/* The operation takes the last place of the log. */
inline enter(e, op) {
	LOG(e, length[e]) = op;
	length[e]++;
	STATE(e, op) = WAITING
}

/* A reservation is released, an unanswered operation withdrawn. Both settle others, by `finish`. */
inline let_go(e, op) {
	if
	:: STATE(e, op) == HELD -> STATE(e, op) = FREED
	:: STATE(e, op) == WAITING -> STATE(e, op) = WITHDRAWN
	:: else -> skip
	fi
}

inline keep(e, op) {
	if
	:: STATE(e, op) == HELD -> STATE(e, op) = SPENT
	:: else -> skip
	fi
}

#if NAMES
/* Those that are in the log of their account, or past. */
inline find_joined() {
	joined = 0;
	each = 0;
	do
	:: each < OPERATIONS ->
		joined = joined | (MINE(each) > OUTSIDE -> 1 << each : 0);
		each++
	:: else -> break
	od
}

inline leave_outside(op) {
	at = 0;
	do
	:: outside[at] != op -> at++
	:: else -> break
	od;
	do
	:: at + 1 < outsiders -> outside[at] = outside[at + 1]; at++
	:: else -> break
	od;
	outsiders--;
	outside[outsiders] = 0
}

/* Let join, in the order of arrival, those outside for whom nothing is missing any more. */
inline join() {
	do
	:: find_joined();
		at = 0;
		do
		:: at < outsiders && (AFTER(outside[at]) & ~joined) -> at++
		:: else -> break
		od;
		if
		:: at < outsiders ->
			each = outside[at];
			leave_outside(each);
			enter(ACCOUNT(each), each)
		:: else -> break
		fi
	od
}
#endif

/* Who waits for whom, over all entities: a waiting operation for the open ones ahead of it in its log, one that stands
 * outside for those it names. A saga waits at one place at a time, so a circle of sagas is a circle of waits. */
inline find_waits() {
	each = 0;
	do
	:: each < OPERATIONS -> waits_for[each] = 0; each++
	:: else -> break
	od;
	entity = 0;
	do
	:: entity < ENTITIES ->
		ahead = 0;
		at = 0;
		do
		:: at < length[entity] ->
			each = LOG(entity, at);
			if
			:: WAITS(entity, each) -> waits_for[each] = waits_for[each] | ahead
			:: else -> skip
			fi;
			ahead = ahead | (IS_OPEN(entity, each) -> 1 << each : 0);
			at++
		:: else -> break
		od;
		entity++
	:: else -> break
	od;
#if NAMES && CIRCLES == 2
	find_joined();
	at = 0;
	do
	:: at < outsiders ->
		each = outside[at];
		waits_for[each] = waits_for[each] | (AFTER(each) & ~joined & ~NEVER_COMES);
		at++
	:: else -> break
	od;
#endif
	skip
}

/* In no state does an operation wait for itself, through however many others. */
inline find_circles() {
#if CIRCLES
	find_waits();
	at = 0;
	do
	:: at < OPERATIONS ->
		each = 0;
		do
		:: each < OPERATIONS ->
			waits_for[each] = waits_for[each] | ((waits_for[each] >> at) & 1 -> waits_for[at] : 0);
			assert(!((waits_for[each] >> each) & 1)); /* no circle of waits */
			each++
		:: else -> break
		od;
		at++
	:: else -> break
	od;
#endif
	skip
}
