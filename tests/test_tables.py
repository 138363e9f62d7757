"""Every table's specification resolves, and a cell says what happened."""

import csv
import dataclasses
import io
import json
import re

import pytest

from benchmarks.__main__ import main
from benchmarks.config.catalogue import catalogue, names
from benchmarks.core.errors import UserError
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.analysis.cells import join
from benchmarks.tables.plan import plan as plans
from benchmarks.tables.plan.choice import Choice
from benchmarks.tables.plan.plan import check_passed_on, make_plan
from benchmarks.tables.plan.planned_run import fingerprint_of
from benchmarks.tables.publish import publish
from benchmarks.tables.rendering.formats import to_csv, to_json, to_latex, to_markdown, to_terminal
from benchmarks.tables.rendering.metric_names import check_metrics
from benchmarks.tables.rendering.render import render, rendered
from benchmarks.tables.spec import load_published, load_spec, table_names
from benchmarks.training.train import train
from lit_models.training.checkpoint_files import find_snapshots
from tests.helpers import tiny_run

MINI = """
title: "Mini | table"
note: A note.
seeds: 2
columns:
  - label: bits
    dataset: digits
    protocol: bits_per_dim_test
    metric: bits_per_dim
    better: lower
    digits: 2
rows:
  - {label: A, experiment: oord2016_pixelcnn_quick}
  - {label: B, experiment: untrained_pixelcnn_quick, note: of B}
  - {label: C, experiment: lucic2018_vae_quick}
"""


def write_mini(text):
    """Write the specification of the table `mini`."""
    (catalogue().own[0] / "table" / "mini.yaml").write_text(text)


@pytest.fixture
def mini(own_configs, outputs):
    """A table `mini` of its own, in a working space of its own."""
    write_mini(MINI)
    return make_plan(load_spec("mini"), 2)


def put(planned, value=1.5, status="finished", fingerprint=None, attributes=None, **settings):
    """Write a record where a planned run belongs."""
    evaluation = Evaluation(
        planned.protocols[0],
        fingerprint or planned.fingerprints[0],
        "last",
        "raw",
        64,
        {"bits_per_dim": value},
        attributes or {"likelihood": "exact"},
    )
    record = Record(
        planned.experiment,
        planned.dataset,
        planned.run_id,
        planned.seed,
        status,
        evaluations=[evaluation] if status == "finished" else [],
        reason=None if status == "finished" else "why",
        counters={"images_seen": 640},
        cost={
            "seconds": 3.0,
            "device": "CPU",
            "processes": 1,
            "threads": 1,
            "images_per_second": 20.0,
            "peak_memory_bytes": 2_000_000_000,
        },
        **settings,
    )
    record.write(planned.run.record_path)
    return record


def cells(plan, published=False):
    table = render(plan, plan.records(published))
    return {line[0]: line[1:] for line in table.lines}


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


@pytest.mark.parametrize("name", table_names())
def test_every_column_has_a_metric_of_its_protocol(name):
    check_metrics(load_spec(name))


def test_a_metric_that_a_protocol_has_not_is_one_line(mini):
    write_mini(MINI.replace("metric: bits_per_dim", "metric: bits"))
    with pytest.raises(UserError, match="bits_per_dim_test has no metric 'bits'; did you mean"):
        check_metrics(load_spec("mini"))


def test_every_published_number_has_mark_and_spread():
    for source in load_published().values():
        assert "over" in source["spread"]
        for row in source["rows"].values():
            for entry in row.values():
                assert entry["mark"] in ("S", "M")
                assert entry["value"] > 0


def test_rows_not_for_a_data_set_are_a_dash(mini):
    assert cells(mini)["C"][0] == "–"
    assert [r.row.label for r in mini.runs] == ["A", "A", "B", "B"]


def test_mean_deviation_n_and_cost(mini):
    a0, a1, b0, _ = mini.runs
    put(a0, 1.0)
    put(a1, 2.0)
    put(b0, 4.0)
    found = cells(mini)
    assert found["A"] == ("1.50 ± 0.71", "2", "0", "640", "0.001", "20", "2.0")
    assert found["B"] == ("4.00", "1", "0", "640", "0.001", "20", "2.0")


