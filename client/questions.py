"""Questions to the services, each with its own answer. None stands for something that the service does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from client.connection import Connection
from client.errors import QueryRefused, Unreachable
from contracts.queries import (
    AccountView,
    CatalogView,
    HistoryView,
    ItemView,
    LedgerView,
    ListCatalog,
    OperationView,
    OrderView,
    PromoView,
    RedemptionView,
    ShowAccount,
    ShowHistory,
    ShowItem,
    ShowOperation,
    ShowOrder,
    ShowPromo,
    ShowRedemption,
)
from holdfast.delivery.queries import (
    EVERY_SERVICE_QUERIES,
    OutcomeView,
    Query,
    ShowOutcome,
    ShowStatus,
    StatusView,
    parse_reply,
)
from holdfast.delivery.words import Contract, Service

ANSWER_S_MAX = 5.0
HISTORY_PAGE = 500
CATALOG_PAGE = 500

View = TypeVar("View", bound=Contract)


class Questions:
    """Asks over a connection. Each raises `Unreachable`, `QueryRefused` or `NotAllowed`; times are in seconds.

    `learn` is told every answer.
    """

    def __init__(self, connection: Connection, learn: Callable[[Contract], None]) -> None:
        self._connection, self._learn = connection, learn

    async def __call__(
        self, query: Query, service: Service | None = None, timeout_s: float = ANSWER_S_MAX
    ) -> Contract | None:
        """Ask any question; `service` names who is asked where every service answers it."""
        key = f"{service}.{query.type}" if query.type in EVERY_SERVICE_QUERIES else query.type
        content = await self._connection.ask(key, query.model_dump_json().encode(), min(timeout_s, ANSWER_S_MAX))
        if "error" in content:
            if str(content["error"]).endswith("ask again"):
                raise Unreachable(f"{key}: {content['error']}")
            raise QueryRefused(f"{key}: {content['error']}")
        answer = parse_reply(query, content.get("answer"))
        if answer is not None:
            self._learn(answer)
        return answer

    async def account(self, account_id: str, timeout_s: float = ANSWER_S_MAX) -> AccountView | None:
        """The account and its pending operations."""
        return _as(AccountView, await self(ShowAccount(account_id=account_id), timeout_s=timeout_s))

    async def history(self, account_id: str, limit: int = 50) -> tuple[LedgerView, ...]:
        """Up to `limit` lines of the account's ledger, the latest first."""
        lines: list[LedgerView] = []
        while len(lines) < limit:
            wanted = min(limit - len(lines), HISTORY_PAGE)
            before = lines[-1].seq if lines else None
            view = _as(HistoryView, await self(ShowHistory(account_id=account_id, before_seq=before, limit=wanted)))
            found = view.lines if view else ()
            lines += found
            if len(found) < wanted:
                break
        return tuple(lines)

    async def operation(
        self, account_id: str, operation_id: UUID, timeout_s: float = ANSWER_S_MAX
    ) -> OperationView | None:
        """One operation of the account."""
        query = ShowOperation(account_id=account_id, operation_id=operation_id)
        return _as(OperationView, await self(query, timeout_s=timeout_s))

    async def order(self, order_id: UUID, timeout_s: float = ANSWER_S_MAX) -> OrderView | None:
        """One order."""
        return _as(OrderView, await self(ShowOrder(order_id=order_id), timeout_s=timeout_s))

    async def redemption(self, redemption_id: UUID, timeout_s: float = ANSWER_S_MAX) -> RedemptionView | None:
        """One redemption."""
        return _as(RedemptionView, await self(ShowRedemption(redemption_id=redemption_id), timeout_s=timeout_s))

    async def promo(self, code: str) -> PromoView | None:
        """One promo code, and the redemptions that have or want a use of it. For operators."""
        return _as(PromoView, await self(ShowPromo(code=code)))

    async def item(self, item: str, timeout_s: float = ANSWER_S_MAX) -> ItemView | None:
        """One item of the catalog, and the orders that have or want its pieces."""
        return _as(ItemView, await self(ShowItem(item=item), timeout_s=timeout_s))

    async def catalog(self) -> tuple[ItemView, ...]:
        """All items, by name."""
        items: list[ItemView] = []
        while True:
            after = items[-1].item if items else ""
            view = _as(CatalogView, await self(ListCatalog(after_item=after)))
            found = view.items if view else ()
            items += found
            if len(found) < CATALOG_PAGE:
                return tuple(items)

    async def status(self, service: Service, timeout_s: float = ANSWER_S_MAX) -> StatusView:
        """How the instance that happens to answer is doing."""
        return _surely(StatusView, await self(ShowStatus(), service, timeout_s))

    async def outcome(self, query: ShowOutcome, service: Service, timeout_s: float = ANSWER_S_MAX) -> OutcomeView:
        """What became of a message that was sent to the service."""
        return _surely(OutcomeView, await self(query, service, timeout_s))


def _as(view: type[View], answer: Contract | None) -> View | None:
    return None if answer is None else _surely(view, answer)


def _surely(view: type[View], answer: Contract | None) -> View:
    if not isinstance(answer, view):
        raise QueryRefused(f"the answer is not a {view.__name__}: {answer!r:.200}")
    return answer
