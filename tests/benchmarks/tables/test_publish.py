"""`dgmbench publish`: records are merged, and none is dropped."""

import json
import os

import pytest
from PIL import Image

from benchmarks.core.errors import UserError
from benchmarks.runs.record import Evaluation
from benchmarks.tables.analysis.cells import join
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.publish import in_short, publish
from benchmarks.tables.rendering.readme import into_readme
from benchmarks.tables.spec import load_spec
from tests.benchmarks.tables.helpers import MINI, cells, put, write_mini


def test_publish_merges_and_drops_nothing(mini, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# x\n<!-- table: mini -->\nold\n<!-- end of table: mini -->\nend\n")
    a0, a1, b0, _ = mini.runs
    put(a0, 1.0)
    put(b0, status="interrupted")
    assert publish("mini") == 0
    folder = tmp_path / "results" / "mini"
    assert len(list(folder.glob("records/*.json"))) == 1  # an interrupted run is no result
    assert "| A | 1.00 | 1 |" in readme.read_text()
    assert readme.read_text().endswith("<!-- end of table: mini -->\nend\n")

    a0.run.record_path.unlink()  # another machine: only the second seed is here
    put(a1, 3.0)
    publish("mini")
    assert len(list(folder.glob("records/*.json"))) == 2
    assert "| A | 2.00 ± 1.41 | 2 |" in (folder / "table.md").read_text()
    assert (folder / "table.csv").exists()

    before = readme.read_text(), {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    publish("mini")  # again: the same bytes
    assert before == (
        readme.read_text(),
        {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()},
    )


def test_a_worse_local_record_replaces_nothing(mini, tmp_path):
    put(mini.runs[0], 1.0)
    publish("mini")
    (path,) = (tmp_path / "results/mini/records").glob("*.json")
    for status in ("failed", "interrupted", "diverged"):
        put(mini.runs[0], status=status)
        publish("mini")
        assert json.loads(path.read_text())["status"] == "finished"
        assert cells(mini, published=True)["A"][0] == "1.00"


def test_published_records_count_as_done_only_when_asked(mini):
    put(mini.runs[0], 1.0)
    publish("mini")
    mini.runs[0].run.record_path.unlink()
    assert cells(mini)["A"][0] == "–"
    assert cells(mini, published=True)["A"][0] == "1.00"


def test_publish_keeps_evaluations_of_other_protocols(mini, tmp_path):
    record = put(mini.runs[0], 1.0)
    record.add(Evaluation("other", "ff", "last", "raw", 64, {"x": 1.0}))
    record.write(mini.runs[0].run.record_path)
    publish("mini")
    put(mini.runs[0], 1.25)
    publish("mini")
    (path,) = (tmp_path / "results/mini/records").glob("*.json")
    values = {e["protocol"]: e["metrics"] for e in json.loads(path.read_text())["evaluations"]}
    assert values == {"other": {"x": 1.0}, "bits_per_dim_test": {"bits_per_dim": 1.25}}


def test_stale_records_are_kept_and_named(mini, tmp_path, capsys):
    put(mini.runs[0], 1.0)
    publish("mini")
    (path,) = (tmp_path / "results/mini/records").glob("*.json")
    old = path.with_name(path.name.replace("-r1-", "-r0-"))
    old.write_text(path.read_text())
    publish("mini")
    assert old.exists()
    assert f"stale: {old.name}" in capsys.readouterr().out


def test_nothing_to_publish(mini):
    with pytest.raises(UserError, match="no ended run to publish; run: dgmbench table mini"):
        publish("mini")


def test_the_scale_of_a_published_table_is_kept(mini, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for run in make_plan(load_spec("mini"), 3).runs:
        put(run)
    publish("mini", seeds=3)
    publish("mini")  # as before
    assert len(list((tmp_path / "results/mini/records").glob("*.json"))) == 6
    assert "| 3 | 0 |" in (tmp_path / "results/mini/table.md").read_text()


# -- the README, grids ---------------------------------------------------------------------------

MARKED = "# x\n<!-- table: {0} -->\nold\n<!-- end of table: {0} -->\nend\n"


def test_only_what_stands_between_a_tables_own_marks_is_replaced(tmp_path):
    readme = tmp_path / "README.md"
    other = MARKED.format("mini_2")
    readme.write_text(MARKED.format("mini") + other + MARKED.format("mini"))
    assert into_readme("mini", r"| \1 \g<0> |", readme)  # no pattern, whatever it holds
    renewed = MARKED.format("mini").replace("\nold\n", "\n\n| \\1 \\g<0> |\n")
    assert readme.read_text() == renewed + other + renewed


def test_a_table_that_stands_there_already_is_not_written(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(MARKED.format("mini"))
    assert into_readme("mini", "new", readme)
    before = readme.read_bytes()
    readme.chmod(0o444)
    os.utime(readme, ns=(0, 0))
    assert into_readme("mini", "new", readme)
    assert (readme.read_bytes(), readme.stat().st_mtime_ns) == (before, 0)


@pytest.mark.parametrize(
    "text", ["# x\n", MARKED.format("mini_2"), "<!-- table: mini -->\n", None]
)
def test_a_readme_without_marks_is_left_alone(mini, tmp_path, capsys, text):
    readme = tmp_path / "README.md"
    if text is not None:
        readme.write_text(text)
    assert not into_readme("mini", "new", readme)
    put(mini.runs[0])
    publish("mini")
    assert "README.md: no `<!-- table: mini -->` found" in capsys.readouterr().out
    assert (readme.read_text() if readme.exists() else None) == text


def test_the_readme_has_the_notes_that_marks_need_and_a_link(mini, tmp_path):
    put(mini.runs[0], 1.0, deviations=["half the width"])
    publish("mini")
    whole = (tmp_path / "results/mini/table.md").read_text()
    table = join(mini, mini.records(False))
    short = in_short(table, tmp_path / "results" / "mini")
    assert "- A note.\n" in short
    assert f"[{tmp_path}/results/mini/table.md]({tmp_path}/results/mini/table.md)" in short
    for note in ("half the width", "Selection: none", "bits: `bits_per_dim` of protocol"):
        assert note in whole
        assert note not in short
    body = [line for line in whole.splitlines() if line.startswith("|")]
    assert [line for line in short.splitlines() if line.startswith("|")] == body


def test_marks_of_published_numbers_are_explained_in_the_readme(mini, own_configs):
    (own_configs / "published.yaml").write_text(
        "paper:\n  {citation: P, metric: bits, spread: over seeds, note: made up,\n"
        "   rows: {a: {x: {value: 1.2, mark: M}}}}\n"
    )
    published = "{source_id: paper, column: x, not_comparable: other images, differs: [data]}"
    text = MINI.replace("digits: 2", f"digits: 2\n    published: {published}")
    write_mini(text.replace("{label: A,", "{label: A, published: a,"))
    short = in_short(join(make_plan(load_spec("mini"), 1), {}), mini.runs[0].run.folder)
    assert "1.2*†" in short
    assert "- † not comparable: other images." in short
    assert "- * quoted from memory, not checked against the paper." in short
    assert "made up" not in short


def test_grids_stay_with_their_runs(mini, tmp_path):
    """One of each row; the newest of a run; kept where the run itself is gone."""
    a0, a1, b0, _ = mini.runs
    for run in (a0, a1, b0):
        put(run)
    grids = tmp_path / "results" / "mini" / "grids"
    for run, name, colour in ((a0, "64", "red"), (a0, "640", "blue"), (a1, "640", "green")):
        run.run.samples.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), colour).save(run.run.samples / f"{name}.png")
    publish("mini")
    path = grids / f"{'-'.join(a0.key)}.png"
    assert list(grids.iterdir()) == [path]
    with Image.open(path) as grid:
        assert grid.getpixel((0, 0)) == (0, 0, 255)
    one = width_of(tmp_path / "results/mini/samples.png")
    for run, name in ((a0, "64"), (a0, "640"), (a1, "640")):
        (run.run.samples / f"{name}.png").unlink()
    b0.run.samples.mkdir()
    Image.new("RGB", (4, 4)).save(b0.run.samples / "64.png")
    publish("mini")
    assert path.exists()
    assert len(list(grids.iterdir())) == 2
    assert width_of(tmp_path / "results/mini/samples.png") > one  # both are shown


def width_of(path):
    with Image.open(path) as picture:
        return picture.width