def test_a_diverged_run_keeps_its_row_with_its_reason(mini):
    a0, a1, b0, b1 = mini.runs
    put(a0, 1.0)
    put(a1, status="diverged")
    put(b0, status="diverged")
    put(b1, status="diverged")
    found = cells(mini)
    assert found["A"][:3] == ("1.00 (1 failed)", "1", "1")
    assert found["B"][:3] == ("failed", "0", "2")
    notes = render(mini, mini.records(False)).notes
    assert "A digits s1: diverged: why." in notes


def test_a_score_that_is_not_finite_is_a_failure(mini):
    put(mini.runs[0], None)
    assert cells(mini)["A"][:3] == ("failed", "0", "1")


def test_mixed_fingerprints_are_refused_and_both_shown(mini):
    put(mini.runs[0], fingerprint="0123456789abcdef")
    wanted = mini.runs[0].fingerprints[0][:12]
    with pytest.raises(UserError, match=f"mixes protocols .*{wanted} wanted, 0123456789ab in"):
        render(mini, mini.records(False))


def test_a_column_holds_one_kind_of_likelihood(mini):
    put(mini.runs[0])
    conditional = {"likelihood": "exact", "given": "label"}
    put(mini.runs[2], attributes=conditional)
    with pytest.raises(UserError, match=r"'bits' mixes p\(x\) \(A\), p\(x\) given label \(B\)"):
        render(mini, mini.records(False))


def test_what_is_left_to_do(mini):
    a0, a1, b0, b1 = mini.runs
    put(a0)
    put(a1, status="diverged")
    put(b0, status="failed")
    put(b1, status="interrupted")
    records = mini.records(False)
    done = [r.is_done(records.get(r.key)) for r in mini.runs]
    assert done == [True, True, True, False]
    again = [r.is_done(records.get(r.key), ("failed",)) for r in mini.runs]
    assert again == [True, True, False, False]
    assert not mini.runs[1].is_done(records[a1.key], ("diverged",))


def test_formats(mini):
    put(mini.runs[0], 1.0, deviations=["a <b>"])
    table = render(mini, mini.records(False))
    rows = list(csv.reader(io.StringIO(to_csv(table))))
    costs = ["images seen", "device-hours", "images/s", "memory (GB)"]
    assert rows[0] == ["method", "bits ↓", "n", "failures", *costs]
    assert rows[1][:2] == ["A", "1.00"]
    markdown = to_markdown(table)
    body = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(body) == 2 + 3
    assert {line.count("|") for line in body} == {9}
    assert re.search(
        r"bits: `bits_per_dim` of protocol `bits_per_dim_test` \([0-9a-f]{12}\)", markdown
    )
    assert "likelihood exact" in markdown
    assert "B: of B" in markdown
    assert "A deviates from the paper: a <b>" in markdown
    lines = to_terminal(table).splitlines()
    assert len({len(line) for line in lines[2:7]}) == 1


def test_only_overrides_that_do_not_change_the_runs_pass():
    spec = load_spec("quick")
    check_passed_on(spec, ["trainer=ddp_cpu", "trainer.devices=2", "logger=wandb", "threads=1"])
    for override in ("seed=1", "images_seen=5", "model.n_critic=2", "trainers=x"):
        with pytest.raises(UserError, match="overrides of trainer, logger, threads, "):
            check_passed_on(spec, [override])
    for override in ("trainer=nope", "logger.entityy=3", "threads=0"):
        with pytest.raises(UserError):
            check_passed_on(spec, [override])


def test_commands_name_the_planned_run(mini):
    command = mini.runs[1].command(["trainer=cpu"])
    assert command == [
        "train",
        "--no-bar",
        "experiment=oord2016/pixelcnn_quick",
        "datamodule=digits",
        "seed=1",
        "protocols=[bits_per_dim_test]",
        "trainer=cpu",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINI.replace("seeds: 2", "seedz: 2"), "unknown key seedz; did you mean seeds"),
        (
            MINI.replace("better: lower", "better: low"),
            "better must be lower or higher, got 'low'",
        ),
        (MINI.replace("{label: C,", "{label: C, images: test,"), "either experiment or images"),
        (MINI.replace("metric: bits", "metrik: bits"), "unknown key metrik; did you mean metric"),
        (MINI.replace("label: B", "label: A"), "row 'A' stands twice"),
        (
            MINI + "  - {label: D, images: test}\n  - {label: E, images: test}\n",
            "rows 'D' and 'E' must differ in their images, got test twice",
        ),
        (MINI.replace("seeds: 2", "seeds: 0"), "seeds must be an integer >= 1, got 0"),
        (
            MINI.replace("note: of B", "search: {wide: x}"),
            r"search of row 'B' must be by the table's phases \(no search\), got wide",
        ),
        (MINI + "search: {phases: {wide: 0}, seed: 0}", "phases.wide must be an integer >= 1"),
    ],
)
def test_a_wrong_specification_is_one_line(mini, text, message):
    write_mini(text)
    with pytest.raises(UserError, match=message):
        load_spec("mini")


