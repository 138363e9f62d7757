"""What is published holds together: records, tables, README, and the goals of the quick table."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.runs.record import read_record
from benchmarks.tables.analysis.cells import join
from benchmarks.tables.ledger import in_readme, ledger, page_of
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.scale import published_scale
from benchmarks.tables.publish import in_short
from benchmarks.tables.rendering.formats import to_csv, to_markdown
from benchmarks.tables.rendering.render import rendered
from benchmarks.tables.rules import judged, rules_of
from benchmarks.tables.spec import load_spec

ROOT = Path(__file__).parents[1]
TABLES = sorted(p.name for p in (ROOT / "results").iterdir() if p.is_dir())


@pytest.fixture(autouse=True)
def _in_the_clone(monkeypatch):
    monkeypatch.chdir(ROOT)


def published(name):
    plan = make_plan(load_spec(name), *published_scale(name))
    return plan.complete(published=True, outputs=False)


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_what_its_records_render(name):
    plan, records = published(name)
    folder = ROOT / "results" / name
    joined = judged(join(plan, records), folder)
    table = rendered(joined)
    assert (folder / "table.md").read_text() == to_markdown(table)
    assert (folder / "table.csv").read_text() == to_csv(table)
    readme = (ROOT / "README.md").read_text()
    assert f"](results/{name}/table.md)" in readme
    if f"<!-- table: {name} -->" in readme:
        assert in_short(joined, folder.relative_to(ROOT)) in readme


@pytest.mark.parametrize("name", TABLES)
def test_the_rules_that_judge_a_table_are_those_that_are_noted(name):
    """Whoever changes them publishes the table again, which then says so."""
    plan, records = published(name)
    noted = judged(join(plan, records), ROOT / "results" / name).rules
    assert (noted.rules if noted else None) == rules_of(load_spec(name))


@pytest.mark.parametrize("name", TABLES)
def test_records_name_no_path_and_clean_code(name):
    for path in (ROOT / "results" / name / "records").glob("*.json"):
        text = path.read_text()
        assert "/home" not in text
        assert "/tmp" not in text
        assert "/work" not in text
        record = read_record(path)
        assert record.code["git_commit"]
        assert record.code["dirty"] is False
        assert json.loads(text)["schema_version"] == 2


def test_the_verdicts_are_those_of_the_records():
    """`dgmbench verdicts --write` renews them."""
    entries = ledger()
    assert (ROOT / "docs" / "verdicts.md").read_text() == page_of(entries)
    assert in_readme(entries) in (ROOT / "README.md").read_text()


def test_the_reliability_table_is_in_the_readme():
    text = (ROOT / "results" / "reliability.md").read_text()
    assert text in (ROOT / "README.md").read_text()
    assert "FAILED" not in text
    assert "25 of 25" in text


def value(record, name):
    (found,) = [e.metrics[name] for e in record.evaluations if name in e.metrics]
    return found


def test_the_goals_of_the_quick_table():
    """Half of the own untrained generator's distance, a higher score, 1 bit below uniform."""
    plan, records = published("quick")
    by_run = {(r.row.label, r.seed): records[r.key] for r in plan.runs if r.key in records}
    untrained = {"VAE": "untrained VAE"}
    checked = 0
    for (label, seed), record in by_run.items():
        if label.startswith(("untrained", "real")):
            continue
        if label == "PixelCNN":
            assert value(record, "bits_per_dim") <= math.log2(17) - 1
        else:
            own = by_run[untrained.get(label, "untrained GAN generator"), seed]
            assert value(record, "fd_lenet") <= value(own, "fd_lenet") / 2
            assert value(record, "lenet_score") > value(own, "lenet_score")
        checked += 1
    assert checked == sum(not r.row.label.startswith(("untrained", "real")) for r in plan.runs)


def test_gan_rows_share_the_untrained_generator():
    """Their generators, and so their initial weights at a seed, are the untrained row's."""
    from benchmarks.config.compose import compose

    own = compose(["experiment=untrained/gan_quick"]).cfg.model.generator.network
    rows = [r for r in load_spec("quick").rows if r.experiment and "gan" in r.experiment]
    assert len(rows) >= 4
    for row in rows:
        assert compose([f"experiment={row.experiment}"]).cfg.model.generator.network == own
