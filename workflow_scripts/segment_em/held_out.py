"""Which rated videos a model is validated on, and which model has not been fine-tuned on them.

V videos
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segment_em.ensemble import Ensemble
from segment_em.errors import InputError
from segment_em.index import Index
from segment_em.terms import FINETUNED, PRETRAINED, fold_stage


class Fold(NamedTuple):
    """Rated videos that are held out together. fraction: expected share of all; number: from 0."""

    fraction: float
    number: int

    def holds_out(self, video_ids: Sequence[str]) -> np.ndarray:
        """bool [V], by a hash of the id alone: adding or moving a file moves no video."""
        return np.array([_position(i) // self.fraction == self.number for i in video_ids], bool)


class Validation(NamedTuple):
    """How models are validated.

    fraction: expected share of the rated videos that a fold holds out. folds: models fine-tuned for
    validation alone, each without a fold, in place of one that is fine-tuned on all ratings; 0: one
    fold, and what is validated on it is the model itself.
    """

    fraction: float
    folds: int

    def folds_of(self, rated: Index) -> list[np.ndarray]:
        """The rows of the videos that each fold holds out, ascending."""
        folds = [Fold(self.fraction, number) for number in range(max(1, self.folds))]
        return [np.flatnonzero(fold.holds_out(rated.video_ids)) for fold in folds]

    def videos(self, rated: Index) -> Index:
        """All that are held out: fold by fold, each in the order of the index."""
        return rated.take(np.concatenate(self.folds_of(rated)))

    def parts(self, scorer: Ensemble, rated: Index) -> list[tuple[Ensemble, Index]]:
        """Who scores which of the `videos`, in their order, in place of the scorer.

        Raises InputError for weights of which no model is fine-tuned without a fold.
        """
        judges = [_without(scorer, number) for number in range(self.folds)]
        if all(judge == scorer for judge in judges):
            return [(scorer, self.videos(rated))]
        return list(zip(judges, map(rated.take, self.folds_of(rated)), strict=True))

    def tuning(self, rated: Index) -> list[Index]:
        """What models are fine-tuned on: first the one that goes on, then one without each fold."""
        rest = [rated.take(np.delete(np.arange(len(rated)), rows)) for rows in self.folds_of(rated)]
        return [rated, *rest] if self.folds else rest

    @property
    def remedy(self) -> str:
        """What to do where too little is held out."""
        if (self.folds or 1) * self.fraction > 1 - self.fraction / 2:
            return "rate more segments"
        more = "data.validation_fraction or data.validation_folds" if self.folds else ""
        return f"raise {more or 'data.validation_fraction'} or rate more segments"


def _position(video_id: str) -> float:
    """Where in [0, 1) the hash of an id lies."""
    head = hashlib.sha256(str(video_id).encode()).digest()[:8]
    return int.from_bytes(head, "big") / 2**64


def _without(scorer: Ensemble, fold: int) -> Ensemble:
    """The same of models that have not seen the ratings of a fold, from the same folders."""
    members = [(_weights_without(path, fold), weight) for path, weight in scorer.members]
    return replace(scorer, members=tuple(members))


def _weights_without(path: Path, fold: int) -> Path:
    if path.stem == PRETRAINED:  # fine-tuned on no rating
        return path
    if path.stem != FINETUNED:
        raise InputError(
            f"{path}: of these weights none are fine-tuned without fold {fold}; give "
            f"{FINETUNED}{path.suffix} or {PRETRAINED}{path.suffix} of a model"
        )
    return path.with_stem(fold_stage(fold))
