"""The rules of verdicts are noted with the time; what changes them changes their hash."""

import json
from dataclasses import replace

import pytest

from benchmarks.tables import rules
from benchmarks.tables.rules import judged, register, rules_of
from benchmarks.tables.spec import load_spec

SPEC = load_spec("veegan_2d")


def changed(column=None, row=None):
    """The specification with a field of its first published column or row set."""
    columns, rows = list(SPEC.columns), list(SPEC.rows)
    at = next(i for i, r in enumerate(rows) if r.published)
    columns[0] = replace(columns[0], **column) if column else columns[0]
    rows[at] = replace(rows[at], **row) if row else rows[at]
    return replace(SPEC, columns=tuple(columns), rows=tuple(rows))


def test_what_verdicts_follow_from_changes_the_hash(monkeypatch):
    plain = rules_of(SPEC)
    assert rules_of(changed()) == plain
    published = replace(SPEC.columns[0].published, not_comparable="x", differs=("data",))
    different = [
        changed(column={"metric": "reverse_kl"}),
        changed(column={"published": published}),
        changed(row={"reading": "another loss"}),
        changed(row={"first_seed": 100}),
        changed(row={"published": "ali"}),
    ]
    hashes = [rules_of(spec) for spec in different]
    assert len({plain, *hashes}) == 1 + len(hashes)
    assert rules_of(changed(column={"digits": 3}, row={"note": "x"})) == plain
    source = "def agreement():\n    return 'agrees'\n"
    monkeypatch.setattr(rules.inspect, "getsource", lambda module: source)
    other = rules_of(SPEC)
    assert other != plain
    explained = source.replace(":\n", ':\n    """Agree."""  # always\n')
    monkeypatch.setattr(rules.inspect, "getsource", lambda module: explained)
    assert rules_of(SPEC) == other


def test_a_published_value_is_part_of_the_rules(monkeypatch):
    plain = rules_of(SPEC)
    sources = json.loads(json.dumps(rules.load_published()))
    sources["veegan_2d"]["rows"]["gan"]["ring_modes"]["value"] = 2
    monkeypatch.setattr(rules, "load_published", lambda: sources)
    assert rules_of(SPEC) != plain


def test_a_table_without_published_numbers_has_none(tmp_path):
    spec = replace(SPEC, columns=tuple(replace(c, published=None) for c in SPEC.columns))
    assert rules_of(spec) is None
    register(spec, tmp_path, "2026-01-01")
    assert not list(tmp_path.iterdir())


def test_rules_are_noted_once_and_again_when_they_change(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    register(SPEC, there, "2026-01-01")
    register(SPEC, there, "2026-01-02")
    (noted,) = json.loads((there / "rules.json").read_text())
    assert noted == {"rules": rules_of(SPEC), "since": "2026-01-01"}
    register(SPEC, here, "2026-01-03", there)
    assert json.loads((here / "rules.json").read_text()) == [noted]
    other = changed(row={"reading": "another loss"})
    register(other, here, "2026-01-04", there)
    first, second = json.loads((here / "rules.json").read_text())
    assert (first, second["since"]) == (noted, "2026-01-04")
    assert second["rules"] == rules_of(other)


@pytest.mark.parametrize("since", ["2026-01-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"])
def test_runs_that_are_older_than_the_rules_are_counted(tmp_path, since):
    from benchmarks.runs.record import Record
    from benchmarks.tables.analysis.cells import join
    from benchmarks.tables.plan.plan import make_plan
    from benchmarks.tables.rendering.notes import notes_of

    plan = make_plan(load_spec("stacked_mnist"), 1)
    run = next(r for r in plan.runs if r.row.published)
    record = Record(*run.key, run.seed, "diverged", started="2026-02-01T00:00:00+00:00")
    register(plan.spec, tmp_path, since)
    table = judged(join(plan, {run.key: record}), tmp_path)
    older = "0" if since < record.started else "1"
    (note,) = [n for n in notes_of(table) if n.startswith("Verdicts follow rules")]
    assert f"since {since[:10]}; {older} of 1 runs" in note
