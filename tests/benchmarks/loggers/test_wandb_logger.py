"""W&B offline, read back from its file: one run, images_seen as the x axis, across a restart."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.core.errors import UserError
from benchmarks.loggers import wandb_logger
from benchmarks.loggers.csv_logger import CsvLogger
from benchmarks.loggers.wandb_logger import log_table, read_offline
from benchmarks.runs.folder import Run
from benchmarks.training.train import train
from tests.benchmarks.training.test_resume import Killed, composed_run, kill_after
from tests.slurm.cluster import parent_of, processes

SCORE = "bits_per_dim_test/bits_per_dim"  # logged last


@pytest.fixture
def offline(monkeypatch, outputs):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setattr(wandb_logger, "has_key", lambda: False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    return outputs


def with_wandb(composed, protocols=()):
    settings = {"project": "dgmbench", "entity": None, "group": None, "tags": ["test"]}
    target = "benchmarks.loggers.wandb_logger.wandb_logger"
    composed.cfg.logger = {"wandb": {"_target_": target, **settings, "mode": None}}
    composed.cfg.protocols = list(protocols)
    return composed


def test_a_run_killed_and_resumed_is_one_run(offline, monkeypatch):
    import wandb

    composed = with_wandb(composed_run("pixel_cnn"), ["bits_per_dim_test"])
    with monkeypatch.context() as patch:
        kill_after(patch, 6)
        with pytest.raises(Killed):
            train(composed, bar=False)
    wandb.finish()
    record = train(composed, bar=False)
    wandb.finish()

    run = Run.of(composed)
    found = read_when_there(run.logs, lambda found: SCORE in found.summary)
    rows, summary = found.rows, found.summary
    (wandb_id,) = found.ids
    assert re.fullmatch(rf"{run.id}-[0-9a-f]{{6}}", wandb_id)
    assert {("*", "images_seen"), ("images_seen", "")} <= found.metrics
    step = composed.cfg.model.batch_size
    seen = [r["images_seen"] for r in rows if "train/loss" in r]
    assert seen == [step * i for i in range(1, 8)]  # the fifth was redone, and is there once
    assert all(r["_step"] == r["images_seen"] for r in rows if "images_seen" in r)
    pictures = [r for r in rows if any(k.startswith("samples") for k in r)]
    assert [p["images_seen"] for p in pictures] == [record.counters["images_seen"]]
    assert list(run.logs.glob("wandb/offline-run-*/files/media/images/*.png"))
    value = record.evaluations[0].metrics["bits_per_dim"]
    assert summary[SCORE] == pytest.approx(value)


@pytest.mark.parametrize("first", ["csv", "wandb"])
def test_runs_that_change_their_logger_keep_one_history(offline, monkeypatch, first):
    """metrics.csv holds all of it; W&B is told what the other logger had."""
    import wandb

    plain, logged = (
        composed_run("pixel_cnn"),
        with_wandb(composed_run("pixel_cnn"), ["bits_per_dim_test"]),
    )
    lives = (plain, logged) if first == "csv" else (logged, plain)
    with monkeypatch.context() as patch:
        kill_after(patch, 5)
        with pytest.raises(Killed):
            train(lives[0], bar=False)
    wandb.finish()
    train(lives[1], bar=False)
    wandb.finish()
    run, step = Run.of(plain), plain.cfg.model.batch_size
    with (run.logs / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[1] == "train/loss"]
    assert [int(row[0]) for row in rows] == [step * i for i in range(1, 8)]
    if first == "csv":
        found = read_when_there(run.logs, lambda found: SCORE in found.summary).rows
        seen = {r["images_seen"]: r["train/loss"] for r in found if "train/loss" in r}
        assert list(seen) == [int(row[0]) for row in rows]
        assert list(seen.values()) == pytest.approx([float(row[2]) for row in rows])


LIFE = """
import sys, time
from pathlib import Path
from benchmarks.loggers.csv_logger import CsvLogger
from benchmarks.loggers.wandb_logger import wandb_logger
folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
history = CsvLogger(folder, "a-r1-s0", first - 8)
logger = wandb_logger(folder, "a-r1-s0", first - 8, history, "p", None, None, [], "offline")
for seen in range(first, last + 1, 8):
    logger.log_metrics({"train/loss": seen / 2, "train/kl": 1.0}, step=seen)
logger.finalize("success")
(folder / "logged").touch()
while not (folder / "go").exists():
    time.sleep(0.1)
