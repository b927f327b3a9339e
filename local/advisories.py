"""`python -m local.advisories`: are there known vulnerabilities in what the lock files name?

pip-audit alone says "No known vulnerabilities found" also where the package index has no such data and it looked up
nothing. Here that is an exit code of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys

from local.sources import PROJECT

LOCKS = ("requirements/run.lock", "requirements/dev.lock", "requirements/postgres.lock")
CLEAN, VULNERABLE, NOT_RUN = 0, 1, 3


def main() -> int:
    """The exit code: 0 nothing known, 1 something known, 3 not looked up, as where the data cannot be reached."""
    return max((look_up(lock) for lock in LOCKS), key=[CLEAN, NOT_RUN, VULNERABLE].index)


def look_up(lock: str) -> int:
    """Print what is known of the packages in a lock file, one line each. Returns the exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--format=json", "-r", lock],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or ["pip-audit said nothing"]
        print(f"{lock}: NOT LOOKED UP: {last[0][:300]}")
        return NOT_RUN
    return report(lock, packages)


def report(lock: str, packages: list[dict[str, object]]) -> int:
    """Print and judge what pip-audit said of each package."""
    known = [(each["name"], each["version"], each["vulns"]) for each in packages if each.get("vulns")]
    unknown = [str(each["name"]) for each in packages if "skip_reason" in each]
    for name, version, found in known:
        print(f"{lock}: {name} {version}: {json.dumps(found)}")
    if unknown or not packages:
        print(f"{lock}: NOT LOOKED UP: {len(unknown)} of {len(packages)} packages: {', '.join(unknown[:5])} …")
    else:
        print(f"{lock}: {len(packages)} packages looked up, {len(known)} with known vulnerabilities")
    return VULNERABLE if known else NOT_RUN if unknown or not packages else CLEAN


if __name__ == "__main__":
    sys.exit(main())
