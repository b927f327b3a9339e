"""The words every message is made of: what a command or an event is, and the parts that any may have."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

DURATION_S_MAX = 30 * 24 * 3600
"""The longest deadline, in seconds: thirty days."""

_HOLDFAST = UUID("6f1d3c1e-6c0e-4d53-9a3f-0c2b6b1a7e55")

Exchange = str
Service = str
Audience = str

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
Seconds = Annotated[float, Field(gt=0, le=DURATION_S_MAX, allow_inf_nan=False, strict=True, description="Seconds.")]
Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Why, in words or as one of the documented reasons.",
    ),
]


class Contract(BaseModel):
    """A frozen message part. Unknown fields are ignored, so that a later version may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Fact(Contract):
    """A command or an event.

    The class says where it travels: `type` is the CloudEvents type, and the routing key unless `routing_key` says more;
    `exchange` the exchange of its only publisher, `consumers` the services that take it, and `audience` who may send
    it, for commands.
    `terminal`: no service takes it: it ends a saga or informs people who watch, and may reach nobody. The saga it
    belongs to is the field that `saga_field` names, and what it is about the one that `subject_field` names;
    `identity_fields` tell apart facts of one type in one saga. `secret_fields` are repeated nowhere: not in traces, and
    not in the reason why a message cannot be read.
    """

    type: ClassVar[str]
    exchange: ClassVar[Exchange]
    consumers: ClassVar[tuple[Service, ...]] = ()
    audience: ClassVar[tuple[Audience, ...]] = ()
    terminal: ClassVar[bool] = False
    saga_field: ClassVar[str]
    subject_field: ClassVar[str]
    identity_fields: ClassVar[tuple[str, ...]] = ()
    secret_fields: ClassVar[tuple[str, ...]] = ()

    @property
    def saga(self) -> str:
        """The id that all messages of one saga share."""
        return str(getattr(self, self.saga_field))

    @property
    def subject(self) -> str:
        """The name of what the message is about."""
        return str(getattr(self, self.subject_field))

    @property
    def routing_key(self) -> str:
        """By which it is published."""
        return self.type

    @classmethod
    def bound_by(cls, exchange: Exchange) -> str:
        """The routing key of those that a service takes which itself announces on this exchange."""
        return cls.type

    @property
    def announcement_id(self) -> UUID:
        """The message id of an event: the same each time a service announces this fact of this saga.

        A saga meets each type of event at most once, so saying an answer again is the same message, which the
        receiving inbox knows already.
        """
        told_apart = "".join(f"/{getattr(self, name)}" for name in self.identity_fields)
        return uuid5(_HOLDFAST, f"{self.type}/{self.subject}/{self.saga}{told_apart}")

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """The fact that `data` states. Raises `Malformed`, which names each field that is wrong and why."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise Malformed(f"{cls.type}: {explain(error, cls.secret_fields)}") from None


class Malformed(ValueError):
    """A message that cannot be what it says it is; the text names the field and what it must be."""


def explain(error: ValidationError, secret_fields: tuple[str, ...] = ()) -> str:
    """What is wrong, field by field, in one line that a person who sent the message can act on.

    What was given is left out for secret fields, and for a message as a whole that has some.
    """
    parts = []
    for detail in error.errors(include_url=False, include_context=False)[:5]:
        field = ".".join(str(step) for step in detail["loc"]) or "message"
        secret = bool(secret_fields) and (not detail["loc"] or detail["loc"][0] in secret_fields)
        silent = secret or detail["type"] in ("missing", "json_invalid")
        given = "" if silent else f" (given: {_as_sent(detail['input'])})"
        parts.append(f"{field}: {_cut(detail['msg'], 200)}{given}")
    return "; ".join(parts)


def _as_sent(value: Any) -> str:
    """The value in JSON, as its sender wrote it, so that the text "1" is not taken for the number."""
    return _cut(to_json(value, fallback=str).decode(), 60)


def _cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else f"{text[:length_max]}…"