logger.log_metrics({"train/loss": 0.0}, step=last + 8)
logger.summarize({"score": 1.0})
logger.finalize("success")
print("went on")
"""


def test_what_a_real_kill_leaves_is_whole_and_not_logged_again(offline, tmp_path):
    """The process and wandb's own, both at once; the checkpoint was at 24 images of 40."""
    for first, last in ((8, 40), (32, 64)):
        process = started(tmp_path, first, last)
        # in vain where wandb decides when to write
        wait_until(lambda: last in images_of(tmp_path))  # noqa: B023
        for number in family(process.pid):
            os.kill(number, signal.SIGKILL)
        process.communicate()
    assert images_of(tmp_path) == list(range(8, 65, 8))


@pytest.mark.parametrize(("number", "dies"), [(signal.SIGUSR1, False), (signal.SIGTERM, True)])
def test_a_run_goes_on_without_wandb(offline, tmp_path, number, dies):
    """SLURM sends its signals to wandb's process, too."""
    process = started(tmp_path, 8, 40)
    wait_until(lambda: 40 in images_of(tmp_path))
    _, *others = family(process.pid)
    for other in others:
        os.kill(other, number)
    wait_until(lambda: not any(at_work(other) if dies else pending(other) for other in others))
    (tmp_path / "go").touch()
    said, _ = process.communicate(timeout=60)
    assert "went on" in said
    assert said.count("dgmbench: W&B is gone (") == int(dies)
    assert process.returncode == 0
    assert images_of(tmp_path) == list(range(8, 41 if dies else 49, 8))


def test_pictures_are_not_logged_again_either(monkeypatch):
    logger = wandb_logger.ImagesSeenWandbLogger.__new__(wandb_logger.ImagesSeenWandbLogger)
    told, picture = [], np.zeros((2, 2, 3), np.uint8)
    monkeypatch.setattr(logger, "_tell", told.append)
    logger.held = {64: {"samples"}}
    logger.log_image("samples", [picture], step=64)
    assert told == []
    logger.log_image("samples", [picture], step=128)
    logger.log_image("codes", [picture], step=64)
    assert len(told) == 2


def started(folder, first, last):
    """A life that has logged these images; it ends after one more when told to go."""
    (folder / "logged").unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", LIFE, str(folder), str(first), str(last)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"}  # of this process
        | {"WANDB__TRANSACTION_LOG_FLUSH_INTERVAL": "3600"},  # where it is not set: never
        start_new_session=True,
    )
    wait_until((folder / "logged").exists)
    return process


def images_of(folder):
    return [row["images_seen"] for row in read_offline(folder).rows if "train/loss" in row]


def family(number):
    """A process and those it started: wandb's is in a session of its own."""
    children = [child for child in processes() if parent_of(child) == number]
    return [number, *(n for child in children for n in family(child))]


def of_process(number, field):
    """Return a field of what the system says of a process; None if it is gone."""
    try:
        said = Path(f"/proc/{number}/status").read_text()
    except OSError:
        return None
    return dict(line.split(":\t", 1) for line in said.splitlines())[field]


def at_work(number):
    """Return whether a process is there, and does more than wait for its parent to ask."""
    return (of_process(number, "State") or "Z")[0] != "Z"


def pending(number):
    """Return whether a process has a signal that it has not taken yet."""
    return int(of_process(number, "ShdPnd") or "0", 16) != 0


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def read_when_there(folder, is_there):
    """Wandb may return a moment before its last value is in the file."""
    wait_until(lambda: is_there(read_offline(folder)))
    return read_offline(folder)


def test_what_a_dead_machine_left_is_read_as_far_as_it_is_whole(offline, tmp_path):
    import wandb

    of_run = (tmp_path, "a-r1-s0", 0)
    settings = ("p", None, None, [], "offline")
    logger = wandb_logger.wandb_logger(*of_run, CsvLogger(*of_run), *settings)
    for seen in range(8, 400, 8):
        logger.log_metrics({"train/loss": 1.0}, step=seen)
    logger.finalize("success")
    wandb.finish()
    wait_until(lambda: 392 in images_of(tmp_path))  # a moment later, under load
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    data, whole = path.read_bytes(), images_of(tmp_path)
    assert whole == list(range(8, 400, 8))
    for lost in (5, 200, 700, 2000):
        for end in (b"", bytes(lost)):
            path.write_bytes(data[:-lost] + end)
            found = images_of(tmp_path)
            assert found == whole[: len(found)]
            assert len(found) > 10
    held = wandb_logger._held(tmp_path, (tmp_path / "wandb_id").read_text().strip(), 16)
    assert min(held) == 16
    assert held[16] >= {"train/loss", "images_seen"}


