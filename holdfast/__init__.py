"""Sagas that keep their isolation: the rule (`holdfast.pending`), for any entity that sagas touch."""
