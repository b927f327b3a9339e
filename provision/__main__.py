"""Provisions the broker and the cluster that the environment names, once both are ready.

HOLDFAST_RABBITMQ_MANAGEMENT_URL (http://admin:password@host:port), HOLDFAST_POSTGRES_ADMIN_URL, and the passwords
under the names that `.env` gives them. HOLDFAST_VHOST is for a virtual host with another name.
"""

from __future__ import annotations

import asyncio
import os
import sys

import asyncpg

from provision import broker, databases
from provision.management import Management, ManagementError
from provision.secrets import VHOST

WAIT_S_MAX = 120


def main() -> int:
    """Returns the exit code; what is missing is said on stderr."""
    try:
        management = Management(os.environ["HOLDFAST_RABBITMQ_MANAGEMENT_URL"])
        admin_url = os.environ["HOLDFAST_POSTGRES_ADMIN_URL"]
        management.wait_ready(WAIT_S_MAX)
        asyncio.run(databases.wait_ready(admin_url, WAIT_S_MAX))
        broker.provision(management, os.environ.get("HOLDFAST_VHOST", VHOST), os.environ)
        asyncio.run(databases.provision(admin_url, os.environ))
    except KeyError as error:
        print(f"provision: {error.args[0]} is not set", file=sys.stderr)
        return 2
    except (ValueError, OSError, ManagementError, asyncpg.PostgresError) as error:
        print(f"provision: {error}", file=sys.stderr)
        return 1
    print("provision: broker and databases are ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
