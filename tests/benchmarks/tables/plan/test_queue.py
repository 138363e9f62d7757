"""The order of a queue, by hand."""

import json
from dataclasses import replace

from benchmarks.tables.plan.planned_run import PlannedRun
from benchmarks.tables.plan.queue import in_order
from benchmarks.tables.spec import Row

HOUR = 3600.0
RATES = {("cheap", "d"): HOUR, ("long", "d"): 3 * HOUR, ("mid", "d"): 1.5 * HOUR}


def run(experiment, seed, images_seen=1, table="t"):
    row = Row(experiment, experiment=experiment)
    return PlannedRun(row, "d", seed, experiment, f"i-s{seed}", (), images_seen, table=table)


def order(missing, judging):
    return [(q.planned.experiment, q.planned.seed) for q in in_order(missing, judging, RATES)]


def test_verdicts_come_first_then_short_runs_then_the_cell_that_is_done_soonest(outputs):
    cheap = [run("cheap", s) for s in range(3)]  # three hours for the cell
    mid, long, unknown = run("mid", 0), run("long", 0), run("unknown", 0)
    images = run("images", 0, images_seen=0)
    everyone = [unknown, long, *reversed(cheap), mid, images]
    expected = [("images", 0), ("mid", 0), *(("cheap", s) for s in range(3)), ("long", 0)]
    assert order(everyone, set(everyone)) == [*expected, ("unknown", 0)]
    assert order(everyone, {long}) == [
        ("long", 0),
        *(e for e in expected if e != ("long", 0)),
        ("unknown", 0),
    ]


def test_a_run_of_two_tables_stands_once_and_judges_if_one_of_them_does(outputs):
    one, other = run("cheap", 0), run("cheap", 0, table="u")
    (found,) = in_order([one, other], {other}, RATES)
    assert found.judges
    assert found.planned.table == "u"
    assert found.text == "u: cheap d s0, 1.00 device-hours, for a verdict"


def test_another_data_set_of_the_experiment_tells_the_cost(outputs):
    elsewhere = replace(run("cheap", 0), dataset="e")
    (found,) = in_order([elsewhere], (), {**RATES, ("cheap", "f"): 2 * HOUR})
    assert found.hours == 2


def test_what_is_left_of_a_run_counts(outputs):
    begun, fresh = run("long", 0), replace(run("mid", 0), images_seen=2)
    begun.run.folder.mkdir(parents=True)
    values = {"images_seen": 3, "budget_images": 4, "seconds_left": None}
    begun.run.progress_path.write_text(json.dumps(values))
    first, second = in_order([fresh, begun], {fresh, begun}, RATES)
    assert (first.planned, first.hours) == (begun, 0.75)
    assert second.hours == 3
