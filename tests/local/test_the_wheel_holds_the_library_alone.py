"""What another repository installs: the library and nothing of this shop, and its commands as the README has them.

Nothing is taken from an index: the build back end and what the extra requires are in dev.lock.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from email.message import Message
from email.parser import Parser
from importlib.metadata import distributions, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from holdfast import __version__
from local.sources import PROJECT

LIBRARY = PROJECT / "holdfast"
OF_THE_SHOP = sorted(each.parent.name for each in PROJECT.glob("*/__init__.py") if each.parent != LIBRARY)
NOT_IMPORTED = {"asyncpg"}
"""SQLAlchemy imports it, for the URLs that name it."""

IMPORT_ALL = """
import importlib, pkgutil, holdfast
names = [each.name for each in pkgutil.walk_packages(holdfast.__path__, "holdfast.")]
for name in names:
    importlib.import_module(name)
print(holdfast.__file__, len(names))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    installed = folder / "bin/python"
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-index", "--no-cache", "--python"]
    subprocess.run([*install, str(installed), str(wheel)], check=True)
    return installed


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of this environment but for holdfast, as if an index had given them."""
    folder = tmp_path_factory.mktemp("locked")
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if "holdfast" not in each.name:
            (folder / each.name).symlink_to(each)
    return folder


def metadata(wheel: Path) -> Message:
    """What the wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"holdfast-{__version__}.dist-info/METADATA").decode())


def requirements(wheel: Path) -> list[Requirement]:
    """What the wheel requires."""
    return [Requirement(each) for each in metadata(wheel).get_all("Requires-Dist", [])]


def imported(files: Iterable[Path]) -> set[str]:
    """The modules of others that these files import."""
    found: set[str] = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "relative"
            assert not node.level, "relative"
            found.add(node.module)
    return {each for each in found if each.partition(".")[0] not in {*sys.stdlib_module_names, "holdfast"}}


def test_it_has_one_package_which_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"holdfast", f"holdfast-{__version__}.dist-info"}
    assert "holdfast/py.typed" in names
    assert not [name for name in names if name.endswith("entry_points.txt")]
    files = {str(file.relative_to(PROJECT)) for file in LIBRARY.rglob("*.py")}
    assert files == {name for name in names if name.endswith(".py")}


def test_it_requires_nothing_without_the_extra(wheel: Path) -> None:
    assert metadata(wheel).get_all("Provides-Extra") == ["delivery"]
    assert requirements(wheel)
    assert not [str(each) for each in requirements(wheel) if str(each.marker) != 'extra == "delivery"']


def test_the_rule_runs_where_nothing_else_is_installed(python: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (LIBRARY / "pending/README.md").read_text(), flags=re.DOTALL)
    ran = subprocess.run([str(python), "-I", "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == re.findall(r"print\(.*# (\w+)", example)


@pytest.mark.parametrize("package", OF_THE_SHOP)
def test_nothing_of_the_shop_comes_with_it(python: Path, tmp_path: Path, package: str) -> None:
    command = [str(python), "-I", "-c", f"import {package}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines()[-1] == f"ModuleNotFoundError: No module named '{package}'"


def test_with_what_the_extra_requires_all_of_it_can_be_imported(python: Path, locked: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(locked)}
    command = [str(python), "-P", "-c", IMPORT_ALL]
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    file, modules = ran.stdout.split()
    assert Path(file).is_relative_to(python.parents[1])
    assert int(modules) == len(list(LIBRARY.rglob("*.py"))) - 1


def test_the_rule_imports_nothing_of_others() -> None:
    assert not imported((LIBRARY / "pending").rglob("*.py"))


def test_the_extra_names_what_is_imported_and_no_more(wheel: Path) -> None:
    owners = {
        str(each.locate_file(file)): canonicalize_name(each.name)
        for each in distributions()
        for file in each.files or ()
    }
    modules = imported(LIBRARY.rglob("*.py"))
    files = {module: spec.origin for module in modules if (spec := find_spec(module)) and spec.origin}
    assert files.keys() == modules
    needed = {owners[file] for file in files.values()}
    named = {canonicalize_name(each.name) for each in requirements(wheel)}
    assert len(needed) > 10
    assert named == needed | NOT_IMPORTED


def test_what_the_extra_names_is_what_the_shop_runs_on(wheel: Path) -> None:
    lines = (PROJECT / "requirements/run.in").read_text().splitlines()
    runs = {re.split(r"[\[=]", line)[0] for line in lines if not line.startswith("#")}
    assert {each.name for each in requirements(wheel)} <= runs
    assert not [str(each) for each in requirements(wheel) if not each.specifier.contains(version(each.name))]


def test_the_commands_of_the_readme_run_as_they_stand(locked: Path, tmp_path: Path) -> None:
    """In a copy of the checkout, by somebody whose home is empty and whose index gives what is locked."""
    _, _, rest = (PROJECT / "README.md").read_text().partition("\n## Into your own system\n")
    section, _, _ = rest.partition("\n## ")
    blocks = re.findall(r"```\n(.*?)```", section, flags=re.DOTALL)
    assert len(blocks) == 2
    home, checkout = tmp_path / "home", tmp_path / "checkout"
    home.mkdir()
    shutil.copytree(PROJECT, checkout, ignore=shutil.ignore_patterns(".*", "__pycache__", "dist"))
    (checkout / ".venv").symlink_to(Path(sys.executable).parents[1])
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PIP_", "PYTHON"))},
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # which is pip's way to say that there is none
        "PYTHONPATH": str(locked),
    }
    for block in blocks:
        ran = subprocess.run(["sh", "-ec", block], cwd=checkout, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr


def test_the_command_runs_from_any_folder_whatever_lies_there(tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text("raise SystemExit('the one that lies here')")
    (tmp_path / "linked").symlink_to(Path(sys.executable).with_name("holdfast"))
    for command in (Path(sys.executable).with_name("holdfast"), PROJECT / "bin/holdfast", tmp_path / "linked"):
        ran = subprocess.run([command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert ran.stdout.split()[:2] == ["Usage:", "holdfast"]
