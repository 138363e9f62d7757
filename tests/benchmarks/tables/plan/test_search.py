"""Search spaces, the plan of a search, and its curves."""

import dataclasses

import pytest

from benchmarks.config.catalogue import names
from benchmarks.config.compose import compose, with_values
from benchmarks.config.identity import run_id
from benchmarks.core.errors import UserError
from benchmarks.tables.analysis.cells import join
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.search import configuration, load_space
from benchmarks.tables.rendering.render import render
from benchmarks.tables.spec import Row, Search, load_spec
from tests.benchmarks.tables.searched import COLUMN, ROW, SPEC, put_score


@pytest.mark.parametrize("name", names("search"))
def test_every_space_draws_within_its_bounds(name):
    space = load_space(name)
    drawn = [configuration(space, 0, i) for i in range(50)]
    for keys, rule in space.items():
        first, *others = [k.strip() for k in keys.split(",")]
        for values in drawn:
            assert all(values[k] == values[first] for k in others)  # they share one draw
            if isinstance(rule, dict) and "choice" not in rule:
                low, high = next(iter(rule.values()))
                assert low <= values[first] <= high
    assert drawn[7] == configuration(space, 0, 7)
    assert len({str(d) for d in drawn}) == 50
    assert drawn[7] != configuration(space, 1, 7)


@pytest.mark.parametrize("name", names("search"))
def test_every_space_fits_the_experiments_it_is_for(name):
    """The ids of the plan are those that `train` gives."""
    kind = name.split("_")[-1]
    experiments = {
        "gan": ["lucic2018/mm_gan", "lucic2018/ns_gan", "lucic2018/lsgan"],
        "penalty": ["lucic2018/wgan_gp", "lucic2018/dragan"],
    }.get(kind, [f"lucic2018_{kind}"])
    for experiment in experiments:
        row = Row("r", experiment=experiment, search={"wide": name})
        spec = dataclasses.replace(SPEC, rows=(row,), search=Search({"wide": 3}, 5))
        *_, last = make_plan(spec).searched
        cfg = compose([f"experiment={experiment}", f"datamodule={COLUMN.dataset}"]).cfg
        assert run_id(with_values(cfg, dict(last.values))) == last.run_id
        overrides = last.command([])[2:]
        assert run_id(compose([o for o in overrides if "protocols" not in o]).cfg) == last.run_id


def test_spaces_are_those_of_the_published_code():
    """compare_gan's parameters, by the names of ours: range, scale, and whether it is a choice."""
    wide, narrow = {"log_uniform": [1e-5, 1e-2]}, {"log_uniform": [1e-4, 1e-3]}
    either = {"choice": [True, False]}

    def space(name):
        found = {}
        for keys, rule in load_space(f"lucic2018_{name}").items():
            found |= {key.strip(): rule for key in keys.split(",")}
        return found

    for kind in ("gan", "wgan", "penalty", "began", "vae"):
        place, norm = ("", "encoder")
        if kind != "vae":
            place, norm = "discriminator.", "discriminator.network"
        for phase, rates in (("wide", wide), ("narrow", narrow)):
            found = space(f"{phase}_{kind}")
            betas = [{"uniform": [0.0, 1.0]}, 0.999] if phase == "wide" else [0.5, 0.999]
            assert found[f"model.{place}optimizer.lr"] == rates
            assert found[f"model.{place}optimizer.betas"] == betas
            fixed = (phase, kind) == ("narrow", "penalty")
            assert found[f"model.{norm}.batch_norm"] == (False if fixed else either)
            if kind != "vae":  # there it has no effect
                expected = {"choice": [1, 5]} if phase == "wide" else 1
                assert found["model.n_critic"] == expected
    assert space("wide_wgan")["model.discriminator.weight_clip"] == {"log_uniform": [1e-3, 1.0]}
    assert space("narrow_wgan")["model.discriminator.weight_clip"] == {"log_uniform": [1e-2, 1.0]}
    assert space("wide_penalty")["model.penalty.weight"] == {"log_uniform": [0.1, 100.0]}
    assert space("narrow_penalty")["model.penalty.weight"] == {"log_uniform": [0.1, 10.0]}
    assert space("wide_began")["model.k_rate"] == {"log_uniform": [1e-4, 1e-2]}
    assert space("narrow_began")["model.k_rate"] == 0.001
    assert space("wide_began")["model.balance"] == {"uniform": [0.0, 1.0]}
    assert space("narrow_began")["model.balance"] == {"uniform": [0.6, 0.9]}


