/* The choreography of holdfast: orders and promos on one account, over a broker that doubles, delays and reorders.
 *
 * One step is one transaction of one service, or one step of delivery. Time is a choice: any deadline may pass at any
 * moment. docs/model.md says which function each step stands for.
 *
 *   ORDERS, PROMOS   how many sagas of each kind
 *   TWO_DOUBLINGS    the second promo doubles too, else it is a bonus
 *   DUPLICATES       how many deliveries may come again; 255: any number
 *   REDUCED          steps that nothing depends on are taken at once
 *   STEPS            outbox, relay and acknowledgement are steps of their own
 *   CRASHES          how many times a service may die (with STEPS)
 *   FORGETFUL        no inbox remembers anything: what keeps effects single is the services' own states
 *   FAIR             one process a kind of message, so that weak fairness delivers each; the environment may be idle
 *   BROKEN           one of the rules is broken, see docs/model.md; 0: none
 */

#ifndef ORDERS
#define ORDERS 1
#endif
#ifndef PROMOS
#define PROMOS 1
#endif
#ifndef TWO_DOUBLINGS
#define TWO_DOUBLINGS 0
#endif
#ifndef DUPLICATES
#define DUPLICATES 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef BROKEN
#define BROKEN 0
#endif

/* Operations: 0 .. ORDERS - 1 are reservations, the others multiply or are a bonus. */
#define OPERATIONS   (ORDERS + PROMOS)
#define COINS        5
#define BONUS        2
#define STOCK        1
#define AMOUNT(op)   (op == 0 -> 3 : (op == 1 -> 4 : 2))
#define IS_ORDER(op) (op < ORDERS)
#define DOUBLES(op)  (op == ORDERS || (op == ORDERS + 1 && TWO_DOUBLINGS))
/* The first order is fulfilled externally, the others take from one stock that is enough for one of them. */
#define INSTANT(op)  (op > 0)

/* Messages, a bit for each kind; their identity is the operation and the kind, as their ids are derived from both. */
#define PLACED        1    /* to the user service */
#define CLAIMED       1
#define CONFIRMED     2
#define FAILED        4
#define PROMO_REFUSED 4
#define CANCELLED     8
#define RESERVED      16   /* to the order service or the promo service */
#define ANSWERED      16   /* coins.multiplied or coins.credited */
#define REFUSED       32
#define CAPTURED      64
#define RELEASED      128
#define EXPIRED       256
#define TO_USER       15
#define TO_OTHERS     496

/* What else happens to a saga. */
#define CLIENT        512
#define WAREHOUSE     1024
#define OWN_CLOCK     2048 /* of the order service */
#define ACCOUNT_CLOCK 4096
#define EVERYTHING    8191
#define OF_PROMOS     (CLAIMED | PROMO_REFUSED | ANSWERED | REFUSED | CLIENT | ACCOUNT_CLOCK)

/* What an operation is to the account. */
#define NONE        0
#define WAITING     1
#define HELD        2   /* reserved, in flight */
#define SPENT       3   /* captured */
#define FREED       4   /* released */
#define LAPSED      5   /* expired */
#define TOO_FEW     6   /* refused for want of coins */
#define WITHDRAWN   7   /* refused before it was answered: cancelled, failed or overdue; or a tombstone */
#define DONE        8   /* multiplied or credited */
#define IS_OPEN(op) (state[op] == WAITING || state[op] == HELD)

/* What an order or a redemption is to its own service. */
#define UNKNOWN     0
#define ASKED       1   /* an order that is placed, a redemption that is claimed */
#define FULFILLING  2   /* coins reserved, an answer of the warehouse awaited */
#define SURE        3   /* confirmed */
#define COMPLETED   4   /* or redeemed */
#define LOST        5   /* failed, or refused */
#define CALLED_OFF  6   /* cancelled */

