/* The choreography of holdfast: orders and promos on accounts, goods and codes, over a broker that doubles, delays and
 * reorders.
 *
 * One step is one transaction of one service, or one step of delivery. Time is a choice: any deadline may pass at any
 * moment. docs/model.md says which function each step stands for.
 *
 *   ORDERS, PROMOS   how many sagas of each kind; the orders come first in their numbering
 *   COINS            of each account at the start
 *   EXTERNAL         how many orders (the first ones) are fulfilled by a warehouse; the others take a piece of the stock
 *   STOCK            pieces at the start
 *   TWO_DOUBLINGS    the second promo doubles too, else it is a bonus
 *   CODES            the promos are redemptions of one code, of which there are so many uses, one an account; 0: no claim
 *   IRREVOCABLE      a bit for each saga: its doubling or bonus has no deadline while it waits
 *   OTHER            a bit for each saga: it is on a second account
 *   SECOND           a bit for each saga: it redeems a second code, of as many uses (with OTHER)
 *   NAMES            six bits for each saga, of which there are five at most: those that it names in `after`; the sixth
 *                    bit: one that never comes
 *   IN_TURN          redemptions reach the promo service in the order of their numbers
 *   CIRCLES          what is asserted to have no circle: 2: all waits; 1: those in a log, without `after`; 0: nothing
 *   NO_DEADLINES     no deadline passes, nobody cancels, and the warehouse answers: only settlement ends a wait
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
#ifndef COINS
#define COINS 5
#endif
#ifndef EXTERNAL
#define EXTERNAL 1
#endif
#ifndef STOCK
#define STOCK 1
#endif
#ifndef TWO_DOUBLINGS
#define TWO_DOUBLINGS 0
#endif
#ifndef CODES
#define CODES 0
#endif
#ifndef IRREVOCABLE
#define IRREVOCABLE (1 << ORDERS)
#endif
#ifndef OTHER
#define OTHER 0
#endif
#ifndef SECOND
#define SECOND 0
#endif
#ifndef NAMES
#define NAMES 0
#endif
#ifndef CIRCLES
#define CIRCLES 2
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

/* Sagas, each with one operation on each entity that it claims: 0 .. ORDERS - 1 are orders, the others redemptions. */
#define OPERATIONS   (ORDERS + PROMOS)
#define BONUS        2
#define LIMIT        15  /* the most coins of an account */
#define AMOUNT(op)   (op == 0 -> 3 : (op == 1 -> 4 : 2))
#define IS_ORDER(op) (op < ORDERS)
#define DOUBLES(op)  (op == ORDERS || (op == ORDERS + 1 && TWO_DOUBLINGS))
#define INSTANT(op)  (op >= EXTERNAL)
#define AFTER(op)    ((NAMES >> (6 * (op))) & 63)
#define NEVER_COMES  32

/* Entities. The state of a code is the uses that are left: in total, and of one account. */
#define ITEM          1
#define IS_ACCOUNT(e) (e == 0 || e == 4)
#define IS_CODE(e)    (e == 2 || e == 6)
#define BIT(bits, op) (((bits) >> (op)) & 1)
#if SECOND
#define ENTITIES      10
#define ACCOUNT(op)   (BIT(OTHER, op) * 4)
#define CODE(op)      (2 + BIT(SECOND, op) * 4)
#define USE(op)       (3 + BIT(OTHER, op) * 2 + BIT(SECOND, op) * 4)
#elif OTHER
#define ENTITIES      6
#define ACCOUNT(op)   (BIT(OTHER, op) * 4)
#define CODE(op)      2
#define USE(op)       (3 + BIT(OTHER, op) * 2)
#else
#if CODES
#define ENTITIES      4
#else
#define ENTITIES      2
#endif
#define ACCOUNT(op)   0
#define CODE(op)      2
#define USE(op)       3
#endif
#define MINE(op)      STATE(ACCOUNT(op), op)

/* Messages, a bit for each kind; their identity is the saga and the kind, as their ids are derived from both. */
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
#define OWN_CLOCK     2048 /* of the order service, or of the promo service */
#define ACCOUNT_CLOCK 4096
#define EVERYTHING    8191
#define OF_PROMOS     (CLAIMED | PROMO_REFUSED | ANSWERED | REFUSED | CLIENT | OWN_CLOCK | ACCOUNT_CLOCK)

