"""Nothing is announced into the void, and nothing is bound that nobody handles."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from contracts.events import TookEffect
from contracts.matrix import matrix
from contracts.roles import AsksReservation, ChangesBalance
from contracts.services import PARTICIPANTS, RESERVATION, Participant
from contracts.topology import FACTS, SHOP
from holdfast.delivery.words import Fact, Service
from order_service.order import TABLE as ORDERS
from promo_service.promo import TABLE as REDEMPTIONS
from user_service.kinds import KINDS

ROOT = Path(__file__).parents[2]


def classes_matched(path: Path, function: str) -> set[str]:
    """The names of the classes that the `match` in this function has a case for."""
    tree = ast.parse(path.read_text())
    body = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    cases = [case.pattern for node in ast.walk(body) if isinstance(node, ast.Match) for case in node.cases]
    patterns = [case.pattern if isinstance(case, ast.MatchAs) else case for case in cases]
    classes = [pattern.cls for pattern in patterns if isinstance(pattern, ast.MatchClass)]
    return {named.id for named in classes if isinstance(named, ast.Name)}


HANDLED: dict[Service, set[str]] = {
    "order_service": {fact.__name__ for fact in ORDERS["unknown"]} | {"PutItem"},
    "promo_service": {fact.__name__ for fact in REDEMPTIONS["unknown"]} | {"PutPromo"},
}


@pytest.mark.parametrize("service", HANDLED)
def test_a_service_handles_exactly_what_it_is_sent(service: Service) -> None:
    """What it tells itself, nobody sends it. Services with words of their own are tried in their own folders."""
    bound = {fact.__name__ for fact in SHOP.facts_for(service).values()}
    known = {fact.__name__ for fact in FACTS.values()}
    assert HANDLED[service] & known == bound


OWN = [fact for table in (ORDERS, REDEMPTIONS) for fact in table["unknown"] if fact not in FACTS.values()]
"""What a service tells itself, such as what its stock answers."""


@pytest.mark.parametrize("fact", OWN, ids=lambda fact: fact.type)
def test_what_a_service_tells_itself_nobody_can_send(fact: type[Fact]) -> None:
    assert fact.type not in FACTS
    assert not fact.consumers


@pytest.mark.parametrize("fact", SHOP.facts_for("user_service").values(), ids=lambda fact: fact.type)
def test_the_user_service_handles_each_fact_by_its_role(fact: type[Fact]) -> None:
    cases = classes_matched(ROOT / "user_service/handlers.py", "decide")
    assert {each.__name__ for each in fact.__mro__} & cases


@pytest.mark.parametrize("fact", FACTS.values(), ids=lambda fact: fact.type)
def test_a_fact_has_a_consumer_or_is_marked_terminal(fact: type[Fact]) -> None:
    assert bool(fact.consumers) != (fact.terminal)


@pytest.mark.parametrize("fact", FACTS.values(), ids=lambda fact: fact.type)
def test_a_command_has_an_audience_and_an_event_has_none(fact: type[Fact]) -> None:
    assert bool(fact.audience) == (fact.exchange == "commands")


ASKING = [fact for fact in FACTS.values() if fact.exchange != SHOP.commands]


@pytest.mark.parametrize("fact", [each for each in ASKING if issubclass(each, AsksReservation)])
def test_who_reserves_takes_the_answers_about_reservations(fact: type[Fact]) -> None:
    assert answers_taken_by(fact.exchange) >= set(RESERVATION)


@pytest.mark.parametrize("fact", [each for each in ASKING if issubclass(each, ChangesBalance)])
def test_who_changes_a_balance_takes_the_answers_about_that(fact: type[Fact]) -> None:
    done = {each.type for each in FACTS.values() if issubclass(each, TookEffect)}
    assert "coins.refused" in answers_taken_by(fact.exchange)
    assert done & answers_taken_by(fact.exchange)


def answers_taken_by(exchange: str) -> set[str]:
    """The answers of the user service that the service takes which announces by this exchange."""
    return {answer for each in PARTICIPANTS if each.exchange == exchange for answer in each.answers}


@pytest.mark.parametrize("participant", PARTICIPANTS, ids=lambda each: each.service)
def test_every_event_of_a_service_is_announced_somewhere_in_it(participant: Participant) -> None:
    text = "".join(path.read_text() for path in participant.folder.glob("*.py"))
    for fact in FACTS.values():
        if issubclass(fact, TookEffect):
            assert fact.type in {f"coins.{kind.done}" for kind in KINDS.values()}
        elif fact.exchange == participant.exchange:
            assert f"{fact.__name__}(" in text or f"{fact.__name__}.model_validate(" in text, fact.type


def test_the_architecture_page_shows_every_event_as_it_is() -> None:
    assert matrix() in (ROOT / "ARCHITECTURE.md").read_text()
