"""A real SLURM of one node with two pretended GPUs, for as long as a test needs it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import left_behind

# Where the programs look by themselves: a job of the executor forgets SLURM_CONF.
SYSTEM_CONF = Path("/etc/slurm/slurm.conf")
SECONDS_TO_END = 30
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
JobRequeue=1
KillWait=20
MinJobAge=300
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def obstacle() -> str | None:
    """Why no cluster can be started here, or None."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} (Debian: apt-get install slurm-wlm munge)"
    if os.getuid() != 0:
        return "starting SLURM takes root"
    if SYSTEM_CONF.exists():
        return f"{SYSTEM_CONF} exists: this machine belongs to a cluster"
    return None


@contextmanager
def running(folder: Path):
    """Yield the environment in which SLURM's commands find the cluster; stop it afterwards."""
    _configure(folder)
    SYSTEM_CONF.parent.mkdir(parents=True, exist_ok=True)
    SYSTEM_CONF.symlink_to(folder / "slurm.conf")
    # A job that forgets the one still carries the other.
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "CLUSTER": str(folder)}
    socket_path = folder / "munge.socket"
    daemons = []
    try:
        daemons.append(
            _start(
                environment,
                *("munged", "--foreground", "--force", f"--socket={socket_path}"),
                *(f"--key-file={folder}/munge.key", f"--pid-file={folder}/munged.pid"),
                *(f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"),
            )
        )
        _wait(socket_path.exists, "munged", folder)
        daemons.append(_start(environment, "slurmctld", "-D", "-f", environment["SLURM_CONF"]))
        daemons.append(_start(environment, "slurmd", "-D", "-f", environment["SLURM_CONF"]))
        _wait(lambda: _idle(environment), "slurmd", folder)
        yield environment
    finally:
        _empty(environment)
        for daemon in reversed(daemons):
            _end(daemon)
        SYSTEM_CONF.unlink()
        left = left_behind.processes(str(folder))
        for number in left:
            os.kill(number, signal.SIGKILL)
    assert not left, f"processes that the cluster left behind: {left}"


def _empty(environment: dict[str, str]) -> None:
    """Kill all jobs and wait for the last to go: without the controller, slurmd waits for ever."""
    kill = ["scancel", f"--user={os.getuid()}", "--signal=KILL", "--full"]
    cancel = ["scancel", f"--user={os.getuid()}"]
    list_jobs = ["squeue", "--noheader", "--format=%i"]
    deadline = time.monotonic() + SECONDS_TO_END
    while subprocess.run(list_jobs, env=environment, capture_output=True).stdout:
        for command in (kill, cancel):
            subprocess.run(command, env=environment, capture_output=True, check=False)
        if time.monotonic() > deadline:
            break
        time.sleep(1)


def _end(daemon: subprocess.Popen) -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def scontrol(environment: dict[str, str], *arguments: str) -> str:
    """What a call of scontrol says."""
    return subprocess.run(
        ["scontrol", *arguments], env=environment, capture_output=True, text=True, check=True
    ).stdout


def _configure(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    folder.chmod(0o755)  # munged refuses a socket that others cannot reach
    host = socket.gethostname().partition(".")[0]
    values = {
        "folder": folder,
        "host": host,
        "controller_port": _free_port(),
        "node_port": _free_port(),
    }
    (folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
    # Any two character devices will do: nothing is ever sent to them.
    lines = ["AutoDetect=off"]
    for device in ("/dev/null", "/dev/zero"):
        lines.append(f"NodeName={host} Name=gpu File={device} Flags=nvidia_gpu_env")
    (folder / "gres.conf").write_text("\n".join(lines) + "\n")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _start(environment: dict[str, str], *command: str) -> subprocess.Popen:
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _idle(environment: dict[str, str]) -> bool:
    shown = subprocess.run(
        ["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True
    )
    return shown.stdout.strip() == "idle"


def _wait(ready, name: str, folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        if time.monotonic() > deadline:
            logs = "".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
            raise RuntimeError(f"{name} did not come up within a minute:\n{logs}")
        time.sleep(0.2)
