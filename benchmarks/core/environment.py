"""What a record says of the code and the machine."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from benchmarks.core.paths import ROOT
from benchmarks.core.version import __version__

__all__ = [
    "LOOKED_AFTER",
    "child_environment",
    "code_state",
    "device_name",
    "exact_arithmetic",
    "import_places",
    "instructions",
    "is_first_process",
    "library_versions",
    "now",
    "peak_memory_bytes",
]

LOOKED_AFTER = "DGMBENCH_IN_JOB"  # set for processes whose parent leaves the job
CPU_LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
LIBRARIES = ("torch", "lightning", "torchmetrics", "numpy", "hydra-core", "wandb")


def now() -> str:
    """Return the time, ISO, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def is_first_process() -> bool:
    """Return whether this is the first process of a job, by what its launcher has set.

    RANK counts over all machines; where it is not set, both the machine and the process on it
    must be the first.
    """
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    names = ("NODE_RANK", "GROUP_RANK", "LOCAL_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in names)


def import_places() -> list[str]:
    """Return where processes of ours look for modules first: the suite, then this folder.

    They are started with PYTHONSAFEPATH: else Python itself puts the current folder first, and a
    folder there that is called `benchmarks` would be taken for the suite.
    """
    here = str(Path().absolute())
    return [str(ROOT), *([here] if here in sys.path else [])]


def child_environment() -> dict[str, str]:
    """Return the environment of a process of ours, which imports what this one does."""
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    places = dict.fromkeys([*import_places(), *filter(None, before)])
    return {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(places)}


def code_state() -> dict[str, Any]:
    """Return version, git commit and whether the tree is dirty; null outside a checkout."""
    commit = _git("rev-parse", "HEAD")
    dirty = None if commit is None else bool(_git("status", "--porcelain", "-uno"))
    return {"version": __version__, "git_commit": commit, "dirty": dirty}


def library_versions(packages: Collection[str] = ()) -> dict[str, str]:
    """Return the versions of python and the libraries that matter, by distribution.

    Args:
        packages: Further ones, by the names that they are imported by; what belongs to no
            distribution is left out.
    """
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    if others := set(packages) - found.keys():  # most have none: to look takes a fifth of a second
        distributions = packages_distributions()
        named = {name for package in others for name in distributions.get(package, ())}
        found |= {name: version(name) for name in sorted(named)}
    return found


def device_name(device: Any) -> str:
    """Return the model name of a torch device, without host names."""
    import torch  # lazily: it takes a second

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({_cpu_model() or platform.machine()})"


def instructions(device: Any) -> str:
    """Return the instruction set that a device computes by, on which rounding depends.

    Of a CPU it is what PyTorch uses, and the limits that the environment sets on PyTorch, oneDNN
    and MKL; of a GPU its compute capability.
    """
    import torch  # lazily: it takes a second

    if device.type == "cuda":
        return ".".join(map(str, torch.cuda.get_device_capability(device)))
    limits = [f"{name}={os.environ[name]}" for name in CPU_LIMITS if name in os.environ]
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *limits])


def _cpu_model() -> str | None:
    """Return the processor's model name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None) or None


def exact_arithmetic() -> None:
    """Make GPUs compute in the precision that is asked for, and the same bits for the same seed.

    PyTorch lets convolutions round float32 to TF32 unless told otherwise, and cuBLAS promises the
    same bits only with a workspace of fixed size, which it reads when first used.
    """
    import torch  # lazily: it takes a second

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def peak_memory_bytes() -> int:
    """Return this process's largest resident set so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _git(*arguments: str) -> str | None:
    if not (ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
