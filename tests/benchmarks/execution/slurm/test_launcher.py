"""What a job asks for, checked before anything is submitted."""

import pytest

from benchmarks.__main__ import main
from benchmarks.config.catalogue import names
from benchmarks.core.errors import UserError
from benchmarks.execution.slurm.launcher import load_launcher, trainer_overrides


@pytest.mark.parametrize("name", names("launcher"))
def test_every_launcher_loads(name):
    assert load_launcher(name, []).processes >= 1


def test_flags_are_those_of_sbatch():
    launcher = load_launcher(
        "slurm",
        ["launcher.partition=gpu", "launcher.memory_gb=1.5", "launcher.gpus_per_node=4",
         "launcher.runs_per_job=8", "launcher.side_by_side=4", "launcher.cpus_per_process=2",
         "launcher.sbatch.reservation=mine", "launcher.sbatch.exclusive=true"],
    )  # fmt: skip
    assert launcher.flags() == [
        *("--partition=gpu", "--time=60", "--mem=1536M", "--cpus-per-task=8"),
        *("--gpus-per-node=4", "--nodes=1", "--ntasks-per-node=1", "--reservation=mine"),
        "--exclusive",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("partiton=x", "launcher.partiton is no setting of a launcher; did you mean partition"),
        ("partition.x=1", "launcher.partition.x is no setting"),
        ("time_minutes=3", "time_minutes must be more than 3, signal_seconds and 60 s to start, "
                           "or no run reaches its first checkpoint, got 3"),
        ("time_minutes=1:00", "time_minutes must be an integer >= 1"),
        ("nodes=0", "nodes must be an integer >= 1, got 0"),
        ("gpus_per_node=-1", "gpus_per_node must be an integer >= 0, got -1"),
        ("array_parallelism=0", "array_parallelism must be an integer >= 1 or null, got 0"),
        ("memory_gb=0", "memory_gb must be a number > 0 or null, got 0"),
        ("qos=''", "qos must be a text or null"),
        ("side_by_side=2", "side_by_side must be <= runs_per_job, 1, got 2"),
        ("setup=module load x", "setup must be a list of texts"),
        ("environment=3", "environment must map names to texts or numbers or true or false"),
        ("environment={A: null}", "environment.A must be a text or a number or true or false"),
        ("sbatch=[a]", "sbatch must map names to texts or numbers"),
        ("stage_to=here", "stage_to must begin with / or $, got here"),
        ("environment={A-B: 1}", "environment must map names of variables, got 'A-B'"),
        ("sbatch={time: 5}", "sbatch must map long options that no setting stands for"),
        ("sbatch={Upper: 5}", "sbatch must map long options that no setting stands for"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(override, message):
    with pytest.raises(UserError) as error:
        load_launcher("slurm", [f"launcher.{override}"])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["runs_per_job=2", "side_by_side=2"], "side_by_side must be 1 with several processes"),
        (["gpus_per_node=3"], "gpus_per_node must be 0 or processes_per_node, 2, got 3"),
    ],
)
def test_runs_of_several_processes_have_their_job_alone(values, message):
    with pytest.raises(UserError, match=message):
        load_launcher("slurm", [f"launcher.{v}" for v in ["processes_per_node=2", *values]])


def test_a_file_of_ones_own_holds_differences(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("partition: gpu\nsetup: [module load cuda]\nenvironment: {A: 1}\n")
    launcher = load_launcher(str(path), ["launcher.partition=low", "launcher.environment.B=2"])
    assert (launcher.partition, list(launcher.setup)) == ("low", ["module load cuda"])
    assert launcher.environment == {"A": 1, "B": 2}
    assert launcher.time_minutes == load_launcher("slurm", []).time_minutes
    for text, message in (
        ("time: 5\n", r"mine.yaml: time is no setting of a launcher; did you mean time_minutes"),
        ("defaults: [slurm]\n", "needs no defaults"),
        ("- a\n", "must map settings to values"),
        ("a: [\n", "mine.yaml"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            load_launcher(str(path), [])
    with pytest.raises(UserError, match="absent.yaml does not exist"):
        load_launcher(str(tmp_path / "absent.yaml"), [])
    with pytest.raises(UserError, match="launcher 'slrum' does not exist; did you mean slurm"):
        load_launcher("slrum", [])


def test_a_run_gets_the_processes_of_its_job():
    def overrides(*settings, given=()):
        launcher = load_launcher("slurm", [f"launcher.{s}" for s in settings])
        return trainer_overrides(launcher, "lucic2018/vae_quick", given)

    assert overrides() == []
    assert overrides("gpus_per_node=1") == ["trainer=gpu"]
    several = ["trainer=ddp_cpu", "trainer.devices=2", "trainer.num_nodes=3"]
    assert overrides("nodes=3", "processes_per_node=2") == several
    assert overrides("processes_per_node=2", "gpus_per_node=2")[0] == "trainer=ddp"
    assert overrides("gpus_per_node=1", given=["trainer=cpu"]) == []
    with pytest.raises(UserError, match=r"trainer.devices must be launcher.processes_per_node, 1"):
        overrides(given=["trainer=ddp_cpu"])


def test_no_slurm_here_is_one_line(outputs, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["table", "quick", "--launcher", "slurm"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("dgmbench: there is no SLURM on this machine")
    assert said.err.count("\n") == 1
    assert not outputs.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quick", "launcher.nodes=2"], "--launcher NAME must be given with launcher.nodes=2"),
        (["quick", "--launcher", "slurm", "--jobs", "2"], "jobs are for runs on this machine"),
        (["quick", "--retry", "time"], "retry must be of failed, diverged, timeout, oom"),
    ],
)
def test_options_that_do_not_go_together(arguments, message, outputs, capsys):
    assert main(["table", *arguments]) == 2
    assert message in capsys.readouterr().err
