"""Records: round trip, whole or not at all, nothing but JSON."""

import json

import pytest

from benchmarks.__main__ import main
from benchmarks.runs.record import Evaluation, Record, better, read_record


def record(**settings):
    values = {"experiment": "e", "dataset": "d", "run_id": "x-r1-s0", "seed": 0}
    return Record(**{**values, "status": "finished", **settings})


def evaluation(value=1.5, fingerprint="f", checkpoint="last"):
    return Evaluation("p", fingerprint, checkpoint, "raw", 64, {"fd": value})


def test_round_trip(tmp_path):
    one = record(evaluations=[evaluation()], deviations=["a"], counters={"images_seen": 64})
    one.write(tmp_path / "deep" / "record.json")
    assert read_record(tmp_path / "deep" / "record.json") == one
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["record.json"]


def test_numbers_that_json_does_not_know_become_null():
    text = record(evaluations=[evaluation(float("nan"))], cost={"x": float("inf")}).to_json()
    values = json.loads(text)
    assert values["evaluations"][0]["metrics"] == {"fd": None}
    assert values["cost"] == {"x": None}


def test_repeated_draws_stay_where_the_first_is_scored_again():
    several = Evaluation("p", "f", "last", "raw", 64, {"fd": 1.5}, draws={"fd": [1.5, 1.6]})
    one = record(evaluations=[several])
    one.add(evaluation(1.5))
    assert one.evaluations[0].draws == {"fd": [1.5, 1.6]}
    one.add(evaluation(1.4))
    assert one.evaluations[0].draws == {}


def test_a_newer_evaluation_replaces_the_same_measurement():
    one = record(evaluations=[evaluation(1.0), evaluation(2.0, checkpoint="64")])
    one.add(evaluation(3.0))
    one.add(evaluation(4.0, fingerprint="g"))
    assert [e.metrics["fd"] for e in one.evaluations] == [2.0, 3.0, 4.0]
    assert one.evaluation("f").metrics["fd"] == 3.0
    assert one.evaluation("f", "64").metrics["fd"] == 2.0
    assert one.evaluation("h") is None
    assert one.evaluation("f", weights="ema") is None


def test_a_crash_while_writing_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    record().write(path)
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        record(status="diverged").write(path)
    assert read_record(path).status == "finished"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a record"),
        ("[]", "not a record"),
        (
            '{"schema_version": 99}',
            "must be <= 2, got 99: it was written by a newer",
        ),
        ('{"schema_version": 2, "evil": 1}', "unknown key evil"),
        ('{"schema_version": 1}', "not a record"),
    ],
)
def test_what_is_no_record_is_named(tmp_path, text, message):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(ValueError, match=f"record.json: .*{message}"):
        read_record(tmp_path / "record.json")


def test_the_better_record_is_the_one_that_got_further_else_the_later():
    done, early = record(ended="2026-01-02"), record(ended="2026-01-01")
    failed = record(status="failed", ended="2026-01-03")
    assert better(done, failed) is better(failed, done) is done
    assert better(done, early) is better(early, done) is done
    assert better(None, failed) is better(failed, None) is failed
    assert better(None, None) is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("status", "fine", "status must be one of finished, diverged, failed, interrupted, got"),
        ("seed", "1", "seed must be an integer, got '1'"),
        ("row", 3, "row must be a text or null, got 3"),
        ("notes", ["a", 1], r"notes\[1\] must be a text, got 1"),
        ("counters", {"updates": 1.5}, "counters.updates must be an integer, got 1.5"),
        ("evaluations", [3], "evaluation must map keys to values, got 3"),
        ("colour", 1, "unknown key colour"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(tmp_path, key, value, message):
    values = json.loads(record().to_json()) | {key: value}
    del values["digest"]
    (tmp_path / "record.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=f"record.json: not a record: {message}"):
        read_record(tmp_path / "record.json")


def test_no_file_is_no_record(tmp_path):
    assert read_record(tmp_path / "record.json") is None


@pytest.mark.parametrize(("old", "new"), [("12.5", "11.5"), ('"finished"', '"failed"')])
def test_a_record_edited_by_hand_is_refused(tmp_path, old, new):
    path = tmp_path / "record.json"
    record(evaluations=[evaluation(12.5)]).write(path)
    assert read_record(path).evaluations[0].metrics == {"fd": 12.5}
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=r"record.json: edited by hand or damaged"):
        read_record(path)


def test_no_secret_reaches_a_record(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    config = {"model": {"api_key": "mine", "width": 4}}
    reason = "failed at https://me:pa55word@host/ with 0123456789abcdef"
    record(config=config, reason=reason).write(tmp_path / "record.json")
    text = (tmp_path / "record.json").read_text()
    assert "0123456789abcdef" not in text
    assert "pa55word" not in text
    assert '"mine"' not in text
    assert read_record(tmp_path / "record.json").config["model"]["width"] == 4


@pytest.mark.parametrize(
    "change",
    [
        {"overrides": None},
        {"overrides": [5]},
        {"cost": None},
        {"cost": [1]},
        {"versions": None},
        {"seed": "${oc.env:HOME}"},
        {"seed": None},
        {"evaluations": [{"protocol": 5}]},
        {"evaluations": [5]},
        {"evaluations": None},
        {"metrics": None},
        {"metrics": {"fid": "x"}},
        {"fingerprint": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("verb", ["reproduce", "compare"])
def test_records_that_hold_other_things_are_one_line(outputs, tmp_path, capsys, change, verb):
    found = Record("toy/ns_gan", "gaussian_ring", "0123456789-r1-s0", 0, "finished")
    found.evaluations = [Evaluation("modes_2500", "f" * 64, "last", "raw", 1, {"modes": 1.0})]
    values = json.loads(found.to_json())
    del values["digest"]
    inner = change.keys() & {"metrics", "fingerprint"}
    (values["evaluations"][0] if inner else values).update(change)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(values))
    assert main([verb, *[str(path)] * (1 + (verb == "compare"))]) == 2
    error = capsys.readouterr().err
    assert "not a record" in error
    assert len(error.strip().splitlines()) == 1
    path.write_text("[" * 200_000)
    assert main([verb, *[str(path)] * (1 + (verb == "compare"))]) == 2
