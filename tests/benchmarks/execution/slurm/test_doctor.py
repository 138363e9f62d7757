"""What a doctor's job finds, and what it means that it finds nothing."""

import json

import pytest

from benchmarks.core.errors import UserError
from benchmarks.execution.doctor import Finding
from benchmarks.execution.slurm import commands, doctor
from benchmarks.execution.slurm.commands import Entry, SlurmError
from benchmarks.execution.slurm.launcher import load_launcher


@pytest.fixture(autouse=True)
def _quick(monkeypatch, outputs):
    monkeypatch.setattr(doctor, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(doctor, "LATE_SECONDS", 0.1)
    monkeypatch.setattr(doctor, "run_checks", lambda: [Finding("data", "absent", "fetch it")])
    for name in ("SLURM_JOB_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)


def report(folder, state="COMPLETED"):
    return {f.what: f for f in doctor._read_report(folder, "7", state, load_launcher("slurm", []))}


def test_a_report_is_read_back(tmp_path):
    doctor.examine(str(tmp_path), str(tmp_path), {}, 0)
    found = report(tmp_path)
    assert found["data"].mend == "fetch it"
    assert found["shared outputs"].mend == ""
    assert found["clock"].mend == ""


def test_clocks_that_differ_are_told(tmp_path):
    doctor.examine(str(tmp_path), str(tmp_path), {}, 0)
    path = tmp_path / doctor.REPORT
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "time": values["time"] - 1000}))
    assert "1000 s" in report(tmp_path)["clock"].found
    assert report(tmp_path)["clock"].mend


def test_gpus_that_are_missing_and_no_scontrol(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", "/nowhere")
    doctor.examine(str(tmp_path), str(tmp_path), {}, 4)
    found = report(tmp_path)
    assert found["GPUs of the job"].mend
    assert "not on the PATH" in found["scontrol"].found


def test_a_process_on_a_node_of_its_own_is_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_exchange", lambda gpus, count: iter(()))
    monkeypatch.setenv("SLURM_NTASKS", "3")
    for rank in (2, 0):  # the second's folder is another one
        monkeypatch.setenv("SLURM_PROCID", str(rank))
        doctor.examine(str(tmp_path), str(tmp_path), {}, 0)
    findings = json.loads((tmp_path / doctor.REPORT).read_text())["findings"]
    said = [f["found"] for f in findings if f["what"] == "shared outputs" and f["mend"]]
    assert said == [f"process 1 left nothing in {tmp_path} that can be seen from the first"]
    assert "process 2: data" in {f["what"] for f in findings}


def test_no_report_is_explained(tmp_path):
    assert report(tmp_path, "FAILED")["shared outputs"].mend == doctor.SHARED
    (tmp_path / "7_0_log.out").write_text("bash: python: not found\n")
    assert "python: not found" in report(tmp_path, "FAILED")["job"].found


def test_waiting_for_a_job(tmp_path, monkeypatch, capsys):
    entry = Entry("n", "7", 0, "PENDING", "Priority", "", "")
    answers = [SlurmError("SLURM did not answer"), entry, entry, None]

    def queue():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, SlurmError):
            raise answer
        return [answer] if answer else []

    monkeypatch.setattr(commands, "queue", queue)
    assert doctor._wait(tmp_path, "7", "n", 1, 0.05) == "gone"
    said = capsys.readouterr().out
    assert said.count("PENDING Priority") == 1
    answers[:] = [entry]
    with pytest.raises(UserError, match="did not end within"):
        doctor._wait(tmp_path, "7", "n", 0.001, 0.05)


@pytest.mark.parametrize(
    ("overrides", "minutes", "message"),
    [
        (["trainer=gpu"], 1, "takes overrides of the launcher only"),
        ([], 0, "wait-minutes must be"),
    ],
)
def test_wrong_arguments(overrides, minutes, message):
    with pytest.raises(UserError, match=message):
        doctor.doctor_as_job("slurm", overrides, minutes)