def test_a_table_is_a_run_of_its_own(offline, tmp_path, capsys):
    (tmp_path / "scores.svg").write_text("<svg/>")
    settings = {"project": "dgmbench", "entity": None, "mode": None}
    for _ in range(2):  # a second time goes on under the same id
        log_table(
            "mini",
            ["method", "bits"],
            [["A", "1.0"]],
            [tmp_path / "scores.svg"],
            tmp_path / "logs",
            settings,
            ["table:mini"],
        )
    found = read_when_there(tmp_path / "logs", lambda f: f.summary and f.artifacts)
    (wandb_id,) = found.ids
    assert wandb_id.startswith("table-mini-")
    assert (found.groups, found.tags) == ({"mini"}, {"table:mini"})
    assert "table-mini" in found.artifacts
    paths = list(tmp_path.glob("logs/wandb/offline-run-*/files/media/table/*.json"))
    assert len(paths) == 2
    assert all("A" in path.read_text() for path in paths)
    assert main(["offline", str(tmp_path / "logs")]) == 0
    shown = capsys.readouterr().out
    assert wandb_id in shown
    assert "group mini" in shown


def test_nothing_offline_is_one_line(tmp_path, capsys):
    assert main(["offline", str(tmp_path)]) == 2
    assert "must hold the offline files of W&B" in capsys.readouterr().err


def test_a_run_begun_anew_is_another_run_on_the_server(tmp_path):
    first = wandb_logger._kept_id(tmp_path, "abc", begins=True)
    assert wandb_logger._kept_id(tmp_path, "abc", begins=False) == first
    again = wandb_logger._kept_id(tmp_path, "abc", begins=True)
    assert again != first
    assert {first[:4], again[:4]} == {"abc-"}


KEY = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def own_wandb(monkeypatch, tmp_path):
    """A W&B that knows nothing yet, and a home of its own."""
    import wandb

    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield tmp_path
    monkeypatch.undo()
    wandb.teardown()


def write_netrc(path, host):
    path.write_text(f"machine {host} login user password {KEY}\n")
    path.chmod(0o600)


def test_the_key_is_where_wandb_finds_it(own_wandb, monkeypatch):
    assert not wandb_logger.has_key()
    write_netrc(own_wandb / ".netrc", "api.wandb.ai")
    assert wandb_logger.has_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not wandb_logger.has_key()  # it is another server's
    write_netrc(own_wandb / "mine", "wandb.example.org")
    assert not wandb_logger.has_key()
    monkeypatch.setenv("NETRC", str(own_wandb / "mine"))
    assert wandb_logger.has_key()
    monkeypatch.delenv("NETRC")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert wandb_logger.has_key()
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match="W&B's key is of a wrong form"):
        wandb_logger.has_key()


def test_a_key_of_wandb_login_is_found(own_wandb):
    subprocess.run(
        [sys.executable, "-m", "wandb", "login", "--no-verify", KEY], check=True, timeout=120
    )
    assert wandb_logger.has_key()


@pytest.mark.parametrize(
    ("variable", "given", "expected"),
    [
        (None, None, "offline"),  # no key
        ("offline", None, "offline"),
        ("dryrun", None, "offline"),
        ("run", None, "online"),
        ("disabled", None, "disabled"),
        ("online", "dryrun", "offline"),
        ("dryrun", "online", "online"),
    ],
)
def test_every_name_of_a_mode(own_wandb, monkeypatch, variable, given, expected):
    if variable is not None:
        monkeypatch.setenv("WANDB_MODE", variable)
    assert wandb_logger._mode(given) == expected


def test_a_mode_that_is_none(own_wandb, monkeypatch):
    with pytest.raises(
        UserError, match=r"logger.wandb.mode must be one of online, .*, got 'ofline'"
    ):
        wandb_logger._mode("ofline")
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(UserError, match="a setting of W&B is wrong"):
        wandb_logger._mode(None)


def test_the_environment_can_forbid_going_online(monkeypatch, tmp_path):
    monkeypatch.setattr(wandb_logger, "has_key", lambda: True)
    monkeypatch.setattr(wandb_logger, "_use_images_seen", lambda logger: None)
    made = {}
    monkeypatch.setattr(
        wandb_logger, "ImagesSeenWandbLogger", lambda **kw: made.update(kw) or SimpleNamespace()
    )
    settings = {"project": "p", "entity": None, "group": None, "tags": []}
    for environment, mode, expected in (
        (None, None, "online"),
        ("offline", None, "offline"),
        ("offline", "disabled", "disabled"),
    ):
        monkeypatch.delenv("WANDB_MODE", raising=False)
        if environment:
            monkeypatch.setenv("WANDB_MODE", environment)
        of_run = (tmp_path, "id", 0)
        wandb_logger.wandb_logger(*of_run, CsvLogger(*of_run), mode=mode, **settings)
        assert made["mode"] == expected
