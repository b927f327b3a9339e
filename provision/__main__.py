"""Provisions the broker and the cluster that the environment names, once both are ready.

HOLDFAST_RABBITMQ_MANAGEMENT_URL (http://admin:password@host:port), HOLDFAST_POSTGRES_ADMIN_URL, and the passwords
under the names that `.env` gives them. HOLDFAST_VHOST is for a virtual host with another name. Over TLS: https://,
?sslmode=verify-full, and HOLDFAST_TLS_CA_FILE for whom to trust in place of whom the system trusts.
"""

from __future__ import annotations

import asyncio
import os
import sys

import asyncpg

from holdfast.tls import check_ca_file, check_database_url, problem
from provision import broker, databases
from provision.management import Management, ManagementError
from provision.secrets import VHOST

WAIT_S_MAX = 120
MANAGEMENT_URL, ADMIN_URL = "HOLDFAST_RABBITMQ_MANAGEMENT_URL", "HOLDFAST_POSTGRES_ADMIN_URL"
CA_FILE = "HOLDFAST_TLS_CA_FILE"


def main() -> int:
    """Returns the exit code; what is missing is said on stderr."""
    try:
        ca_file = os.environ.get(CA_FILE, "")
        management_url, admin_url = os.environ[MANAGEMENT_URL], check_database_url(os.environ[ADMIN_URL])
        check_ca_file(ca_file, management_url, admin_url)
        management = Management(management_url, ca_file)
        management.wait_ready(WAIT_S_MAX)
        asyncio.run(databases.wait_ready(admin_url, WAIT_S_MAX, ca_file))
        broker.provision(management, os.environ.get("HOLDFAST_VHOST", VHOST), os.environ)
        asyncio.run(databases.provision(admin_url, os.environ, ca_file=ca_file))
    except KeyError as error:
        print(f"provision: {error.args[0]} is not set", file=sys.stderr)
        return 2
    except (ValueError, OSError, ManagementError, asyncpg.PostgresError) as error:
        print(f"provision: {problem(error, f'{MANAGEMENT_URL} or {ADMIN_URL}', CA_FILE) or error}", file=sys.stderr)
        return 1
    print("provision: broker and databases are ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
