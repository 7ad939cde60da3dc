"""The mean of a model's weights at the ends of its last epochs.

Izmailov et al., *Averaging weights leads to wider optima and better generalization*, 2018,
https://arxiv.org/abs/1803.05407. The statistics of batch norms are averaged like the weights: they
are means over the batches of some time anyway, and taking them anew would read all videos again.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_swa_avg_fn

PREFIX = "average."


class Average:
    """The running mean; of no epochs, nothing, and the model stays as it is."""

    def __init__(self, model: nn.Module, epochs: int) -> None:
        """epochs: how many of the last ones are averaged; 0 for the last weights as they are."""
        self.epochs = epochs
        self.mean = None
        if epochs:
            # One function for all tensors: the grouped one refuses integers (a batch norm's count).
            self.mean = AveragedModel(model, avg_fn=get_swa_avg_fn(), use_buffers=True)

    def end_epoch(self, model: nn.Module, epochs_left: int) -> None:
        """Take the weights in, if the epoch that ends is among the last."""
        if self.mean is not None and epochs_left < self.epochs:
            self.mean.update_parameters(model)

    def load_into(self, model: nn.Module) -> None:
        """Give the model the mean."""
        if self.mean is not None:
            model.load_state_dict(self.mean.module.state_dict())

    def captured(self) -> dict[str, torch.Tensor]:
        """What a resumed job has to know."""
        if self.mean is None:
            return {}
        return {PREFIX + name: tensor.cpu() for name, tensor in self.mean.state_dict().items()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `captured` gave."""
        if self.mean is not None:
            found = {k.removeprefix(PREFIX): v for k, v in tensors.items() if k.startswith(PREFIX)}
            self.mean.load_state_dict(found)
