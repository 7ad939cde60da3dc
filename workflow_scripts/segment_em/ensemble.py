"""Joining the scores of several models: who is a member, with which weight, and their mean.

members.json says who is joined and how; ensemble.json repeats it and adds all else that localising
new videos needs, so that a change of what does not decide scores repeats no inference.

N segments, C classes
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segment_em.errors import InputError
from segment_em.files import replacing
from segment_em.provenance import write_how
from segment_em.selection import candidates_of

FORMAT = 1  # of ensemble.json


def equal_weights(maps: np.ndarray, sds: np.ndarray) -> np.ndarray:
    """The paper's: each member counts the same."""
    return np.full(len(maps), 1 / len(maps))


def validation_weights(maps: np.ndarray, sds: np.ndarray) -> np.ndarray:
    """Weights that fall by a factor of e with each standard error below the best member.

    maps, sds: float [members], validation mAP and its standard deviation; the standard error is
    that of the difference to the best, the two taken as independent. Members that validation
    cannot tell apart count about the same, far worse ones next to nothing. Returns float64
    [members] that sum to 1.
    """
    best = maps.argmax()
    errors = np.maximum(np.hypot(sds, sds[best]), np.finfo(float).tiny)
    weights = np.exp((maps - maps[best]) / errors)
    return weights / weights.sum()


RULES = {"equal": equal_weights, "validation": validation_weights}


def weigh(
    validation_paths: Sequence[str | Path], rule: str, out: str | Path, stamp: Mapping[str, Any]
) -> None:
    """Write members.json: the fine-tuned members with their weights, paths relative to it.

    validation_paths: the members' validation.json, which lie beside their weights.
    """
    members = [candidates_of(path, ["finetuned"])[0] for path in validation_paths]
    maps, sds = (
        np.array([member[key] for member in members])
        for key in ("validation_map", "validation_map_sd")
    )
    weights = RULES[rule](maps, sds)
    for member, weight in zip(members, weights, strict=True):
        member["weights"] = os.path.relpath(member["weights"], Path(out).parent)
        member["weight"] = float(weight)
    with replacing(out) as temporary:
        text = json.dumps({"rule": rule, "members": members, "stamp": dict(stamp)}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")
    write_how(out, stamp)


@dataclass(frozen=True)
class Description:
    """What an ensemble.json says beside its members.

    inference: max_frames, segment_frames and precision of the run. threshold: a class occurs where
    it scores at least this. names: by class id; empty where the run had no vocabulary.
    """

    inference: dict[str, Any]
    threshold: float
    names: dict[int, str]


def describe(
    members_path: str | Path, description: Description, out: str | Path, stamp: Mapping[str, Any]
) -> None:
    """Write ensemble.json: members.json, its paths now relative to `out`, and the description."""
    joined = json.loads(Path(members_path).read_text(encoding="utf-8"))
    files = [file for file, _ in members_of(members_path)]
    for member, file in zip(joined["members"], files, strict=True):
        member["weights"] = os.path.relpath(file, Path(out).parent)
    whole = {"format": FORMAT} | joined | asdict(description) | {"stamp": dict(stamp)}
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    write_how(out, stamp)


def description_of(path: str | Path) -> Description:
    """What an ensemble.json says beside its members. Raises InputError if it does not."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        version = found.get("format")
        if version == FORMAT:
            names = {int(class_id): name for class_id, name in found["names"].items()}
            return Description(found["inference"], float(found["threshold"]), names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not an ensemble.json ({error!r}); give results/<experiment>/ensemble.json"
        ) from None
    raise InputError(
        f"{path}: ensemble format {version}, this version reads {FORMAT}; "
        "give results/<experiment>/ensemble.json, made with this version"
    )


def files_of(path: str | Path) -> list[Path]:
    """An ensemble.json and the weights of its members; of any other file just itself."""
    return list(dict.fromkeys([Path(path), *(file for file, _ in members_of(path))]))


def members_of(path: str | Path) -> list[tuple[Path, float]]:
    """(weights file, weight) of each member of a .json; of any other file just itself.

    Raises InputError if the ensemble cannot be read.
    """
    path = Path(path)
    if path.suffix != ".json":
        return [(path, 1.0)]
    try:
        members = json.loads(path.read_text(encoding="utf-8"))["members"]
        return [
            # Normal, since the stamp of a result names the file as the workflow does.
            (Path(os.path.normpath(path.parent / member["weights"])), float(member["weight"]))
            for member in members
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not an ensemble ({error!r}); make it again") from None


def mean(members: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Average the members' probabilities.

    members: at least one array [N, C] of scores in [0, 1], the same segments and classes in each.
    weights: one for each, above 0 in sum. Returns float32 [N, C]. Raises InputError where the
    members do not fit together.
    """
    if len(members) == 1:
        return members[0].astype(np.float32, copy=False)
    total_NC = np.zeros(members[0].shape)  # float64: the order of the members must not matter
    for number, (scores_NC, weight) in enumerate(zip(members, weights, strict=True)):
        if scores_NC.shape != total_NC.shape:
            raise InputError(
                f"ensemble: member {number} scores (segments, classes) {scores_NC.shape}, the "
                f"first one {total_NC.shape}: predict all members on the same index and class list"
            )
        total_NC += scores_NC * np.float64(weight)
    return (total_NC / sum(weights)).astype(np.float32)