/* The user service's database. */
byte balance = COINS;
byte log[OPERATIONS];
byte length;
byte state[OPERATIONS];
byte added[OPERATIONS];

/* The order service's and the promo service's databases. */
byte saga[OPERATIONS];
bit  accepted[OPERATIONS];
byte stock = STOCK;
byte gained[OPERATIONS];

/* Delivery: messages on their way, and the inboxes. */
short flying[OPERATIONS];
short noted[OPERATIONS];
#ifdef STEPS
short outbox[OPERATIONS];    /* rows that are not deleted */
short published[OPERATIONS]; /* rows that the relay published and has not deleted */
short unacked[OPERATIONS];   /* handled, and not acknowledged */
byte crashes = CRASHES;
#endif
byte duplicates = DUPLICATES;

/* The one-at-a-time program, and what was said. */
byte serial = COINS;
#if BROKEN == 7
bit said_cancelled[OPERATIONS];
#endif

hidden short low;
hidden short high;
hidden byte at;
hidden byte each;
hidden byte open_ahead;
hidden byte fresh;

/* ---------------------------------------------------------------- delivery */

#ifdef STEPS
#define SEND(op, kind) outbox[op] = outbox[op] | kind
#else
#define SEND(op, kind) flying[op] = flying[op] | kind
#endif

/* What its receiver has noted would be dropped; it is not sent again. */
inline say(op, kind) {
	if
	:: (noted[op] & kind) == 0 -> SEND(op, kind)
	:: else -> skip
	fi
}

/* The inbox: whether this message is new to its receiver. */
inline note(op, kind) {
	fresh = ((noted[op] & kind) == 0);
#if !defined(FORGETFUL) && BROKEN != 2
	noted[op] = noted[op] | kind
#endif
}

/* ---------------------------------------------------------------- the user service */

/* The serial program executes the operation that leaves the log; so much for its answer. */
inline execute_serially(op) {
	if
	:: IS_ORDER(op) && (state[op] == SPENT || state[op] == FREED || state[op] == LAPSED) ->
		assert(serial >= AMOUNT(op));
		if
		:: state[op] == SPENT -> serial = serial - AMOUNT(op)
		:: else -> skip
		fi
	:: IS_ORDER(op) && state[op] == TOO_FEW -> assert(serial < AMOUNT(op))
	:: !IS_ORDER(op) && state[op] == DONE && DOUBLES(op) ->
		assert(added[op] == serial);
		serial = serial * 2
	:: !IS_ORDER(op) && state[op] == DONE && !DOUBLES(op) -> serial = serial + BONUS
	:: else -> assert(state[op] == WITHDRAWN)
	fi
}

inline fold() {
	do
	:: length > 0 && !IS_OPEN(log[0]) ->
		each = log[0];
		execute_serially(each);
		if
		:: state[each] == SPENT ->
			assert(balance >= AMOUNT(each)); /* never negative */
			balance = balance - AMOUNT(each)
		:: state[each] == DONE -> balance = balance + added[each]
		:: else -> skip
		fi;
		assert(balance == serial);
		at = 1;
		do
		:: at < length -> log[at - 1] = log[at]; at++
		:: else -> break
		od;
		length--;
		log[length] = 0
	:: else -> break
	od
}

/* The answer of a waiting operation, if it is the same at both ends of the interval. */
inline answer(op) {
	if
	:: IS_ORDER(op) && low >= AMOUNT(op) -> state[op] = HELD; say(op, RESERVED)
	:: IS_ORDER(op) && high < AMOUNT(op) -> state[op] = TOO_FEW; say(op, REFUSED)
#if BROKEN == 1
	:: !IS_ORDER(op) && DOUBLES(op) ->
#else
	:: !IS_ORDER(op) && DOUBLES(op) && low == high ->
#endif
		assert(!open_ahead); /* never doubled while a reservation ahead is open */
		state[op] = DONE; added[op] = low; say(op, ANSWERED)
	:: !IS_ORDER(op) && !DOUBLES(op) -> state[op] = DONE; added[op] = BONUS; say(op, ANSWERED)
	:: else -> skip
	fi
}

