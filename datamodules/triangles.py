"""Rasterised triangles: images of a known manifold, after Lucic et al. (2018).

"Are GANs Created Equal?", https://arxiv.org/abs/1711.10337, Sec. 5 and the published notebook:
convex polygons with vertices on a circle, moved to the middle of the image, drawn with partial
cover of pixels. The manifold has as many dimensions as vertices, so that the distance of an image
to it can be computed. Law and raster are the notebook's, and so are what look like its slips: the
rotation is drawn in radians and taken for degrees, so that no triangle is turned by more than 6.3
degrees; gaps may be half of the smallest angle that it names; its pixels begin three cells early.
"""

from typing import Any

import numpy as np
from tqdm import tqdm

from datamodules.base import ImageDataModule, Splits

__all__ = ["Triangles", "polygon_vertices", "rasterise"]

BLOCK, SHOWN = 2000, 10  # polygons at a time; blocks from which on a bar is shown
SEARCH_STEPS, STARTS = 12, 4
LARGEST_TURN = np.deg2rad(2 * np.pi)


def polygon_vertices(angles: np.ndarray, radius: float) -> np.ndarray:
    """Return vertices (N, V, 2) at angles (N, V) of a circle, moved to have mean 0."""
    points = radius * np.stack([np.cos(angles), np.sin(angles)], axis=2)
    return points - points.mean(axis=1, keepdims=True)


def rasterise(vertices: np.ndarray, side: int, subpixels: int) -> np.ndarray:
    """Return which share of each pixel convex polygons cover, (N, side, side), in [0, 1].

    A pixel counts the centres of its subpixels x subpixels cells inside the polygon.

    Args:
        vertices: (N, V, 2), counter-clockwise, in [-1, 1] x [-1, 1].
        side: Pixels per side.
        subpixels: Cells per side of a pixel.
    """
    fine = side * subpixels
    y = (np.arange(fine) + 0.5) * (2 / fine) - 1
    lower = np.full((len(vertices), fine), -np.inf)
    upper = np.full((len(vertices), fine), np.inf)
    for i in range(vertices.shape[1]):  # inside is to the left of every edge
        x0, y0 = vertices[:, i, 0, None], vertices[:, i, 1, None]
        dx = vertices[:, (i + 1) % vertices.shape[1], 0, None] - x0
        dy = vertices[:, (i + 1) % vertices.shape[1], 1, None] - y0
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = x0 + dx * (y - y0) / dy
        upper = np.where(dy > 0, np.minimum(upper, crossing), upper)
        lower = np.where(dy < 0, np.maximum(lower, crossing), lower)
    first = _cells(lower, fine)
    last = np.maximum(_cells(upper, fine), first)
    left = np.arange(side, dtype=np.int16) * subpixels
    first, last = first[..., None], last[..., None]
    covered = np.minimum(last, left + subpixels) - np.maximum(first, left)
    covered = np.maximum(covered, 0).reshape(-1, side, subpixels, side).sum(axis=2)
    return covered / np.float32(subpixels**2)


def _cells(x: np.ndarray, fine: int) -> np.ndarray:
    """Return how many cell centres lie to the left of x."""
    return np.clip(np.ceil((x + 1) * (fine / 2) - 0.5), 0, fine).astype(np.int16)


