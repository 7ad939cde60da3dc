"""Which GPUs a job holds: a file lock a device, dropped by the kernel when the job ends.

Snakemake limits how many jobs with a GPU run at once, but gives them no device: two would both
take the first one. Under SLURM a job sees the devices of its allocation alone. Several jobs may
share one, where Snakemake itself runs within it, so the locks are those of the allocation.
"""

import fcntl
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from segment_em.errors import InputError
from segment_em.provenance import NAMES_ON_HOST

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
# What hides devices: CUDA takes none from the first such name on.
NO_DEVICE = ("-1", "NoDevFiles")
# What the drivers of NVIDIA and AMD put there for the first device.
DEVICE_FILES = (Path("/dev/nvidia0"), Path("/dev/kfd"))
SECONDS_BETWEEN_TRIES = 0.2
SECONDS_BETWEEN_MESSAGES = 60.0


def visible_devices(environment: Mapping[str, str]) -> list[str]:
    """The devices that this process may use: CUDA_VISIBLE_DEVICES, or all that the driver lists.

    Empty where there is no GPU, and, with a warning, where nothing lists it.
    """
    if VISIBLE in environment:
        names = [name.strip() for name in environment[VISIBLE].split(",") if name.strip()]
        return list(takewhile(lambda name: name not in NO_DEVICE, names))
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        if not any(map(Path.exists, DEVICE_FILES)):
            return []
        said = getattr(error, "stdout", None) or str(error)
        log.warning(
            "warning: nvidia-smi -L does not list the GPU of this machine (%s): jobs that see it "
            "all take the first, others compute on the CPU; mend the driver, or name devices in %s",
            *(" ".join(said.split()), VISIBLE),
        )
        return []
    gpus = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(gpus))]


def held(count: int, environment: Mapping[str, str], folder: Path | None = None) -> list[str]:
    """Hold `count` of the visible devices, no other job's, until this process and its heirs end.

    Waits until enough are free. On a machine without a GPU nothing is held: the job runs on the
    CPU. folder: in which the lock files lie; the temporary one. Raises InputError if fewer devices
    than `count` are visible.
    """
    devices = visible_devices(environment)
    if not devices or count == 0:
        return []
    if len(devices) < count:
        raise InputError(
            f"this job was promised {count} GPUs and sees {len(devices)} ({', '.join(devices)}); "
            f"lower compute.gpu, or give the machine's devices in {VISIBLE}"
        )
    job = environment.get("SLURM_JOB_ID", "no-job")
    folder = (folder or Path(tempfile.gettempdir())) / f"segment-em-gpus-{os.getuid()}-{job}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return _locked(count, devices, folder)


def shown(devices: list[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a command sees the held devices alone, empty if there are none.

    Within an allocation those with SLURM's names of its devices too, which provenance tells.
    """
    if not devices:
        return {}
    found = {VISIBLE: ",".join(devices)}
    for variable in filter(environment.get, NAMES_ON_HOST):
        visible, names = visible_devices(environment), environment[variable].split(",")
        if len(names) == len(visible):
            found[variable] = ",".join(names[visible.index(device)] for device in devices)
    return found


def _locked(count: int, devices: list[str], folder: Path) -> list[str]:
    """Lock `count` devices. Jobs queue up: one that wants two is not passed by those that want one.

    Only the head of the queue takes devices, so no two jobs can hold a part and wait for the rest.
    """
    with open(folder / "queue.lock", "w") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        held: list[str] = []
        said = -SECONDS_BETWEEN_MESSAGES
        while True:
            for device in devices:
                if device not in held and _lock(folder / f"{device.replace('/', '-')}.lock"):
                    held.append(device)
                if len(held) == count:
                    return held
            if time.monotonic() - said >= SECONDS_BETWEEN_MESSAGES:
                said = time.monotonic()
                log.info("waiting for %d of the GPUs %s", count, ", ".join(devices))
            time.sleep(SECONDS_BETWEEN_TRIES)


def _lock(path: Path) -> bool:
    """Take the lock, which stays with this process and what it becomes; False if another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    os.set_inheritable(descriptor, True)
    return True
