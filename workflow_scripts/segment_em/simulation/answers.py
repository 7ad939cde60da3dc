"""What is said of a simulated video: machine-made labels, and the ratings of people."""

# T frames, S segments, N classes of one video, R rated classes, K classes of the vocabulary

import numpy as np

from segment_em.records import Ratings
from segment_em.simulation.settings import RATED_FRAMES, RATED_SPLITS, Settings
from segment_em.simulation.world import World

RATINGS_A_CLASS = 5  # of one class in one video: the challenge has five segments a video


def draw_labels(
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


def draw_ratings(
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
    start = segment[order] * RATED_FRAMES
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
    starts = np.arange(0, len(active_TN), RATED_FRAMES)
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
    turns = np.concatenate([np.arange(len(elsewhere)), np.arange(len(absent))])
    turns = np.argsort(turns, kind="stable")  # without it ties fall as the processor likes
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