inline span(op) {
	if
	:: state[op] == HELD -> low = low - AMOUNT(op)
#if BROKEN != 4
	:: state[op] == WAITING && IS_ORDER(op) -> low = 0
#endif
	:: state[op] == WAITING && !IS_ORDER(op) -> high = high * 2 /* a bonus never waits */
	:: state[op] == SPENT -> low = low - AMOUNT(op); high = high - AMOUNT(op)
	:: state[op] == DONE -> low = low + added[op]; high = high + added[op]
	:: else -> skip
	fi;
	assert(low >= 0 && low <= high);
	open_ahead = open_ahead || IS_OPEN(op)
}

/* Walk the log once, answer what can be answered, fold its finished front. */
inline settle() {
	low = balance;
	high = balance;
	open_ahead = 0;
	at = 0;
	do
	:: at < length ->
		each = log[at];
		if
		:: state[each] == WAITING -> answer(each)
		:: else -> skip
		fi;
		span(each);
		at++
	:: else -> break
	od;
	fold()
}

inline say_again(op) {
	if
	:: state[op] == HELD -> say(op, RESERVED)
	:: state[op] == SPENT -> say(op, CAPTURED)
	:: state[op] == FREED -> say(op, RELEASED)
	:: state[op] == LAPSED -> say(op, EXPIRED)
	:: state[op] == TOO_FEW || state[op] == WITHDRAWN -> say(op, REFUSED)
	:: state[op] == DONE -> say(op, ANSWERED)
	:: else -> skip
	fi
}

inline arrive(op) {
	if
#if BROKEN == 2
	:: true ->
#else
	:: state[op] == NONE ->
#endif
		assert(state[op] == NONE); /* an operation has one place, so it takes effect once */
		log[length] = op;
		length++;
		state[op] = WAITING;
		settle()
	:: else -> say_again(op)
	fi
}

inline capture(op) {
	assert(state[op] != NONE && state[op] != WAITING); /* else the message were parked */
	if
#if BROKEN == 3
	:: state[op] == HELD || state[op] == LAPSED ->
		if
		:: state[op] == LAPSED -> balance = balance - AMOUNT(op); assert(balance == serial)
		:: else -> skip
		fi;
#else
	:: state[op] == HELD ->
#endif
		state[op] = SPENT;
		say(op, CAPTURED);
		settle()
	:: else -> say_again(op)
	fi
}

/* order.failed, order.cancelled, promo.refused; before the operation itself they leave a tombstone. */
inline release(op) {
	if
	:: state[op] == HELD -> state[op] = FREED; say(op, RELEASED); settle()
	:: state[op] == WAITING -> state[op] = WITHDRAWN; say(op, REFUSED); settle()
	:: state[op] == NONE -> state[op] = WITHDRAWN
	:: else -> skip
	fi
}

inline pass_deadline(op) {
	if
	:: state[op] == HELD -> state[op] = LAPSED; say(op, EXPIRED)
	:: else -> state[op] = WITHDRAWN; say(op, REFUSED)
	fi;
	settle()
}

/* ---------------------------------------------------------------- the order service */

inline fail(op) {
#if BROKEN != 9
	if
	:: saga[op] == SURE && INSTANT(op) -> stock++
	:: else -> skip
	fi;
#endif
	saga[op] = LOST;
	say(op, FAILED)
}

inline confirm(op) {
#if BROKEN == 8
	saga[op] = COMPLETED;
#else
	saga[op] = SURE;
#endif
	say(op, CONFIRMED)
}

