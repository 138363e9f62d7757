"""Checkpoints: where they are saved, how many are kept, which is chosen, what is refused."""

import errno
import os
import zipfile

import pytest
import torch

from lit_models.callbacks import checkpoints
from lit_models.callbacks.checkpoints import Checkpoints
from lit_models.training.checkpoint_files import (
    CheckpointError,
    SaveError,
    find_checkpoint,
    load_checkpoint,
)
from lit_models.training.clock import crossed
from tests.helpers import bare_trainer
from tests.lit_models.adversarial.test_gan import make, stream


@pytest.mark.parametrize(
    ("images_seen", "step", "every", "expected"),
    [(64, 64, 100, False), (128, 64, 100, True), (192, 64, 100, False), (256, 64, 100, True),
     (300, 300, 100, True), (100, 10, 100, True), (110, 10, 100, False)],
)  # fmt: skip
def test_crossed_is_the_first_step_at_or_past(images_seen, step, every, expected):
    assert crossed(images_seen, step, every) is expected


def fit(folder, steps, every=12, snapshots=None, key="abc", minutes=None):
    model = make()  # 12 images per step
    saving = Checkpoints(folder, every, key, snapshots, minutes)
    bare_trainer(steps, callbacks=[saving]).fit(model, stream(model))
    return model


def test_the_last_two_are_kept_and_snapshots_all(tmp_path):
    model = fit(tmp_path, steps=5, snapshots=24)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"48.ckpt", "60.ckpt", "snapshot-24.pt", "snapshot-48.pt"}
    snapshot = load_checkpoint(tmp_path / "snapshot-48.pt", "abc")
    assert snapshot["images_seen"] == 48
    assert snapshot["state_dict"].keys() == model.sampling_state().keys()
    assert not [k for k in snapshot["state_dict"] if "discriminator" in k]


def test_the_newest_readable_one_is_chosen(tmp_path):
    fit(tmp_path, steps=5)
    assert find_checkpoint(tmp_path, "abc")[0].name == "60.ckpt"
    whole = (tmp_path / "60.ckpt").read_bytes()
    (tmp_path / "60.ckpt").write_bytes(whole[: len(whole) // 2])
    assert find_checkpoint(tmp_path, "abc")[0].name == "48.ckpt"
    (tmp_path / "48.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="60.ckpt is no readable checkpoint"):
        find_checkpoint(tmp_path, "abc")
    assert find_checkpoint(tmp_path / "none", "abc") is None


def test_a_torn_one_is_named_and_so_is_a_changed_bit(tmp_path, caplog):
    fit(tmp_path, steps=5)
    newest = tmp_path / "60.ckpt"
    content = bytearray(newest.read_bytes())
    with zipfile.ZipFile(newest) as file:  # in the midst of what it holds, not between
        held = file.read(max(file.infolist(), key=lambda info: info.file_size))
    content[content.index(held) + len(held) // 2] ^= 1
    newest.write_bytes(content)
    assert find_checkpoint(tmp_path, "abc")[0].name == "48.ckpt"
    (said,) = [r.getMessage() for r in caplog.records if r.name == "dgmbench"]
    assert said.startswith(f"dgmbench: {newest} is no readable checkpoint: ")
    assert said.endswith("; going on from 48.ckpt")


def test_one_of_a_newer_program_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "SCHEMA_VERSION", 2)
        fit(tmp_path, steps=5)
    with pytest.raises(CheckpointError, match="must have schema_version <= 1, got 2"):
        find_checkpoint(tmp_path, "abc")


def test_one_whose_version_is_no_number_counts_as_torn(tmp_path, caplog, monkeypatch):
    fit(tmp_path, steps=4)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "SCHEMA_VERSION", "x")
        fit(tmp_path / "other", steps=5)
    (tmp_path / "other" / "60.ckpt").rename(tmp_path / "60.ckpt")
    assert find_checkpoint(tmp_path, "abc")[0].name == "48.ckpt"
    assert "60.ckpt is no readable checkpoint" in caplog.text


def test_time_saves_too(tmp_path):
    fit(tmp_path, steps=3, every=1000, minutes=1e-9)
    assert {p.name for p in tmp_path.iterdir()} == {"24.ckpt", "36.ckpt"}
    fit(tmp_path / "off", steps=3, every=1000)
    assert not (tmp_path / "off").exists()


def test_what_cannot_be_saved_leaves_the_others_alone(tmp_path, monkeypatch):
    fit(tmp_path, steps=2)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(self, checkpoint, path, *args, **kwargs):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lightning.pytorch.strategies.Strategy.save_checkpoint", full)
    with pytest.raises(SaveError, match=r"checkpoint 12 could not be saved in .*: No space left"):
        fit(tmp_path, steps=2)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_one_of_another_run_is_refused(tmp_path):
    fit(tmp_path, steps=1)
    with pytest.raises(CheckpointError, match="must come from run other, got one of run abc"):
        find_checkpoint(tmp_path, "other")


def test_nothing_but_tensors_and_plain_values(tmp_path):
    """weights_only loading succeeds, and a pickled object is not executed."""
    fit(tmp_path, steps=1)
    assert load_checkpoint(tmp_path / "12.ckpt", "abc")["images_seen"] == 12
    torch.save({"run_id": "abc", "schema_version": 1, "evil": object()}, tmp_path / "24.ckpt")
    assert find_checkpoint(tmp_path, "abc")[0].name == "12.ckpt"


@pytest.mark.parametrize("every", [0, -5])
def test_refuses_a_distance_below_one(tmp_path, every):
    with pytest.raises(ValueError, match="checkpoint_every_images must be >= 1"):
        Checkpoints(tmp_path, every, "abc")


def test_a_torn_newest_one_does_not_count_among_the_last_two(tmp_path):
    fit(tmp_path, steps=5)
    (tmp_path / "1200.ckpt").write_bytes(b"torn")
    saving = Checkpoints(tmp_path, 12, "abc")
    saving._forget_others(tmp_path / "60.ckpt")
    assert {p.name for p in tmp_path.iterdir()} == {"48.ckpt", "60.ckpt"}


def test_several_processes_ask_soon_after_a_resume(monkeypatch):
    """The first question comes at once, the next after a step: no rate is known before."""
    sent = []
    monkeypatch.setattr(checkpoints, "world", lambda: (0, 2))
    monkeypatch.setattr(checkpoints.dist, "all_reduce", sent.append)
    questions = checkpoints.Questions()
    for step in (500_000, 500_001):
        questions.ask(False, False, step)
    assert len(sent) == 2
    assert sent[0][2] == 1
