"""What a job asks the cluster for: configs/launcher, checked before anything is submitted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Gt
from omegaconf import DictConfig, OmegaConf
from pydantic.dataclasses import dataclass
from yaml import YAMLError

from benchmarks.config.compose import compose, compose_group
from benchmarks.config.overrides import parse_overrides
from benchmarks.config.schema import STRICT, Count, Natural, Number, Text, parse
from benchmarks.config.yaml_files import read_yaml
from benchmarks.core.errors import UserError, suggest, user_errors
from benchmarks.core.redaction import check_no_secret
from benchmarks.execution.slurm import commands

__all__ = ["Launcher", "load_launcher", "trainer_overrides"]

BASE = "slurm"
STARTUP_SECONDS = 60  # until the first update, imports included
FREE = ("environment", "sbatch")  # maps with keys of the user's own
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPTION = re.compile(r"[a-z][a-z0-9-]*")
OWN_OPTIONS = (  # set here, or by what is set here
    *("array", "error", "job-name", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output"),
    *("requeue", "no-requeue", "signal", "time", "partition", "account", "qos", "constraint"),
    *("mem", "cpus-per-task", "gpus-per-node", "wrap"),
)


@dataclass(frozen=True, config=STRICT)
class Launcher:
    """Resources of a job and how runs share it; the fields are those of configs/launcher.

    Raises:
        ValueError: for a value out of range, or two that do not go together.
    """

    partition: Text | None
    account: Text | None
    qos: Text | None
    constraint: Text | None
    time_minutes: Count
    signal_seconds: Count
    memory_gb: Annotated[Number, Gt(0)] | None
    cpus_per_process: Count
    gpus_per_node: Natural
    nodes: Count
    processes_per_node: Count
    array_parallelism: Count | None
    runs_per_job: Count
    side_by_side: Count
    setup: Sequence[str]
    python: Text | None
    stage_to: Text | None
    environment: Mapping[str, str | Number | bool]
    sbatch: Mapping[str, str | Number | bool]

    def __post_init__(self) -> None:
        if (self.stage_to or "/")[0] not in "/$~":
            raise ValueError(f"stage_to must begin with / or $, got {self.stage_to}")
        self._check_names()
        check_no_secret({f.name: getattr(self, f.name) for f in fields(self)}, "launcher")
        self._check_time()
        self._check_sharing()

    def _check_names(self) -> None:
        for name in self.environment:
            if not VARIABLE.fullmatch(name):
                raise ValueError(f"environment must map names of variables, got {name!r}")
        for name in self.sbatch:
            if not OPTION.fullmatch(name) or name in OWN_OPTIONS:
                raise ValueError(
                    f"sbatch must map long options that no setting stands for, got {name!r}"
                )

    def _check_time(self) -> None:
        least = self.signal_seconds + STARTUP_SECONDS
        if 60 * self.time_minutes <= least:
            raise ValueError(
                f"time_minutes must be more than {least / 60:g}, signal_seconds and "
                f"{STARTUP_SECONDS} s to start, or no run reaches its first checkpoint, got "
                f"{self.time_minutes}"
            )

    def _check_sharing(self) -> None:
        several = self.processes > 1
        if self.side_by_side > self.runs_per_job:
            raise ValueError(
                f"side_by_side must be <= runs_per_job, {self.runs_per_job}, got "
                f"{self.side_by_side}"
            )
        if several and self.side_by_side > 1:
            raise ValueError(
                "side_by_side must be 1 with several processes per run, got "
                f"{self.side_by_side} and {self.processes} processes"
            )
        if several and self.gpus_per_node not in (0, self.processes_per_node):
            raise ValueError(
                "gpus_per_node must be 0 or processes_per_node, "
                f"{self.processes_per_node}, got {self.gpus_per_node}"
            )

    @property
    def processes(self) -> int:
        """The number of processes of one run, on all its nodes."""
        return self.nodes * self.processes_per_node

    def options(self) -> dict[str, Any]:
        """Return what is asked of SLURM, by the long names of sbatch; nothing that is null."""
        found = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "time": self.time_minutes,
            "mem": None if self.memory_gb is None else f"{round(1024 * self.memory_gb)}M",
            "cpus-per-task": self.cpus_per_process * self.side_by_side,
            "gpus-per-node": self.gpus_per_node or None,
            "nodes": self.nodes,
            "ntasks-per-node": self.processes_per_node,
            **self.sbatch,
        }
        return {name: value for name, value in found.items() if value is not None}

    def flags(self) -> list[str]:
        """Return the same as arguments of sbatch."""
        return [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in self.options().items()
        ]

    def check_cluster(self) -> None:
        """Compare with what the cluster has, then let SLURM check the rest.

        Raises:
            UserError: naming the setting, or in SLURM's words; where there is no SLURM.
        """
        if not commands.has_slurm():
            raise UserError(
                "there is no SLURM on this machine (sbatch is not on the PATH): submit from a "
                "login node, or leave --launcher out to run here"
            )
        found = commands.partitions()
        names = sorted({p.name for p in found})
        if self.partition is not None and not set(self.partition.split(",")) <= set(names):
            raise UserError(
                f"launcher.partition must be of {', '.join(names)}, got {self.partition}"
            )
        mine = [p for p in found if self._goes_to(p)]
        for name, attribute in (
            ("gpus_per_node", "gpus"),
            ("processes_per_node", "cpus"),
            ("time_minutes", "minutes"),
        ):
            limits = [getattr(p, attribute) for p in mine]
            value = getattr(self, name)
            if limits and None not in limits and value > max(limits):
                where = self.partition or mine[0].name
                raise UserError(
                    f"launcher.{name} must be <= {max(limits)} in partition {where}, got {value}"
                )
        commands.check_options(self.flags())

    def _goes_to(self, partition: commands.Partition) -> bool:
        if self.partition is None:
            return partition.default
        return partition.name in self.partition.split(",")


def load_launcher(name: str, overrides: Sequence[str]) -> Launcher:
    """Read a launcher.

    Args:
        name: The name of a file in configs/launcher, or the path of a file of one's own (.yaml),
            which holds what differs from `configs/launcher/slurm.yaml`.
        overrides: Such as `launcher.partition=gpu`.

    Raises:
        UserError: for an unknown name or key, or a wrong value.
    """
    own = Path(name).suffix == ".yaml"
    cfg = compose_group("launcher", BASE if own else name)
    OmegaConf.set_struct(cfg, False)
    if own:
        _put(cfg, _file(Path(name)), f"launcher {name}: ")
    values = [override.removeprefix("launcher.") for override in overrides]
    given = {o.key_or_group: o.value() for o in parse_overrides(values)}
    _put(cfg, given, "launcher.")
    with user_errors(ValueError):
        return parse(Launcher, OmegaConf.to_container(cfg, resolve=True), "launcher")


def _file(path: Path) -> dict[Any, Any]:
    if not path.exists():
        raise UserError(f"launcher file {path} does not exist")
    with user_errors(OSError, ValueError, YAMLError):
        values = OmegaConf.to_container(read_yaml(path))
    if not isinstance(values, dict):
        raise UserError(f"launcher {path} must map settings to values")
    if "defaults" in values:
        raise UserError(f"launcher {path} needs no defaults: it differs from {BASE} anyway")
    return values


def _put(cfg: DictConfig, values: Mapping[Any, Any], where: str) -> None:
    """Set values by dotted key; only environment and sbatch may get new ones."""
    known = [f.name for f in fields(Launcher)]
    for key, value in values.items():
        top, _, rest = str(key).partition(".")
        if top not in known or (rest and top not in FREE):
            raise UserError(f"{where}{key} is no setting of a launcher{suggest(top, known)}")
        OmegaConf.update(cfg, str(key), value, merge=False)


def trainer_overrides(
    launcher: Launcher, experiment: str | None, given: Sequence[str]
) -> list[str]:
    """Return the overrides by which a run has as many processes as its job.

    Args:
        launcher: What the job has.
        experiment: One of the table's.
        given: The user's; a trainer of their own is checked and kept.

    Raises:
        UserError: if that trainer has another number of processes.
    """
    if experiment is None:
        return []
    if any(override.split("=")[0].split(".")[0] == "trainer" for override in given):
        trainer = compose([f"experiment={experiment}", *given]).cfg.trainer
        for key, name in (("devices", "processes_per_node"), ("num_nodes", "nodes")):
            wanted = getattr(launcher, name)
            if trainer[key] != wanted:
                raise UserError(
                    f"trainer.{key} must be launcher.{name}, {wanted}, got {trainer[key]}"
                )
        return []
    if launcher.processes == 1:
        return ["trainer=gpu"] if launcher.gpus_per_node else []
    kind = "ddp" if launcher.gpus_per_node else "ddp_cpu"
    return [
        f"trainer={kind}",
        f"trainer.devices={launcher.processes_per_node}",
        f"trainer.num_nodes={launcher.nodes}",
    ]
