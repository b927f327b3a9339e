"""Sagas that keep their isolation: the rule (`holdfast.pending`), for any entity that sagas touch; its entities on
PostgreSQL (`holdfast.entities`); and messages between services that lose and double nothing (`holdfast.delivery`).
"""

__version__ = "0.1.0"
