"""The training loop: it learns, repeats itself to the bit, and stops where it goes wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import PLAN, SMALL, small_model
from torch import nn
from torch.nn import functional

from segment_em import monitor, poolings, training
from segment_em.curves import Curves
from segment_em.dataset import Clips, Dequantise
from segment_em.errors import InputError
from segment_em.frames import FrameReader
from segment_em.models import narrow, widen
from segment_em.targets import Ratings, VideoLabels
from segment_em.training_state import StateFile

CLASS_IDS = np.array([3, 8, 20])
CPU = torch.device("cpu")


@pytest.fixture
def state(tmp_path):
    """A state that is never written."""
    return StateFile(tmp_path / "weights", "key", minutes=math.inf)


def run(index, state, plan=PLAN, model=None, rows=(0, 1, 3, 4), objective=None, **changes):
    model = model or small_model("logistic")
    clips = Clips(FrameReader(index, 25), 5, VideoLabels(index, CLASS_IDS), False)
    objective = objective or training.video_objective(5, 3, poolings.load("mean"))
    losses = training.train(
        *(model, clips, np.array(rows), objective, Dequantise.of(index), plan, CPU, state),
        **changes,
    )
    return model, losses


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (
            lambda _, mask: torch.zeros(len(mask), 3, requires_grad=True),
            r"models\.logistic: forward returned \[(\d), 3\] where logits .* are \[\1, \d, 3\]",
        ),
        (lambda _, mask: (mask, mask), r"models\.logistic: forward returned tuple where logits"),
    ],
)
def test_a_model_that_returns_anything_but_logits_is_named(small_index, state, forward, expected):
    model = small_model("logistic")
    model.forward = forward
    with pytest.raises(InputError, match=expected):
        run(small_index, state, model=model)


def test_the_loss_falls_and_there_is_one_an_epoch(small_index, state):
    losses = run(small_index, state, replace(PLAN, epochs=30))[1]
    assert len(losses) == 30
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("architecture", SMALL)
def test_weights_are_the_same_to_the_bit_for_any_number_of_loader_workers(
    small_index, state, architecture, workers
):
    one, _ = run(small_index, state, PLAN, small_model(architecture))
    model = small_model(architecture)
    torch.manual_seed(99)  # what was drawn before must not matter
    other, _ = run(small_index, state, replace(PLAN, workers=workers), model)
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_another_seed_gives_another_order(small_index, state):
    one, other = (run(small_index, state, replace(PLAN, seed=seed))[0] for seed in (1, 2))
    assert not torch.equal(one.classifier.weight, other.classifier.weight)


def test_one_step_is_adams_with_the_clipped_gradient(small_index, state):
    """Reference: the first step of Adam moves each weight by the rate times the gradient's sign."""
    model = small_model("logistic")
    before = model.classifier.bias.detach().clone()
    run(small_index, state, replace(PLAN, epochs=1, videos=4, decay="constant"), model)
    moved = model.classifier.bias.detach() - before
    torch.testing.assert_close(moved.abs(), torch.full((3,), 0.05), atol=1e-4, rtol=0)


def test_small_gradients_move_weights_as_those_of_a_sum_over_the_classes(small_index, state):
    """Adam's first step is the rate times g / (|g| + eps), with eps 1e-8 if classes are summed."""
    model, gradients = small_model("logistic"), []
    bias = model.classifier.bias
    before = bias.detach().clone()

    def small(gradient_C):
        gradients.append(1e-7 * gradient_C)
        return gradients[-1]

    bias.register_hook(small)
    run(small_index, state, replace(PLAN, epochs=1, videos=4, decay="constant"), model)
    (mean_C,) = gradients
    sum_C = 3 * mean_C.abs()
    assert sum_C.max() < 1e-7
    expected = 0.05 * sum_C / (sum_C + 1e-8)
    torch.testing.assert_close((bias.detach() - before).abs(), expected, atol=1e-6, rtol=1e-4)


