"""Floating-point operations of the models, from their sizes: a product and a sum count two.

Products of matrices alone; a test holds this against PyTorch's own counter. The backward pass
has two products for each one of the forward pass, but for those with features or with the weights
of a segment's mean, which need no gradient.
"""

from synthetic import SEGMENT_FRAMES

from segment_em.models._segments import shares, stream_widths


def step(
    architecture: str, options: dict, features: dict[str, int], classes: int, frames: int
) -> float:
    """Forward and backward, of one video."""
    widths = stream_widths(features, options["fusion"])
    forward_pass = forward(architecture, options, features, classes, frames)
    return 3 * forward_pass - spared(architecture, options, widths, classes, frames)


def spared(architecture: str, options: dict, widths: list[int], classes: int, frames: int) -> float:
    """What the backward pass saves by what needs no gradient."""
    if architecture == "logistic":  # the means, to which nothing is taught, twice
        return 2 * frames * 2 * sum(widths) + 2 * frames // SEGMENT_FRAMES * sum(widths) * classes
    if architecture == "nextvlad":
        return 2 * frames * sum(width * round(width * options["expansion"]) for width in widths)
    hidden = shares(options["hidden"], widths)
    pairs = zip(widths, hidden, strict=True)
    if architecture == "bigru":
        first = 2 * 3 * sum(width * inner for width, inner in pairs)
        return 2 * frames * (first + 2 * options["hidden"])
    # Query, key and value, or the layer that maps before them.
    first = sum((3 if width == inner else 1) * width * inner for width, inner in pairs)
    return 2 * frames * (first + options["hidden"])


def forward(
    architecture: str, options: dict, features: dict[str, int], classes: int, frames: int
) -> float:
    """Of one video; frames: real ones, whole segments."""
    segments = frames // SEGMENT_FRAMES
    widths = stream_widths(features, options["fusion"])
    if architecture == "logistic":
        return 2 * segments * (frames // segments * sum(widths) + sum(widths) * classes)
    if architecture == "nextvlad":
        return nextvlad(widths, options, frames, segments, classes)
    of_encoders = {"transformer": transformer, "bigru": bigru}[architecture]
    hidden = options["hidden"] * (2 if architecture == "bigru" else 1)
    # The mean over a segment is a product of its weights and frames.
    head = 2 * segments * hidden * classes + 2 * frames * hidden
    return of_encoders(widths, options, frames) + head


def transformer(widths: list[int], options: dict, frames: int) -> float:
    """Query, key, value; scores and their sums; feed-forward. One layer that maps, if needed."""
    total = 0
    hidden = shares(options["hidden"], widths, options["heads"])
    between = shares(options["feed_forward"], widths)
    for width, inner, outer in zip(widths, hidden, between, strict=True):
        layer = 3 * inner * inner + 2 * frames * inner + 2 * inner * outer
        mapped = 0 if width == inner else width * inner
        total += 2 * frames * (options["layers"] * layer + mapped)
    return total


def bigru(widths: list[int], options: dict, frames: int) -> float:
    """Three gates in two directions, of the inputs and of the state."""
    total = 0
    for width, hidden in zip(widths, shares(options["hidden"], widths), strict=True):
        inputs = width + (options["layers"] - 1) * 2 * hidden
        total += 2 * frames * 2 * 3 * hidden * (inputs + options["layers"] * hidden)
    return total


def nextvlad(widths: list[int], options: dict, frames: int, segments: int, classes: int) -> float:
    """Expansion, attention, assignment, descriptor; the hidden layer, its gate, the classifier."""
    total, descriptor = 0, 0
    for number, width in enumerate(widths):
        half = 2 if number else 1
        groups, clusters = options["groups"] // half, options["clusters"] // half
        expanded = round(width * options["expansion"])
        a_frame = width * expanded + expanded * groups * (1 + clusters) + expanded * clusters
        total += 2 * frames * a_frame
        descriptor += clusters * expanded // groups
    hidden = options["hidden"]
    gate = 2 * hidden * max(1, hidden // options["gating_reduction"])
    return total + 2 * segments * (descriptor * hidden + gate + hidden * classes)
