"""The command line as a user meets it: help at once, one line and code 2 for a mistake."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.core.environment import child_environment

ROOT = Path(__file__).parents[2]


def run(*arguments, cwd=ROOT, program=("-m", "benchmarks"), **environment):
    return subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def loads(heavy, arguments, **environment):
    """Call the command line in a fresh Python; exit code 1 names which modules it loaded."""
    code = (
        "import sys; from benchmarks.__main__ import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as e: code = e.code\n"
        "assert code == 0\n"
        f"heavy = {heavy} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["table", "--help"]])
def test_help_is_quick_and_imports_nothing_heavy(arguments):
    done = loads({"torch", "hydra", "lightning", "numpy", "pydantic"}, arguments)
    assert done.returncode == 0, done.stderr
    assert "usage: dgmbench" in done.stdout


TRAIN = ("train", "experiment=toy/ns_gan", "model.loss._target_=parts_found_here.MyLoss")


def script_and_folder(tmp_path):
    """Return the script, and a folder with a package where no run can be written."""
    script, here = tmp_path / "bin" / "dgmbench", tmp_path / "here"
    script.parent.mkdir()
    here.mkdir()
    # as pip writes it for [project.scripts]
    script.write_text("import sys\nfrom benchmarks.__main__ import main\nsys.exit(main())\n")
    (here / "parts_found_here.py").write_text("class MyLoss: pass\n")
    (here / "outputs").touch()  # no folder: the run is refused before anything is built
    return script, here


def test_the_script_finds_an_own_package_where_its_runs_find_it(tmp_path):
    """It plans the ids of runs that `python -m benchmarks` trains."""
    script, here = script_and_folder(tmp_path)
    by_script = run(*TRAIN, cwd=here, program=[str(script)])
    by_module = run(*TRAIN, cwd=here)
    assert "got outputs/toy_ns_gan/gaussian_ring/" in by_module.stderr
    assert by_script.stderr == by_module.stderr


def test_folders_called_as_packages_of_the_suite_are_not_taken_for_them(tmp_path, monkeypatch):
    """Neither by the script nor by the processes that it starts, which find own packages there."""
    script, here = script_and_folder(tmp_path)
    for name in ("benchmarks", "datamodules", "lit_models", "configs"):
        (here / name).mkdir()
        (here / name / "__init__.py").write_text("raise SystemExit('taken for the suite')")
    by_script = run(*TRAIN, cwd=here, program=[str(script)])
    assert "got outputs/toy_ns_gan/gaussian_ring/" in by_script.stderr
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [str(here), *sys.path])
    by_module = run(*TRAIN, cwd=here, **child_environment())
    assert by_module.stderr == by_script.stderr


def test_processes_leave_the_folder_out_where_this_one_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "/other")
    assert child_environment()["PYTHONPATH"] == os.pathsep.join([str(ROOT), "/other"])
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    places = [str(ROOT), str(tmp_path), "/other"]
    assert child_environment()["PYTHONPATH"] == os.pathsep.join(places)


@pytest.mark.parametrize("arguments", [["status"], ["list", "tables"]])
def test_looking_around_needs_no_torch(arguments, tmp_path):
    done = loads({"torch", "matplotlib"}, arguments, DGMBENCH_OUTPUTS=str(tmp_path))
    assert done.returncode == 0, done.stderr


QUICK = ("train", "experiment=lucic2018/ns_gan_quick")
MISTAKES = [
    (["train"], "experiment must be given"),
    (["train", "experiment=lucic2018_wgn"], "did you mean lucic2018/wgan"),
    (["train", "experiment=lucic2018/wgan", "model.n_critic=0"], "n_critic must be >= 1, got 0"),
    (["train", "experiment=lucic2018/wgan", "model.n_critik=1"], "model.n_critic"),
    (
        ["train", "experiment=lucic2018/wgan", "model.batch_size=10001"],
        "batch_size must be <= 10000",
    ),
    (["train", "experiment=lucic2018/wgan", "trainer.devices=x"], "trainer"),
    (["evaluate", "nowhere", "protocol=bits_per_dim_test"], "RUN must be a run's folder"),
    (["evaluate", "nowhere"], "protocol must be given"),
    (["evaluate", "x", "protocol=bits_per_dim"], "did you mean bits_per_dim_test"),
    (
        ["evaluate", "x", "protokol=y"],
        "protokol is no setting of this verb; did you mean protocol",
    ),
    (["evaluate", "images=train", "protocol=bits_per_dim_test"], "datamodule must be given"),
    (
        ["evaluate", "images=a", "against=b", "datamodule=digits"],
        "or datamodule, got both",
    ),
    (
        ["evaluate", "images=a", "against=nothing_here"],
        "must be a folder of images, or an npz, got",
    ),
    (["evaluate", "outputs/x", "against=b"], "against must be given with images=PATH only"),
    (
        [
            *("evaluate", "images=train", "datamodule=gaussian_ring"),
            "protocol=fd_lenet_2k_test2k",
        ],
        "this protocol needs images, and gaussian_ring holds vectors",
    ),
    ([*QUICK, "trainer=cpu", "trainer.devices=2"], "trainer.strategy must be ReplicatedStrategy"),
    ([*QUICK, "trainer=ddp_cpu", "trainer.devices=3"], "a multiple of the 3 processes, got 64"),
    (
        [*QUICK, "model.generator.optimizer.lr=abc"],
        "optimizer.lr must be a number, ",
    ),
    ([*QUICK, "model.generator.optimizer.lr=-1"], "model: an optimizer cannot be built: Invalid"),
    ([*QUICK, "model.generator.optimizer=null"], "model: an optimizer cannot be built: "),
    ([*QUICK, "precision=bf16"], "precision must be one of 32-true, "),
    ([*QUICK, "channels_last=maybe"], "channels_last must be true or false, got maybe"),
    ([*QUICK, "protocols=x"], "protocols must be a list of texts, got x"),
    ([*QUICK, "protocols=[manifold_1k_triangles]"], "needs data of a known manifold (triangles)"),
    ([*QUICK, "datamodule=celeba64"], "lucic2018/ns_gan_quick has no value for celeba64"),
    (["table", "quick", "--jobs", "0"], "jobs must be >= 1, got 0"),
    (["table", "quick", "--seeds", "0"], "seeds must be >= 1, got 0"),
    (["table", "quick", "--seeds", "1", "trainer=cpux"], "trainer 'cpux' does not exist"),
    (["table", "quick", "images_seen=1"], "trainer, logger, threads, "),
    (["table", "kwick"], "table 'kwick' does not exist; did you mean quick"),
    (["status", "kwick"], "table 'kwick' does not exist"),
    (["publish", "kwick"], "table 'kwick' does not exist"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda v: " ".join(v)[:50])
def test_mistakes_are_one_line_and_code_2(arguments, message, outputs, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dgmbench: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_no_traceback_from_the_real_command(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("train", "experiment=lucic2018/wgan", DGMBENCH_OUTPUTS=str(tmp_path / "file/below"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "outputs must be a writable folder (DGMBENCH_OUTPUTS)" in done.stderr


def test_a_truncated_npz_from_the_real_command(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 cut")
    done = run(
        "train",
        "experiment=lucic2018/vae",
        "datamodule=npz",
        "datamodule.name=mine",
        f"datamodule.path={tmp_path}/x.npz",
        "datamodule.image_shape=[1,28,28]",
        "datamodule.num_classes=10",
        "images_seen=640",
        DGMBENCH_OUTPUTS=str(tmp_path / "outputs"),
    )
    assert done.returncode == 2
    assert "x.npz is truncated or no npz file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_train_evaluate_status_in_one_space(tmp_path):
    """The verbs together, in another folder than the clone."""
    environment = {"DGMBENCH_OUTPUTS": str(tmp_path / "o"), "cwd": tmp_path}
    done = run(
        "train",
        "experiment=oord2016/pixelcnn_quick",
        "seed=3",
        "images_seen=640",
        "model.network.features=4",
        "model.network.head_features=4",
        **environment,
    )
    assert done.returncode == 0, done.stderr
    assert "finished: " in done.stdout
    assert "bits_per_dim_test [last, raw]: bits_per_dim" in done.stdout
    assert "640/640" in done.stderr.replace("img", "").replace(" ", "")
    (folder,) = (tmp_path / "o/oord2016_pixelcnn_quick/digits").iterdir()
    assert folder.name.endswith("-r1-s3")
    assert {p.name for p in folder.iterdir()} == {
        "record.json", "config.yaml", "checkpoints", "logs", "samples", "progress.json"
    }  # fmt: skip
    scored = run("evaluate", str(folder), "protocol=bits_per_dim_test", **environment)
    assert scored.returncode == 0, scored.stderr
    assert all(line in done.stdout for line in scored.stdout.splitlines())
    assert "finished, 2 evaluation(s)" in run("status", **environment).stdout


@pytest.mark.parametrize("rest", [["--jobz", "2"], ["x", "--jobz"]])
def test_unknown_options_are_refused(rest, capsys):
    with pytest.raises(SystemExit) as code:
        main(["table", "quick", *rest])
    assert code.value.code == 2
    assert "--jobz" in capsys.readouterr().err


@pytest.mark.slow
def test_help_takes_less_than_a_second():
    began = time.monotonic()
    assert run("--help").returncode == 0
    assert time.monotonic() - began < 1


@pytest.mark.slow
def test_two_processes_from_the_command_line(tmp_path):
    """trainer=ddp_cpu: one record, one W&B run, the score of one process."""
    scores = []
    two = ["trainer=ddp_cpu", "trainer.devices=2", "logger=wandb"]
    for name, extra in (("one", []), ("two", two)):
        done = run(
            "train",
            "experiment=oord2016/pixelcnn_quick",
            "images_seen=640",
            "precision=64-true",
            "model.network.features=4",
            "model.network.head_features=4",
            *extra,
            cwd=tmp_path,
            DGMBENCH_OUTPUTS=str(tmp_path / name),
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("finished: ") == 1
        scores.append(float(done.stdout.split("bits_per_dim ")[-1].split()[0]))
        (record,) = (tmp_path / name).glob("*/*/*/record.json")
        assert f'"processes": {1 if name == "one" else 2}' in record.read_text()
    assert len(list((tmp_path / "two").glob("*/*/*/logs/wandb/offline-run-*"))) == 1
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)  # as printed
