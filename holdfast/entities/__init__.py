"""Entities of the rule (`holdfast.pending`) in the tables of a service, and how their pending operations are told."""