def test_unknown_table():
    with pytest.raises(UserError, match="table 'quik' does not exist; did you mean quick"):
        load_spec("quik")


def test_a_trained_run_without_a_score_is_missing_not_failed(mini):
    record = put(mini.runs[0])
    record.evaluations = []
    record.write(mini.runs[0].run.record_path)
    assert cells(mini)["A"][:3] == ("–", "0", "0")


def test_the_rows_weights_are_shown_and_others_are_not(mini):
    planned = mini.runs[0]
    record = put(planned, 1.0)
    metrics = {"bits_per_dim": 9.0}
    ema = Evaluation(planned.protocols[0], planned.fingerprints[0], "last", "ema", 64, metrics)
    record.evaluations = [ema, *record.evaluations]
    record.write(planned.run.record_path)
    assert cells(mini)["A"][0] == "1.00"
    shown = dataclasses.replace(planned, weights="ema")
    plan = dataclasses.replace(mini, runs=(shown, *mini.runs[1:]))
    table = render(plan, plan.records(False))
    assert table.lines[0][1] == "9.00"
    assert any("weights ema" in note for note in table.notes)


# -- selection among snapshots -------------------------------------------------------------------


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


def score(planned, record, checkpoint, value, protocol="bits_per_dim_test"):
    print_ = fingerprint_of(protocol)
    metrics = {"bits_per_dim": value}
    record.add(Evaluation(protocol, print_, checkpoint, "raw", int(checkpoint), metrics))
    record.write(planned.run.record_path)


@pytest.mark.parametrize("selecting", [None], indirect=True)
def test_the_best_snapshot_on_test_as_in_the_paper(selecting):
    planned = selecting.runs[0]
    first, second, third = map(str, planned.snapshots)
    assert "snapshot_protocols=[bits_per_dim_test]" in planned.command([])
    record = put(planned, 1.0)  # the last checkpoint is better, and is not shown
    for checkpoint, value in ((first, 4.0), (second, 2.0), ("640", 0.5)):  # 640: by hand
        score(planned, record, checkpoint, value)
    assert not planned.is_done(record)
    assert cells(selecting)["A"][0] == "–"  # one snapshot is not scored yet
    score(planned, record, third, 3.0)
    assert planned.is_done(record)
    assert cells(selecting)["A"][0] == "2.00"
    table = render(selecting, selecting.records(False))
    assert any("best on the very test images" in note for note in table.notes)


@pytest.mark.parametrize("selecting", ["fid_10k_validation10k"], indirect=True)
def test_the_best_snapshot_on_validation(selecting):
    planned = selecting.runs[0]
    record = put(planned, 9.0)
    first, second, third = map(str, planned.snapshots)
    for checkpoint, value, selector in ((first, 4.0, 3.0), (second, 2.0, 5.0), (third, 7.0, None)):
        score(planned, record, checkpoint, value)
        score(planned, record, checkpoint, selector, planned.selected_by)
    assert planned.is_done(record)
    assert cells(selecting)["A"][0] == "4.00"
    table = render(selecting, selecting.records(False))
    assert any(
        "best on validation images, by `fid_10k_validation10k" in note for note in table.notes
    )


def test_selection_needs_snapshots_and_a_known_name(mini):
    text = MINI.replace("note: A note.", "selection: test_as_in_paper\nnote: A note.")
    write_mini(text)
    with pytest.raises(UserError, match="selection test_as_in_paper needs snapshots, and snapsh"):
        make_plan(load_spec("mini"), 1)
    for wrong, message in (
        ("best", "selection must be one of none, validation, test_as_in_paper, got 'best'"),
        ("validation", "selected_by must be given for selection validation, and only then"),
    ):
        write_mini(text.replace("test_as_in_paper", wrong))
        with pytest.raises(UserError, match=message):
            load_spec("mini")


