"""What an encoder is worth to classifiers on top of it."""

import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.evaluation.protocols.base import Protocol, check_counts
from benchmarks.evaluation.sources import ImageSource, model_of
from datamodules.base import DataModule
from lit_models.callbacks.sample_grids import sampling
from lit_models.capabilities import HasEncoder

__all__ = ["ProbeProtocol"]


@dataclass(frozen=True)
class ProbeProtocol(Protocol):
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
        seed: The seed of the choice of labels, and of the fine-tuning.
        chunk_size: Images per pass.
    """

    labels_per_class: int
    penalty: float
    fine_tune_steps: int
    fine_tune_lr: float
    batch_size: int
    seed: int
    chunk_size: int
    needs: ClassVar[tuple[type, ...]] = (HasEncoder,)

    def __post_init__(self) -> None:
        check_counts(self, "labels_per_class", "batch_size", "chunk_size")

    @property
    def value_names(self) -> list[str]:
        return ["linear_accuracy", "fine_tuned_accuracy"]

    @property
    def main_value(self) -> tuple[str, bool] | None:
        """The linear classifier's accuracy: more is better."""
        return "linear_accuracy", True

    def num_scored(self, data: DataModule) -> int:
        """Return the number of images, those of each step of the fine-tuning included."""
        return len(data.split("test")[0]) + self.fine_tune_steps * self.batch_size

    def check_fit(self, source: ImageSource, data: DataModule) -> None:
        """Refuse data without enough labels, and an encoder that does not take them.

        Raises:
            ValueError: if a class has too few training images.
        """
        self._labelled(data)
        self._represented(model_of(source), data.split("test")[0][:2])

    def try_out(self, source: ImageSource, data: DataModule) -> None:
        """Train on one image of each class, for one step."""
        few = replace(self, labels_per_class=1, fine_tune_steps=1, batch_size=2)
        few.rehearse(source, data)

    def measure(
        self, source: ImageSource, data: DataModule, prepared: Any, label: str, draw: int = 0
    ) -> dict[str, float]:
        """Train both classifiers and return their accuracies."""
        model = model_of(source)
        train = self._labelled(data)
        test = data.split("test")
        return {
            "linear_accuracy": self._linear(model, train, test),
            "fine_tuned_accuracy": self._fine_tuned(model, train, test, data.num_classes),
        }

    def attributes(self, source: ImageSource) -> dict[str, Any]:
        return {"labels_per_class": self.labels_per_class}

    def _labelled(self, data: DataModule) -> tuple[Tensor, Tensor]:
        x, labels = data.split("train")
        order = np.random.default_rng(self.seed).permutation(len(x))
        chosen = []
        for c in range(data.num_classes):
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
        self, model: Any, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]
    ) -> float:
        # lazily: scikit-learn takes a second, and a plan asks for this class
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        classifier = make_pipeline(
            StandardScaler(), LogisticRegression(C=1 / self.penalty, max_iter=2000)
        )
        features = [self._represented(model, x) for x in (train[0], test[0])]
        classifier.fit(features[0], train[1].numpy())
        return float((classifier.predict(features[1]) == test[1].numpy()).mean())

    def _represented(self, model: Any, x: Tensor) -> np.ndarray:
        with sampling(model):
            parts = [model.represent(model.encode(p)) for p in x.split(self.chunk_size)]
        return torch.cat(parts).double().cpu().numpy()

    def _fine_tuned(
        self,
        model: Any,
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