def test_the_norm_of_all_gradients_is_cut(small_index, state, monkeypatch):
    """Adam's first step does not tell, since it does not depend on the gradient's scale."""
    norms, step = [], torch.optim.Adam.step

    def noted(optimiser, *arguments):
        gradients = [p.grad for group in optimiser.param_groups for p in group["params"]]
        norms.append(math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients)))
        return step(optimiser, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    run(small_index, state, replace(PLAN, clip_norm=0.01))
    assert norms
    assert norms == pytest.approx([0.01] * len(norms), rel=1e-3)


def test_the_loss_of_an_epoch_is_the_mean_over_its_videos(small_index, state, monkeypatch):
    losses, objective = [], training.video_objective

    def noting(*arguments):
        inner = objective(*arguments)

        def loss(logits, batch):
            value = inner(logits, batch)
            losses.append((float(value.detach()), len(batch.rows)))
            return value

        return loss

    monkeypatch.setattr(training, "video_objective", noting)
    _, found = run(small_index, state, replace(PLAN, epochs=1, videos=3))
    assert sorted(videos for _, videos in losses) == [1, 3]
    assert found == pytest.approx([sum(loss * videos for loss, videos in losses) / 4])


@pytest.mark.parametrize(("precision", "autocast"), [("bfloat16", True), ("float32", False)])
def test_a_model_computes_in_the_precision_that_is_asked_for(
    small_index, state, monkeypatch, precision, autocast
):
    seen, forward = set(), torch.nn.Linear.forward

    def noting(layer, inputs):
        seen.add(torch.is_autocast_enabled("cpu"))
        return forward(layer, inputs)

    monkeypatch.setattr(torch.nn.Linear, "forward", noting)
    run(small_index, state, replace(PLAN, epochs=1, precision=precision))
    assert seen == {autocast}


@pytest.mark.parametrize(
    "objective", [training.rated_objective(0.0), training.estimated_objective(5)]
)
def test_an_infinite_loss_of_segments_stops_with_step_rate_and_videos(
    small_index, state, objective
):
    """In fine-tuning and the M-step: a class that is surely there, and is labelled absent."""
    model = small_model("logistic")
    with torch.no_grad():
        model.classifier.bias.fill_(3e38)  # each loss is a number, their sum is not
    counts = Clips(FrameReader(small_index, 25), 5, None, False).segment_counts()
    ratings = Ratings(small_index, CLASS_IDS, counts, 5, False)
    ratings.value[:] = 0
    clips = Clips(FrameReader(small_index, 25), 5, ratings, False)
    place = (
        r"loss inf, gradient norm \S+ in step 1 of epoch 1 at learning rate 0\.05, batch of videos"
    )
    with pytest.raises(InputError, match=place):
        training.train(
            model,
            clips,
            ratings.rated_videos(),
            objective,
            Dequantise.of(small_index),
            PLAN,
            torch.device("cpu"),
            state,
        )


@pytest.mark.parametrize("done", [0, 3])
def test_linear_decay_reaches_zero_after_the_last_step_of_all_attempts(done):
    rates = []
    optimiser = torch.optim.Adam([nn.Parameter(torch.zeros(1))], 0.1)
    schedule = training._schedule(optimiser, replace(PLAN, decay="linear"), 4, done)
    for _ in range(done, 4):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025][done:])
    assert optimiser.param_groups[0]["lr"] == 0.0


def test_a_loss_that_is_not_finite_stops_with_epoch_rate_and_videos(small_index, state):
    model = small_model("logistic")
    with torch.no_grad():
        model.classifier.bias[0] = math.nan
    with pytest.raises(
        InputError, match=r"loss nan.*epoch 1 at learning rate 0\.05.*videos [abde]"
    ):
        run(small_index, state, model=model)


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("forward", r"lower models\.<name>\.training"),
        ("to", r"the models themselves do not fit: see what else uses this GPU"),
    ],
)
def test_a_gpu_without_room_is_one_line_with_the_remedy(
    small_index, state, monkeypatch, method, told
):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")

    model = small_model("logistic")
    monkeypatch.setattr(model, method, full)
    with pytest.raises(InputError, match=f"^CUDA out of memory: {told}"):
        run(small_index, state, model=model)