@pytest.mark.parametrize("selecting", [None], indirect=True)
def test_a_run_whose_snapshots_are_all_bad_is_a_failure(selecting):
    planned = selecting.runs[0]
    record = put(planned, 1.0)
    for checkpoint in map(str, planned.snapshots):
        score(planned, record, checkpoint, None)
    assert cells(selecting)["A"][:3] == ("failed", "0", "1")


def test_planned_snapshots_are_those_a_run_keeps(outputs):
    """Steps of 40 images, every 100: the first step at or past each, within whole steps."""
    composed = tiny_run("lucic2018_wgan_gp_quick", ["snapshot_every_images=100"], steps=9)
    composed.cfg.images_seen = 399  # 360 in whole steps
    train(composed, bar=False)
    planned = plans._snapshots(load_spec("quick"), composed.cfg, composed.experiment)
    assert list(planned) == find_snapshots(Run.of(composed).checkpoints) == [120, 200, 320]


def test_a_selector_must_look_at_validation_images(mini):
    text = MINI.replace("note: A", "selection: validation\nselected_by: NAME\nnote: A")
    for name, message in (
        ("fid_10k_test10k", "must be a protocol on the validation split, got fid_10k_test10k on"),
        ("fid", "protocol 'fid' does not exist"),
    ):
        write_mini(text.replace("NAME", name))
        with pytest.raises(UserError, match=message):
            make_plan(load_spec("mini"), 1)


def test_the_last_checkpoint_is_stated(mini):
    notes = render(mini, {}).notes
    assert "Selection: none; the last checkpoint of each run is scored." in notes


# -- publish -------------------------------------------------------------------------------------


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


# -- data that are not here ----------------------------------------------------------------------


