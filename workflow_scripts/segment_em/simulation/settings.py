"""What decides the simulated records, and the measured statistics of the two modalities."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from segment_em.errors import InputError

RATED_SPLITS = ("segments", "test")
RATED_FRAMES = 5  # the grid of the official ratings
VOCABULARY_IDS = 3862  # class ids of the official vocabulary: 0..3861
SEGMENT_IDS = (3, 1831)  # smallest and largest id in the official segment_label_ids.csv


class Spectrum(NamedTuple):
    """Statistics of a modality, measured on 5,771 real YouTube-8M vectors (docs/simulation.md).

    With d = 0.. the dimension (the official features are sorted by PCA component):
    standard deviation: level * (d + shift) ** -decay.
    Share of the variance that lies in the appearance space, where classes differ:
    min(0.9, class_level * (d + 1) ** -class_decay).
    mean_deviation: spread of the dimensions' means. gain_deviation: spread of the log of a
    vector's norm.
    """

    level: float
    shift: float
    decay: float
    class_level: float
    class_decay: float
    mean_deviation: float
    gain_deviation: float


SPECTRA = {
    "rgb": Spectrum(0.899, 4, 0.113, 18.7, 0.67, 0.014, 0.37),
    "audio": Spectrum(1.213, 8, 0.141, 5.5, 0.79, 0.030, 0.28),
}


@dataclass(frozen=True)
class Settings:
    """Everything that decides the simulated records; `docs/simulation.md` explains each entry.

    Shares lie in [0, 1]. Built from the config's mapping: Settings(seed=..., features=...,
    **mapping). Raises InputError if the entries contradict each other.
    """

    seed: int
    features: Mapping[str, int]  # modality -> bytes a frame; rgb and audio
    videos: Mapping[str, int]  # split -> number of videos
    frames: Mapping[str, int]  # mean, minimum and maximum of a video's frames
    uneven_share: float  # videos whose audio is a frame shorter or longer than rgb
    # The vocabulary
    vocabulary_classes: int
    segment_classes: int
    zipf_exponent: float
    kinds: Mapping[str, float]  # visual, audible, both -> share of the classes
    topics: int
    on_topic_share: float  # of a video's classes after the first, drawn from the first one's topic
    companion_share: float  # of the classes: have a class that is always there too (a genre)
    look_alike_pairs: int
    # The course of a video
    shot_seconds: float
    scene_shots: float
    background_share: float  # of the scenes
    coverage: float  # chance that a class of the video is there in a scene without background
    backgrounds: int
    ambience: float  # strength of the topic's setting in every shot, but not in a look-alike's
    # Labels and ratings
    labels_a_video: float
    missing_labels: float  # share of the true classes that the labels lack
    wrong_labels: float  # share of the labels that are wrong
    ratings_asked: Mapping[str, float]  # rated split -> mean number
    positive_share: float
    absent_class_share: float  # rated videos where a class that does not occur is rated too
    rater_error: float
    late_ratings: float  # share of the ratings that lie past the last frame
    unrated_first: float  # share of a video's segments, at its beginning, that are never rated
    unrated_last: float
    # The features
    noise: float  # appearance variation within a class / differences between classes
    appearance_dimensions: Mapping[str, int]  # modality -> L
    looks: int
    look_share: float  # of a class's appearance that differs between its looks
    variation: Mapping[
        str, float
    ]  # video, shot, drift: shares of the variation, by how long it lasts
    frame_share: float  # of the variation outside the appearance space: new in every frame

    def __post_init__(self):
        for problem in self._problems():
            raise InputError(f"config data.simulation: {problem}")

    def _problems(self) -> Iterator[str]:
        if not 0 <= self.seed < 2**32:
            yield f"seed {self.seed} is outside 0..2^32-1: choose another"
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_share") and not 0 <= value <= 1:
                yield f"{field.name} {value} is outside 0..1"
        if set(self.features) != set(SPECTRA):
            yield f"data.features must be rgb and audio, not {', '.join(self.features)}"
        if not self.segment_classes <= self.vocabulary_classes <= VOCABULARY_IDS:
            yield "needs segment_classes <= vocabulary_classes <= 3862"
        if self.segment_classes > SEGMENT_IDS[1] - SEGMENT_IDS[0] + 1:
            yield f"segment_classes {self.segment_classes} exceeds the 1,829 ids from 3 to 1831"
        if self.look_alike_pairs and self.topics < 2:
            yield "look_alike_pairs needs topics >= 2: a pair is told apart by its topics"
        if 2 * self.look_alike_pairs > self.segment_classes:
            yield "look_alike_pairs needs two segment_classes each"
        if not 1 <= self.frames["minimum"] <= self.frames["mean"] <= self.frames["maximum"]:
            yield "frames needs 1 <= minimum <= mean <= maximum"
        if self.true_classes_a_video < 1:
            yield "labels_a_video, missing_labels and wrong_labels leave less than one true class"
        if not 0 <= self.rater_error < min(self.positive_share, 1 - self.positive_share):
            yield f"positive_share {self.positive_share} is out of reach at this rater_error"

    @property
    def true_classes_a_video(self) -> float:
        """Mean number of classes that occur in a video, from the labels' mean and error rates."""
        return self.labels_a_video * (1 - self.wrong_labels) / (1 - self.missing_labels)
