"""`python -m provision.client NAME` adds a client user to the broker and prints its AMQP URL, this once.

It works on the system that `make up` or compose started here, or on the broker that HOLDFAST_RABBITMQ_MANAGEMENT_URL
names. The user has exactly a client's rights, and sees no other client's answers.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from provision import broker
from provision.management import Management, ManagementError
from provision.secrets import broker_password, read


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m provision.client", description=__doc__)
    parser.add_argument("name", help="a-z, 0-9, _ and -, starting with a letter")
    name = parser.parse_args().name
    known = {**read(Path(".env")), **read(Path(".holdfast/up.env")), **os.environ}
    try:
        amqp = urlsplit(known["HOLDFAST_AMQP_URL"])
        management = Management(_management_url(known), known.get("HOLDFAST_TLS_CA_FILE", ""))
        password = broker.add_client(management, amqp.path.strip("/"), name)
    except KeyError as error:
        print(f"provision: {error.args[0]} is not set; start the system, or run `make env` first", file=sys.stderr)
        return 2
    except (ValueError, OSError, ManagementError) as error:
        print(f"provision: {error}", file=sys.stderr)
        return 1
    print(urlunsplit(amqp._replace(netloc=f"{name}:{password}@{amqp.netloc.rpartition('@')[2]}")))
    return 0


def _management_url(known: dict[str, str]) -> str:
    if named := known.get("HOLDFAST_RABBITMQ_MANAGEMENT_URL"):
        return named
    return f"http://admin:{known[broker_password('admin')]}@127.0.0.1:{known['HOLDFAST_UI_PORT']}"


if __name__ == "__main__":
    sys.exit(main())