/* What an order or a redemption is to its own service. */
#define UNKNOWN     0
#define CLAIMING    1   /* a redemption that has not all of its claims on the code */
#define ASKED       2   /* an order that is placed, a redemption that is claimed */
#define FULFILLING  3   /* coins reserved, a piece or an answer of the warehouse awaited */
#define SURE        4   /* confirmed */
#define COMPLETED   5   /* or redeemed */
#define LOST        6   /* failed, or refused */
#define CALLED_OFF  7   /* cancelled */

#include "entity.pml"
#include "delivery.pml"

/* The order service's and the promo service's databases. */
byte saga[OPERATIONS];
bit  accepted[OPERATIONS];
byte gained[OPERATIONS];

#if BROKEN == 7
bit said_cancelled[OPERATIONS];
#endif

hidden byte who;
hidden byte again;
hidden byte count;
hidden byte most;

/* One saga claims in the wrong order: its goods before its coins, or the code's total before its account's use. */
#define GOODS_FIRST(op) (BROKEN == 10 && op == 1)
#if BROKEN == 17
#define FIRST_CLAIM(op) (op == OPERATIONS - 1 -> CODE(op) : USE(op))
#define LAST_CLAIM(op)  (op == OPERATIONS - 1 -> USE(op) : CODE(op))
#else
#define FIRST_CLAIM(op) USE(op)
#define LAST_CLAIM(op)  CODE(op)
#endif

/* An answer is an event if it is an account's. The two others tell their services within the transaction. */
inline tell(e, op, kind) {
	if
	:: IS_ACCOUNT(e) -> say(op, kind)
	:: else -> skip
	fi
}

/* ---------------------------------------------------------------- the user service */

inline say_again(op) {
	if
	:: MINE(op) == HELD -> say(op, RESERVED)
	:: MINE(op) == SPENT -> say(op, CAPTURED)
	:: MINE(op) == FREED -> say(op, RELEASED)
	:: MINE(op) == LAPSED -> say(op, EXPIRED)
	:: MINE(op) == TOO_FEW || MINE(op) == WITHDRAWN -> say(op, REFUSED)
	:: MINE(op) == DONE -> say(op, ANSWERED)
	:: else -> skip
	fi
}

inline arrive(op) {
	if
#if BROKEN == 2
	:: true ->
#else
	:: MINE(op) == NONE ->
#endif
		assert(MINE(op) == NONE); /* an operation has one place, so it takes effect once */
#if NAMES && BROKEN != 11
		MINE(op) = OUTSIDE;
		outside[outsiders] = op;
		outsiders++
#else
		enter(ACCOUNT(op), op)
#endif
	:: else -> say_again(op)
	fi
}

inline capture(op) {
	assert(MINE(op) >= HELD); /* else the message were a dead letter */
	if
#if BROKEN == 3
	:: MINE(op) == HELD || MINE(op) == LAPSED ->
		if
		:: MINE(op) == LAPSED ->
			value[ACCOUNT(op)] = value[ACCOUNT(op)] - AMOUNT(op);
			assert(value[ACCOUNT(op)] == serial[ACCOUNT(op)])
		:: else -> skip
		fi;
#else
	:: MINE(op) == HELD ->
#endif
		MINE(op) = SPENT;
		say(op, CAPTURED)
	:: else -> say_again(op)
	fi
}

inline withdraw(op) {
	assert(MINE(op) != ACCEPTED); /* accepted is never refused */
#if NAMES
	if
	:: MINE(op) == OUTSIDE -> leave_outside(op)
	:: else -> skip
	fi;
#endif
	MINE(op) = WITHDRAWN;
	say(op, REFUSED)
}

/* order.failed, order.cancelled, promo.refused; before the operation itself they leave a tombstone. */
inline release(op) {
	if
	:: MINE(op) == HELD -> MINE(op) = FREED; say(op, RELEASED)
	:: MINE(op) == OUTSIDE || (MINE(op) == WAITING && REVOCABLE(op)) -> withdraw(op)
	:: MINE(op) == NONE -> MINE(op) = WITHDRAWN
	:: else -> skip
	fi
}

#if BROKEN == 12
#define IS_REVOCABLE(op) true
#else
#define IS_REVOCABLE(op) REVOCABLE(op)
#endif
#define HAS_DEADLINE(op) ((MINE(op) == OUTSIDE && BROKEN != 18) || MINE(op) == HELD || \
	(WAITS(ACCOUNT(op), op) && IS_REVOCABLE(op)))

