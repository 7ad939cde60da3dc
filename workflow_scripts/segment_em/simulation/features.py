"""The frames of a simulated video, from what its shots show."""

# T frames, D shots, N classes of one video, L appearance dimensions, F features of a modality

from collections.abc import Mapping

import numpy as np

from segment_em.simulation.settings import Settings
from segment_em.simulation.world import Appearance, World

DEQUANTISE_SCALE, DEQUANTISE_BIAS = 4 / 255, 4 / 512 - 2  # the official starter code's


def draw_features(
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
