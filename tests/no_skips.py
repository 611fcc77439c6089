"""A plugin for runs in which nothing may be left out: `-p tests.no_skips` turns a skipped test into a failed run."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when its report holds a skip; with several processes only the controlling one has the report."""
    report = session.config.pluginmanager.get_plugin("terminalreporter")
    if report is None:
        return
    skipped = report.stats.get("skipped", [])
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        report.write_line(f"{len(skipped)} skipped: nothing may be skipped in this run", red=True)
