"""Specifications of tables: each resolves, and a mistake in one is one line."""

import re

import pytest

from benchmarks.__main__ import main
from benchmarks.config.catalogue import names
from benchmarks.core.errors import UserError
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_published, load_spec, table_names
from tests.benchmarks.tables.helpers import MINI, write_mini


@pytest.mark.parametrize("name", table_names())
def test_every_specification_resolves(name):
    spec = load_spec(name)
    plan = make_plan(spec, 2)
    for column in spec.columns:
        assert column.dataset in names("datamodule")
        assert column.protocol in names("protocol")
        of_ours = any(row.experiment or row.images for row in spec.rows)
        cells = [(plan.cell(r, column), plan.search_of(r, column.dataset)) for r in spec.rows]
        assert of_ours == any(shown or searched for shown, searched in cells)
    sources = [c.published for c in spec.columns if c.published is not None]
    known = {key for p in sources for key in load_published()[p.source_id]["rows"]}
    assert all(r.published in known for r in spec.rows if r.published)
    for p in sources:  # and no column of published numbers is empty
        rows = load_published()[p.source_id]["rows"]
        assert any(p.column in rows.get(r.published, {}) for r in spec.rows)
    assert len({r.key for r in plan.runs}) == len(plan.runs)
    planned = {r.row for r in plan.all_runs}
    assert planned == {r for r in spec.rows if r.experiment or r.images}  # no row is empty


def test_every_published_number_has_mark_and_spread():
    for source in load_published().values():
        assert "over" in source["spread"]
        for row in source["rows"].values():
            for entry in row.values():
                assert entry["mark"] in ("S", "M")
                assert entry["value"] > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINI.replace("seeds: 2", "seedz: 2"), "unknown key seedz; did you mean seeds"),
        (
            MINI.replace("better: lower", "better: low"),
            "better must be one of lower, higher, got 'low'",
        ),
        (MINI.replace("{label: C,", "{label: C, images: test,"), "either experiment or images"),
        (MINI.replace("metric: bits", "metrik: bits"), "unknown key metrik; did you mean metric"),
        (MINI.replace("label: B", "label: A"), "row 'A' stands twice"),
        (
            MINI + "  - {label: D, images: test}\n  - {label: E, images: test}\n",
            "rows 'D' and 'E' must differ in their images, got test twice",
        ),
        (MINI.replace("seeds: 2", "seeds: 0"), r"seeds must be an integer in 1 .. 10000, got 0"),
        (
            MINI.replace("note: of B", "search: {wide: x}"),
            r"search of row 'B' must be by the table's phases \(no search\), got wide",
        ),
        (MINI + "search: {phases: {wide: 0}, seed: 0}", "phases.wide must be an integer >= 1"),
        (
            MINI + "  - {label: D, images: test, overrides: {model.x: 1}}",
            "overrides of row 'D' must come with an experiment and no search",
        ),
        (
            MINI + "  - {label: D, published: x, overrides: {model.x: 1}}",
            "overrides of row 'D' must come with an experiment and no search",
        ),
        (
            MINI.replace("note: of B", "search: {wide: x}, overrides: {model.x: 1}"),
            "overrides of row 'B' must come with an experiment and no search",
        ),
        *(
            (
                MINI.replace("note: of B", f"overrides: {{{key}: 1}}"),
                f"overrides of row 'B' must be of what a run is made of .*, got {re.escape(key)}",
            )
            for key in ("seed", "trainer.devices", "datamodule", "datamodule.name", "+model.x")
        ),
        (
            MINI.replace("note: of B", "overrides: {model.x: .inf}"),
            "overrides of row 'B': model.x must be finite, got inf",
        ),
        (MINI.replace("note: of B", "overrides: [1]"), "overrides must map names to values or nu"),
        (
            MINI.replace("untrained/pixelcnn_quick, note: of B", "X, overrides: {model.x: 1}")
            .replace("lucic2018/vae_quick", "X, overrides: {model.x: 1}")
            .replace("X", "lucic2018/vae_quick"),
            "rows 'B' and 'C' must differ in their experiment or overrides, got lucic2018/vae_qu",
        ),
    ],
)
def test_a_wrong_specification_is_one_line(mini, text, message):
    write_mini(text)
    with pytest.raises(UserError, match=message):
        load_spec("mini")


def test_unknown_table():
    with pytest.raises(UserError, match="table 'quik' does not exist; did you mean quick"):
        load_spec("quik")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINI.replace("digits: 2", "digits: two"),
         r"columns\[0\].digits must be an integer in 0 .. 9"),
        (MINI.replace("label: C", "label: 3"), "label must be a text, got 3"),
        (MINI.replace("    digits: 2", "    digits: 2\n    published: {source_id: x, column: y}"),
         "source_id 'x' does not exist"),
        (MINI + "search: {phases: [3], seed: 0}", "search.phases must map names to integers >= 1"),
        (MINI + "search: {phases: {wide: 3}, seed: abc}",
         "search.seed must be an integer >= 0, got 'abc'"),
        (MINI.replace("seeds: 2", "seeds: [2"), "own.yaml is no YAML: while parsing"),
        ("- 1", "must map keys to values"),
        ("title: x", "note must be given"),
    ],
)  # fmt: skip
def test_mistakes_in_a_specification_of_ones_own(mini, tmp_path, text, message, capsys):
    (tmp_path / "own.yaml").write_text(text)
    assert main(["table", str(tmp_path / "own.yaml")]) == 2
    shown = capsys.readouterr().err
    assert re.search(message, shown)
    assert "Traceback" not in shown


def test_a_source_of_ones_own_must_not_have_the_name_of_one_of_the_suites(own_configs):
    source = "{citation: P, metric: bits, spread: over seeds, note: made up, rows: {}}"
    (own_configs / "published.yaml").write_text(f"lucic2018_table2: {source}\n")
    with pytest.raises(UserError, match="lucic2018_table2 must have another name"):
        load_published()
