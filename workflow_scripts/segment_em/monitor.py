"""What is watched while a model trains: losses, speed, and whether it has gone wrong."""

# B clips, S segments, C classes

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from segment_em import processes
from segment_em.curves import Curves
from segment_em.errors import InputError
from segment_em.progress import Progress

# Reading a number from a GPU waits for all that is queued there; on the CPU it costs nothing.
STEPS_BETWEEN_CHECKS = {"cuda": 16}
# What it costs to answer 0.5 to everything, which ratings ask for: half of them are positive.
UNINFORMED = math.log(2)
# A mean over an epoch at three times what a model costs that looks at nothing, and at three times
# what the first batch cost, is beyond noise if it does not fall from epoch to epoch: a first batch
# of few videos may lack the classes that fine-tuning has to teach anew.
DIVERGED = 3.0
# So is at once what costs more than answering 1e-4, at which classes begin that nothing is labelled
# with, where all is true.
BEYOND = 9.3


@dataclass(frozen=True)
class Step:
    """Where training stands. epoch, number in it: from 0. overall: number through all epochs.

    rows: int64, videos of all processes' batch.
    """

    epoch: int
    number: int
    overall: int
    rows: np.ndarray
    learning_rate: float


class Monitor:
    """Losses by epoch, progress, curves, and an error where training goes wrong."""

    def __init__(
        self,
        epochs: int,
        videos: int,
        video_ids: np.ndarray,
        device: torch.device,
        kept: Callable[[], str],
        curves: Curves,
        uninformed: float = UNINFORMED,
    ) -> None:
        """videos: in an epoch. video_ids: names of the rows. kept: says where the last state is.

        uninformed: the loss of a model that looks at nothing.
        """
        self.uninformed = uninformed
        self.curves, self.progress = curves, Progress(epochs * videos)
        self.epochs, self.videos, self.video_ids, self.kept = epochs, videos, video_ids, kept
        self.steps_between_checks = STEPS_BETWEEN_CHECKS.get(device.type, 1)
        self.unchecked: list[tuple[Step, torch.Tensor]] = []
        self.sums = np.zeros((epochs, 2))  # loss times videos, and videos, of each epoch
        self.first_loss = math.nan
        self.comparable, self.varied = False, False  # scores of segments, in this epoch

    def step(self, step: Step, loss: torch.Tensor, norm: torch.Tensor) -> None:
        """Take the loss of all processes and the gradient's norm; raise InputError if not finite.

        On a GPU that shows some steps later: a state must not be written before `check`.
        """
        self.unchecked.append((step, torch.stack([loss.detach(), norm.to(loss.dtype)])))
        if len(self.unchecked) >= self.steps_between_checks:
            self.check()

    def check(self) -> None:
        """Look at all steps up to now. Raises InputError at the first that is not finite."""
        if not self.unchecked:
            return
        numbers = torch.stack([pair for _, pair in self.unchecked]).tolist()
        for (step, _), (loss, norm) in zip(self.unchecked, numbers, strict=True):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                problem = f"loss {loss:g}, gradient norm {norm:g}"
                remedy = "look at the features of these videos, or lower the learning rate"
                raise self._error(problem, step, remedy)
            if math.isnan(self.first_loss):
                self.first_loss = loss
            self.sums[step.epoch] += loss * len(step.rows), len(step.rows)
            self.curves.step(step.overall, loss, step.learning_rate, norm)
        self.unchecked.clear()
        self._report(step.epoch)

    def scores(self, logits_BSC: torch.Tensor, mask_BS: torch.Tensor) -> None:
        """Note whether any class tells one real segment of a batch from another.

        Looks no further once one does, which is in the first batch unless the model is dead.
        """
        if self.varied:
            return
        logits_NC = logits_BSC.detach()[mask_BS]
        self.comparable |= len(logits_NC) > 1
        self.varied = bool((logits_NC != logits_NC[:1]).any())

    def end_epoch(self, step: Step) -> None:
        """Judge the epoch whose last step this was. Raises InputError."""
        self.check()
        comparable, varied = processes.highest(self.comparable, self.varied)
        # Not from one batch: a single still video may have the same scores throughout.
        if comparable and not varied:
            problem = "the same scores for all segments, up to the last batch,"
            raise self._error(problem, step, "lower the learning rate, or look at the features")
        mean, *before = self.epoch_losses()[step.epoch :: -1]
        high = mean > DIVERGED * max(self.first_loss, self.uninformed)
        if high and (mean > BEYOND or (before and mean >= before[0])):
            problem = f"diverged: mean loss {mean:g}, at the start {self.first_loss:g}"
            raise self._error(problem, step, "lower the learning rate or the clip norm")
        self.comparable, self.varied = False, False
        self.curves.epoch(step.epoch + 1, mean)

    def check_state(self, step: Step, tensors: Mapping[str, torch.Tensor]) -> None:
        """Raise InputError if the state after a step could not be gone on from.

        The step itself can overflow, from a loss and a gradient that are finite.
        """
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                problem = f"{name} is not finite after the update"
                raise self._error(problem, step, "lower the learning rate")

    def epoch_losses(self) -> list[float]:
        """The mean loss of each epoch."""
        return [float(total / count) if count else math.nan for total, count in self.sums]

    def captured(self) -> dict[str, torch.Tensor]:
        """What a resumed job has to know."""
        return {
            "losses": torch.from_numpy(self.sums.copy()),
            "first_loss": torch.tensor(self.first_loss, dtype=torch.float64),
            **self.curves.captured(),
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `captured` gave, perhaps within an epoch."""
        self.sums = tensors["losses"].numpy()
        self.first_loss = tensors["first_loss"].item()
        self.curves.restore(tensors)
        self.progress.close()
        self.progress = Progress(self.epochs * self.videos, int(self.sums[:, 1].sum()))
        # What the scores of this epoch were is gone: the first one after a stop is not judged.
        self.varied = True

    def close(self) -> None:
        """Whether training ended well or not."""
        self.progress.close()
        self.curves.flush()

    def _error(self, problem: str, step: Step, remedy: str) -> InputError:
        names = ", ".join(str(name) for name in self.video_ids[step.rows[:5]])
        return InputError(
            f"training: {problem} in step {step.number + 1} of epoch {step.epoch + 1} at learning "
            f"rate {step.learning_rate:g}, batch of videos {names}, ...; {remedy}; "
            f"{self.kept()}"
        )

    def _report(self, epoch: int) -> None:
        mean = self.sums[epoch, 0] / self.sums[epoch, 1]
        what = f"epoch {epoch + 1} of {self.epochs}: loss {mean:.5f}"
        self.progress.show(int(self.sums[:, 1].sum()), what)
