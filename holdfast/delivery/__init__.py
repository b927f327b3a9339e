"""Delivery: what a message says, and its way from one service's transaction into another's."""
