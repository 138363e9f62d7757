"""Which configuration of a search is the best, and when that is known."""

from benchmarks.tables.analysis.cells import join
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.rendering.formats import to_json
from benchmarks.tables.rendering.render import render
from tests.benchmarks.tables.searched import SPEC, put_score


def test_the_best_configuration_is_repeated_once_all_have_ended(outputs):
    plan = make_plan(SPEC)
    for run, value in zip(plan.searched[:3], (5.0, 3.0, 4.0), strict=True):
        put_score(run, value)
    assert plan.with_best(plan.records(False)).runs == ()
    put_score(plan.searched[3], None, "diverged")
    best = plan.with_best(plan.records(False))
    assert [r.seed for r in best.runs] == [1, 2]  # not that by which it was chosen
    assert dict(best.runs[1].values) == dict(plan.searched[1].values)
    assert len(best.all_runs) == 6
    put_score(best.runs[0], 3.4)
    put_score(best.runs[1], 3.5)
    table = join(best, best.records(False))
    assert table.cells["NS GAN", "FD"].statistics.values == (3.4, 3.5)
    found = table.searches["NS GAN", "fashion_mnist_small"]
    assert found.scores == (5.0, 3.0, 4.0, None)
    assert [p.k for p in found.curves["wide"]] == [1, 2]
    notes = " ".join(render(best, best.records(False)).notes)
    assert (
        "4 of 4 configurations ended, 1 failed; best is wide 1 (model.generator.optimizer.lr="
        in notes
    )
    assert "the best on the test images reported is repeated over new seeds" in notes
    assert '"scores": [\n    5.0,' in to_json(table)


def test_a_search_that_failed_throughout_has_no_best(outputs):
    plan = make_plan(SPEC)
    for run in plan.searched:
        put_score(run, None, "failed")
    assert plan.with_best(plan.records(False)).runs == ()
    table = join(plan, plan.records(False))
    assert table.cells["NS GAN", "FD"].statistics.text(1) == "–"
    assert table.searches["NS GAN", "fashion_mnist_small"].curves == {}