def test_a_run_that_diverges_stops_after_the_epoch_with_step_rate_and_videos(small_index, state):
    model = small_model("logistic")
    model.classifier.weight.register_hook(lambda gradient: -gradient)  # uphill
    plan = replace(PLAN, learning_rate=0.5, decay="constant", epochs=50)
    with pytest.raises(
        InputError,
        match=r"diverged: mean loss .* in step 2 of epoch \d+ at .* 0\.5, .*videos [abde]",
    ):
        run(small_index, state, plan, model)


@pytest.mark.parametrize(
    ("epochs", "diverged"),
    [
        # The first batch lacks what the others have to learn.
        ([[0.5, 2.5, 2.5], [1.5, 1.5, 1.5], [0.9, 0.9, 0.9]], False),
        ([[0.5, 2.5, 2.5], [2.5, 2.5, 2.5]], True),
        ([[0.5, 20.0, 20.0]], True),
        ([[5.0, 14.0, 14.0], [15.0, 13.0, 13.0]], False),  # three times what the first cost
    ],
)
def test_a_divergence_is_a_loss_that_is_high_and_does_not_fall(epochs, diverged):
    assert watched_diverges(epochs) == diverged


@pytest.mark.parametrize(
    ("loss", "diverged"), [(0.023, False), (0.025, True), (0.5, True), (2.0, True)]
)
def test_where_labels_are_rare_a_loss_is_high_by_what_they_cost(loss, diverged):
    """A class in a thousand costs .0079 a model that looks at nothing; .5 says one in three."""
    epochs = [[0.001, 0.008, 0.008], [loss] * 3, [loss] * 3]
    uninformed = -(0.001 * math.log(0.001) + 0.999 * math.log(0.999))
    assert watched_diverges(epochs, uninformed) == diverged


def test_a_training_is_judged_by_what_its_labels_cost(small_index, state):
    def run_by(uninformed):
        losses = iter([0.001, *[0.5] * 20])

        def objective(logits, batch):
            return 0 * logits.sum() + next(losses)

        return run(small_index, state, objective=objective, uninformed=uninformed)

    run_by(math.log(2))
    with pytest.raises(InputError, match=r"diverged: mean loss 0\.5, at the start 0\.001"):
        run_by(0.008)


def test_a_resumed_job_is_judged_by_the_loss_that_it_began_with():
    first, second = watching(0.008), watching(0.008)
    steps_of(first, 0, [0.001, 0.5, 0.5])
    second.restore(first.captured())
    with pytest.raises(InputError, match=r"diverged: mean loss 0\.5, at the start 0\.001"):
        steps_of(second, 1, [0.5, 0.5, 0.5])


def test_the_epoch_in_which_a_job_went_on_is_not_judged_for_the_same_scores():
    logits, mask = torch.zeros(1, 2, 3), torch.ones(1, 2, dtype=torch.bool)
    for resumed in (False, True):
        watched = watching()
        if resumed:
            watched.restore(watching().captured())
        watched.scores(logits, mask)
        if resumed:
            steps_of(watched, 0, [0.5])
        else:
            with pytest.raises(InputError, match="the same scores for all segments"):
                steps_of(watched, 0, [0.5])


def watching(*uninformed):
    names, curves = np.array(["a", "b", "c"]), Curves(None, 9)
    return monitor.Monitor(3, 3, names, CPU, str, curves, *uninformed)


def steps_of(watched, epoch, losses):
    """Let it see an epoch of steps with these losses."""
    for number, loss in enumerate(losses):
        step = monitor.Step(epoch, number, 3 * epoch + number, np.array([number]), 0.1)
        watched.step(step, torch.tensor(loss), torch.tensor(1.0))
    watched.end_epoch(step)


def watched_diverges(epochs, *uninformed):
    """Whether a training with these losses, by epoch and step, is stopped as a divergence."""
    watched = watching(*uninformed)
    told = ""
    try:
        for epoch, losses in enumerate(epochs):
            steps_of(watched, epoch, losses)
    except InputError as error:
        told = str(error)
    return "diverged" in told


def test_a_high_but_falling_loss_is_no_divergence(small_index, state):
    model = small_model("logistic")
    with torch.no_grad():
        model.classifier.bias.fill_(30.0)  # every class everywhere: a loss of twenty
    losses = run(small_index, state, PLAN, model)[1]
    assert losses[0] > 10