class Triangles(ImageDataModule):
    """Black polygons with `num_vertices` vertices on white; all labels are 0.

    The circle is cut into one segment per vertex. A vertex is uniform in its segment, but for the
    first half of `min_angle_degrees`; then all are turned by one angle.

    Args:
        num_vertices: Vertices of a polygon (3).
        min_angle_degrees: Twice the smallest gap between vertices, seen from the circle's centre
            (20 in the notebook).
        radius: The radius of the circle, where the image is [-1, 1]^2 (.75).
        subpixels: Cells per side of a pixel (8).
        train_size: Number of training images, those set aside included.
        test_size: Number of test images.
        seed: The seed of the draw.
        shared: The arguments of `ImageDataModule`.

    Raises:
        ValueError: if the image is not a grey square, or the angles do not fit a circle.
    """

    def __init__(
        self,
        num_vertices: int,
        min_angle_degrees: float,
        radius: float,
        subpixels: int,
        train_size: int,
        test_size: int,
        seed: int,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        if len(self.shape) != 3 or self.shape[0] != 1 or self.shape[1] != self.shape[2]:
            raise ValueError(f"image_shape must be (1, S, S), got {list(self.shape)}")
        if num_vertices < 3 or not 0 < num_vertices * min_angle_degrees < 360:
            raise ValueError(
                "num_vertices must be >= 3 and num_vertices x min_angle_degrees in (0, 360), "
                f"got {num_vertices} and {min_angle_degrees}"
            )
        if train_size - self.validation_size <= STARTS:
            raise ValueError(
                f"train_size must be > {self.validation_size + STARTS} with validation_size "
                f"{self.validation_size}, got {train_size}"
            )
        assert self.num_levels is not None
        self.top_level = self.num_levels - 1
        self.num_vertices = num_vertices
        segment = 2 * np.pi / num_vertices
        ends = segment * np.arange(1, num_vertices + 1)
        self.lowest, self.highest = ends - segment + np.deg2rad(min_angle_degrees / 2), ends
        self.radius, self.subpixels = radius, subpixels
        self.train_size, self.test_size, self.seed = train_size, test_size, seed

    def load(self) -> Splits:
        rng = np.random.default_rng(self.seed)
        # one after the other, so that the test set does not depend on how the draws are batched
        self._angles = {"train": self._draw(rng, self.train_size)}
        self._angles["test"] = self._draw(rng, self.test_size)
        images = {split: self._images(a)[:, None] for split, a in self._angles.items()}
        self._known = images["train"]
        labels = {split: np.zeros(len(a), np.int64) for split, a in self._angles.items()}
        return Splits(images["train"], labels["train"], images["test"], labels["test"])

    def manifold_distance(self, images: np.ndarray) -> np.ndarray:
        """Return the Euclidean distance of images (N, 1, S, S) in [0, 1] to the nearest polygon.

        From the nearest training images, a Gauss-Newton search over the angles. The result is the
        distance to a polygon image that exists, so an upper bound.
        """
        pixels = images.reshape(len(images), -1).astype(np.float32)
        starts = self._nearest_training(pixels)
        best = np.full(len(pixels), np.inf)
        for column in starts.T:
            best = np.minimum(best, self._search(pixels, self._angles["train"][column]))
        return best

    def _draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Return angles (N, V): each uniform in its segment, then turned back together."""
        shares = rng.uniform(size=(size, self.num_vertices))
        angles = self.lowest + shares * (self.highest - self.lowest)
        return angles - rng.uniform(0, LARGEST_TURN, (size, 1))

    def _images(self, angles: np.ndarray) -> np.ndarray:
        parts = np.array_split(angles, max(1, len(angles) // BLOCK))
        return np.concatenate(
            [
                self._levels(polygon_vertices(part, self.radius))
                for part in tqdm(
                    parts, desc=self.name, leave=False, disable=len(parts) < SHOWN or None
                )
            ]
        )

    def _levels(self, vertices: np.ndarray) -> np.ndarray:
        cell = 2 / (self.shape[1] * self.subpixels)
        # their cells are points, not squares, and a pixel begins three points before its own
        moved = vertices + (self.subpixels // 2 - 0.5) * cell
        cover = rasterise(moved, self.shape[1], self.subpixels)
        black_on_white = 1 - np.swapaxes(cover, 1, 2)  # their first axis is x
        return np.rint(black_on_white * self.top_level).astype(np.uint8)

    def _nearest_training(self, pixels: np.ndarray) -> np.ndarray:
        """Return the indices (N, STARTS) of the nearest training images."""
        train = self._known.reshape(self.train_size, -1)
        found = []
        for part in np.array_split(pixels, max(1, len(pixels) // 250)):
            scores = np.empty((len(part), len(train)), np.float32)
            for at in range(0, len(train), 10_000):
                block = train[at : at + 10_000].astype(np.float32) / self.top_level
                scores[:, at : at + 10_000] = (block**2).sum(1) - 2 * part @ block.T
            found.append(np.argpartition(scores, STARTS, axis=1)[:, :STARTS])
        return np.concatenate(found)

    def _search(self, pixels: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Return the smallest distance that a damped Gauss-Newton search finds."""
        angles, step = angles.copy(), np.full(len(angles), np.deg2rad(2.0))
        best = self._distance(pixels, angles)
        for _ in range(SEARCH_STEPS):
            residual = pixels - self._flat(angles)
            slopes = np.stack(
                [self._slope(angles, i, np.deg2rad(1.0)) for i in range(self.num_vertices)], axis=2
            )
            gram = np.einsum("npi,npj->nij", slopes, slopes)
            gram += 1e-3 * np.eye(self.num_vertices)
            right = np.einsum("npi,np->ni", slopes, residual)
            move = np.linalg.solve(gram, right[..., None])[..., 0]
            scale = np.minimum(1, step / np.abs(move).max(axis=1).clip(1e-12))
            proposal = self._admissible(angles + scale[:, None] * move)
            distance = self._distance(pixels, proposal)
            better = distance < best
            angles[better], best[better] = proposal[better], distance[better]
            step = np.where(better, step * 1.5, step * 0.4)
        return best

    def _slope(self, angles: np.ndarray, vertex: int, delta: float) -> np.ndarray:
        up, down = angles.copy(), angles.copy()
        up[:, vertex] += delta
        down[:, vertex] -= delta
        return (self._flat(up) - self._flat(down)) / (2 * delta)

    def _admissible(self, angles: np.ndarray) -> np.ndarray:
        """Return angles that the law can draw: those given, where it can, else near ones."""
        least = (self.lowest - angles).max(axis=1, keepdims=True)
        most = (self.highest - angles).min(axis=1, keepdims=True)
        turn = np.clip((least + most) / 2, 0, LARGEST_TURN)
        return np.clip(angles + turn, self.lowest, self.highest) - turn

    def _distance(self, pixels: np.ndarray, angles: np.ndarray) -> np.ndarray:
        return np.sqrt(np.square(pixels - self._flat(angles)).sum(1))

    def _flat(self, angles: np.ndarray) -> np.ndarray:
        images = self._images(angles).reshape(len(angles), -1)
        return images.astype(np.float32) / self.top_level
