"""One simulated video: what its record holds, and the truth."""

# T frames, D shots, N classes of one video, F features of a modality

from typing import NamedTuple

import numpy as np

from segment_em.records import Ratings
from segment_em.simulation.answers import draw_labels, draw_ratings
from segment_em.simulation.course import draw_classes, draw_course, draw_frame_count, draw_shots
from segment_em.simulation.features import draw_features
from segment_em.simulation.settings import RATED_SPLITS
from segment_em.simulation.world import World
from segment_em.terms import SPLITS

ID_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 4


class Video(NamedTuple):
    """One simulated video: what its record holds, and the truth."""

    id: str
    labels: np.ndarray  # int64 [n], class ids
    frames: dict[str, np.ndarray]  # modality -> uint8 [T, F]
    ratings: Ratings
    # The truth, one entry for each uninterrupted occurrence: frames [start, end) show the class.
    class_id: np.ndarray
    start_frame: np.ndarray
    end_frame: np.ndarray


def simulate_video(world: World, split: str, number: int) -> Video:
    """Draw video `number` of a split; the result depends on settings, split and number alone."""
    settings, split_number = world.settings, SPLITS.index(split)
    rng = np.random.default_rng([settings.seed, split_number + 1, number])
    # The challenge's rated videos were drawn by class: each of the classes gets its share.
    anchor = world.segment_order[number % settings.segment_classes]
    classes_N = draw_classes(world, rng, anchor if split in RATED_SPLITS else None)
    frames = draw_frame_count(settings, rng)
    shot_T, scene_D = draw_shots(settings, frames, rng)
    active_DN = draw_course(world, classes_N, scene_D, rng)[scene_D]
    occurring = active_DN.any(axis=0)
    topic = world.topic[classes_N[0]]
    classes_N, active_DN = classes_N[occurring], active_DN[:, occurring]
    active_TN = active_DN[shot_T]
    labels = draw_labels(world, classes_N, topic, rng)
    ratings = draw_ratings(world, split, classes_N, active_TN, labels, topic, rng)
    class_number, start_frame, end_frame = _occurrences(active_TN)
    return Video(
        id=_video_id(split_number, number),
        labels=np.sort(world.class_ids[labels]),
        frames=draw_features(world, classes_N, active_DN, shot_T, topic, rng),
        ratings=ratings,
        class_id=world.class_ids[classes_N[class_number]],
        start_frame=start_frame,
        end_frame=end_frame,
    )


def _video_id(split_number: int, number: int) -> str:
    """Four characters as in the challenge, different for every video of every split."""
    base = len(ID_CHARACTERS)
    # Multiplication by a number prime to the modulus permutes: ids look random, none comes twice.
    code = (number * len(SPLITS) + split_number) * 7_368_787 % base**ID_LENGTH
    return "".join(ID_CHARACTERS[code // base**place % base] for place in range(ID_LENGTH))


def _occurrences(active_TN: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the runs of frames that show each class: class column, first frame, end (exclusive)."""
    edges = np.diff(np.pad(active_TN.astype(np.int8), ((1, 1), (0, 0))), axis=0).T
    column, start = np.nonzero(edges == 1)
    return column, start, np.nonzero(edges == -1)[1]
