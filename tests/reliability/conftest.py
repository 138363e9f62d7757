"""Gathers what the tests of this folder show into one table."""

from pathlib import Path

import pytest

from benchmarks.core.files import write_atomically
from benchmarks.tables.rendering.readme import into_readme

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "results" / "reliability.md"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            assert item.get_closest_marker("outcome"), f"{item.name} has no outcome"


@pytest.fixture
def seen(request):
    """Keep a figure for the table, such as 25 of 25."""
    return lambda text: request.node.user_properties.append(("seen", text))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    result = yield
    marker = item.get_closest_marker("outcome")
    passed = result.get_result().outcome
    if marker is not None and (call.when == "call" or passed != "passed"):
        seen = dict(item.user_properties).get("seen")
        said = {"passed": seen or "so it was", "failed": "FAILED", "skipped": "not run here"}
        rows(item.config).append((*marker.args, said[passed]))


def rows(config):
    """The rows so far."""
    if not hasattr(config, "reliability"):
        config.reliability = []
    return config.reliability


def pytest_sessionfinish(session):
    """Write the table: whole after a whole run, else with these rows renewed."""
    found = {row[0]: row for row in rows(session.config)}
    if not session.config.getoption("--write-reliability", default=False) or not found:
        return
    before = TABLE.read_text().splitlines()[2:] if TABLE.exists() else []
    kept = {row[0]: row for row in (line[2:-2].split(" | ") for line in before)}
    table = found if len(found) >= len(kept) else kept | found
    lines = ["| what happens | what then | seen |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in table.values()]
    text = "\n".join(lines) + "\n"
    write_atomically(TABLE, text)
    into_readme("reliability", text, ROOT / "README.md")
