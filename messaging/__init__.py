"""Delivery: unit of work, inbox, outbox, relay, dead letters, and running a service. No business word in here."""
