"""What all videos of the simulation share: classes, their company and their looks."""

# K classes of the vocabulary, A looks of a class, L appearance dimensions, F features of a modality

from functools import cached_property

import numpy as np

from segment_em.errors import InputError
from segment_em.simulation.settings import SEGMENT_IDS, SPECTRA, VOCABULARY_IDS, Settings

KINDS = ("visual", "audible", "both")
CARRIERS = {"rgb": ("visual", "both"), "audio": ("audible", "both")}  # which kinds a modality shows


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