inline take_reserved(op) {
	assert(saga[op] != UNKNOWN);
	if
	:: saga[op] == ASKED && INSTANT(op) && stock == 0 -> fail(op)
	:: saga[op] == ASKED && INSTANT(op) && stock > 0 -> stock--; confirm(op)
	:: saga[op] == ASKED && !INSTANT(op) && accepted[op] -> confirm(op)
	:: saga[op] == ASKED && !INSTANT(op) && !accepted[op] -> saga[op] = FULFILLING
	:: saga[op] == LOST -> say(op, FAILED)
	:: saga[op] == CALLED_OFF -> say(op, CANCELLED)
	:: else -> skip
	fi
}

inline take_captured(op) {
	assert(saga[op] == SURE || saga[op] == COMPLETED); /* after the capture nothing fails */
	saga[op] = COMPLETED
}

/* coins.refused, coins.released, coins.expired */
inline take_loss(op) {
	assert(saga[op] != COMPLETED);
	if
	:: saga[op] == ASKED || saga[op] == FULFILLING || saga[op] == SURE -> fail(op)
	:: else -> skip
	fi
}

inline cancel(op) {
#if BROKEN == 7
	said_cancelled[op] = 1;
	if
	:: saga[op] == UNKNOWN -> skip
	:: else -> saga[op] = CALLED_OFF
	fi;
#else
	saga[op] = CALLED_OFF;
#endif
	say(op, CANCELLED)
}

/* ---------------------------------------------------------------- the promo service */

inline take_answer(op) {
	assert(saga[op] == ASKED || saga[op] == COMPLETED);
	if
	:: saga[op] == ASKED -> saga[op] = COMPLETED; gained[op] = added[op]
	:: else -> skip
	fi
}

inline give_back(op) {
	assert(saga[op] != COMPLETED);
	if
	:: saga[op] == ASKED -> saga[op] = LOST; say(op, PROMO_REFUSED)
	:: else -> skip
	fi
}

/* ---------------------------------------------------------------- steps */

/* With REDUCED, a message that can have no effect any more is off the way at once, and one that is the only thing that
 * can still happen to its saga, and concerns nothing else, is there at once. */
inline reduce(op) {
#ifdef REDUCED
	if
	:: IS_ORDER(op) && (saga[op] == LOST || saga[op] == CALLED_OFF) ->
		flying[op] = flying[op] & ~(RESERVED | REFUSED | RELEASED | EXPIRED)
	:: IS_ORDER(op) && (flying[op] & CAPTURED) ->
		flying[op] = flying[op] & ~CAPTURED;
		noted[op] = noted[op] | CAPTURED;
		take_captured(op)
	:: !IS_ORDER(op) && (flying[op] & ANSWERED) ->
		flying[op] = flying[op] & ~ANSWERED;
		noted[op] = noted[op] | ANSWERED;
		take_answer(op)
	:: !IS_ORDER(op) && (flying[op] & REFUSED) ->
		flying[op] = flying[op] & ~REFUSED;
		noted[op] = noted[op] | REFUSED;
		give_back(op)
	:: else -> skip
	fi;
	if
	:: state[op] > HELD -> flying[op] = flying[op] & ~(FAILED | CANCELLED)
	:: else -> skip
	fi
#else
	skip
#endif
}

/* Whatever one transaction said may concern any saga: settling one answers others. */
inline reduce_all() {
#ifdef REDUCED
	each = 0;
	do
	:: each < OPERATIONS -> reduce(each); each++
	:: else -> break
	od;
#endif
	skip
}

#define HAS(kind) (flying[op] & kinds & kind)

#ifdef STEPS
#define LEAVE(kind) flying[op] = flying[op] & ~(kind); unacked[op] = unacked[op] | (crashes > 0 -> kind : 0)
#else
#define LEAVE(kind) flying[op] = flying[op] & ~(kind)
#endif

#define HANDLE(kind, work) note(op, kind); if :: fresh -> work :: else -> skip fi; reduce_all()

#if DUPLICATES == 255
#define TAKE(kind, work) \
	:: d_step { HAS(kind) -> LEAVE(kind); HANDLE(kind, work) } \
	:: d_step { HAS(kind) -> HANDLE(kind, work) }
