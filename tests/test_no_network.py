"""The tests, and every Python process that they start, reach no other machine."""

import socket
import subprocess
import sys
import tempfile

import pytest
from loopback_only import NetworkError
from workflow_runs import snakemake

ELSEWHERE = "192.0.2.1"  # reserved for documentation (RFC 5737): nobody answers there
CONNECT = f"import socket; socket.create_connection(('{ELSEWHERE}', 9), timeout=0.1)"


def test_a_connection_to_another_machine_is_refused():
    with socket.socket() as client, pytest.raises(NetworkError, match=ELSEWHERE):
        client.connect((ELSEWHERE, 9))


def test_a_datagram_to_another_machine_is_refused():
    with socket.socket(type=socket.SOCK_DGRAM) as client, pytest.raises(NetworkError):
        client.sendto(b"", (ELSEWHERE, 9))


def test_a_name_is_not_looked_up():
    with pytest.raises(NetworkError, match=r"example\.org"):
        socket.getaddrinfo("example.org", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_can_be_reached(host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1])).close()


def test_unix_sockets_can_be_reached():
    with (
        tempfile.TemporaryDirectory() as folder,  # pytest's own are longer than such a path may be
        socket.socket(socket.AF_UNIX) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        server.bind(f"{folder}/socket")
        server.listen()
        client.connect(f"{folder}/socket")


def test_a_child_process_is_refused_too():
    done = subprocess.run([sys.executable, "-c", CONNECT], capture_output=True, text=True)
    assert "NetworkError" in done.stderr


@pytest.mark.slow
def test_a_job_of_a_workflow_is_refused_too(tmp_path):
    (tmp_path / "Snakefile").write_text(
        f'rule all:\n    log: "log"\n    shell: """python -c "{CONNECT}" 2> {{log}}"""\n'
    )
    done = snakemake(tmp_path, snakefile=tmp_path / "Snakefile")
    assert done.returncode != 0, done.stdout
    assert "NetworkError" in (tmp_path / "log").read_text()
