"""The list of kills is what the code of delivery has, and a step that has no point beside it is seen."""

from __future__ import annotations

import re
from textwrap import indent
from typing import get_args

import pytest

from contracts.services import participant
from contracts.topology import SERVICES
from holdfast.delivery.checkpoints import STEPS, Checkpoint, Job
from local.sources import PROJECT
from tests.faults.steps import Code

CODE = Code.of_delivery()
WITHOUT_POINTS = {
    "answering.take: ack": "whoever asked and hears nothing asks again",
    "answering._reply: basic_publish": "the same",
    "answering._answer: connect": "reads",
    "service.health: connect": "reads",
    "service.refresh: connect": "reads",
    "service._forget_some: begin": "deletes what is old, and looks again later",
    "unit_of_work.read: connect": "reads",
    "unit_of_work.count: begin": "counts one attempt more or less of a message that comes again either way",
    "migrations._migrate: connect": "no service runs yet",
    "migrations._run: commit": "the same",
}
"""Steps beside which a death changes nothing, and why: one of each."""
MADE_UP = """
class Relay:
    def start(self):
        asyncio.create_task(self._relay(), name="relay")

    async def _relay(self):
        while True:
            await self._reached("before commit")
            async with self._engine.begin() as connection:
                await connection.execute(INSERT)
            await self._reached("after commit")
{more}
            await self._reached("before ack")
            await self._acknowledge()
            await self._reached("after ack")

    async def _acknowledge(self):
        await self._delivery.ack()
"""
COMMIT = "async with self._engine.{}() as connection:\n    await connection.execute(DELETE)"
POINT_CALL = re.compile(r"await self\._(?:reached|hook)\(\"[a-z ]+\"\)")
POINT = 'await self._reached("before delete")'


def test_the_jobs_come_to_the_points_that_are_listed_in_this_order() -> None:
    assert {job: CODE.points(job) for job in CODE.jobs} == STEPS
    assert STEPS.keys() == set(get_args(Job))
    assert {point for points in STEPS.values() for point in points} == set(get_args(Checkpoint))


def test_every_step_that_can_be_seen_from_outside_is_between_two_points() -> None:
    assert CODE.unguarded(WITHOUT_POINTS) == []
    assert {place: CODE.steps[place] for place in WITHOUT_POINTS} == dict.fromkeys(WITHOUT_POINTS, 1)


def test_each_point_that_is_taken_out_of_the_code_is_missed() -> None:
    sources = {path.stem: path.read_text() for path in (PROJECT / "holdfast" / "delivery").glob("*.py")}
    points = [(module, each.span()) for module, source in sources.items() for each in POINT_CALL.finditer(source)]
    assert len(points) >= len(get_args(Checkpoint))
    for module, (first, last) in points:
        source = sources[module]
        code = Code({**sources, module: source[:first] + "pass" + source[last:]})
        assert {job: code.points(job) for job in code.jobs} != STEPS, source[first:last]


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_takes_such_a_step_itself(service: str) -> None:
    """Its migrations run before it does."""
    paths = participant(service).folder.glob("*.py")
    assert not Code({path.stem: path.read_text() for path in paths}).steps


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("", []),
        (f"{POINT}\n{COMMIT.format('begin')}", []),
        (COMMIT.format("begin"), []),
        (f"{COMMIT.format('begin')}\n{COMMIT.format('begin')}", ["_relay: begin", "_relay: begin"]),
        (f"{COMMIT.format('begin')}\n{COMMIT.format('connect')}", ["_relay: begin", "_relay: connect"]),
        (f"{COMMIT.format('begin')}\nawait connection.commit()", ["_relay: begin", "_relay: commit"]),
        (f"await exchange.publish(message)\n{COMMIT.format('begin')}", ["_relay: begin", "_relay: publish"]),
        ("await channel.basic_publish(body)\nawait delivery.nack()", ["_relay: basic_publish", "_relay: nack"]),
        ("await delivery.reject()\nawait self._acknowledge()", ["_acknowledge: ack", "_relay: reject"]),
    ],
)
def test_a_step_without_a_point_between_it_and_the_next_is_found(more: str, found: list[str]) -> None:
    code = Code({"relay": MADE_UP.format(more=indent(more, " " * 12))})
    assert [each.partition(" (")[0] for each in code.unguarded()] == [f"relay.{each}" for each in found]


def test_a_step_after_the_last_point_or_before_the_first_is_found() -> None:
    """So is one that no job comes to."""
    source = MADE_UP.format(more="").replace('            await self._reached("after ack")\n', "")
    source = source.replace('            await self._reached("before commit")\n', "")
    source += "    async def unknown(self):\n        await self._delivery.nack()\n"
    found = [each.partition(" (")[0] for each in Code({"relay": source}).unguarded()]
    assert found == ["relay._acknowledge: ack", "relay._relay: begin", "relay.unknown: nack"]


def test_a_second_step_of_a_kind_in_one_function_is_counted() -> None:
    code = Code({"relay": MADE_UP.format(more=indent(f"{POINT}\n{COMMIT.format('begin')}", " " * 12))})
    assert code.steps == {"relay._relay: begin": 2, "relay._acknowledge: ack": 1}
