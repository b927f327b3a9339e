"""Gifts: coins from one account to another, as a saga that takes part by its own events alone."""
