"""What can come of asking for something, other than getting it."""

from __future__ import annotations

from holdfast.delivery.words import Contract


class NotConfigured(Exception):
    """A setting that is needed is missing or cannot be read; the text names its variable and the remedy."""


class NotAllowed(Exception):
    """The broker knows this user, or does not, but will not let it do this."""


class Unreachable(Exception):
    """The broker could not be reached, or nobody answered in time. Nothing was sent, or only a question."""


class Unconfirmed(Exception):
    """A message may have been sent, but the broker's confirmation did not come in time. Sent again, it acts once."""


class CommandRefused(Exception):
    """The service could not take the command and parked it; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class QueryRefused(Exception):
    """The service could not take the question; the text says why."""


class StillOpen(Exception):
    """The time to wait is over, and it has not ended yet. `view`: how it stood when last seen, None if unknown."""

    def __init__(self, text: str, view: Contract | None = None) -> None:
        super().__init__(text)
        self.view = view
