"""Memory for batches, used again when nobody holds the last batch any more.

New memory has to be zeroed by the kernel page by page, which takes as long as filling it.
"""

import math
import weakref
from collections import deque

import numpy as np

MOST_FREE = 4  # buffers kept: two modalities of the batch that is used and of the next


class Buffers:
    """Hands out arrays; threads may share it."""

    def __init__(self) -> None:
        self._free: deque[np.ndarray] = deque(maxlen=MOST_FREE)  # the oldest goes first

    def empty(self, shape: tuple[int, ...], dtype: np.dtype | str) -> np.ndarray:
        """As np.empty. Its memory is used again once the array and all views of it are gone."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size == 0:
            return np.empty(shape, dtype)
        memory = self._fitting(size)
        # Not a view of an array: views of this one shall keep this one alive, not the memory alone.
        array = np.frombuffer(memoryview(memory)[:size], dtype).reshape(shape)
        owner = array.base if isinstance(array.base, np.ndarray) else array
        weakref.finalize(owner, self._free.append, memory).atexit = False
        return array

    def _fitting(self, size: int) -> np.ndarray:
        """Free memory of at least `size` bytes, not above twice as much; or new memory."""
        for _ in range(len(self._free)):
            try:
                memory = self._free.popleft()
            except IndexError:  # another thread was faster
                break
            if size <= memory.nbytes <= 2 * size:
                return memory
            self._free.append(memory)
        return np.empty(size, np.uint8)