def test_a_dead_model_stops_after_the_epoch(small_index, state):
    model = small_model("logistic")
    with torch.no_grad():
        model.classifier.weight.zero_()
    model.classifier.weight.requires_grad = False
    with pytest.raises(
        InputError, match=r"the same scores for all segments.* in step 2 of epoch 1"
    ):
        run(small_index, state, PLAN, model)


def test_one_segment_alone_is_no_dead_model(small_index, state):
    run(small_index, state, PLAN, rows=[3])


def test_the_error_names_the_last_good_state_and_leaves_it(small_index, tmp_path):
    """The last gradient is made infinite: the state is that of the step before."""
    kept = StateFile(tmp_path / "weights", "key", minutes=0)
    model = small_model("logistic")
    calls = []

    def spoil(gradient):
        calls.append(1)
        return gradient * math.inf if len(calls) == 6 else gradient

    model.classifier.weight.register_hook(spoil)
    with pytest.raises(InputError, match=rf"step 2 of epoch 3 .*last good state is {kept.path}"):
        run(small_index, kept, PLAN, model)
    assert kept.load()["position"].tolist() == [2, 1]


def test_a_compiled_model_trains_to_the_same_weights_up_to_rounding(small_index, state):
    """With dropout, for which a compiler may draw numbers of its own."""
    models = [small_model("logistic") for _ in range(2)]
    for model in models:
        model.classifier.register_forward_pre_hook(lambda _, inputs: functional.dropout(inputs[0]))
    plain, _ = run(small_index, state, PLAN, models[0])
    compiled, _ = run(small_index, state, replace(PLAN, compile=True), models[1])
    assert list(compiled.state_dict()) == list(plain.state_dict())
    for a, b in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_the_rated_objective_is_the_mean_over_what_is_rated(small_index):
    """Reference: eq. 17 as a loop over the ratings of video a, from small_records."""
    clips = Clips(FrameReader(small_index, 25), 5, None, False)
    source = Ratings(small_index, CLASS_IDS, clips.segment_counts(), 5, False)
    batch = Clips(FrameReader(small_index, 25), 5, source, False)[np.array([0])]
    logits = torch.linspace(-2, 2, 9).reshape(1, 3, 3)
    rated = [(0, 0, 1.0), (1, 1, 0.0), (2, 2, 1.0)]
    expected = sum(
        functional.binary_cross_entropy_with_logits(logits[0, s, c], torch.tensor(y))
        for s, c, y in rated
    )
    assert float(training.rated_objective(0.0)(logits, batch)) == pytest.approx(float(expected / 3))


def test_the_estimated_objective_counts_every_real_segment_and_class(small_index):
    """Reference: section 5.4: no label is missing, so unlisted ones are negative."""
    clips = Clips(FrameReader(small_index, 25), 5, None, False)
    source = Ratings(small_index, CLASS_IDS, clips.segment_counts(), 5, False)
    batch = Clips(FrameReader(small_index, 25), 5, source, False)[np.array([0, 1])]
    logits = torch.linspace(-2, 2, 18).reshape(2, 3, 3)
    positive = {(0, 0, 0), (0, 2, 2), (1, 0, 2)}
    total, count = 0.0, 0
    for b, segments in ((0, 3), (1, 2)):
        for s in range(segments):
            for c in range(3):
                p = 1 / (1 + math.exp(-float(logits[b, s, c])))
                total -= math.log(p if (b, s, c) in positive else 1 - p)
                count += 1
    found = float(training.estimated_objective(5)(logits, batch))
    assert found == pytest.approx(total / count, rel=1e-5)


def test_videos_without_rated_segments_leave_the_loss_at_zero(small_index):
    clips = Clips(FrameReader(small_index, 25), 5, None, False)
    source = Ratings(small_index, CLASS_IDS, clips.segment_counts(), 5, False)
    batch = Clips(FrameReader(small_index, 25), 5, source, False)[np.array([3])]
    assert float(training.rated_objective(0.0)(torch.ones(1, 1, 3), batch)) == 0.0


