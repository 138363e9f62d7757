"""What a table asks of those who do its runs, and that all of them can be asked for it."""

import inspect

import pytest

from benchmarks.core.errors import UserError
from benchmarks.execution.local import LocalExecutor
from benchmarks.execution.slurm.submit import ClusterExecutor
from benchmarks.tables.executor import Executor
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.run import run_table
from tests.benchmarks.tables.helpers import Puts, put


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch):
    monkeypatch.setattr("benchmarks.tables.run.write_figures", lambda table, folder: [])


@pytest.mark.parametrize("cls", [LocalExecutor, ClusterExecutor, Puts])
def test_every_executor_can_be_asked_for_all(cls):
    asked = [name for name in vars(Executor) if not name.startswith("_")]
    assert sorted(asked) == ["at_work", "closing", "describe", "prepare", "run"]
    for name in asked:
        wanted, found = (
            list(inspect.signature(getattr(c, name)).parameters) for c in (Executor, cls)
        )
        assert found == wanted


def test_a_table_asks_in_order_and_only_for_what_is_missing(mini, capsys):
    put(mini.runs[0])
    executor = Puts(A=1.0, B=4.0)
    assert run_table(mini.spec, [], Choice(seeds=2), executor) == 0
    assert executor.asked == [
        ("prepare", False),
        ("run", ["A digits s1", "B digits s0", "B digits s1"]),
        ("at_work",),
        ("closing",),
    ]
    said = capsys.readouterr().out
    assert "4 runs, 1 of them done" in said
    assert "4.00 ± 0.00" in said
    assert said.endswith("\nsaid last\n")
    again = Puts()
    assert run_table(mini.spec, [], Choice(seeds=2, published=True), again) == 0
    assert again.asked == [("prepare", True), ("at_work",), ("closing",)]


def test_a_dry_run_prepares_and_does_nothing(mini, outputs, capsys):
    executor = Puts()
    assert run_table(mini.spec, [], Choice(seeds=1), executor, dry_run=True) == 0
    assert executor.asked == [("describe", ["A digits s0", "B digits s0"])]
    assert capsys.readouterr().out.endswith("\nas this executor says\n")
    assert not outputs.exists()


def test_what_runs_have_cost_is_handed_on(mini):
    """3 seconds for 640 images."""
    a0 = mini.runs[0]
    put(a0)
    executor = Puts(A=1.0, B=1.0)
    run_table(mini.spec, [], Choice(seeds=2), executor)
    assert executor.rates == {(a0.experiment, a0.dataset): pytest.approx(3 / 640)}


def test_runs_without_result_are_told_last_and_tried_once(mini, capsys):
    executor = Puts(A=1.0, B=None)
    assert run_table(mini.spec, [], Choice(seeds=2, retry=("failed",)), executor) == 1
    assert [what for what, *_ in executor.asked].count("run") == 1
    assert capsys.readouterr().err == (
        "dgmbench: B digits s0 failed\ndgmbench: B digits s1 failed\n"
    )


def test_runs_that_go_on_are_not_told_as_failed(mini, capsys):
    """Such as those of jobs: what their records say is not the last word."""

    class GoesOn(Puts):
        def at_work(self):
            return {run.key for run in mini.runs if run.row.label == "B"}

    assert run_table(mini.spec, [], Choice(seeds=2), GoesOn(A=1.0, B=None)) == 1
    shown = capsys.readouterr().out
    assert "B digits s0: failed: why." not in shown
    assert run_table(mini.spec, [], Choice(seeds=2), Puts()) == 1
    assert "B digits s0: failed: why." in capsys.readouterr().out


def test_nothing_is_asked_where_a_name_is_wrong(mini):
    executor = Puts()
    with pytest.raises(UserError, match="rows must be of table mini, got 'D'"):
        run_table(mini.spec, [], Choice(rows=("D",)), executor)
    assert executor.asked == []
