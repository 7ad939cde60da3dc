"""Batches of videos: stored bytes and sparse labels from disk, dense tensors on the device.

Shapes: B clips, T frames (padded to a multiple of the segment), S segments, F features of one
modality, C classes.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

import numpy as np
import torch

from segment_em.frames import FrameReader
from segment_em.index import Index, segments_of
from segment_em.targets import Entries

ALIKE = 16  # batches whose videos are dealt by length


class Source(Protocol):
    """Where labels come from: see targets.py and labels.py."""

    def entries(self, rows: np.ndarray) -> Entries: ...


class SourceWithPrior(Source, Protocol):
    """One that a new model is trained on. prior: float64 [C], how frequent each class is."""

    def prior(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Batch:
    """Some clips, whole videos, as they are stored.

    rows: int64 [B], rows in the index; none in Clips.nothing. stored: {modality: [B, T, F] as
    stored, zero padded}. frames: {modality: int64 [B]}, frames that are there. mask: bool [B, T],
    the frames that the model is asked about. labels: sparse labels as tensors; None when only
    scores are wanted.
    """

    rows: np.ndarray
    stored: dict[str, torch.Tensor]
    frames: dict[str, torch.Tensor]
    mask: torch.Tensor
    labels: tuple[torch.Tensor, ...] | None

    def to(self, device: torch.device) -> "Batch":
        """The same batch on the device; copies from pinned memory do not wait."""

        def move(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(device, non_blocking=True)

        return replace(
            self,
            stored={name: move(tensor) for name, tensor in self.stored.items()},
            frames={name: move(tensor) for name, tensor in self.frames.items()},
            mask=move(self.mask),
            labels=None if self.labels is None else tuple(map(move, self.labels)),
        )

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory."""
        return replace(
            self,
            stored={name: tensor.pin_memory() for name, tensor in self.stored.items()},
            frames={name: tensor.pin_memory() for name, tensor in self.frames.items()},
            mask=self.mask.pin_memory(),
            labels=None if self.labels is None else tuple(t.pin_memory() for t in self.labels),
        )

    def record_stream(self, stream: torch.cuda.Stream) -> None:
        """Keep the memory of this batch until the stream has used it."""
        for tensor in (*self.stored.values(), *self.frames.values(), self.mask, *self._labels()):
            tensor.record_stream(stream)

    def segment_mask(self, segment_frames: int) -> torch.Tensor:
        """bool [B, S]: the segments with at least one frame of the mask."""
        return self.mask.unflatten(1, (-1, segment_frames)).any(2)

    def video_targets(self, classes: int) -> torch.Tensor:
        """float32 [B, C]: 1 where the video carries the class."""
        clip, _, column, value, _ = self._labels()
        targets_BC = torch.zeros(len(self.mask), classes, device=value.device)
        targets_BC[clip, column] = value
        return targets_BC

    def segment_targets(
        self, segments: int, classes: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """float32 [B, S, C] twice, and bool: the labels, their weights, and where there is one.

        Both are 0 where there is none.
        """
        clip, segment, column, value, weight = self._labels()
        shape = (len(self.mask), segments, classes)
        targets_BSC, weights_BSC = (torch.zeros(shape, device=value.device) for _ in range(2))
        listed_BSC = torch.zeros(shape, dtype=torch.bool, device=value.device)
        targets_BSC[clip, segment, column] = value
        weights_BSC[clip, segment, column] = weight
        listed_BSC[clip, segment, column] = torch.ones_like(clip, dtype=torch.bool)
        return targets_BSC, weights_BSC, listed_BSC

    def _labels(self) -> tuple[torch.Tensor, ...]:
        assert self.labels is not None, "this batch was made without labels"
        return self.labels


class Dequantise:
    """Stored values to float features, on whatever device they are."""

    def __init__(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """ranges: {modality: (scale, bias)}; value = stored * scale + bias, see index.Modality."""
        self.ranges = dict(ranges)

    @classmethod
    def of(cls, index: Index) -> "Dequantise":
        """By the value ranges of the index's modalities."""
        return cls({name: (part.scale, part.bias) for name, part in index.modalities.items()})

    def __call__(self, batch: Batch) -> dict[str, torch.Tensor]:
        """{modality: float32 [B, T, F]}; padding is 0.0 after dequantising, as in the starter."""
        return {name: self._one(name, batch) for name in batch.stored}

    def _one(self, name: str, batch: Batch) -> torch.Tensor:
        scale, bias = self.ranges[name]
        stored_BTF = batch.stored[name]
        position_T = torch.arange(stored_BTF.shape[1], device=stored_BTF.device)
        there_BT1 = (position_T < batch.frames[name][:, None])[..., None].float()
        # Not filled in a pass of its own, which would take as long as the rest.
        return stored_BTF.float().mul_(scale * there_BT1).add_(bias * there_BT1)


class Clips:
    """Whole videos by lists of rows: `clips[rows]` is the batch of these videos."""

    def __init__(
        self,
        reader: FrameReader,
        segment_frames: int,
        source: Source | None,
        labelled_segments_only: bool,
    ) -> None:
        """labelled_segments_only: mask all frames of segments that have no entry in the source.

        A frame-level model's score of a segment depends on that segment alone, so when it is
        fine-tuned the unrated segments of a rated video would be computed for nothing.
        """
        self.reader, self.segment_frames = reader, segment_frames
        self.source, self.labelled_segments_only = source, labelled_segments_only
        self.frame_counts = reader.frame_counts

    def segment_counts(self) -> np.ndarray:
        """int64 [V]: segments of each video; the last may be cut short."""
        return segments_of(self.frame_counts, self.segment_frames)

    def nothing(self) -> Batch:
        """A clip without frames or labels: what a process computes whose share of a batch is empty.

        Every process has to take part in the sums over all of them.
        """
        shapes = {
            name: np.zeros((1, self.segment_frames, modality.width), modality.dtype)
            for name, modality in self.reader.index.modalities.items()
        }
        label = torch.zeros(0, dtype=torch.int64)
        return Batch(
            np.zeros(0, np.int64),
            {name: torch.from_numpy(array) for name, array in shapes.items()},
            {name: torch.zeros(1, dtype=torch.int64) for name in shapes},
            torch.zeros(1, self.segment_frames, dtype=torch.bool),
            (label, label, label, torch.zeros(0), torch.zeros(0)),
        )

    def __getitem__(self, rows: np.ndarray) -> Batch:
        rows = np.asarray(rows)
        if not len(rows):
            return self.nothing()
        counts = self.frame_counts[rows]
        segments = max(1, segments_of(int(counts.max()), self.segment_frames))
        length = segments * self.segment_frames
        stored, frames = self.reader.batch(rows, length)
        mask_BT = np.arange(length) < counts[:, None]
        labels = self.source.entries(rows) if self.source else None
        if labels is not None and self.labelled_segments_only:
            listed_BS = np.zeros((len(rows), segments), dtype=bool)
            listed_BS[labels.clip, labels.segment] = True
            mask_BT &= np.repeat(listed_BS, self.segment_frames, axis=1)
        return Batch(
            rows,
            {name: torch.from_numpy(array) for name, array in stored.items()},
            {name: torch.from_numpy(count) for name, count in frames.items()},
            torch.from_numpy(mask_BT),
            None if labels is None else tuple(map(torch.from_numpy, labels)),
        )


def shuffled(
    rows: np.ndarray, frame_counts: np.ndarray, batch: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """The batches of one epoch, in an order that depends on the arguments alone.

    frame_counts: int64 [V], of all videos. Videos of a batch have similar lengths, since each is
    padded to the longest of them: of every ALIKE batches drawn, the videos are dealt by length; of
    fewer in a short epoch, which would otherwise hold the same batches each time.
    """
    draw = np.random.default_rng([seed, epoch])
    alike = max(1, min(ALIKE, len(rows) // (4 * batch)))
    batches = []
    for drawn in in_order(draw.permutation(rows), batch * alike):
        batches += in_order(drawn[np.argsort(frame_counts[drawn], kind="stable")], batch)
    return [batches[number] for number in draw.permutation(len(batches))]


def in_order(rows: np.ndarray, batch: int) -> list[np.ndarray]:
    """Batches of the given rows, as they come."""
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]


def load(clips: Clips, batches: list[np.ndarray], workers: int, pin: bool) -> Iterator[Batch]:
    """The batches in the order given, whatever the number of threads that read ahead.

    Threads, since all that takes long is copying, which lets others run. A process would hand each
    batch over through new shared memory, which costs several times what reading it does
    (docs/performance.md).
    """

    def made(rows: np.ndarray) -> Batch:
        return clips[rows].pin_memory() if pin else clips[rows]

    if not workers:
        yield from map(made, batches)
        return
    ahead: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for rows in batches:
            ahead.append(pool.submit(made, rows))
            if len(ahead) > workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all epochs: memory that was filled on a stream is kept for it."""
    return torch.cuda.Stream(device)


def on_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches on the device; a GPU still computes on one while the next is copied there."""
    if device.type != "cuda":
        yield from batches
        return
    copies, computes = _copy_stream(device), torch.cuda.current_stream(device)
    for batch in batches:
        with torch.cuda.stream(copies):
            copied = batch.to(device)
        computes.wait_stream(copies)
        copied.record_stream(computes)
        yield copied
