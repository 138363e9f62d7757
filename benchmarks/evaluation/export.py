"""`dgmbench export RUN`: a run's generator and samples for others, without pickle."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from safetensors.torch import save

from benchmarks.config.instantiate import instantiate
from benchmarks.core.environment import exact_arithmetic
from benchmarks.core.errors import UserError, user_errors
from benchmarks.core.files import write_atomically
from benchmarks.core.paths import check_writable
from benchmarks.evaluation.opening import load_model, open_run
from benchmarks.evaluation.sources import ModelSource, finite_samples
from benchmarks.runs.record import Record
from lit_models.capabilities import Samples, has
from lit_models.images import round_to_uint8

__all__ = ["export"]

SEED, CHUNK = 0, 100
CITATION = """cff-version: 1.2.0
message: Please cite the paper of the method, and the suite that trained this model.
title: {title}
type: dataset
authors:
  - name: dgmbench
abstract: >-
  {abstract}
references:
  - type: article
    title: {paper}
    authors:
      - name: see the title
"""


def export(
    folder: Path, num_samples: int, checkpoint: str = "last", target: Path | None = None
) -> Path:
    """Write model.safetensors, config.json, samples.npz, record.json and CITATION.cff.

    `config.json` holds the resolved model config: instantiated and given the weights, it samples
    as the run does (see `weights` there). Samples are uint8 (N, H, W, C), or float vectors.

    Args:
        folder: The run's folder.
        num_samples: Number of samples; 0 for none.
        checkpoint: "last", "best", or the images_seen of a snapshot.
        target: Folder to write; None for `export` in the run's folder.

    Returns:
        The folder.

    Raises:
        UserError: if the folder is no run, or the model draws no samples.
    """
    if num_samples < 0:
        raise UserError(f"samples must be >= 0, got {num_samples}")
    run, cfg = open_run(folder)
    torch.set_num_threads(cfg.threads)
    exact_arithmetic()
    record = run.record()
    assert record is not None
    target = target or run.folder / "export"
    check_writable(target)
    with user_errors(ValueError, OSError):
        model, images_seen = load_model(cfg, run, checkpoint)
        model.weights = cfg.weights
        if num_samples and not has(model, Samples):
            raise UserError(f"samples must be 0 for {type(model).__name__}, which draws none")
        state = {k: v.detach().contiguous().clone() for k, v in model.sampling_state().items()}
        weights = save(state, _metadata(record, images_seen))
        write_atomically(target / "model.safetensors", weights)
        write_atomically(target / "config.json", _config(cfg, record, images_seen))
        write_atomically(target / "record.json", record.to_json())
        write_atomically(
            target / "CITATION.cff",
            _citation(record, str(cfg.paper if "paper" in cfg else record.method)),
        )
        (target / "samples.npz").unlink(missing_ok=True)  # of an earlier call
        if num_samples:
            datamodule: Any = instantiate(cfg.datamodule, "datamodule")
            _save_samples(model, num_samples, datamodule.num_levels, target / "samples.npz")
    return target


def _metadata(record: Record, images_seen: int) -> dict[str, str]:
    return {
        "format": "pt",
        "experiment": record.experiment,
        "dataset": record.dataset,
        "run_id": record.run_id,
        "images_seen": str(images_seen),
    }


def _config(cfg: Any, record: Record, images_seen: int) -> str:
    values = {
        "experiment": record.experiment,
        "dataset": record.dataset,
        "run_id": record.run_id,
        "images_seen": images_seen,
        "weights": cfg.weights,
        "model": OmegaConf.to_container(cfg.model, resolve=True),
    }
    return json.dumps(values, indent=1) + "\n"


def _citation(record: Record, paper: str) -> str:
    abstract = (
        f"{record.method} trained on {record.dataset}, {record.counters.get('images_seen', 0):,} "
        f"images seen, seed {record.seed}; dgmbench {record.code.get('version')}, commit "
        f"{record.code.get('git_commit')}, run {record.run_id}."
    )
    title = f"{record.method} on {record.dataset} ({record.experiment})"
    return CITATION.format(title=json.dumps(title), abstract=abstract, paper=json.dumps(paper))


def _save_samples(model: Any, num_samples: int, num_levels: int | None, path: Path) -> None:
    parts = []
    for _, x in finite_samples(ModelSource(model), num_samples, CHUNK, SEED, "samples"):
        if num_levels is not None:
            x = round_to_uint8(x).permute(0, 2, 3, 1)
        parts.append(x.cpu().numpy())
    out = io.BytesIO()
    np.savez_compressed(out, images=np.concatenate(parts))
    write_atomically(path, out.getvalue())