def test_unrated_classes_outside_the_videos_labels_are_weak_negatives(small_index):
    """Reference: a loop over video a's rated segments; it carries 3 and 8.

    Two more classes than it has ratings or labels for: three share half a rating, two in segment 1.
    """
    classes = [*CLASS_IDS, 21, 22]
    clips = Clips(FrameReader(small_index, 25), 5, None, False)
    source = Ratings(small_index, classes, clips.segment_counts(), 5, True)
    batch = Clips(FrameReader(small_index, 25), 5, source, False)[np.array([0])]
    logits = torch.linspace(-2, 2, 15).reshape(1, 3, 5)
    rated = {(0, 0): 1.0, (1, 1): 0.0, (2, 2): 1.0}
    total = weights = 0.0
    for segment in range(3):
        unrated = [c for c in range(5) if (segment, c) not in rated and classes[c] not in (3, 8)]
        for column in range(5):
            weight = 0.5 / len(unrated) if column in unrated else (segment, column) in rated
            target = torch.tensor(rated.get((segment, column), 0.0))
            logit = logits[0, segment, column]
            total += weight * functional.binary_cross_entropy_with_logits(logit, target)
            weights += weight
    found = training.rated_objective(0.5)(logits, batch)
    assert float(found) == pytest.approx(float(total / weights))


def test_weak_negatives_are_of_rated_segments_alone(small_index):
    """Video d's one rating is of a class that the model does not have; a's are of what it has."""
    clips = Clips(FrameReader(small_index, 25), 5, None, False)
    source = Ratings(small_index, CLASS_IDS, clips.segment_counts(), 5, True)
    batch = Clips(FrameReader(small_index, 25), 5, source, False)[np.array([0, 3])]
    logits = torch.zeros(2, 3, 3)
    alone = float(training.rated_objective(0.5)(logits, batch))
    logits[1] = 9.0
    assert float(training.rated_objective(0.5)(logits, batch)) == pytest.approx(alone)


def test_listed_labels_count_their_weight_and_others_one(small_index):
    """Reference: a loop, two segments of three classes with the label of weight 1/4."""
    batch = Clips(FrameReader(small_index, 25), 5, None, False)[np.array([1])]
    label = [torch.tensor([0]), torch.tensor([1]), torch.tensor([2])]
    batch = replace(batch, labels=(*label, torch.tensor([0.5]), torch.tensor([0.25])))
    logits = torch.linspace(-2, 2, 6).reshape(1, 2, 3)
    total = sum(functional.softplus(logits.flatten()[:5]))
    total += 0.25 * functional.binary_cross_entropy_with_logits(logits[0, 1, 2], torch.tensor(0.5))
    found = training.estimated_objective(5)(logits, batch)
    assert float(found) == pytest.approx(float(total / 5.25))


@pytest.mark.parametrize("architecture", SMALL)
def test_the_mean_weights_are_those_of_the_ends_of_the_last_epochs(
    small_index, state, architecture
):
    """Reference: the weights after two and after three epochs of a constant rate, averaged."""
    plan = replace(PLAN, decay="constant", learning_rate=0.01)
    ends = []
    for epochs in (2, 3):
        model = small_model(architecture)
        ends.append(run(small_index, state, replace(plan, epochs=epochs), model)[0].state_dict())
    averaged, _ = run(
        small_index, state, replace(plan, average_epochs=2), small_model(architecture)
    )
    for name, found in averaged.state_dict().items():
        if found.is_floating_point():
            expected = (ends[0][name] + ends[1][name]) / 2
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_attention_learns_beside_the_scores_and_leaves_their_classifier_alone(small_index, state):
    model = small_model("logistic")
    before = model.classifier.weight.detach().clone()
    widen(model, 2)
    torch.testing.assert_close(model.classifier.weight[:3], before)
    assert not model.classifier.weight[3:].any()
    clips = Clips(FrameReader(small_index, 25), 5, VideoLabels(small_index, CLASS_IDS), False)
    objective = training.video_objective(5, 3, poolings.load("attention"))
    rows, cpu = np.array([0, 1, 3, 4]), CPU
    training.train(model, clips, rows, objective, Dequantise.of(small_index), PLAN, cpu, state)
    assert model.classifier.weight[3:].any()
    wide = model.classifier.weight.detach().clone()
    narrow(model, 3)
    assert torch.equal(model.classifier.weight, wide[:3])
    assert model.classifier.out_features == 3
