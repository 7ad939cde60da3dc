"""Joining the scores of several models: who is joined, how, and what they say together.

members.json says who is joined and how; ensemble.json repeats it and adds all else that localising
new videos needs, so that a change of what does not decide scores repeats no inference.

N segments, C classes, V videos
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segment_em.errors import InputError
from segment_em.files import read_json, write_json
from segment_em.provenance import file_digest, write_how

# The odds of a score of 0 or 1 are not finite: nearer to them than this a score has no more to say.
SMALLEST_SCORE = 1e-7
FORMAT = 4  # of ensemble.json


def mean(members: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Average the members' probabilities.

    members: at least one array [N, C] of scores in [0, 1], the same segments and classes in each.
    weights: one for each, above 0 in sum. Returns float32 [N, C]. Raises InputError where the
    members do not fit together.
    """
    if len(members) == 1:
        return members[0].astype(np.float32, copy=False)
    return _weighted_mean(members, weights).astype(np.float32)


def geometric(members: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Average the members' log-odds: the odds are the geometric mean of theirs. As `mean`."""
    odds_NC = np.exp(_weighted_mean(list(map(_log_odds, members)), weights))
    return (odds_NC / (1 + odds_NC)).astype(np.float32)


JOINS = {"mean": mean, "geometric": geometric}


@dataclass(frozen=True)
class Ensemble:
    """All that decides what several models together say of a video.

    members: (weights file, weight) of each. join: a name in JOINS. video_filter: see `filtered`.
    shifts: frames by which the segments' grid is moved, 0 among them, see inference.py.
    """

    members: tuple[tuple[Path, float], ...]
    join: str
    video_filter: float
    shifts: tuple[int, ...]

    @classmethod
    def of_one(cls, weights: str | Path) -> "Ensemble":
        """One model as it is."""
        return cls(((Path(weights), 1.0),), "mean", 0.0, (0,))

    def described(self, folder: Path) -> dict[str, Any]:
        """What JSON in that folder tells of it: paths are relative to the folder."""
        members = [
            {"weights": os.path.relpath(path, folder), "weight": weight}
            for path, weight in self.members
        ]
        return {
            "join": self.join,
            "video_filter": self.video_filter,
            "shifts": list(self.shifts),
            "members": members,
        }

    def scores(self, members: Sequence[np.ndarray], counts_V: np.ndarray) -> np.ndarray:
        """float32 [N, C] in [0, 1] of whole videos.

        members: [N, C] of each. counts_V: int64 [V], segments of each video, which add up to N.
        """
        joined_NC = JOINS[self.join](members, [weight for _, weight in self.members])
        return filtered(joined_NC, counts_V, self.video_filter)

    def spread(self, members: Sequence[np.ndarray]) -> np.ndarray:
        """float32 [N, C] in [0, 0.5]: the members' weighted standard deviation; 0 of one."""
        if len(members) == 1:
            return np.zeros(members[0].shape, np.float32)
        weights = [weight for _, weight in self.members]
        mean_NC = _weighted_mean(members, weights)
        squares = [np.square(scores_NC - mean_NC) for scores_NC in members]
        return np.sqrt(_weighted_mean(squares, weights)).astype(np.float32)


def read(path: str | Path, validated: bool = False) -> Ensemble:
    """A members.json, ensemble.json or selected.json; of any other file just itself.

    validated: with what validation judged in place of members that were fine-tuned again. Raises
    InputError if the ensemble cannot be read.
    """
    path = Path(path)
    if path.suffix != ".json":
        return Ensemble.of_one(path)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        members = tuple(_member(path.parent, row, validated) for row in told["members"])
        if told["join"] not in JOINS:
            raise ValueError(f"join {told['join']!r}")
        shifts = tuple(map(int, told["shifts"]))
        return Ensemble(members, told["join"], float(told["video_filter"]), shifts)
    except KeyError as error:
        if error.args == ("validated",):
            raise InputError(
                f"{path}: says nothing of what validation judged; give the members.json of a run "
                "of this version"
            ) from None
        raise _no_ensemble(path, error) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ValueError, TypeError) as error:
        raise _no_ensemble(path, error) from None


def _member(folder: Path, row: Mapping[str, Any], validated: bool) -> tuple[Path, float]:
    file = (row["validated"] if validated else row)["weights"]
    # Normal, since the stamp of a result names the file as the workflow does.
    return Path(os.path.normpath(folder / file)), float(row["weight"])


def members_of(path: str | Path) -> list[tuple[Path, float]]:
    """(weights file, weight) of each member of an ensemble; of any other file just itself."""
    return list(read(path).members)


