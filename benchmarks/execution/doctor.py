"""`dgmbench doctor`: what is here, what is not, and the command that mends it."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from benchmarks.config.catalogue import names
from benchmarks.config.compose import compose_group
from benchmarks.config.instantiate import instantiate
from benchmarks.core.environment import code_state, library_versions
from benchmarks.core.errors import UserError, one_line
from benchmarks.core.paths import check_writable, outputs_dir, results_dir

__all__ = ["Finding", "print_findings", "run_checks", "run_doctor"]

INSTALL = "pip install -c constraints.txt -e ."


@dataclass(frozen=True)
class Finding:
    """One line of the report; `mend` is empty where all is well."""

    what: str
    found: str
    mend: str = ""


def run_doctor() -> int:
    """Print all findings; return 1 where something must be mended."""
    return print_findings(run_checks())


def run_checks() -> list[Finding]:
    """Return what is found on this machine."""
    return [finding for check in CHECKS for finding in check()]


def print_findings(findings: Sequence[Finding]) -> int:
    """Print findings; return 1 where something must be mended."""
    width = max(len(f.what) for f in findings)
    for f in findings:
        mark = "!!" if f.mend else "ok"
        print(f"{mark}  {f.what:<{width}}  {f.found}" + (f"  -> {f.mend}" if f.mend else ""))
    return 1 if any(f.mend for f in findings) else 0


def _versions() -> Iterator[Finding]:
    code = code_state()
    yield Finding("dgmbench", f"{code['version']}, commit {code['git_commit'] or 'unknown'}")
    for name, version in library_versions().items():
        yield Finding(name, version, INSTALL if version == "absent" else "")
    try:
        import torchvision  # noqa: F401  # lazily: one that fails is a finding
    except Exception as error:
        yield Finding("torchvision", one_line(error), f"a matching pair: {INSTALL}")


def _devices() -> Iterator[Finding]:
    import torch  # lazily: it takes seconds, and who submits the doctor's job needs none

    count = torch.cuda.device_count()
    gpus = [torch.cuda.get_device_name(i) for i in range(count)]
    yield Finding("GPUs", ", ".join(gpus) or "none (trainer=cpu)")
    cores = len(os.sched_getaffinity(0))
    yield Finding("CPU", f"{cores} cores; threads=1 per process unless set")


def _data() -> Iterator[Finding]:
    for name in names("datamodule"):
        cfg = compose_group("datamodule", name)
        if "???" in OmegaConf.to_container(cfg).values():  # type: ignore[union-attr]
            continue  # yours to fill in
        try:
            data = instantiate(cfg, f"datamodule {name}")
            data.setup()
        except (UserError, ValueError, OSError) as error:
            yield _absent(name, cfg, error)
            continue
        state = "fingerprint verified" if data.fingerprint else "no pinned fingerprint"
        yield Finding(f"data {name}", f"{len(data.split('train')[0]):,} examples, {state}")


def _absent(name: str, cfg: DictConfig, error: Exception) -> Finding:
    """Data that are to be fetched, or put there, may be absent; embedded ones may not."""
    source = cfg.get("made_from", name)
    if "root" not in cfg:
        return Finding(f"data {name}", one_line(error), "git checkout datamodules/assets")
    missing = "is missing" in str(error)
    if missing and "source" not in cfg and source == name:
        return Finding(f"data {name}", f"not here ({one_line(error)})", "")
    found = f"not here (dgmbench prefetch {source})" if missing else one_line(error)
    return Finding(f"data {name}", found, "" if missing else f"dgmbench prefetch {source}")


def _weights() -> Iterator[Finding]:
    found: dict[str, tuple[str, str]] = {}  # protocols share extractors, which are large
    for name in names("protocol"):
        cfg = compose_group("protocol", name).get("extractor")
        if cfg is None:
            continue
        if str(cfg) not in found:
            try:
                instantiate(cfg, f"protocol {name}.extractor")
                found[str(cfg)] = ("hash verified", "")
            except (UserError, ValueError, OSError) as error:
                embedded = "DGMBENCH_DATA" not in str(error)
                mend = "git checkout benchmarks/evaluation/features" if embedded else ""
                found[str(cfg)] = (one_line(error), mend)
        yield Finding(f"weights of {name}", *found[str(cfg)])


def _wandb() -> Iterator[Finding]:
    from benchmarks.loggers.wandb_logger import has_key  # lazily: it takes seconds

    mode = "online (a key is set)" if has_key() else "offline (no key; `wandb login` sets one)"
    yield Finding("logger=wandb", mode)


def _folders() -> Iterator[Finding]:
    for what, folder, mend in (
        ("outputs", outputs_dir(), "set DGMBENCH_OUTPUTS to a writable folder"),
        ("results", results_dir(), "run in a writable clone"),
        ("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a writable folder"),
    ):
        existed = folder.exists()
        try:
            check_writable(folder)
        except UserError as error:
            yield Finding(what, one_line(error), mend)
            continue
        if not existed:
            folder.rmdir()
        yield Finding(what, f"writable: {folder}")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _versions,
    _devices,
    _data,
    _weights,
    _wandb,
    _folders,
)