#elif DUPLICATES > 0
#define TAKE(kind, work) \
	:: d_step { HAS(kind) -> LEAVE(kind); HANDLE(kind, work) } \
	:: d_step { HAS(kind) && duplicates > 0 -> duplicates--; HANDLE(kind, work) }
#else
#define TAKE(kind, work) \
	:: d_step { HAS(kind) -> LEAVE(kind); HANDLE(kind, work) }
#endif

#define STEP(kind, possible, work) :: d_step { (kinds & kind) && (possible) -> work; reduce_all() }

/* Client and warehouse may be silent for ever, once the order is placed. */
#ifdef FAIR
#define MAY_IDLE :: (kinds & (CLIENT | WAREHOUSE)) && saga[op] != UNKNOWN -> skip
#else
#define MAY_IDLE
#endif

/* The row is deleted, and its publish fails. */
#if BROKEN == 6
#define MAY_LOSE :: d_step { flying[op] & kinds -> flying[op] = flying[op] & ~kinds }
#else
#define MAY_LOSE
#endif

/* What can happen to an order, as far as `kinds` says: its messages come in any order, the client and the warehouse
 * say what they like as often as it has an effect, and deadlines pass on two clocks that know nothing of each other. */
proctype order(byte op; short kinds) {
end:	do
	TAKE(PLACED, arrive(op))
	TAKE(CONFIRMED, capture(op))
	TAKE(FAILED, release(op))
	TAKE(CANCELLED, release(op))
	TAKE(RESERVED, take_reserved(op))
	TAKE(REFUSED, take_loss(op))
	TAKE(CAPTURED, take_captured(op))
	TAKE(RELEASED, take_loss(op))
	TAKE(EXPIRED, take_loss(op))
	STEP(CLIENT, saga[op] == UNKNOWN, saga[op] = ASKED; say(op, PLACED))
	STEP(CLIENT, saga[op] <= FULFILLING, cancel(op))
	STEP(WAREHOUSE, saga[op] == ASKED && !INSTANT(op) && !accepted[op], accepted[op] = 1)
	STEP(WAREHOUSE, saga[op] == FULFILLING, confirm(op))
	STEP(WAREHOUSE, (saga[op] == ASKED || saga[op] == FULFILLING) && !INSTANT(op), fail(op))
#if BROKEN != 5
	STEP(OWN_CLOCK, saga[op] == ASKED || saga[op] == FULFILLING, fail(op))
	STEP(ACCOUNT_CLOCK, IS_OPEN(op), pass_deadline(op))
#endif
	MAY_IDLE
	MAY_LOSE
	od
}

/* What can happen to a redemption. Its code may be used up, or no longer valid. */
proctype redemption(byte op; short kinds) {
end:	do
	TAKE(CLAIMED, arrive(op))
	TAKE(PROMO_REFUSED, release(op))
	TAKE(ANSWERED, take_answer(op))
	TAKE(REFUSED, give_back(op))
	STEP(CLIENT, saga[op] == UNKNOWN, saga[op] = ASKED; say(op, CLAIMED))
	STEP(CLIENT, saga[op] == UNKNOWN, saga[op] = LOST; say(op, PROMO_REFUSED))
	STEP(ACCOUNT_CLOCK, IS_OPEN(op), pass_deadline(op))
	MAY_LOSE
	od
}

#ifdef STEPS
#define RELAY(kind) \
	:: d_step { outbox[op] & kind & ~published[op] -> \
		published[op] = published[op] | kind; \
		flying[op] = flying[op] | kind } \
	:: d_step { outbox[op] & published[op] & kind -> \
		outbox[op] = outbox[op] & ~kind; \
		published[op] = published[op] & ~kind } \
	:: d_step { unacked[op] & kind -> unacked[op] = unacked[op] & ~kind }