def test_runs_whose_data_or_weights_are_absent_are_left_out(
    outputs, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv("DGMBENCH_DATA", str(tmp_path / "data"))
    assert main(["table", "lucic2018_table2", "--seeds", "1"]) == 0
    shown = capsys.readouterr().out
    for name in ("mnist", "fashion_mnist", "cifar10"):
        assert f"left out: data set {name} is missing: dgmbench prefetch {name}" in shown
    assert "| MM GAN |" not in shown
    assert re.search(r"MM GAN +– +9.8 ± 0.9 +– +29.6 ± 1.6 +– +72.7 ± 3.6", shown)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mnist.npz").touch()
    run = make_plan(load_spec("lucic2018_table2"), 1).runs[0]
    assert run.lacks().startswith(
        "weights inception-2015-12-05.pth are missing: dgmbench prefetch inception_2015"
    )


def test_a_dry_run_prints_runs_and_cost(mini, capsys):
    put(mini.runs[0])
    assert main(["table", "mini", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "A digits s1: oord2016_pixelcnn_quick/digits/" in shown
    assert "A digits s0" not in shown
    assert "B digits s0: untrained_pixelcnn_quick" in shown
    # 3 seconds for 640 images, so 469 for 100,000
    assert "3 runs, 0.13 device-hours of training\n" in shown
    assert "disk: " in shown
    assert not mini.runs[1].run.folder.exists()


def test_rows_and_columns_choose_runs(mini, capsys):
    assert main(["table", "mini", "--dry-run", "--rows", "B", "--columns", "bits"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("untrained_pixelcnn_quick/digits/") == 2
    assert "oord2016" not in shown
    assert main(["table", "mini", "--dry-run", "--rows", "BB"]) == 2
    assert "rows must be of table mini, got 'BB'" in capsys.readouterr().err
    assert main(["table", "mini", "--retry", "lost"]) == 2
    assert "retry must be of failed, diverged, timeout, oom, got 'lost'" in capsys.readouterr().err


def test_failed_runs_are_done_again_only_when_asked(mini, capsys):
    for run in mini.runs:
        put(run, status="failed" if run.row.label == "B" else "finished")
    assert main(["table", "mini"]) == 1
    assert "2 run(s) failed before (B digits s0" in capsys.readouterr().err
    assert main(["table", "mini", "--retry", "failed", "--jobs", "2"]) == 0
    assert "4.1" in capsys.readouterr().out


def test_status_is_a_matrix_and_names_what_is_not_finished(mini, capsys):
    put(mini.runs[0])
    put(mini.runs[2], status="diverged")
    put(mini.runs[3], status="failed")
    assert main(["status", "mini"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^A +1/2 *$", shown, re.M)
    assert re.search(r"^B +0/2, 1 failed, 1 diverged *$", shown, re.M)
    assert re.search(r"^B digits s1 \[\S+\] +failed: why$", shown, re.M)


def test_rows_and_columns_are_chosen_alike(mini, capsys):
    for run in mini.runs:
        put(run, status="failed")
    assert main(["status", "mini", "--rows", "B", "--columns", "digits"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^B digits s1 .* failed: why$", shown, re.M)
    assert not re.search(r"^A ", shown, re.M)
    for run in mini.runs:
        put(run)
        run.run.checkpoints.mkdir()
        for name in ("64.ckpt", "128.ckpt"):
            (run.run.checkpoints / name).touch()
    assert main(["prune", "mini", "--rows", "A", "--seeds", "1", "--dry-run"]) == 0
    assert mini.runs[0].run_id in (shown := capsys.readouterr().out)
    assert "1 file(s)" in shown
    for verb in ("status", "sync", "prune", "cancel"):
        assert main([verb, "mini", "--rows", "D"]) == 2
        assert "rows must be of table mini, got 'D'" in capsys.readouterr().err
    assert main(["status", "--rows", "A"]) == 2
    assert "table must be given with" in capsys.readouterr().err


def test_columns_are_data_sets_or_labels(outputs):
    plan = make_plan(load_spec("mode_collapse_quick"), 1)
    by_name, by_label = Choice(columns=("gaussian_ring",)), Choice(columns=("Ring, modes",))
    found = {run.dataset for run in plan.all_runs}
    assert found == {"gaussian_ring", "gaussian_grid"}
    for choice in (by_name, by_label):
        assert choice.datasets(plan.spec) == ["gaussian_ring"]
        assert {run.dataset for run in choice.runs(plan)} == {"gaussian_ring"}
        assert len(choice.runs(plan)) == len(plan.all_runs) / 2


def test_prune_takes_what_a_doctor_left(mini, outputs, capsys):
    for name in ("doctor-1", "doctor-2"):
        (outputs / "slurm" / name).mkdir(parents=True)
        (outputs / "slurm" / name / "7_0_log.out").touch()
    (outputs / "slurm/doctor-1/report.json").touch()
    assert main(["prune", "mini"]) == 0
    assert "2 file(s)" in capsys.readouterr().out
    assert [p.name for p in (outputs / "slurm").iterdir()] == ["doctor-2"]  # at work, perhaps


def test_prune_keeps_what_is_needed(mini, capsys):
    record = put(mini.runs[0])
    folder = mini.runs[0].run.checkpoints
    folder.mkdir()
    for name in ("64.ckpt", "128.ckpt", "snapshot-64.pt"):
        (folder / name).write_bytes(b"x" * 1000)
    assert main(["prune", "mini", "--dry-run"]) == 0
    assert "1 file(s), 0.000 GB would be removed" in capsys.readouterr().out
    assert (folder / "64.ckpt").exists()
    with mini.runs[0].run.locked():  # a run at work keeps all
        assert main(["prune", "mini"]) == 0
    assert (folder / "64.ckpt").exists()
    assert main(["prune", "mini"]) == 0
    assert sorted(p.name for p in folder.iterdir()) == ["128.ckpt", "snapshot-64.pt"]
    record.status = "interrupted"
    record.write(mini.runs[0].run.record_path)
    (folder / "64.ckpt").write_bytes(b"x")
    assert main(["prune", "mini"]) == 0
    assert (folder / "64.ckpt").exists()


def test_latex_is_escaped_and_json_is_whole(mini):
    put(mini.runs[0], 1.0, deviations=["50 % of_it & more"])
    put(mini.runs[1], 2.0)
    table = join(mini, mini.records(False))
    text = to_latex(rendered(table))
    assert r"Mini | table" in text
    assert r"bits $\downarrow$" in text
    assert r"1.50 $\pm$ 0.71" in text
    assert all(line.startswith("%") for line in text.splitlines() if "of_it" in line)
    values = json.loads(to_json(table))
    (cell,) = [c for c in values["cells"] if c["row"] == "A"]
    assert cell["by_seed"] == {"0": 1.0, "1": 2.0}
    assert cell["interval"][0] < 1.5 < cell["interval"][1]
    (cost,) = values["costs"]
    assert (cost["row"], cost["dataset"]) == ("A", "digits")
    assert cost["device_hours"] == pytest.approx(3 / 3600)


def test_a_failed_run_that_was_scored_is_a_failure(mini):
    record = put(mini.runs[0], 1.0)
    record.status, record.reason = "failed", "the second protocol"
    record.write(mini.runs[0].run.record_path)
    assert cells(mini)["A"][:3] == ("failed", "0", "1")


def test_cells_of_fewer_runs_than_their_row_say_so(mini):
    other = dataclasses.replace(mini.spec.columns[0], label="other", protocol="nll_test_k100")
    plan = make_plan(dataclasses.replace(mini.spec, columns=(*mini.spec.columns, other)), 2)
    put(plan.runs[0], 1.0)
    record = put(plan.runs[1], 2.0)
    more = dataclasses.replace(
        record.evaluations[0],
        protocol="nll_test_k100",
        fingerprint=fingerprint_of("nll_test_k100"),
    )
    record.add(more)
    record.write(plan.runs[1].run.record_path)
    assert cells(plan)["A"][:4] == ("1.50 ± 0.71", "2.00 (n = 1)", "1–2", "0")


def test_a_diverged_run_is_done_again_when_asked(mini, capsys):
    for run in mini.runs:
        put(run, status="diverged" if run.key == mini.runs[2].key else "finished")
    assert main(["table", "mini"]) == 0
    capsys.readouterr()
    assert main(["table", "mini", "--retry", "diverged", "--jobs", "1"]) == 0
    assert mini.runs[2].run.record().status == "finished"
    assert (mini.runs[2].run.folder / "record.diverged.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINI.replace("digits: 2", "digits: two"), "digits must be an integer in 0 .. 9"),
        (MINI.replace("label: C", "label: 3"), "label must be a text, got 3"),
        (MINI.replace("    digits: 2", "    digits: 2\n    published: {source_id: x, column: y}"),
         "source_id 'x' does not exist"),
        (MINI + "search: {phases: [3], seed: 0}", "phases must map names to numbers"),
        (MINI + "search: {phases: {wide: 3}, seed: abc}", "seed must be an integer >= 0, got abc"),
        (MINI.replace("seeds: 2", "seeds: [2"), "own.yaml is no YAML: while parsing"),
        ("- 1", "must map keys to values"),
        ("title: x", "columns must be given"),
    ],
)  # fmt: skip
def test_mistakes_in_a_specification_of_ones_own(mini, tmp_path, text, message, capsys):
    (tmp_path / "own.yaml").write_text(text)
    assert main(["table", str(tmp_path / "own.yaml")]) == 2
    shown = capsys.readouterr().err
    assert re.search(message, shown)
    assert "Traceback" not in shown


def test_the_scale_of_a_published_table_is_kept(mini, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for run in make_plan(load_spec("mini"), 3).runs:
        put(run)
    publish("mini", seeds=3)
    publish("mini")  # as before
    assert len(list((tmp_path / "results/mini/records").glob("*.json"))) == 6
    assert "| 3 | 0 |" in (tmp_path / "results/mini/table.md").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINI.replace("dataset: digits", "dataset: digit"), "datamodule 'digit' does not exist"),
        (MINI.replace("bits_per_dim_test", "bits_test"), "protocol 'bits_test' does not exist"),
        (MINI.replace("metric: bits_per_dim", "metric: bits_per_dimm"), "did you mean bits_per"),
        (MINI.replace("bits_per_dim_test", "nll_test"), "no row is scored under nll_test on"),
        (MINI.replace("untrained_pixelcnn", "oord2016_pixelcnn"), "must differ in their experim"),
        (MINI.replace("note: A note.", ""), "note must be given for a table"),
        (MINI + "  - foo\n", "row must map keys to values, got 'foo'"),
    ],
)
def test_a_dry_run_refuses_what_a_run_refuses(mini, tmp_path, text, message, capsys):
    (tmp_path / "own.yaml").write_text(text)
    assert main(["table", str(tmp_path / "own.yaml"), "--dry-run"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
