"""A promo code is known to its holder and, as a hash, to the promo service: nobody else sees it or finds it out."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiormq.exceptions import ChannelAccessRefused
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import event
from structlog.testing import capture_logs
from typer.testing import CliRunner

from client import codes
from client.cli import app
from contracts.commands import PutPromo, RedeemPromo
from contracts.events import CoinsCredited, CoinsMultiplied, PromoClaimed, PromoRedeemed, PromoRefused
from contracts.queries import ShowPromo, ShowRedemption
from contracts.roles import Bonus, Multiply
from holdfast.delivery.envelope import Envelope
from holdfast.delivery.tracing import Tracer
from local.site import Site
from promo_service.codes import code_hash
from tests.service.probe import Probe
from tests.service.sites import CODE_KEY, Instance, arrived, kept_as, make, rows, running, unstarted, value

PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


async def test_no_column_and_no_announcement_holds_a_code(site: Site, probe: Probe) -> None:
    """The outbox is looked at as it was committed, before its rows are published and deleted."""
    code, other = f"canary-{uuid4().hex}", f"canary-{uuid4().hex}"
    redeemed, refused = uuid4(), uuid4()
    async with unstarted(site, "promo_service") as instance:
        for fact in (
            PutPromo(code=code, effect=Multiply(factor=2)),
            RedeemPromo(redemption_id=redeemed, account_id="fan", code=code),
            CoinsMultiplied(account_id="fan", operation_id=redeemed, asked_by="promo", factor=2, added=9),
            RedeemPromo(redemption_id=refused, account_id="fan", code=other),
        ):
            await instance.work.handle([arrived(instance, fact)])
    kept = [text for table in await _tables(site) for text in await _texts(site, table)]
    assert sum(str(redeemed) in text for text in kept) >= 3
    assert not [text for text in kept if code in text.lower() or other in text.lower()]
    assert await value(site, "promo_service", "SELECT count(*) FROM codes WHERE code_hash = :c", c=kept_as(site, code))
    async with running(site, "promo_service"):
        for kind, saga in ((PromoClaimed, redeemed), (PromoRedeemed, redeemed), (PromoRefused, refused)):
            await probe.hear(kind, saga)
    said = "".join(each.model_dump_json() for each in probe.heard.envelopes).lower()
    assert "canary" not in said


async def test_neither_the_log_nor_the_reason_of_a_dead_letter_repeats_a_code(site: Site, probe: Probe) -> None:
    secret = f"canary-{uuid4().hex}"
    with capture_logs() as logs:
        async with running(site, "promo_service"):
            await _send_raw(
                probe, "promo.redeem", {"redemption_id": str(uuid4()), "account_id": "a", "code": f"{secret} "}
            )
            await _send_raw(probe, "promo.put", {"code": secret, "effect": {"kind": "multiply"}})
            window = {"valid_from": FUTURE.isoformat(), "valid_until": PAST.isoformat()}
            await _send_raw(probe, "promo.put", {"code": secret, "effect": {"kind": "bonus", "amount": 1}, **window})
            whole = {"redemption_id": str(uuid4()), "account_id": "a", "code": secret}
            for data in (json.dumps(whole), [whole]):
                await _send_raw(probe, "promo.redeem", data)
            for field in ("subject", "correlationid"):
                await _send_raw(probe, "promo.put", {"code": secret}, {field: [secret]})
            # A dead letter is published at least once.
            await probe.wait(
                lambda: len({each.body for each in probe.parked("promo_service.dead", secret)}) == 7,
                "seven dead letters",
            )
    assert all(secret not in each.reason for each in probe.parked("promo_service.dead", secret))
    assert all(secret.encode() in each.body for each in probe.parked("promo_service.dead", secret))
    assert secret not in json.dumps(logs, default=str)
    reasons = await rows(site, "promo_service", "SELECT parked_reason FROM inbox WHERE parked_reason IS NOT NULL")
    assert len(reasons) >= 7
    assert not [row for row in reasons if secret in row.parked_reason]


@pytest.mark.usefixtures("promos")
async def test_a_code_is_known_in_small_letters_and_without_its_dashes(site: Site, probe: Probe) -> None:
    code, redemption = codes.generate(), uuid4()
    await probe.send(PutPromo(code=code, effect=Bonus(amount=5)))
    await probe.send(RedeemPromo(redemption_id=redemption, account_id="fan", code=code.lower().replace("-", "")))
    await probe.hear(PromoClaimed, redemption)


@pytest.mark.usefixtures("promos")
async def test_every_code_that_is_not_accepted_is_refused_in_the_same_bytes(site: Site, probe: Probe) -> None:
    spent, mine = f"spent-{uuid4()}", uuid4()
    await probe.send(PutPromo(code=spent, effect=Bonus(amount=5), uses_max=1))
    await probe.send(RedeemPromo(redemption_id=mine, account_id="first", code=spent))
    await probe.hear(PromoClaimed, mine)
    await probe.send(CoinsCredited(account_id="first", operation_id=mine, asked_by="promo", kind="bonus", amount=5))
    await probe.hear(PromoRedeemed, mine)
    early, late = f"early-{uuid4()}", f"late-{uuid4()}"
    await probe.send(PutPromo(code=early, effect=Bonus(amount=5), valid_from=FUTURE))
    await probe.send(PutPromo(code=late, effect=Bonus(amount=5), valid_until=PAST))
    account, seen, told = f"fan-{uuid4()}", set(), set()
    reasons = {"used_up": spent, "not_yet_valid": early, "no_longer_valid": late, "unknown_code": f"none-{uuid4()}"}
    for reason, code in reasons.items():
        redemption = uuid4()
        await probe.send(RedeemPromo(redemption_id=redemption, account_id=account, code=code))
        await probe.hear(PromoRefused, redemption)
        (heard,) = probe.announced(PromoRefused, redemption)
        seen.add(_without_ids(heard, redemption))
        view = (await probe.ask(ShowRedemption(redemption_id=redemption)))["answer"]
        told.add(json.dumps({**view, "redemption_id": None}))
        kept = "SELECT reason FROM redemptions WHERE redemption_id = :r"
        assert await value(site, "promo_service", kept, r=redemption) == reason
    assert len(seen) == 1
    assert "code_not_accepted" in seen.pop()
    assert len(told) == 1
    assert "code_not_accepted" in told.pop()


async def test_a_code_that_is_known_costs_the_same_statements_as_one_that_is_not(site: Site) -> None:
    late, spent, unknown, mine = f"late-{uuid4()}", f"spent-{uuid4()}", f"none-{uuid4()}", uuid4()
    async with unstarted(site, "promo_service") as instance:
        for fact in (
            PutPromo(code=late, effect=Bonus(amount=5), valid_until=PAST),
            PutPromo(code=spent, effect=Bonus(amount=5), uses_max=1),
            RedeemPromo(redemption_id=mine, account_id="first", code=spent),
            CoinsCredited(account_id="first", operation_id=mine, asked_by="promo", kind="bonus", amount=5),
        ):
            await instance.work.handle([arrived(instance, fact)])
        found = []
        for code in (late, spent, unknown, late, spent, unknown):
            with _statements(instance) as statements:
                redeem = RedeemPromo(redemption_id=uuid4(), account_id=str(uuid4()), code=code)
                await instance.work.handle([arrived(instance, redeem)])
            found.append(statements)
    assert all(each == found[0] for each in found)
    assert len(found[0]) > 5


async def test_who_misses_too_often_is_refused_what_is_right_as_well_for_an_hour(site: Site, probe: Probe) -> None:
    code, account = f"right-{uuid4()}", f"guesser-{uuid4()}"
    async with running(site, "promo_service", misses_max=3):
        await probe.send(PutPromo(code=code, effect=Bonus(amount=5)))
        guesses = [RedeemPromo(redemption_id=uuid4(), account_id=account, code=f"no-{uuid4()}") for _ in range(5)]
        await probe.send(*guesses)
        refused, other, later = uuid4(), uuid4(), uuid4()
        await probe.send(RedeemPromo(redemption_id=refused, account_id=account, code=code))
        assert (await probe.hear(PromoRefused, refused))["reason"] == "code_not_accepted"
        kept = "SELECT count(*) FROM redemptions WHERE account_id = :a AND reason = :r"
        assert await value(site, "promo_service", kept, a=account, r="unknown_code") == 3
        assert await value(site, "promo_service", kept, a=account, r="too_many_misses") == 3
        await probe.send(RedeemPromo(redemption_id=other, account_id=f"other-{uuid4()}", code=code))
        await probe.hear(PromoClaimed, other)
        earlier = "UPDATE redemptions SET claimed_at = claimed_at - interval '1 hour' WHERE account_id = :a"
        await rows(site, "promo_service", earlier, a=account)
        await probe.send(RedeemPromo(redemption_id=later, account_id=account, code=code))
        await probe.hear(PromoClaimed, later)


@pytest.mark.usefixtures("promos")
async def test_a_generated_code_is_shown_once_and_works(
    site: Site, probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, url in {**site.client_env(), "HOLDFAST_STATE_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, url)
    made = await asyncio.to_thread(CliRunner().invoke, app, ["promo", "generate", "--bonus", "7", "--uses-max", "1"])
    assert made.exit_code == 0
    (code,) = re.findall(r"promo ((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}): \+7\n", made.output)
    redemption = uuid4()
    await probe.send(RedeemPromo(redemption_id=redemption, account_id="fan", code=code))
    await probe.hear(PromoClaimed, redemption)
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["promo", "show", code])
    assert "+7, used 1 of 1" in shown.output
    view = await asyncio.to_thread(CliRunner().invoke, app, ["promo", "show", str(redemption)])
    assert view.output == f"redemption {redemption} claimed\n"


async def test_no_trace_holds_a_code(site: Site) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    code, redemption = f"canary-{uuid4()}", uuid4()
    async with unstarted(site, "promo_service") as instance:
        instance.work._tracer = Tracer(provider, "promo_service")
        put = PutPromo(code=code, effect=Bonus(amount=5))
        redeem = RedeemPromo(redemption_id=redemption, account_id="fan", code=code)
        await instance.work.handle([arrived(instance, put), arrived(instance, redeem)])
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    assert sum(str(redemption) in span for span in spans) == 1
    assert len(spans) == 2
    assert not [span for span in spans if "canary" in span]


@pytest.mark.usefixtures("promos")
async def test_only_an_operator_may_ask_for_a_code(probe: Probe) -> None:
    with pytest.raises(ChannelAccessRefused):
        await probe.ask(ShowPromo(code="no-such-code"))


def test_a_key_that_is_too_short_is_no_key(site: Site) -> None:
    with pytest.raises(ValueError, match="code_key"):
        make(site, "promo_service", code_key="k" * 31)


def test_the_key_matters_and_is_not_printed(site: Site) -> None:
    assert code_hash(b"a" * 32, "X") != code_hash(b"b" * 32, "X")
    instance = make(site, "promo_service")
    instance.web._socket.close()
    assert site.keys("promo_service")[CODE_KEY] not in repr(instance.settings)


async def _tables(site: Site) -> list[str]:
    found = await rows(site, "promo_service", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert len(found) >= 5
    return [row.tablename for row in found]


async def _texts(site: Site, table: str) -> list[str]:
    """Each row, with all its columns, as text; what a message holds as the text that it is."""
    found = await rows(site, "promo_service", f"SELECT * FROM {table}")
    return [" ".join(_text(each) for each in row) for row in found]


def _text(column: Any) -> str:
    return bytes(column).decode(errors="replace") if isinstance(column, bytes | memoryview) else str(column)


def _without_ids(envelope: Envelope, redemption: UUID) -> str:
    """What is told, but for ids and the time."""
    told = envelope.model_dump(mode="json", exclude={"id", "time", "causationid", "traceparent"})
    return json.dumps(told).replace(str(redemption), "-")


async def _send_raw(probe: Probe, type_: str, data: Any, more: dict[str, Any] | None = None) -> None:
    envelope = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/probe",
        "type": type_,
        "data": data,
        **(more or {}),
    }
    await probe.publish("operator", "commands", type_, json.dumps(envelope).encode())


@contextmanager
def _statements(instance: Instance) -> Iterator[list[str]]:
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: object) -> None:
        found.append(statement)

    event.listen(instance.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(instance.engine.sync_engine, "before_cursor_execute", note)