def with_members(path: str | Path, validated: bool = False) -> list[Path]:
    """An ensemble's file and the weights of its members, see read; of any other just itself."""
    members = read(path, validated).members
    return list(dict.fromkeys([Path(path), *(file for file, _ in members)]))


def filtered(scores_NC: np.ndarray, counts_V: np.ndarray, power: float) -> np.ndarray:
    """Each score times that power of its video's: it counts less in a video without the class.

    A video's score is the linear softmax of its segments' (poolings/linear_softmax.py): the sum of
    the squares over the sum, between their mean and their maximum. power: at least 0, which changes
    nothing. Each video alone, so that it does not matter which are scored together.
    """
    if not power:
        return scores_NC
    filled_V = counts_V[counts_V > 0]
    if not len(filled_V):
        return scores_NC
    first_V = np.concatenate([[0], filled_V.cumsum()[:-1]])
    wide_NC = scores_NC.astype(np.float64)
    sums_VC = np.add.reduceat(wide_NC, first_V, axis=0)
    squares_VC = np.add.reduceat(np.square(wide_NC), first_V, axis=0)
    video_VC = squares_VC / np.maximum(sums_VC, np.finfo(float).tiny)
    return (wide_NC * np.repeat(video_VC**power, filled_V, axis=0)).astype(np.float32)


@dataclass(frozen=True)
class Description:
    """What an ensemble.json says beside its members.

    inference: max_frames, segment_frames and precision of the run. threshold: a class occurs where
    it scores at least this. feature_rms: how large the features were that it was trained on, see
    feature_scale.py. names: by class id; empty where the run had no vocabulary.
    """

    inference: dict[str, Any]
    threshold: float
    feature_rms: dict[str, float]
    names: dict[int, str]


def describe(
    members_path: str | Path, description: Description, out: str | Path, stamp: Mapping[str, Any]
) -> None:
    """Write ensemble.json: members.json, its paths now relative to `out`, each beside the digest of
    the weights, and the description.
    """
    joined = read_json(members_path)
    files = [file for file, _ in members_of(members_path)]
    for member, file in zip(joined["members"], files, strict=True):
        member["weights"] = os.path.relpath(file, Path(out).parent)
        member["digest"] = file_digest(file)
        member.pop("validated", None)  # a copy of the run may go without it
    whole = {"format": FORMAT} | joined | asdict(description) | {"stamp": dict(stamp)}
    write_json(out, whole)
    write_how(out, stamp)


def check_weights(path: str | Path) -> None:
    """Raise InputError where a member of an ensemble.json has other weights than it was made with.

    A run that is under way, or a copy of a part of it, mixes old and new ones.
    """
    for member, (file, _) in zip(read_json(path)["members"], members_of(path), strict=True):
        if not file.is_file():
            raise InputError(
                f"{file}: no such file, and {path} has it as a member; copy it along (experiments "
                "of an ablation share files)"
            )
        if file_digest(file) != member.get("digest"):
            raise InputError(
                f"{file}: other weights than {path} was made with; run the experiment to its end, "
                "or copy both from one run"
            )


def description_of(path: str | Path) -> Description:
    """What an ensemble.json says beside its members. Raises InputError if it does not."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        version = found.get("format")
        if version == FORMAT:
            names = {int(class_id): name for class_id, name in found["names"].items()}
            rms = {name: float(value) for name, value in found["feature_rms"].items()}
            return Description(found["inference"], float(found["threshold"]), rms, names)
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not an ensemble.json ({error!r}); give results/<experiment>/ensemble.json"
        ) from None
    raise InputError(
        f"{path}: ensemble format {version}, this version reads {FORMAT}; "
        "give results/<experiment>/ensemble.json, made with this version"
    )


def _no_ensemble(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not an ensemble ({error!r}); delete it to make it anew")


def _unreadable(path: str | Path, error: OSError) -> InputError:
    return InputError(
        f"{path}: cannot be read ({error.strerror}): check the path, or make it first"
    )


def _weighted_mean(members: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    total_NC = np.zeros(members[0].shape)  # float64: the order of the members must not matter
    for number, (scores_NC, weight) in enumerate(zip(members, weights, strict=True)):
        if scores_NC.shape != total_NC.shape:
            raise InputError(
                f"ensemble: member {number} scores (segments, classes) {scores_NC.shape}, the "
                f"first one {total_NC.shape}: predict all members on the same index and class list"
            )
        total_NC += scores_NC * np.float64(weight)
    return total_NC / sum(weights)


def _log_odds(scores_NC: np.ndarray) -> np.ndarray:
    clipped_NC = scores_NC.astype(np.float64).clip(SMALLEST_SCORE, 1 - SMALLEST_SCORE)
    return np.log(clipped_NC) - np.log1p(-clipped_NC)
