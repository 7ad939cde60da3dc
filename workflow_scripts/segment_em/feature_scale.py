"""How large features are, so that videos on another scale than the training's are told of.

A model takes any numbers of the right width: features that lack the scale and bias of the others,
or their normalisation, would get scores without a word.
"""

from collections.abc import Mapping

import numpy as np

from segment_em.frames import FrameReader
from segment_em.index import Index

# What is read to tell: a few megabytes, whatever the size of the data.
SAMPLED_VIDEOS, SAMPLED_FRAMES = 32, 60
# Other videos of one source differ by a few hundredths of it.
TIMES_APART = 2.0


def feature_rms(index: Index) -> dict[str, float]:
    """{modality: root mean square of its dequantised values}, in a sample of the videos.

    The sample is spread evenly over the index; a modality without frames in it is left out.
    """
    rows = np.flatnonzero(index.first.frames > 0)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLED_VIDEOS)).astype(int)]
    stored, counts = FrameReader(index, SAMPLED_FRAMES).batch(rows, SAMPLED_FRAMES)
    found = {}
    for name, modality in index.modalities.items():
        there_BT = np.arange(SAMPLED_FRAMES) < counts[name][:, None]
        values_NF = stored[name][there_BT].astype(np.float64) * modality.scale + modality.bias
        if len(values_NF):
            found[name] = float(np.sqrt(np.mean(np.square(values_NF))))
    return found


def apart(place: str, found: Mapping[str, float], trained: Mapping[str, float]) -> list[str]:
    """A line for each modality whose values are much larger or smaller than those trained on.

    found, trained: see feature_rms.
    """
    lines = []
    for name in found.keys() & trained.keys():
        low, high = sorted((found[name], trained[name]))
        if high > TIMES_APART * low:
            lines.append(
                f"{place}: values of {name} have a root mean square of {found[name]:.3g}, where "
                f"models were trained on {trained[name]:.3g}: scores will mean little: extract and "
                "normalise features alike, and look at scale and bias of HDF5 files "
                "(docs/format.md)"
            )
    return sorted(lines)
