"""E-step estimators (eqs. 18 and 19), one a file: which of the teacher's scores become labels.

An estimator is a file with `keep(scores, thresholds, in_video_labels) -> bool`; three arrays of
one length, an entry for each stored score of a segment and a class. It is found by its name.
"""

from collections.abc import Callable

import numpy as np

from segment_em.code_digest import load_plugin

Keep = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def load(name: str) -> Keep:
    """The function `keep` of estimators/<name>.py."""
    return load_plugin(f"estimators.{name}").keep