/* Publishes the rows of a saga, deletes them once they are confirmed, and acknowledges what was handled. */
proctype delivery(byte op) {
end:	do
	RELAY(PLACED)
	RELAY(CONFIRMED)
	RELAY(FAILED)
	RELAY(CANCELLED)
	RELAY(RESERVED)
	RELAY(REFUSED)
	RELAY(CAPTURED)
	RELAY(RELEASED)
	RELAY(EXPIRED)
	od
}

inline crash(says, hears, first, last) {
	each = first;
	do
	:: each < last ->
		published[each] = published[each] & ~(says);
		flying[each] = flying[each] | (unacked[each] & hears);
		unacked[each] = unacked[each] & ~(hears);
		each++
	:: else -> break
	od;
	crashes--;
	if
	:: crashes == 0 -> /* nothing comes again from here on */
		each = 0;
		do
		:: each < OPERATIONS -> unacked[each] = 0; each++
		:: else -> break
		od;
		skip
	:: else -> skip
	fi
}

/* What was not committed is lost without a trace; what is not deleted is published again, what is not acknowledged
 * comes again. A crash that finds neither changes nothing. */
proctype crashing() {
end:	do
	:: d_step { crashes > 0 -> crash(TO_OTHERS, TO_USER, 0, OPERATIONS) }
	:: d_step { crashes > 0 -> crash(TO_USER, TO_OTHERS, 0, ORDERS) }
	:: d_step { crashes > 0 -> crash(TO_USER, TO_OTHERS, ORDERS, OPERATIONS) }
	od
}
#endif

#define ENDED(op) (op >= OPERATIONS || (saga[op] >= COMPLETED && state[op] > HELD))

/* All is over: every saga has ended, the services agree how, and coins and goods are where they belong. */
inline judge() {
	low = COINS;
	high = STOCK;
	at = 0;
	do
	:: at < OPERATIONS ->
		assert(ENDED(at)); /* every saga ends */
		assert((saga[at] == COMPLETED) == (state[at] == SPENT || state[at] == DONE)); /* and as all agree */
#if BROKEN == 7
		assert(!said_cancelled[at] || saga[at] == CALLED_OFF); /* what was called off stays so */
#endif
		assert(flying[at] == 0);
		if
		:: IS_ORDER(at) && saga[at] == COMPLETED -> low = low - AMOUNT(at); high = high - (INSTANT(at) -> 1 : 0)
		:: !IS_ORDER(at) -> low = low + gained[at]
		:: else -> skip
		fi;
		at++
	:: else -> break
	od;
	assert(length == 0);
	assert(balance == serial);
	assert(balance == low); /* coins: those of the start, less what orders cost, plus what promos gave */
	assert(stock == high)
}

#ifdef FAIR
#define KINDS_FIRST 1
#define KINDS_NEXT  kinds = kinds * 2
#else
#define KINDS_FIRST EVERYTHING
#define KINDS_NEXT  kinds = EVERYTHING + 1
#endif

init {
	byte op;
	short kinds;
	atomic {
		do
		:: op < OPERATIONS ->
			kinds = KINDS_FIRST;
			do
			:: kinds <= EVERYTHING ->
				if
				:: IS_ORDER(op) -> run order(op, kinds)
				:: !IS_ORDER(op) && (kinds & OF_PROMOS) -> run redemption(op, kinds)
				:: else -> skip
				fi;
				KINDS_NEXT
			:: else -> break
			od;
#ifdef STEPS
			run delivery(op);
#endif
			op++
		:: else -> break
		od;
#ifdef STEPS
		run crashing();
#endif
		op = 0;
		kinds = 0
	}
#ifndef FAIR
	timeout -> d_step { judge() }
#endif
}

#ifdef FAIR
ltl every_saga_ends { <> (length == 0 && ENDED(0) && ENDED(1) && ENDED(2) && ENDED(3) && ENDED(4)) }
#endif
