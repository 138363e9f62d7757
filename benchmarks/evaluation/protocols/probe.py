"""What an encoder is worth: reconstructions, and classifiers on top of it."""

import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.evaluation.features.cache import FeatureCache
from benchmarks.evaluation.sources import (
    ImageSource,
    ModelSource,
    check_protocol_counts,
    own_chunks,
)
from datamodules.base import DataModule
from lit_models.base import LitGenerativeModel
from lit_models.callbacks.sample_grids import sampling
from lit_models.training.collectives import mean_over_processes, world

__all__ = ["ProbeProtocol", "ReconstructionProtocol"]


def _model(source: ImageSource, datamodule: DataModule) -> LitGenerativeModel:
    """Return the model of a source that has an encoder.

    Raises:
        ValueError: if it has none.
    """
    if not isinstance(source, ModelSource):
        raise ValueError("this protocol needs a model with an encoder, got images")
    x, _ = datamodule.split("test")
    with sampling(source.model):
        source.model.represent(source.model.encode(x[:2]))
    return source.model


@dataclass(frozen=True)
class ReconstructionProtocol:
    """Mean squared error of reconstructions, in units of the range [0, 1], per dimension.

    Attributes:
        split: Split of the images.
        chunk_size: Images per chunk.
    """

    split: str
    chunk_size: int
    value_names: ClassVar[list[str]] = ["reconstruction_mse"]
    repeatable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_protocol_counts(self, "chunk_size")

    def num_scored(self, datamodule: DataModule) -> int:
        """Return the number of images."""
        return len(datamodule.split(self.split)[0])

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """The error: less is better."""
        return "reconstruction_mse", False

    def check(self, source: ImageSource, datamodule: DataModule) -> None:
        """Refuse what has no encoder."""
        _model(source, datamodule)

    def try_out(self, source: ImageSource, datamodule: DataModule) -> None:
        """Reconstruct the images that a trial sees."""
        self.run(source, datamodule, None, "trial")

    def run(
        self,
        source: ImageSource,
        datamodule: DataModule,
        cache: FeatureCache | None,
        label: str,
        draw: int = 0,
    ) -> dict[str, float]:
        """Return the error over all processes."""
        model = _model(source, datamodule)
        x, labels = datamodule.split(self.split)
        total = torch.zeros((), dtype=torch.float64, device=model.device)
        with sampling(model):
            for index, _ in own_chunks(len(x), self.chunk_size, 0, label):
                part = slice(index.start, index.stop)
                own = model.encode(x[part])
                given = labels[part].to(model.device) if model.conditional else None
                difference = model.to_images(model.reconstruct(own, given)) - model.to_images(own)
                total += (difference.double() / 255).square().sum()
        total = mean_over_processes(total) * world()[1]
        return {"reconstruction_mse": float(total) / (len(x) * datamodule.num_dims)}

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return nothing: it has no variants."""
        return {}


@dataclass(frozen=True)
class ProbeProtocol:
    """Test accuracy of classifiers trained on few labels of the training split.

    `linear_accuracy`: logistic regression on the standardised representations.
    `fine_tuned_accuracy` trains a copy of the encoder under a linear layer as well. Every process
    computes the same.

    Attributes:
        labels_per_class: Labelled training images of each class, drawn by the seed.
        penalty: L2 weight of the logistic regression (1 / C).
        fine_tune_steps: Steps of Adam over all labelled images, or batches of them.
        fine_tune_lr: Learning rate.
        batch_size: Images per step.
        seed: Of the choice of labels, and of the fine-tuning.
        chunk_size: Images per pass.
    """

    labels_per_class: int
    penalty: float
    fine_tune_steps: int
    fine_tune_lr: float
    batch_size: int
    seed: int
    chunk_size: int
    value_names: ClassVar[list[str]] = ["linear_accuracy", "fine_tuned_accuracy"]
    repeatable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_protocol_counts(self, "labels_per_class", "batch_size", "chunk_size")

    def num_scored(self, datamodule: DataModule) -> int:
        """Return the number of images, those of each step of the fine-tuning included."""
        return len(datamodule.split("test")[0]) + self.fine_tune_steps * self.batch_size

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """The linear classifier's accuracy: more is better."""
        return "linear_accuracy", True

    def check(self, source: ImageSource, datamodule: DataModule) -> None:
        """Refuse what has no encoder, and data without enough labels.

        Raises:
            ValueError: if a class has too few training images.
        """
        _model(source, datamodule)
        self._labelled(datamodule)

    def try_out(self, source: ImageSource, datamodule: DataModule) -> None:
        """Train on one image of each class, for one step."""
        few = replace(self, labels_per_class=1, fine_tune_steps=1, batch_size=2)
        few.run(source, datamodule, None, "trial")

    def run(
        self,
        source: ImageSource,
        datamodule: DataModule,
        cache: FeatureCache | None,
        label: str,
        draw: int = 0,
    ) -> dict[str, float]:
        """Train both classifiers and return their accuracies."""
        model = _model(source, datamodule)
        train = self._labelled(datamodule)
        test = datamodule.split("test")
        return {
            "linear_accuracy": self._linear(model, train, test),
            "fine_tuned_accuracy": self._fine_tuned(model, train, test, datamodule.num_classes),
        }

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        """Return the number of labels."""
        return {"labels_per_class": self.labels_per_class}

    def _labelled(self, datamodule: DataModule) -> tuple[Tensor, Tensor]:
        x, labels = datamodule.split("train")
        order = np.random.default_rng(self.seed).permutation(len(x))
        chosen = []
        for c in range(datamodule.num_classes):
            own = order[labels.numpy()[order] == c][: self.labels_per_class]
            if len(own) < self.labels_per_class:
                raise ValueError(
                    f"labels_per_class must be <= {len(own)}, the training images of class {c}, "
                    f"got {self.labels_per_class}"
                )
            chosen.append(own)
        index = torch.from_numpy(np.concatenate(chosen))
        return x[index], labels[index]

    def _linear(
        self, model: LitGenerativeModel, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]
    ) -> float:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        classifier = make_pipeline(
            StandardScaler(), LogisticRegression(C=1 / self.penalty, max_iter=2000)
        )
        features = [self._represented(model, x) for x in (train[0], test[0])]
        classifier.fit(features[0], train[1].numpy())
        return float((classifier.predict(features[1]) == test[1].numpy()).mean())

    def _represented(self, model: LitGenerativeModel, x: Tensor) -> np.ndarray:
        with sampling(model):
            parts = [model.represent(model.encode(p)) for p in x.split(self.chunk_size)]
        return torch.cat(parts).double().cpu().numpy()

    def _fine_tuned(
        self,
        model: LitGenerativeModel,
        train: tuple[Tensor, Tensor],
        test: tuple[Tensor, Tensor],
        num_classes: int,
    ) -> float:
        copied = copy.deepcopy(model).eval()  # no dropout, BatchNorm as it is
        generator = torch.Generator().manual_seed(self.seed)
        x, labels = copied.encode(train[0]), train[1].to(copied.device)
        with sampling(copied):
            width = copied.represent(x[:2]).shape[1]
        head = nn.Linear(width, num_classes).to(x.device, copied.dtype)  # zeros: no draw
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        parameters = [*copied.parameters(), *head.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=self.fine_tune_lr)
        size = min(self.batch_size, len(x))
        with torch.enable_grad():
            for _ in range(self.fine_tune_steps):
                index = torch.randperm(len(x), generator=generator)[:size].to(x.device)
                loss = cross_entropy(head(copied.represent(x[index])), labels[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        right = 0
        with sampling(copied):
            for p, y in zip(
                test[0].split(self.chunk_size), test[1].split(self.chunk_size), strict=True
            ):
                found = head(copied.represent(copied.encode(p))).argmax(1)
                right += int((found.cpu() == y).sum())
        return right / len(test[0])
