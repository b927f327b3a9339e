"""The rule for any entity: an operation is answered as soon as its answer is the same in every way the open ones may
still end; until then it waits. Standard library only; no input or output, no clock, no randomness.
"""

from holdfast.pending.entity import Entity, Outcome
from holdfast.pending.operation import Kind, NumberKind, Operation, Refused

__all__ = ["Entity", "Kind", "NumberKind", "Operation", "Outcome", "Refused"]
