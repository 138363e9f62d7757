"""`dgmbench doctor`: what is here, what is not, and what mends it."""

import shutil

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.core.paths import CONFIGS
from benchmarks.execution.doctor import Finding, print_findings, run_checks

FEW = ("digits", "gaussian_ring", "mnist", "stacked_mnist", "binarized_mnist_larochelle", "npz")


@pytest.fixture
def few(tmp_path, outputs, monkeypatch):
    """A suite of a few data sets and one protocol, and an empty folder of data."""
    configs, data = tmp_path / "configs", tmp_path / "data"
    for group, names in (("datamodule", FEW), ("protocol", ("fid_10k_test10k",))):
        (configs / group).mkdir(parents=True)
        for name in names:
            shutil.copy(CONFIGS / group / f"{name}.yaml", configs / group)
    shutil.copytree(CONFIGS / "extractor", configs / "extractor")
    monkeypatch.setattr("benchmarks.config.catalogue.CONFIGS", configs)
    monkeypatch.setattr("benchmarks.loggers.wandb_logger.has_key", lambda: False)
    monkeypatch.setenv("DGMBENCH_DATA", str(data))
    data.mkdir()
    return data


def findings():
    """Return what is found, by what it is about."""
    return {found.what: found for found in run_checks()}


def test_doctor_verifies_and_names_what_mends(outputs, capsys, monkeypatch, tmp_path):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "fashion_mnist_small" in shown
    assert "fingerprint verified" in shown
    assert "hash verified" in shown
    assert "!!" not in shown
    assert not (tmp_path / "outputs").exists()  # it leaves nothing behind

    monkeypatch.setattr(
        "benchmarks.evaluation.features.lenet.LeNetFashion.weights", tmp_path / "none"
    )
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DGMBENCH_OUTPUTS", str(tmp_path / "file/below"))
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "-> git checkout benchmarks/evaluation/features" in shown
    assert "-> set DGMBENCH_OUTPUTS to a writable folder" in shown


def test_findings_are_aligned_and_what_must_be_mended_is_marked(capsys):
    well = [Finding("data", "here"), Finding("temporary files", "writable")]
    assert print_findings(well) == 0
    assert capsys.readouterr().out == "ok  data             here\nok  temporary files  writable\n"
    assert print_findings([*well, Finding("x", "absent", "pip install x")]) == 1
    assert capsys.readouterr().out.splitlines()[2] == (
        "!!  x                absent  -> pip install x"
    )


def test_data_that_are_not_here_need_no_mending(few):
    """Nobody needs all of them; what fetches each is named, if anything does."""
    found = findings()
    assert not any(f.mend for f in found.values())
    assert found["data digits"].found == "1,500 examples, fingerprint verified"
    assert found["data gaussian_ring"].found == "50,000 examples, no pinned fingerprint"
    for name in ("mnist", "stacked_mnist"):  # the second is made from the first
        assert found[f"data {name}"].found == "not here (dgmbench prefetch mnist)"
    own = found["data binarized_mnist_larochelle"].found
    assert own.startswith("not here (data set binarized_mnist_larochelle is missing: put ")
    assert "data npz" not in found  # a form to fill in


def test_damaged_data_are_fetched_again(few):
    (few / "mnist.npz").write_bytes(b"PK cut")
    found = findings()["data mnist"]
    assert "mnist.npz is truncated or no npz file" in found.found
    assert found.mend == "dgmbench prefetch mnist"
    images, labels = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.int64)
    arrays = {f"{s}_images": images for s in ("train", "test")}
    arrays |= {f"{s}_labels": labels for s in ("train", "test")}
    np.savez(few / "mnist.npz", **arrays)  # of the right form, and yet not MNIST
    found = findings()["data mnist"]
    assert "fingerprint of mnist must be 1e35582d" in found.found
    assert found.mend == "dgmbench prefetch mnist"


def test_embedded_data_are_restored(few, tmp_path, monkeypatch):
    shutil.copy(
        CONFIGS / "datamodule" / "fashion_mnist_small.yaml", tmp_path / "configs" / "datamodule"
    )
    monkeypatch.setattr("datamodules.fashion_mnist_small.ASSET", few / "none.npz")
    found = findings()["data fashion_mnist_small"]
    assert "none.npz" in found.found
    assert found.mend == "git checkout datamodules/assets"


def test_weights_that_are_not_here_need_no_mending_either(few):
    found = findings()["weights of fid_10k_test10k"]
    assert "dgmbench prefetch inception_2015" in found.found
    assert found.mend == ""


def test_libraries_are_named_and_absent_ones_installed(few, monkeypatch):
    monkeypatch.setattr("benchmarks.core.environment.LIBRARIES", ("numpy", "no-such-library"))
    found = findings()
    assert found["numpy"] == Finding("numpy", np.__version__)
    assert found["no-such-library"].found == "absent"
    assert found["no-such-library"].mend.startswith("pip install ")
    assert found["dgmbench"].found.startswith("0.1.0, commit ")


@pytest.mark.parametrize(("key", "mode"), [(True, "online"), (False, "offline")])
def test_wandb_is_online_with_a_key(few, monkeypatch, key, mode):
    monkeypatch.setattr("benchmarks.loggers.wandb_logger.has_key", lambda: key)
    assert findings()["logger=wandb"].found.startswith(f"{mode} (")


def test_folders_that_were_there_stay(few, outputs, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    assert findings()["results"] == Finding("results", "writable: results")
    assert (tmp_path / "results").exists()
    assert not outputs.exists()
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    assert findings()["temporary files"].mend == "set TMPDIR to a writable folder"


def test_overrides_are_of_a_launcher(capsys):
    assert main(["doctor", "launcher.partition=gpu"]) == 2
    assert "--launcher NAME must be given with launcher.partition=gpu" in capsys.readouterr().err
