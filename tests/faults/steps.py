"""The steps of delivery that others can see, and the points beside them, as the code itself has them.

The code of `holdfast/delivery/` is read, not run: each job from the task that bears its name, with what it calls in the
place of the call. Branches and loops count as if each were taken once.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

from local.sources import PROJECT

TRANSACTIONS = ("begin", "connect")
"""Of an engine, without arguments. What is done in one is seen at its end; a delete, too."""
STEPS = (*TRANSACTIONS, "commit", "publish", "basic_publish", "ack", "nack", "reject")
POINTS = ("_reached", "_hook")
ELSEWHERE = {"self._handle": ("unit_of_work", "UnitOfWork", "handle")}
"""What an object was given when it was made, by the words that it is called with."""
OWNED = {"self.work": ("unit_of_work", "UnitOfWork")}
"""Objects whose methods a job calls."""

Key = tuple[str, str, str]
"""Module, class ("" for none) and function."""


@dataclass(frozen=True)
class Event:
    """A point, by its name in `name`, or a step: the `place` says where, and by which call."""

    name: str
    place: str = ""
    line: int = 0
    column: int = 0


BEGIN, END = Event("begin"), Event("end")


class Code:
    """Modules by their names."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._functions: dict[Key, ast.AST] = {}
        self._roots: dict[str, Key] = {}
        for module, source in sources.items():
            tree = ast.parse(source)
            self._define(module, "", tree)
            for owner in (each for each in tree.body if isinstance(each, ast.ClassDef)):
                self._define(module, owner.name, owner)

    @classmethod
    def of_delivery(cls) -> Self:
        """The code of `holdfast/delivery/`."""
        return cls({path.stem: path.read_text() for path in (PROJECT / "holdfast" / "delivery").glob("*.py")})

    @cached_property
    def jobs(self) -> Mapping[str, list[Event]]:
        """What each job comes to, in this order."""
        return {job: list(self._inside(self._functions[key], key, (key,))) for job, key in self._roots.items()}

    def points(self, job: str) -> tuple[str, ...]:
        """The points that the job comes to, each once."""
        return tuple(dict.fromkeys(each.name for each in self.jobs[job] if not each.place))

    @cached_property
    def steps(self) -> Counter[str]:
        """All places of steps, and how many each has."""
        return Counter(each.place for each in self._steps)

    def unguarded(self, ignored: Collection[str] = ()) -> list[str]:
        """Places of steps that no job comes to, or that have no point between them and the steps before and behind.

        Those that are `ignored` need none, and stand between no others.
        """
        found = self._steps - {each for events in self.jobs.values() for each in events}
        for events in self.jobs.values():
            told = [BEGIN, *(each for each in events if each.place not in ignored), END]
            for one, other in pairwise(told):
                if (one == BEGIN or one.place) and (other == END or other.place):
                    found |= {one, other}
        return sorted(f"{each.place} (line {each.line})" for each in found if each.place and each.place not in ignored)

    @cached_property
    def _steps(self) -> set[Event]:
        return {
            each
            for key, node in self._functions.items()
            for each in self._inside(node, key, tuple(self._functions))
            if each.place
        }

    def _define(self, module: str, owner: str, of: ast.Module | ast.ClassDef) -> None:
        for each in of.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                self._functions[module, owner, each.name] = each
                for node in ast.walk(each):
                    self._roots |= _started(node, module, owner)

    def _inside(self, node: ast.AST, at: Key, through: tuple[Key, ...]) -> Iterator[Event]:
        """What comes of the parts of a node, those that are called by it included but for those it came `through`."""
        for child in ast.iter_child_nodes(node):
            yield from self._of(child, at, through)

    def _of(self, node: ast.AST, at: Key, through: tuple[Key, ...]) -> Iterator[Event]:
        match node:
            case ast.AsyncFunctionDef(name=name) | ast.FunctionDef(name=name):
                yield from self._inside(node, (*at[:2], name), through)
            case ast.AsyncWith(items=items, body=body) | ast.With(items=items, body=body):
                calls = [each.context_expr for each in items]
                ended = [step for call in calls for step in _step(call, at) if step.place.endswith(TRANSACTIONS)]
                yield from (each for call in calls for each in self._of(call, at, through) if each not in ended)
                yield from (each for part in body for each in self._of(part, at, through))
                yield from ended
            case ast.Call():
                yield from self._inside(node, at, through)
                yield from _step(node, at)
                called = self._called(node, at)
                if called and called not in through:
                    yield from self._inside(self._functions[called], called, (*through, called))
            case _:
                yield from self._inside(node, at, through)

    def _called(self, call: ast.Call, at: Key) -> Key | None:
        """The function of this code that is called, if it is one."""
        module, owner, _ = at
        words = ast.unparse(call.func)
        of, _, name = words.rpartition(".")
        key = ELSEWHERE.get(words) or {
            "": (module, "", name),
            "self": (module, owner, name),
            **{each: (*where, name) for each, where in OWNED.items()},
        }.get(of, (of, "", name))
        return key if key in self._functions and name not in POINTS else None


def _step(node: ast.expr, at: Key) -> Iterator[Event]:
    """The step or point that a call is."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value=str(point))]) if name in POINTS:
            yield Event(point)
        case ast.Call(func=ast.Attribute(attr=name), args=given) if name in STEPS:
            if not given or name not in TRANSACTIONS:
                yield Event(name, f"{at[0]}.{at[2]}: {name}", node.lineno, node.col_offset)


def _started(node: ast.AST, module: str, owner: str) -> dict[str, Key]:
    """The job that is started here as a task with a name, if any."""
    match node:
        case ast.Call(
            func=ast.Attribute(attr="create_task"),
            args=[ast.Call(func=ast.Attribute(attr=name))],
            keywords=[ast.keyword(arg="name", value=ast.Constant(value=str(job)))],
        ):
            return {job: (module, owner, name)}
    return {}
