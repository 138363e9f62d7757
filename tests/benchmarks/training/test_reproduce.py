"""`dgmbench reproduce`: a run done again, and nothing that its record should not ask for."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.config.compose import compose
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from benchmarks.training import reproduce as module
from benchmarks.training.train import train


def test_reproduce(outputs, capsys, monkeypatch):
    overrides = ["images_seen=128", "protocols=[bits_per_dim_test]"]
    composed = compose(["experiment=oord2016/pixelcnn_quick", *overrides])
    train(composed, bar=False)
    path = Run.of(composed).record_path
    assert main(["reproduce", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "(the same, 1 pair(s)" in shown
    assert shown.strip().endswith("reproduced")

    changed = Record.from_json(path.read_text())
    changed.evaluations[0].metrics["bits_per_dim"] += 0.01
    changed.write(outputs / "changed.json")
    assert main(["reproduce", str(outputs / "changed.json")]) == 1
    assert "not reproduced" in capsys.readouterr().out

    other = Record.from_json(path.read_text())
    other.evaluations = [replace(other.evaluations[0], fingerprint="f" * 64)]
    other.write(outputs / "other.json")  # nothing in common is not the same
    assert main(["reproduce", str(outputs / "other.json")]) == 1
    assert "on one side only" in capsys.readouterr().out

    monkeypatch.setattr(module, "NOT_REPEATED", (*module.NOT_REPEATED, "images_seen"))
    assert main(["reproduce", str(path)]) == 2
    assert "must be of today's config" in capsys.readouterr().err


OPENS_A_PICKLE = [
    "model.loss._target_=numpy.load",
    "+model.loss.file={pickle}",
    "+model.loss.allow_pickle=true",
]


@pytest.mark.parametrize(
    "overrides",
    [
        OPENS_A_PICKLE,
        ["model.loss._target_=pathlib.Path.unlink", "+model.loss.self={victim}"],
        ["model.loss={{_target_:urllib.request.urlopen,url:'http://127.0.0.1:1'}}"],
        ["datamodule={{_target_:os.system,command:'touch {pickle}.ran'}}"],
        ["model.generator.optimizer._target_=hydra.utils.call"],
        ["+track.evil={{_target_:os.remove,path:{victim}}}"],
        ["hydra.searchpath=[file://{folder}]"],
        ["+hydra.run.dir={folder}"],
        ["model.batch_size=${{oc.env:SOME_SECRET}}"],
        ["images_seen=${{oc.decode:7}}"],
        ["+loss@evil.loss=hinge"],
        ["model.batch_size=${{oc.${{method}}:SOME_SECRET}}"],
        ["model.batch_size=${{oc.env:SOME_SECRET,${{oc.env:HOME}}}}"],
    ],
    ids=lambda overrides: overrides[0].split("=")[0],
)
@pytest.mark.parametrize("digest", ["right", "none"])
def test_reproduce_runs_nothing_that_a_record_names(
    outputs, tmp_path, capsys, monkeypatch, overrides, digest
):
    """A digest that fits says nothing: anyone can compute it."""
    monkeypatch.setenv("SOME_SECRET", "7")
    victim, loaded = tmp_path / "victim", tmp_path / "loaded.npy"
    victim.write_text("x")
    np.save(loaded, np.array([Burglar(tmp_path)], dtype=object), allow_pickle=True)
    places = {"pickle": loaded, "victim": victim, "folder": tmp_path}
    found = Record("toy/ns_gan", "gaussian_ring", "0123456789-r1-s0", 0, "finished")
    found.overrides = [o.format(**places) for o in overrides]
    text = json.loads(found.to_json())
    if digest == "none":
        del text["digest"]
    (tmp_path / "record.json").write_text(json.dumps(text))
    assert main(["reproduce", str(tmp_path / "record.json")]) == 2
    shown = capsys.readouterr()
    assert ("has no digest" in shown.out) == (digest == "none")
    assert len(shown.err.strip().splitlines()) == 1
    assert victim.exists()
    assert not (tmp_path / "burgled").exists()
    assert not list(tmp_path.glob("*.ran"))


def test_what_one_place_allows_is_not_taken_to_another(outputs, tmp_path, capsys):
    """A target that is a class of ours under one key, and a function under the trainer's."""
    found = Record("toy/ns_gan", "gaussian_ring", "0123456789-r1-s0", 0, "finished")
    node = "{_target_:'${...method}',src:/etc/hostname,dst:%s}" % (tmp_path / "copied")
    found.overrides = [
        "method=shutil.copyfile",
        "+per_dataset.gaussian_ring.method=torch.nn.Linear",
        f"+per_dataset.gaussian_ring.trainer={{strategy:{node}}}",
    ]
    found.write(tmp_path / "record.json")
    assert main(["reproduce", str(tmp_path / "record.json")]) == 2
    assert "must override settings that determine a run only" in capsys.readouterr().err
    assert not (tmp_path / "copied").exists()


class Burglar:
    """What a pickle does when it is opened."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (os.path.join(self.folder, "burgled"),)  # noqa: PTH118


def test_the_pickle_of_the_test_above_would_act(tmp_path):
    np.save(tmp_path / "x.npy", np.array([Burglar(tmp_path)], dtype=object), allow_pickle=True)
    np.load(tmp_path / "x.npy", allow_pickle=True)
    assert (tmp_path / "burgled").exists()
