"""A simulated YouTube-8M, written as genuine record files in the official format.

docs/simulation.md states every parameter and the public figure that it matches. Three layers:
the settings, the world that is drawn from them once (classes, their looks, their company), and
the videos, each drawn from a stream of random numbers of its own, so that any file of any split
can be written again alone, byte for byte.

Classes are numbered 0..K-1 by popularity here; `World.class_ids` gives their vocabulary ids.

# V videos, T frames, D shots, S segments, N classes of one video
# K classes of the vocabulary, A looks of a class, L appearance dimensions, F features of a modality
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segment_em.errors import InputError
from segment_em.files import replacing
from segment_em.records import SEGMENT_SECONDS, Ratings, encode_example, write_records

SPLITS = ("train", "segments", "test")
RATED_SPLITS = ("segments", "test")
VOCABULARY_IDS = 3862  # class ids of the official vocabulary: 0..3861
SEGMENT_IDS = (3, 1831)  # smallest and largest id in the official segment_label_ids.csv
KINDS = ("visual", "audible", "both")
CARRIERS = {"rgb": ("visual", "both"), "audio": ("audible", "both")}  # which kinds a modality shows
ID_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 4
RATINGS_A_CLASS = 5  # of one class in one video: the challenge has five segments a video
DEQUANTISE_SCALE, DEQUANTISE_BIAS = 4 / 255, 4 / 512 - 2  # the official starter code's


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


def write_split(settings: Settings, split: str, paths: Sequence[Path], truth_path: Path) -> None:
    """Write the records of one split, spread evenly over `paths`, and the truth beside them.

    split: train (labels), segments (labels and ratings) or test (ratings; no labels, as in the
    challenge's test files). The truth (.npz) holds video_ids [V], frames int64 [V] and, for video
    v, the entries indptr[v]:indptr[v + 1] of class_id, start_frame, end_frame (end exclusive).
    """
    world = World(settings)
    truth: list[Video] = []
    numbers = np.array_split(np.arange(settings.videos[split]), len(paths))
    for path, file_numbers in zip(paths, numbers, strict=True):
        write_records(path, _payloads(world, split, file_numbers, truth))
    _write_truth(truth_path, truth)


def _payloads(
    world: "World", split: str, numbers: Iterable[int], truth: list[Video]
) -> Iterator[bytes]:
    for number in numbers:
        video = simulate_video(world, split, int(number))
        labels = [] if split == "test" else video.labels
        ratings = video.ratings if split in RATED_SPLITS else None
        yield encode_example(video.id, labels, video.frames, ratings)
        # The truth needs the number of frames, not their bytes.
        truth.append(video._replace(frames={"rgb": video.frames["rgb"][:, :0]}))


def _write_truth(path: Path, videos: Sequence[Video]) -> None:
    counts = [len(video.class_id) for video in videos]
    empty = np.zeros(0, np.int64)
    columns = {
        name: np.concatenate([getattr(video, name) for video in videos] or [empty])
        for name in ("class_id", "start_frame", "end_frame")
    }
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            video_ids=np.array([video.id for video in videos], f"U{ID_LENGTH}"),
            frames=np.array([len(video.frames["rgb"]) for video in videos], np.int64),
            indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            **columns,
        )


def write_vocabulary(settings: Settings, vocabulary_csv: Path, segment_class_csv: Path) -> None:
    """Write the class names (columns Index, Name) and the unsorted segment classes (Index)."""
    world = World(settings)
    names = ((world.class_ids[k], world.name(k)) for k in range(settings.vocabulary_classes))
    _write_csv(vocabulary_csv, ["Index", "Name"], names)
    _write_csv(segment_class_csv, ["Index"], ((world.class_ids[k],) for k in world.segment_order))


def _write_csv(path: Path, header: list[str], rows: Iterable[tuple]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


class World:
    """What all videos share; drawn from the settings and their seed alone.

    class_ids int64 [K] ascending, popularity [K] (sums to 1, Zipf), topic [K], kind [K] (index
    into KINDS), twin [K] (the look-alike or -1), companion [K] (the class that is always there
    too, or -1), segment_order [C] (the segment classes, in the order of the csv file).
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        rng = np.random.default_rng([settings.seed, 0, 0])  # the splits are numbered from 1
        classes = settings.vocabulary_classes
        self.class_ids, is_segment_class = _draw_class_ids(settings, rng)
        self.segment_order = rng.permutation(np.flatnonzero(is_segment_class))
        # As in the official vocabulary, a smaller id is a more popular class.
        weights = np.arange(1, classes + 1) ** -settings.zipf_exponent
        self.popularity = weights / weights.sum()
        self.topic = rng.permutation(classes) % settings.topics
        limits = np.cumsum([settings.kinds[kind] for kind in KINDS])
        kinds = np.searchsorted(limits, limits[-1] * (np.arange(classes) + 0.5) / classes)
        self.kind = rng.permutation(kinds)
        self.twin = self._draw_twins(np.flatnonzero(is_segment_class))
        self.kind = np.where(self.twin > np.arange(classes), self.kind[self.twin], self.kind)
        self.companion = self._draw_companions(rng)
        self.appearances = {
            name: Appearance(self, name, settings.features[name], rng) for name in SPECTRA
        }

    def _draw_twins(self, candidates: np.ndarray) -> np.ndarray:
        """Pair segment classes of neighbouring popularity and different topics."""
        twin = np.full(len(self.topic), -1)
        pairs = self.settings.look_alike_pairs
        # Spread over the ranks, so that popular and rare classes alike have look-alikes.
        for start in np.linspace(0, len(candidates) - 1, pairs, endpoint=False).astype(int):
            first, second = self._first_pair(np.roll(candidates, -start), twin)
            twin[first], twin[second] = second, first
        return twin

    def _first_pair(self, candidates: np.ndarray, twin: np.ndarray) -> tuple[int, int]:
        free = [k for k in candidates if twin[k] < 0]
        for second in free[1:]:
            if self.topic[second] != self.topic[free[0]]:
                return free[0], second
        raise InputError(
            "config data.simulation: look_alike_pairs does not fit into the topics: "
            "choose fewer pairs or more topics"
        )

    def _draw_companions(self, rng: np.random.Generator) -> np.ndarray:
        """Give some classes a more popular one of their topic; a look-alike stays alone."""
        companion = np.full(len(self.topic), -1)
        for k in np.flatnonzero(rng.random(len(self.topic)) < self.settings.companion_share):
            genre = (self.topic[:k] == self.topic[k]) & (self.twin[:k] < 0) & (companion[:k] < 0)
            if self.twin[k] < 0 and genre.any():
                companion[k] = rng.choice(np.flatnonzero(genre))
        return companion

    def name(self, k: int) -> str:
        """Name of class k, e.g. 'Visual class 311 (looks like 398)'."""
        name = f"{KINDS[self.kind[k]].replace('both', 'audiovisual').capitalize()} class"
        name = f"{name} {self.class_ids[k]}"
        if self.twin[k] >= 0:
            return f"{name} (looks like {self.class_ids[self.twin[k]]})"
        if self.companion[k] >= 0:
            return f"{name} (with {self.class_ids[self.companion[k]]})"
        return name

    @cached_property
    def is_segment_class(self) -> np.ndarray:
        return np.isin(np.arange(len(self.class_ids)), self.segment_order)


def _draw_class_ids(settings: Settings, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the vocabulary's ids (ascending) and which of them are segment classes."""
    low, high = SEGMENT_IDS
    segment_ids = rng.choice(np.arange(low, high + 1), settings.segment_classes, replace=False)
    others = np.setdiff1d(np.arange(VOCABULARY_IDS), segment_ids)
    other_count = settings.vocabulary_classes - settings.segment_classes
    class_ids = np.sort(
        np.concatenate([segment_ids, rng.choice(others, other_count, replace=False)])
    )
    return class_ids, np.isin(class_ids, segment_ids)


class Appearance:
    """How classes and backgrounds look in one modality, and how feature vectors come from that.

    prototypes float32 [K, A, L], zero for classes that the modality does not show;
    backgrounds float32 [backgrounds, L]; ambience float32 [topics, L], what a topic's shots share;
    mixing float32 [L, F]: from the appearance space to features.
    """

    def __init__(self, world: World, modality: str, width: int, rng: np.random.Generator):
        settings, spectrum = world.settings, SPECTRA[modality]
        dimensions = settings.appearance_dimensions[modality]
        self.prototypes = _draw_prototypes(world, dimensions, rng)
        self.shown = np.isin(np.array(KINDS)[world.kind], CARRIERS[modality])
        self.prototypes[~self.shown] = 0
        self.backgrounds = rng.standard_normal((settings.backgrounds, dimensions), np.float32)
        ambience = rng.standard_normal((settings.topics, dimensions), np.float32)
        self.ambience = np.float32(settings.ambience) * ambience
        order = np.arange(width)
        deviation = spectrum.level * (order + spectrum.shift) ** -spectrum.decay
        share = np.minimum(0.9, spectrum.class_level * (order + 1.0) ** -spectrum.class_decay)
        mixing = rng.standard_normal((dimensions, width)) / np.sqrt(dimensions)
        within = np.sqrt(share / (1 + settings.noise**2))
        self.mixing = (mixing * deviation * within).astype(np.float32)
        self.residual = (deviation * np.sqrt(1 - share)).astype(np.float32)
        self.mean = (rng.standard_normal(width) * spectrum.mean_deviation).astype(np.float32)
        self.gain_deviation = spectrum.gain_deviation


def _draw_prototypes(world: World, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    """Looks of every class [K, A, L]: a centre of its own plus what differs between its looks."""
    settings = world.settings
    classes = settings.vocabulary_classes
    centre = rng.standard_normal((classes, 1, dimensions), np.float32)
    look = rng.standard_normal((classes, settings.looks, dimensions), np.float32)
    prototypes = np.sqrt(1 - settings.look_share) * centre + np.sqrt(settings.look_share) * look
    copies = np.flatnonzero(world.twin > np.arange(classes))
    prototypes[copies] = prototypes[world.twin[copies]]
    return prototypes.astype(np.float32)


def simulate_video(world: World, split: str, number: int) -> Video:
    """Draw video `number` of a split; the result depends on settings, split and number alone."""
    settings, split_number = world.settings, SPLITS.index(split)
    rng = np.random.default_rng([settings.seed, split_number + 1, number])
    # The challenge's rated videos were drawn by class: each of the classes gets its share.
    anchor = world.segment_order[number % settings.segment_classes]
    classes_N = _draw_classes(world, rng, anchor if split in RATED_SPLITS else None)
    frames = _draw_frame_count(settings, rng)
    shot_T, scene_D = _draw_shots(settings, frames, rng)
    active_DN = _draw_course(world, classes_N, scene_D, rng)[scene_D]
    occurring = active_DN.any(axis=0)
    topic = world.topic[classes_N[0]]
    classes_N, active_DN = classes_N[occurring], active_DN[:, occurring]
    active_TN = active_DN[shot_T]
    labels = _draw_labels(world, classes_N, topic, rng)
    ratings = _draw_ratings(world, split, classes_N, active_TN, labels, topic, rng)
    class_number, start_frame, end_frame = _occurrences(active_TN)
    return Video(
        id=_video_id(split_number, number),
        labels=np.sort(world.class_ids[labels]),
        frames=_draw_features(world, classes_N, active_DN, shot_T, topic, rng),
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


def _draw_classes(world: World, rng: np.random.Generator, anchor: int | None) -> np.ndarray:
    """Draw the classes of a video: the first sets the topic, a class brings its companion."""
    settings = world.settings
    wanted = 1 + rng.poisson(settings.true_classes_a_video - 1)
    if anchor is None:
        anchor = rng.choice(len(world.popularity), p=world.popularity)
    chosen = _with_companion(world, anchor)
    on_topic = world.topic == world.topic[anchor]
    while len(chosen) < wanted:
        weights = world.popularity * _may_join(world, chosen, wanted - len(chosen))
        if rng.random() < settings.on_topic_share and (weights * on_topic).any():
            weights = weights * on_topic
        if not weights.any():
            break
        following = _with_companion(world, rng.choice(len(weights), p=weights / weights.sum()))
        chosen += [k for k in following if k not in chosen]
    return np.array(chosen)


def _with_companion(world: World, k: int) -> list[int]:
    return [k] if world.companion[k] < 0 else [k, world.companion[k]]


def _may_join(world: World, chosen: list[int], room: int) -> np.ndarray:
    """Classes that are not there, nor their look-alike, and fit in with their companion."""
    may = np.ones(len(world.topic), bool)
    may[chosen] = False
    twins = world.twin[chosen]
    may[twins[twins >= 0]] = False
    if room < 2:
        may &= (world.companion < 0) | np.isin(world.companion, chosen)
    return may


def _draw_frame_count(settings: Settings, rng: np.random.Generator) -> int:
    minimum, maximum = settings.frames["minimum"], settings.frames["maximum"]
    if minimum == maximum:
        return minimum
    mean = np.clip((settings.frames["mean"] - minimum) / (maximum - minimum), 0.01, 0.99)
    return minimum + round((maximum - minimum) * rng.beta(2 * mean, 2 * (1 - mean)))


def _draw_shots(
    settings: Settings, frames: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the video into shots, and group them into scenes: shot [T] and scene [D] numbers."""
    # At one frame a second a shot lasts a frame at least.
    cut = rng.random(frames) < 1 / settings.shot_seconds
    cut[0] = False
    shot_T = np.cumsum(cut)
    new_scene = rng.random(shot_T[-1] + 1) < 1 / settings.scene_shots
    new_scene[0] = False
    return shot_T, np.cumsum(new_scene)


def _draw_course(
    world: World, classes_N: np.ndarray, scene_D: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Say which classes each scene shows, bool [scenes, N]; none: background.

    A look-alike has its scenes to itself, or its company would tell it apart within five seconds.
    A class that finds no scene does not occur.
    """
    settings = world.settings
    scenes, count = scene_D[-1] + 1, len(classes_N)
    active = rng.random((scenes, count)) < settings.coverage
    active[rng.random(scenes) < settings.background_share] = False
    lonely = world.twin[classes_N] >= 0
    for n in np.argsort(~lonely, kind="stable"):
        _give_scene(active, n, lonely, rng)
    for n, k in enumerate(classes_N):
        if world.companion[k] >= 0:
            active[:, classes_N == world.companion[k]] |= active[:, [n]]
    return active


def _give_scene(active: np.ndarray, n: int, lonely: np.ndarray, rng: np.random.Generator) -> None:
    """Make class n occur once at least, and clear the scenes of a look-alike; in place.

    A look-alike leaves a scene for each other class, where there are enough.
    """
    scenes, count = active.shape
    others = lonely & (np.arange(count) != n)
    free = ~active[:, others].any(axis=1)
    active[~free, n] = False
    if not active[:, n].any() and free.any():
        active[rng.choice(np.flatnonzero(free)), n] = True
    if lonely[n]:
        own = rng.permutation(np.flatnonzero(active[:, n]))
        active[own[max(1, scenes - count + 1) :], n] = False
        active[np.ix_(active[:, n], np.arange(count) != n)] = False


def _draw_labels(
    world: World, classes_N: np.ndarray, topic: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw the machine-made video labels: some true ones missing, some wrong; never none."""
    settings = world.settings
    kept = classes_N[rng.random(len(classes_N)) >= settings.missing_labels]
    if len(kept) == 0:
        kept = classes_N[:1]
    # Mean number of wrong labels for each true one, so that their share of all labels comes out.
    odds = settings.wrong_labels / (1 - settings.wrong_labels)
    weights = world.popularity.copy()
    weights[classes_N] = 0
    on_topic = weights * (world.topic == topic)
    if rng.random() < settings.on_topic_share and on_topic.any():
        weights = on_topic
    wrong_count = min(rng.poisson(odds * len(kept)), np.count_nonzero(weights))
    if wrong_count == 0:
        return kept
    wrong = rng.choice(len(weights), wrong_count, replace=False, p=weights / weights.sum())
    return np.concatenate([kept, wrong])


def _draw_ratings(
    world: World,
    split: str,
    classes_N: np.ndarray,
    active_TN: np.ndarray,
    labels: np.ndarray,
    topic: int,
    rng: np.random.Generator,
) -> Ratings:
    """Draw what the raters were asked and what they answered: few classes, few segments."""
    if split not in RATED_SPLITS:
        return Ratings(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    settings = world.settings
    wanted = max(1, rng.poisson(settings.ratings_asked[split]))
    truth_SK = _truth_of_all_classes(world, classes_N, active_TN)
    first, last = _ratable(settings, len(truth_SK))
    rated = _rated_classes(world, classes_N, labels, topic, wanted, last - first, rng)
    occurs = np.isin(rated, classes_N)
    truth_SR = truth_SK[:, rated]
    positives = np.argwhere(truth_SR[first:last])
    elsewhere = np.argwhere(~truth_SR[first:last] & occurs)
    confusable_SR = _confusable(world, truth_SK, rated) & ~occurs
    absent = np.argwhere(confusable_SR[first:last])
    segment, column = _choose_ratings(settings, positives, elsewhere, absent, wanted, rng)
    segment += first
    error = rng.random(len(segment)) < settings.rater_error
    score = truth_SR[segment, column] ^ error
    late = rng.random(len(segment)) < settings.late_ratings
    segment = np.where(late, len(truth_SR) + np.arange(len(segment)), segment)
    order = np.lexsort((segment, column))
    start = segment[order] * SEGMENT_SECONDS
    return Ratings(start, world.class_ids[rated[column[order]]], score[order].astype(np.float32))


def _truth_of_all_classes(world: World, classes_N: np.ndarray, active_TN: np.ndarray) -> np.ndarray:
    truth_SN = segment_truth(active_TN)
    truth_SK = np.zeros((len(truth_SN), len(world.class_ids)), bool)
    truth_SK[:, classes_N] = truth_SN
    return truth_SK


def _confusable(world: World, truth_SK: np.ndarray, rated: np.ndarray) -> np.ndarray:
    """Say where a class that does not occur is asked for: where its look-alike is, or anywhere."""
    twin = world.twin[rated]
    confused = (twin >= 0) & truth_SK[:, twin].any(axis=0)
    return np.where(confused, truth_SK[:, twin], True)


def _ratable(settings: Settings, segments: int) -> tuple[int, int]:
    """Return the range of a video's segments, first and end, that raters are ever shown."""
    return int(settings.unrated_first * segments), segments - int(settings.unrated_last * segments)


def _rated_classes(
    world: World,
    classes_N: np.ndarray,
    labels: np.ndarray,
    topic: int,
    wanted: int,
    ratable: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Choose the classes that are rated in a video, about one for five ratings."""
    count = max(1, round(wanted / RATINGS_A_CLASS))
    # The first of the present classes is the one that the video was drawn for.
    rated = list(classes_N[world.is_segment_class[classes_N]][:count])
    absent = _absent_classes(world, classes_N, labels, topic, rng)
    extra = int(rng.random() < world.settings.absent_class_share)
    # Where the present classes offer too few segments to rate, absent ones fill up.
    while len(rated) + extra < count and (len(rated) + extra) * ratable < wanted:
        extra += 1
    if not rated:
        extra = max(extra, 1)
    return np.array(rated + list(absent[:extra]))


def segment_truth(active_TN: np.ndarray) -> np.ndarray:
    """Say whether each class fills at least half of each segment's frames, bool [S, N]."""
    starts = np.arange(0, len(active_TN), SEGMENT_SECONDS)
    covered = np.add.reduceat(active_TN.astype(np.int64), starts, axis=0)
    lengths = np.diff(np.append(starts, len(active_TN)))
    return 2 * covered >= lengths[:, None]


def _absent_classes(
    world: World,
    classes_N: np.ndarray,
    labels: np.ndarray,
    topic: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Segment classes that do not occur, in the order in which a machine would propose them.

    Look-alikes of what is there, wrong labels, other classes of the topic, and then the rest.
    """
    rank = np.where(world.topic == topic, 2, 3)
    rank[labels] = 1
    twins = world.twin[classes_N]
    rank[twins[twins >= 0]] = 0
    rank[classes_N] = -1
    order = np.lexsort((rng.random(len(rank)), rank))
    return order[world.is_segment_class[order] & (rank[order] >= 0)]


def _choose_ratings(
    settings: Settings,
    positives: np.ndarray,
    elsewhere: np.ndarray,
    absent: np.ndarray,
    wanted: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose (segment, rated class) pairs with the wanted share of positives.

    Negatives come in turn from where an occurring class does not show and from a class that does
    not occur. Where one kind falls short there are fewer of the other, so that the share holds.
    """
    turns = np.argsort(np.concatenate([np.arange(len(elsewhere)), np.arange(len(absent))]))
    negatives = np.concatenate([rng.permutation(elsewhere), rng.permutation(absent)])[turns]
    error = settings.rater_error
    # Wrong answers pull the share towards one half; ask for what gives the wanted one after them.
    share = (settings.positive_share - error) / (1 - 2 * error)
    offered = min(wanted, len(positives) / share, len(negatives) / (1 - share))
    count = int(offered + rng.random())
    positive_count = int(count * share + rng.random())
    chosen = np.concatenate(
        [rng.permutation(positives)[:positive_count], negatives[: count - positive_count]]
    )
    return chosen[:, 0], chosen[:, 1]


def _occurrences(active_TN: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the runs of frames that show each class: class column, first frame, end (exclusive)."""
    edges = np.diff(np.pad(active_TN.astype(np.int8), ((1, 1), (0, 0))), axis=0).T
    column, start = np.nonzero(edges == 1)
    return column, start, np.nonzero(edges == -1)[1]


def _draw_features(
    world: World,
    classes_N: np.ndarray,
    active_DN: np.ndarray,
    shot_T: np.ndarray,
    topic: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draw the quantised frames of each modality, uint8 [T, F]."""
    settings = world.settings
    # Beside a look-alike its topic's setting would tell it apart at once.
    ambient_D = ~active_DN[:, world.twin[classes_N] >= 0].any(axis=1)
    look_N = rng.integers(settings.looks, size=len(classes_N))
    frames = {}
    for name, appearance in world.appearances.items():
        shown_D = _shown(appearance, classes_N, look_N, active_DN, rng)
        shown_D += ambient_D[:, None] * appearance.ambience[topic]
        frames[name] = _render(settings, appearance, shown_D, shot_T, rng)
    if rng.random() < settings.uneven_share:
        frames["audio"] = _one_frame_off(frames["audio"], longer=rng.random() < 0.5)
    return frames


def _shown(
    appearance: Appearance,
    classes_N: np.ndarray,
    look_N: np.ndarray,
    active_DN: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Say what each shot shows in one modality, before ambience and variation: float32 [D, L].

    The sum of its classes, over the root of their number; where the modality shows none, a
    background.
    """
    weights = (active_DN & appearance.shown[classes_N]).astype(np.float32)
    count_D = weights.sum(axis=1, keepdims=True)
    shown_D = weights @ appearance.prototypes[classes_N, look_N] / np.sqrt(np.maximum(count_D, 1))
    background_D = appearance.backgrounds[
        rng.integers(len(appearance.backgrounds), size=len(active_DN))
    ]
    return np.where(count_D > 0, shown_D, background_D)


def _render(
    settings: Settings,
    appearance: Appearance,
    shown_D: np.ndarray,
    shot_T: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Turn what the shots show into quantised frames, uint8 [T, F].

    Variation of the whole video, of a shot, and a drift across the shot lie on both the appearance
    space (times `noise`) and the rest of the features; on the latter, something new every frame.
    """
    dimensions, width = appearance.mixing.shape
    shots = len(shown_D)
    still, drift = _draw_variation(settings.variation, shots, dimensions, rng)
    rest_still, rest_drift = _draw_variation(settings.variation, shots, width, rng)
    lasting = np.float32(np.sqrt(1 - settings.frame_share)) * appearance.residual
    noise = np.float32(settings.noise)
    still = (shown_D + noise * still) @ appearance.mixing + rest_still * lasting
    drift = (noise * drift) @ appearance.mixing + rest_drift * lasting
    frames_TF = rng.standard_normal((len(shot_T), width), np.float32)
    frames_TF *= np.float32(np.sqrt(settings.frame_share)) * appearance.residual
    frames_TF += still[shot_T]
    frames_TF += _ramp(shot_T)[:, None] * drift[shot_T]
    # A log-normal factor with a mean square of one.
    deviation = appearance.gain_deviation
    frames_TF *= np.float32(np.exp(deviation * rng.standard_normal() - deviation**2))
    frames_TF += appearance.mean
    return quantised(frames_TF)


def _draw_variation(
    variation: Mapping[str, float], shots: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the constant and the drifting part of every shot, [D, width] each."""
    scale = {name: np.float32(np.sqrt(share)) for name, share in variation.items()}
    draws = rng.standard_normal((2 * shots + 1, width), np.float32)
    still = scale["video"] * draws[:1] + scale["shot"] * draws[1 : shots + 1]
    return still, scale["drift"] * draws[shots + 1 :]


def _ramp(shot_T: np.ndarray) -> np.ndarray:
    """Run from -sqrt(3) to sqrt(3) over each shot (mean square one), float32 [T]."""
    lengths = np.bincount(shot_T)
    place_T = np.arange(len(shot_T)) - (np.cumsum(lengths) - lengths)[shot_T]
    return (np.sqrt(3) * (2 * (place_T + 0.5) / lengths[shot_T] - 1)).astype(np.float32)


def quantised(values: np.ndarray) -> np.ndarray:
    """Quantise floats as the official features are: uint8 that dequantise to the nearest step."""
    steps = (values - np.float32(DEQUANTISE_BIAS)) * np.float32(1 / DEQUANTISE_SCALE)
    return np.clip(np.rint(steps, out=steps), 0, 255, out=steps).astype(np.uint8)


def _one_frame_off(frames_TF: np.ndarray, longer: bool) -> np.ndarray:
    if longer:
        return np.concatenate([frames_TF, frames_TF[-1:]])
    return frames_TF[: max(1, len(frames_TF) - 1)]
