"""Tables that several folders test with."""

import dataclasses

import pytest

from benchmarks.tables.plan import plan as plans
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.spec import load_spec
from tests.benchmarks.tables.helpers import MINI, write_mini


@pytest.fixture
def mini(own_configs, outputs):
    """A table `mini` of its own, in a working space of its own."""
    write_mini(MINI)
    return make_plan(load_spec("mini"), 2)


@pytest.fixture
def selecting(mini, monkeypatch, request):
    """The first run of `mini` with three snapshots, scored under the column and a selector."""
    selected_by = request.param
    text = MINI.replace("note: A note.", "selection: test_as_in_paper\nnote: A note.")
    if selected_by:
        text = text.replace("test_as_in_paper", f"validation\nselected_by: {selected_by}")
    write_mini(text)
    compose_ = plans.compose_for

    def with_snapshots(*overrides):
        composed = compose_(*overrides)
        if composed is None:
            return None
        composed.cfg.snapshot_every_images = 30_000 if composed.cfg.images_seen else None
        return composed

    monkeypatch.setattr(plans, "compose_for", with_snapshots)
    plans._compose.cache_clear()
    spec = load_spec("mini")
    rows = tuple(r for r in spec.rows if r.label == "A")  # B is not trained: it has no snapshots
    plan = make_plan(dataclasses.replace(spec, rows=rows), 2)
    yield plan
    plans._compose.cache_clear()
