"""The ledger: each published number once, by the best that ours say of it."""

from dataclasses import replace

import pytest

from benchmarks.__main__ import main
from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.ledger import in_brief, ledger, page_of, write_page
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import fingerprint_of, published_record_path
from benchmarks.tables.rules import rules_of
from benchmarks.tables.spec import load_spec

TABLE = """
title: Modes
note: ""
seeds: 3
columns:
  - label: Ring
    dataset: gaussian_ring
    protocol: modes_2500
    metric: modes
    better: higher
    digits: 1
    published: {source_id: veegan_2d, column: ring_modes%s}
rows:
%s
"""
ROW = "  - {label: %s, experiment: %s, published: gan%s}\n"
GAN = ROW % ("GAN", "srivastava2017/gan", "")
READINGS = ROW % ("NS", "srivastava2017/gan", ", reading: non-saturating") + ROW % (
    "MM",
    "srivastava2017/mm_gan_quick",
    ", reading: minimax",
)
CONFIRMED = ROW % ("MM again", "srivastava2017/mm_gan_quick", ", reading: minimax, first_seed: 9")
ALI = "  - {label: ALI, published: ali}\n"


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A working space with own tables; a function writes one and publishes scores by row."""
    (tmp_path / "configs" / "table").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DGMBENCH_PATH", str(tmp_path / "configs"))
    monkeypatch.setattr("benchmarks.tables.plan.planned_run.results_dir", lambda: tmp_path / "r")

    def write(name, rows, scores, differs=""):
        path = tmp_path / "configs" / "table" / f"{name}.yaml"
        path.write_text(TABLE % (differs, rows))
        for run in make_plan(load_spec(name)).runs:
            for value in scores.get(run.row.label, [])[run.seed - run.row.first_seed :][:1]:
                mark = fingerprint_of("modes_2500")
                found = Evaluation("modes_2500", mark, "last", "raw", 1, {"modes": value})
                record = Record(*run.key, run.seed, "finished", evaluations=[found])
                target = published_record_path(name, run)
                target.parent.mkdir(parents=True, exist_ok=True)
                record.write(target)
        return name

    return write


def only(*names):
    (found,) = [e for e in ledger(names) if e.row == "gan"]
    return found


def test_a_number_in_two_tables_counts_once_by_what_can_be_compared(tables):
    reduced = ", not_comparable: x, differs: [budget]"
    one = tables("one", GAN + ALI, {"GAN": [7.0, 7.0, 7.0]}, reduced)
    two = tables("two", GAN, {"GAN": [1.0, 1.1]})
    entries = ledger([one, two])
    assert [(e.source_id, e.row, e.column, e.state) for e in entries] == [
        ("veegan_2d", "gan", "ring_modes", "inconclusive"),
        ("veegan_2d", "ali", "ring_modes", "not built"),
    ]
    assert entries[0].place.table == "two"
    assert entries[0].is_at_budget
    assert not only(one).is_at_budget
    assert only(one).state == "cannot say"
    assert len(entries[0].place.missing) == 1
    first, second, third = in_brief(entries)
    assert first.startswith("2 published numbers stand in the tables; 1 have a score")
    assert "1 of these at the paper's budget: 0 agrees, 0 differs, 1 inconclusive" in first
    assert "all 1 that were judged" in second
    assert "at most 0.0" in second
    assert third.startswith("1 runs that tables plan")


def test_of_what_cannot_be_compared_the_nearest_to_the_paper_is_shown(tables):
    """One run of the paper's length comes before three short ones."""
    selected = ", not_comparable: x, differs: [selection]"
    short = ", not_comparable: x, differs: [budget, selection]"
    tables("a", GAN, {"GAN": [7.0, 7.0, 7.0]}, short)
    tables("b", GAN, {"GAN": [1.0]}, selected)
    tables("c", GAN, {}, "")
    found = only("a", "b", "c")
    assert found.place.table == "b"
    assert found.is_at_budget
    assert found.state == "cannot say"


def test_states(tables):
    assert only(tables("a", GAN, {})).state == "not run"
    assert (
        only(tables("b", GAN, {"GAN": [1.0, 1.1, 0.9]})).state == "inconclusive"
    )  # .93 of a mode
    assert only(tables("c", GAN, {"GAN": [7.0, 7.1, 6.9]})).state == "differs"
    assert in_brief(ledger(["c"]))[2].startswith("No run that tables plan")


def test_a_reading_that_fits_is_confirmed_on_fresh_seeds(tables):
    fits, not_so = [1.0] * 5, [6.0, 6.1, 6.2]
    seeds = READINGS.replace("gan_quick", "gan_quick")
    plain = tables("a", seeds, {"NS": not_so, "MM": fits})
    found = only(plain)
    assert found.state == "inconclusive"  # three equal counts: the share unseen is up to .63
    both = tables("b", READINGS, {"NS": not_so, "MM": [5.9, 6.0, 6.1]})
    assert only(both).state == "differs"
    assert only(both).reasons == ("non-saturating: differs", "minimax: differs")
    again = tables("c", READINGS + CONFIRMED, {"NS": not_so, "MM again": [5.0, 5.1, 5.2]})
    assert only(again).state == "differs"
    assert only(again).place.row.first_seed == 9
    assert only(again).reasons[0] == "reading confirmed: minimax"


def test_a_reading_that_agrees_unconfirmed_is_inconclusive(tables, monkeypatch):
    from benchmarks.tables import ledger as module

    name = tables("a", READINGS, {"NS": [6.0, 6.1, 6.2], "MM": [1.0, 1.0, 1.0]})
    monkeypatch.setattr(
        module, "_state", lambda p: ("agrees" if p.row.label == "MM" else "differs", ())
    )
    found = only(name)
    assert found.state == "inconclusive"
    assert found.reasons[0] == "a reading to be confirmed"


def test_the_page_and_the_readme_are_renewed_where_they_are(tables, tmp_path, monkeypatch):
    from benchmarks.tables import ledger as module

    name = tables("a", GAN + ALI, {"GAN": [7.0, 7.1, 6.9]})
    monkeypatch.setattr(module, "table_names", lambda: [name])
    assert write_page(tmp_path) == []
    (tmp_path / "docs").mkdir()
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- table: verdicts -->\n<!-- end of table: verdicts -->\nafter\n")
    assert write_page(tmp_path) == ["docs/verdicts.md", "README.md"]
    assert write_page(tmp_path) == []
    page = (tmp_path / "docs" / "verdicts.md").read_text()
    assert page == page_of(ledger())
    assert "## Differs (1)" in page
    assert "| veegan_2d, gan, ring_modes | 1 | 7.0 ± 0.1 | 3 |" in page
    assert in_brief(ledger())[0] in readme.read_text()


def test_the_command(tables, capsys):
    name = tables("a", GAN, {"GAN": [7.0, 7.1, 6.9]})
    assert main(["verdicts", name]) == 0
    assert "## Differs (1)" in capsys.readouterr().out
    assert main(["verdicts", name, "--write"]) == 2
    assert "tables must not be given with --write" in capsys.readouterr().err
    path = str(load_spec(name).name)
    assert main(["verdicts", path + "x"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_rules_know_readings(tables):
    spec = load_spec(tables("a", READINGS, {}))
    other = replace(spec, rows=(replace(spec.rows[0], reading="x"), *spec.rows[1:]))
    assert rules_of(spec) != rules_of(other)
