/* Delivery: messages on their way, a bit for each kind, and the inboxes. With STEPS, outbox, relay and acknowledgement
 * are steps of their own. */

short flying[OPERATIONS];
short noted[OPERATIONS];
#ifdef STEPS
short outbox[OPERATIONS];    /* rows that are not deleted */
short published[OPERATIONS]; /* rows that the relay published and has not deleted */
short unacked[OPERATIONS];   /* handled, and not acknowledged */
byte crashes = CRASHES;
#endif
byte duplicates = DUPLICATES;

hidden byte fresh;

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

#define HAS(kind) (flying[op] & kinds & kind)

#ifdef STEPS
#define LEAVE(kind) flying[op] = flying[op] & ~(kind); unacked[op] = unacked[op] | (crashes > 0 -> kind : 0)
#else
#define LEAVE(kind) flying[op] = flying[op] & ~(kind)
#endif

#define HANDLE(kind, work) note(op, kind); if :: fresh -> work :: else -> skip fi

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

/* The row is deleted, and its publish fails. */
#if BROKEN == 6
#define MAY_LOSE :: d_step { flying[op] & kinds -> flying[op] = flying[op] & ~kinds }
#else
#define MAY_LOSE
#endif

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