def test_each_phase_that_is_named_begins_with_the_experiment_as_it_stands():
    """As in the published code, whose every phase includes the authors' defaults."""
    row = dataclasses.replace(ROW, search=dict.fromkeys(("wide", "more"), "lucic2018_wide_gan"))
    counts = {"wide": 2, "more": 2}
    for named, expected in ((None, ["wide"]), (["more"], ["more"]), (["wide", "more"], [*counts])):
        search = Search(counts, 0, defaults_in=named)
        plan = make_plan(dataclasses.replace(SPEC, rows=(row,), search=search))
        assert [r.phase for r in plan.searched if r.values == ()] == expected
    assert load_spec("lucic2018_search").search.defaults_in == ["wide", "narrow"]
    with pytest.raises(ValueError, match=r"defaults_in must be of wide, more, got \['x'\]"):
        Search(counts, 0, defaults_in=["x"])


def test_a_longer_search_begins_with_a_shorter_one():
    short, long = (make_plan(SPEC, configurations=n).searched for n in (3, 6))
    assert [r.run_id for r in long[:3]] == [r.run_id for r in short]
    assert len({r.run_id for r in long}) == 6
    assert short[0].values == ()  # the experiment as it stands


def test_phases_draw_differently():
    row = dataclasses.replace(
        ROW, search={"wide": "lucic2018_wide_gan", "more": ROW.search["wide"]}
    )
    spec = dataclasses.replace(SPEC, rows=(row,), search=Search({"wide": 2, "more": 2}, 0))
    searched = make_plan(spec).searched
    assert len({r.run_id for r in searched}) == 4
    assert [r.phase for r in searched] == ["wide", "wide", "more", "more"]


def test_a_search_that_goes_on_has_no_curve_yet(outputs):
    plan = make_plan(SPEC)
    put_score(plan.searched[0], 5.0)
    put_score(plan.searched[1], 4.0)
    (found,) = join(plan, plan.records(False)).searches.values()
    assert (found.scores, found.total, found.curves, found.best) == ((5.0, 4.0), 4, {}, None)


def test_a_search_by_a_protocol_that_the_row_has_not(outputs):
    column = dataclasses.replace(COLUMN, protocol="panel_lenet_2k_test2k")
    with pytest.raises(UserError, match="is not scored under panel_lenet_2k_test2k"):
        make_plan(dataclasses.replace(SPEC, columns=(column,)))


def test_the_biased_curve_is_drawn_only_if_asked_and_named(outputs):
    spec = dataclasses.replace(SPEC, search=Search({"wide": 4}, 0, biased_curve=True))
    plan = make_plan(spec)
    for run, value in zip(plan.searched, (5.0, 3.0, 4.0, 6.0), strict=True):
        put_score(run, value)
    (found,) = join(plan, plan.records(False)).searches.values()
    assert found.biased["wide"][1].median > found.curves["wide"][1].median
    notes = " ".join(render(plan, plan.records(False)).notes)
    assert "with replacement, which is biased to the worse: 1: " in notes
    assert "biased" not in " ".join(render(make_plan(SPEC), plan.records(False)).notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: {gauss: [0, 1]}",
            "must have one of uniform, log_uniform, integer, choice, got gauss",
        ),
        ("a: {uniform: [1, 0]}", r"uniform must be \[low, high\], ascending, got \[1, 0\]"),
        ("a: {log_uniform: [0, 1]}", "log_uniform must be"),
        ("a: [{uniform: [1]}, 2]", "uniform must be"),
        ("a: {choice: []}", "choice must be a list, got"),
        ("- a", "must map keys to values or ranges"),
    ],
)
def test_wrong_spaces(own_configs, text, message):
    (own_configs / "search").mkdir()
    (own_configs / "search" / "s.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load_space("s")


def test_unknown_names_and_counts():
    with pytest.raises(UserError, match="search 'lucic' does not exist"):
        load_space("lucic")
    row = dataclasses.replace(ROW, search={"wide": "lucic2018_wide_wgan"})
    row = dataclasses.replace(row, experiment="lucic2018/vae_quick")
    with pytest.raises(UserError, match="generator"):
        make_plan(dataclasses.replace(SPEC, rows=(row,)))
    with pytest.raises(UserError, match="configurations must be >= 1, got 0"):
        make_plan(SPEC, configurations=0)
    plain = dataclasses.replace(SPEC, rows=(dataclasses.replace(ROW, search=None),), search=None)
    with pytest.raises(UserError, match="table t has no search, so no configurations"):
        make_plan(plain, configurations=2)
