"""Gathers what the tests of W&B's clients find, and writes docs/compatibility.md where that is not what it says.

A test names the commands that it tries with ``@command(...)``. Expected to fail (``pytest.xfail``, with the reason), it
makes a cross. What a run does not try, or what fails in it, stays on the page as it is.
"""

import pytest

from tests.compat.table import PAGE, Table

PROPERTY = "wandb command"


class Compatibility:
    """The plugin: one for a run, in the process that gathers the reports of all."""

    def __init__(self) -> None:
        self.table = Table()
        self.failed: set[tuple[str, str]] = set()
        self.written = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        commands = [value for name, value in report.user_properties if name == PROPERTY]
        for name, version in commands:
            self._record(report, name, version)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        for cell in self.failed:
            self.table.crosses.pop(cell, None)
        page = PAGE.read_text()
        known = Table.of_page(page)
        known.learn(self.table)
        found = known.written_into(page)
        if self.table.crosses and found != page:
            PAGE.write_text(found)
            self.written = True
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.written:
            terminalreporter.section("W&B's clients", red=True)
            terminalreporter.line(f"{PAGE.name} said otherwise and has been written anew: look at it and commit it.")

    def _record(self, report: pytest.TestReport, command: str, version: str) -> None:
        expected = getattr(report, "wasxfail", None)
        if report.failed:
            self.failed.add((command, version))
        elif expected is not None:
            self.table.does_not_work(command, version, expected.removeprefix("reason: "))
        elif report.passed and report.when == "call":
            self.table.works(command, version)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "command(*names): rows of docs/compatibility.md that the test decides")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Compatibility(), "compatibility")
