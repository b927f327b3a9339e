"""What the parts show to their clients, where they are to be reached by TLS alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from holdfast.tls import VERIFIED
from local.account import Account
from provision.secrets import write


@dataclass(frozen=True)
class Certificate:
    """PEM files: `chain` and `key` of the servers, `ca` of who issued theirs."""

    ca: Path
    chain: Path
    key: Path

    def copy(self, folder: Path, account: Account | None) -> tuple[Path, Path]:
        """Chain and key where a server that runs as `account` may read them, and nobody else."""
        chain, key = folder / "server.pem", folder / "server.key"
        write(chain, self.chain.read_text())
        write(key, self.key.read_text())
        if account:
            account.own(chain, key)
        return chain, key


def over_tls(url: str) -> str:
    """The URL as one that asks for TLS."""
    return url.replace("amqp://", "amqps://") if url.startswith("amqp://") else f"{url}?sslmode={VERIFIED}"
