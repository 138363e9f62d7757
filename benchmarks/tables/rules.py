"""By which rules a table's scores are judged, and since when: rules that moved after runs show."""

import ast
import hashlib
import inspect
import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.core.errors import UserError
from benchmarks.core.files import write_atomically
from benchmarks.tables.analysis import agreement
from benchmarks.tables.analysis.cells import RulesSince, Table
from benchmarks.tables.margins import margin_of
from benchmarks.tables.spec import TableSpec, load_published

__all__ = ["FILE", "judged", "register", "rules_of"]

FILE = "rules.json"  # beside a table
LENGTH = 12  # of the hash, as shown


def rules_of(spec: TableSpec) -> str | None:
    """Return the hash of all that verdicts follow from, but our scores; None without any.

    That is: the code of `analysis.agreement`, the margins of the columns' metrics, the published
    values, in what a column differs from the paper, and what the rows read.
    """
    columns = [c for c in spec.columns if c.published is not None]
    rows = [r for r in spec.rows if r.published is not None]
    if not columns or not rows:
        return None
    sources = load_published()
    parts: list[Any] = [_code()]
    for column in columns:
        assert column.published is not None
        source = sources[column.published.source_id]
        known = "protocol" not in column.published.differs
        parts.append([column.metric, asdict(column.published)])
        parts.append(asdict(margin_of(column.metric)) if known else None)
        parts.append([source.get("spread_kind"), source.get("spread_n")])
        for row in rows:
            entry = source["rows"].get(row.published, {}).get(column.published.column)
            parts.append([row.published, row.reading, row.first_seed, entry])
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _code() -> str:
    """Return the rules' code without comments and docstrings, which decide nothing."""
    tree = ast.parse(inspect.getsource(agreement))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.unparse(tree)  # `ast.dump` depends on Python's version


def register(spec: TableSpec, folder: Path, now: str, *others: Path) -> None:
    """Note in a table's folder by which rules it is judged from now on, unless it is noted.

    Args:
        spec: The table.
        folder: Where the note stands.
        now: The time.
        others: Folders whose notes of the same table count as well.
    """
    rules = rules_of(spec)
    if rules is None:
        return
    history = _history(folder)
    for other in others:
        history += [entry for entry in _history(other) if entry not in history]
    history.sort(key=lambda entry: entry["since"])
    if not history or history[-1]["rules"] != rules:
        history.append({"rules": rules, "since": now})
    text = json.dumps(history, indent=1) + "\n"
    if not (folder / FILE).is_file() or (folder / FILE).read_text(encoding="utf-8") != text:
        write_atomically(folder / FILE, text)


def judged(table: Table, folder: Path) -> Table:
    """Return a table that says by which rules, noted in its folder, it is judged."""
    history = _history(folder)
    return replace(table, rules=RulesSince(**history[-1])) if history else table


def _history(folder: Path) -> list[dict[str, str]]:
    """Return the rules that were noted, oldest first.

    Raises:
        UserError: naming the file, if it is no such list: it is evidence, and is not passed over.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    with suppress(ValueError, TypeError):
        found: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        known = [asdict(RulesSince(**entry)) for entry in found]
        texts = [text for entry in known for text in entry.values()]
        if isinstance(found, list) and all(isinstance(text, str) for text in texts):
            return found
    raise UserError(f"{path} must be a list of rules, each with its date")
