"""What a simulated video shows and when: classes, shots, scenes."""

# T frames, D shots, N classes of one video

import numpy as np

from segment_em.simulation.settings import Settings
from segment_em.simulation.world import World


def draw_classes(world: World, rng: np.random.Generator, anchor: int | None) -> np.ndarray:
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


def draw_frame_count(settings: Settings, rng: np.random.Generator) -> int:
    """Frames of a video, one a second: a beta distribution of the configured range and mean."""
    minimum, maximum = settings.frames["minimum"], settings.frames["maximum"]
    if minimum == maximum:
        return minimum
    mean = np.clip((settings.frames["mean"] - minimum) / (maximum - minimum), 0.01, 0.99)
    return minimum + round((maximum - minimum) * rng.beta(2 * mean, 2 * (1 - mean)))


def draw_shots(
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


def draw_course(
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