inline pass_deadline(op) {
	if
	:: MINE(op) == HELD -> MINE(op) = LAPSED; say(op, EXPIRED)
	:: else -> withdraw(op)
	fi
}

/* ---------------------------------------------------------------- the order service */

inline place(op) {
#if BROKEN == 10
	if
	:: GOODS_FIRST(op) -> saga[op] = CLAIMING; enter(ITEM, op)
	:: else -> saga[op] = ASKED; say(op, PLACED)
	fi
#else
	saga[op] = ASKED;
	say(op, PLACED)
#endif
}

inline fail(op) {
#if BROKEN != 9
	let_go(ITEM, op);
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

/* The coins are reserved. A piece is claimed; `finish` goes on once that is answered, in the same transaction or later. */
inline take_reserved(op) {
	assert(saga[op] != UNKNOWN);
	if
	:: saga[op] == ASKED && (GOODS_FIRST(op) || (!INSTANT(op) && accepted[op])) -> confirm(op)
	:: saga[op] == ASKED && !GOODS_FIRST(op) && INSTANT(op) -> saga[op] = FULFILLING; enter(ITEM, op)
	:: saga[op] == ASKED && !INSTANT(op) && !accepted[op] -> saga[op] = FULFILLING
	:: saga[op] == LOST -> say(op, FAILED)
	:: saga[op] == CALLED_OFF -> say(op, CANCELLED)
	:: else -> skip
	fi
}

inline go_on_with_order(op) {
	if
	:: saga[op] == FULFILLING && STATE(ITEM, op) == HELD -> confirm(op)
	:: (saga[op] == FULFILLING || saga[op] == CLAIMING) && STATE(ITEM, op) == TOO_FEW -> fail(op)
#if BROKEN == 10
	:: saga[op] == CLAIMING && STATE(ITEM, op) == HELD -> saga[op] = ASKED; say(op, PLACED)
#endif
	:: else -> skip
	fi
}

inline take_captured(op) {
	assert(saga[op] == SURE || saga[op] == COMPLETED); /* after the capture nothing fails */
	saga[op] = COMPLETED;
	keep(ITEM, op);
	count = 0;
	at = 0;
	do
	:: at < ORDERS -> count = count + (INSTANT(at) && saga[at] == COMPLETED -> 1 : 0); at++
	:: else -> break
	od;
	assert(count <= STOCK) /* nothing is oversold */
}

/* coins.refused, coins.released, coins.expired */
inline take_loss(op) {
	assert(saga[op] != COMPLETED);
	if
	:: saga[op] >= ASKED && saga[op] <= SURE -> fail(op)
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
	let_go(ITEM, op);
	say(op, CANCELLED)
}

/* ---------------------------------------------------------------- the promo service */

inline redeem(op) {
#if CODES
	saga[op] = CLAIMING;
	enter(FIRST_CLAIM(op), op)
#else
	saga[op] = ASKED;
	say(op, CLAIMED)
#endif
}

inline refuse_promo(op) {
#if CODES
	let_go(USE(op), op);
	let_go(CODE(op), op);
	again = 1;
#endif
	saga[op] = LOST;
	say(op, PROMO_REFUSED)
}

/* First the account's use of the code, then one of the total, then the account's balance. */
inline go_on_with_promo(op) {
#if CODES
	if
	:: saga[op] == CLAIMING && STATE(FIRST_CLAIM(op), op) == HELD && STATE(LAST_CLAIM(op), op) == NONE ->
		enter(LAST_CLAIM(op), op);
		again = 1
	:: saga[op] == CLAIMING && STATE(FIRST_CLAIM(op), op) == HELD && STATE(LAST_CLAIM(op), op) == HELD ->
		saga[op] = ASKED;
		say(op, CLAIMED)
	:: saga[op] == CLAIMING && (STATE(FIRST_CLAIM(op), op) == TOO_FEW || STATE(LAST_CLAIM(op), op) == TOO_FEW) ->
		refuse_promo(op)
	:: else -> skip
	fi
#else
	skip
#endif
}

inline take_answer(op) {
	assert(saga[op] == ASKED || saga[op] == COMPLETED);
	if
	:: saga[op] == ASKED ->
		saga[op] = COMPLETED;
		gained[op] = added[op];
#if CODES
		keep(USE(op), op);
		keep(CODE(op), op);
		count = 0;
		most = 0;
		at = ORDERS;
		do
		:: at < OPERATIONS ->
			count = count + (saga[at] == COMPLETED && CODE(at) == CODE(op) -> 1 : 0);
			most = most + (saga[at] == COMPLETED && USE(at) == USE(op) -> 1 : 0);
			at++
		:: else -> break
		od;
		assert(count <= CODES && most <= 1) /* no use is taken twice */
#endif
	:: else -> skip
	fi
}

inline give_back(op) {
	assert(saga[op] != COMPLETED);
	if
	:: saga[op] == ASKED -> refuse_promo(op)
	:: else -> skip
	fi
}

/* ---------------------------------------------------------------- steps */

/* With REDUCED, a message that can have no effect any more is off the way at once, and one that is the only thing that
 * can still happen to its saga, and concerns nothing else, is there at once. */
inline reduce(op) {
	if
	:: IS_ORDER(op) && (saga[op] == LOST || saga[op] == CALLED_OFF) ->
		flying[op] = flying[op] & ~(RESERVED | REFUSED | RELEASED | EXPIRED)
	:: IS_ORDER(op) && !INSTANT(op) && (flying[op] & CAPTURED) ->
		flying[op] = flying[op] & ~CAPTURED;
		noted[op] = noted[op] | CAPTURED;
		take_captured(op)
#if !CODES
	:: !IS_ORDER(op) && (flying[op] & ANSWERED) ->
		flying[op] = flying[op] & ~ANSWERED;
		noted[op] = noted[op] | ANSWERED;
		take_answer(op)
	:: !IS_ORDER(op) && (flying[op] & REFUSED) ->
		flying[op] = flying[op] & ~REFUSED;
		noted[op] = noted[op] | REFUSED;
		give_back(op)
#endif
	:: else -> skip
	fi;
	if
	:: MINE(op) > HELD -> flying[op] = flying[op] & ~(FAILED | CANCELLED)
	:: else -> skip
	fi
}

/* The rest of every transaction: let join, answer and fold, and let the sagas go on whose claims are answered, until
 * nothing more comes of it. */
inline finish() {
	do
	:: again = 0;
#if NAMES
		join();
#endif
		entity = 0;
		do
		:: entity < ENTITIES -> settle(entity); entity++
		:: else -> break
		od;
		who = 0;
		do
		:: who < ORDERS -> go_on_with_order(who); who++
		:: who >= ORDERS && who < OPERATIONS -> go_on_with_promo(who); who++
		:: else -> break
		od;
		if
		:: again -> skip
		:: else -> break
		fi
	od;
#ifdef REDUCED
	who = 0;
	do
	:: who < OPERATIONS -> reduce(who); who++
	:: else -> break
	od;
#endif
	find_circles()
}

#define STEP(kind, enabled, work) :: d_step { (kinds & kind) && (enabled) -> work }

#ifdef IN_TURN
#define MAY_COME(op) (saga[op] == UNKNOWN && (op == ORDERS || saga[op - 1] != UNKNOWN))
#else
#define MAY_COME(op) (saga[op] == UNKNOWN)
#endif

/* Client and warehouse may be silent for ever, once the order is placed. */
#ifdef FAIR
#define MAY_IDLE :: (kinds & (CLIENT | WAREHOUSE)) && saga[op] != UNKNOWN -> skip
#else
#define MAY_IDLE
#endif

/* What can happen to an order, as far as `kinds` says: its messages come in any order, the client and the warehouse
 * say what they like as often as it has an effect, and deadlines pass on two clocks that know nothing of each other. */
proctype order(byte op; short kinds) {
end:	do
	:: atomic {
		if
		TAKE(PLACED, arrive(op))
		TAKE(CONFIRMED, capture(op))
		TAKE(FAILED, release(op))
		TAKE(CANCELLED, release(op))
		TAKE(RESERVED, take_reserved(op))
		TAKE(REFUSED, take_loss(op))
		TAKE(CAPTURED, take_captured(op))
		TAKE(RELEASED, take_loss(op))
		TAKE(EXPIRED, take_loss(op))
		STEP(CLIENT, saga[op] == UNKNOWN, place(op))
		STEP(WAREHOUSE, saga[op] == ASKED && !INSTANT(op) && !accepted[op], accepted[op] = 1)
		STEP(WAREHOUSE, saga[op] == FULFILLING && !INSTANT(op), confirm(op))
		STEP(WAREHOUSE, (saga[op] == ASKED || saga[op] == FULFILLING) && !INSTANT(op), fail(op))
#ifndef NO_DEADLINES
		STEP(CLIENT, saga[op] <= FULFILLING, cancel(op))
#if BROKEN != 5
		STEP(OWN_CLOCK, saga[op] >= CLAIMING && saga[op] <= FULFILLING, fail(op))
		STEP(ACCOUNT_CLOCK, HAS_DEADLINE(op), pass_deadline(op))
#endif
#endif
		MAY_IDLE
		MAY_LOSE
		fi;
		d_step { finish() }
	}
	od
}

#if BROKEN == 15
#define MAY_GIVE_BACK(op) (saga[op] == CLAIMING || saga[op] == ASKED)
#else
#define MAY_GIVE_BACK(op) (saga[op] == CLAIMING)
#endif

/* What can happen to a redemption. Its code may not be valid. */
proctype redemption(byte op; short kinds) {
end:	do
	:: atomic {
		if
		TAKE(CLAIMED, arrive(op))
		TAKE(PROMO_REFUSED, release(op))
		TAKE(ANSWERED, take_answer(op))
		TAKE(REFUSED, give_back(op))
		STEP(CLIENT, MAY_COME(op), redeem(op))
		STEP(CLIENT, MAY_COME(op), refuse_promo(op))
#ifndef NO_DEADLINES
		STEP(OWN_CLOCK, MAY_GIVE_BACK(op), refuse_promo(op))
		STEP(ACCOUNT_CLOCK, HAS_DEADLINE(op), pass_deadline(op))
#endif
		MAY_LOSE
		fi;
		d_step { finish() }
	}
	od
}

#define ENDED(op) (op >= OPERATIONS || (saga[op] >= COMPLETED && MINE(op) > HELD))

/* All is over: every saga has ended, the services agree how, and coins, goods and uses are where they belong. */
inline judge() {
	entity = 0;
	do
	:: entity < ENTITIES ->
		most = (IS_ACCOUNT(entity) -> COINS : (entity == ITEM -> STOCK : (IS_CODE(entity) -> CODES : 1)));
		at = 0;
		do
		:: at < OPERATIONS ->
			assert(ENDED(at)); /* every saga ends */
			assert((saga[at] == COMPLETED) == (MINE(at) == SPENT || MINE(at) == DONE)); /* and as all agree */
#if BROKEN == 7
			assert(!said_cancelled[at] || saga[at] == CALLED_OFF); /* what was called off stays so */
#endif
			assert(flying[at] == 0);
			if
			:: saga[at] != COMPLETED -> skip
			:: saga[at] == COMPLETED && entity == ACCOUNT(at) && IS_ORDER(at) -> most = most - AMOUNT(at)
			:: saga[at] == COMPLETED && entity == ACCOUNT(at) && !IS_ORDER(at) -> most = most + gained[at]
			:: saga[at] == COMPLETED && entity == ITEM && IS_ORDER(at) -> most = most - (INSTANT(at) -> 1 : 0)
			:: saga[at] == COMPLETED && entity == CODE(at) && !IS_ORDER(at) -> most--
			:: saga[at] == COMPLETED && entity == USE(at) && !IS_ORDER(at) -> most--
			:: else -> skip
			fi;
			at++
		:: else -> break
		od;
		assert(length[entity] == 0); /* nothing waits, nothing is in flight */
		assert(value[entity] == serial[entity]);
		assert(value[entity] == most); /* what there was, less what completed sagas took, plus what they gave */
		entity++
	:: else -> break
	od
#if NAMES
	;
	assert(outsiders == 0)
#endif
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
		:: op < ENTITIES ->
			value[op] = (IS_ACCOUNT(op) -> COINS : (op == ITEM -> STOCK : (IS_CODE(op) -> CODES : 1)));
			serial[op] = value[op];
			op++
		:: else -> break
		od;
		op = 0;
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
#if CODES
#define SETTLED (length[0] + length[1] + length[2] + length[3] == 0)
#else
#define SETTLED (length[0] + length[1] == 0)
#endif
ltl every_saga_ends { <> (SETTLED && ENDED(0) && ENDED(1) && ENDED(2) && ENDED(3) && ENDED(4)) }
#endif
