"""Joining the scores of several models.

N segments, C classes
"""

from collections.abc import Sequence

import numpy as np

from segment_em.errors import InputError


def mean(members: Sequence[np.ndarray]) -> np.ndarray:
    """Average the members' probabilities.

    members: at least one array [N, C] of scores in [0, 1], the same segments and classes in each.
    Returns float32 [N, C]. Raises InputError where the members do not fit together.
    """
    total_NC = np.zeros(members[0].shape)  # float64: the order of the members must not matter
    for number, scores_NC in enumerate(members):
        if scores_NC.shape != total_NC.shape:
            raise InputError(
                f"ensemble: member {number} scores (segments, classes) {scores_NC.shape}, the "
                f"first one {total_NC.shape}: predict all members on the same index and class list"
            )
        total_NC += scores_NC
    return (total_NC / len(members)).astype(np.float32)
