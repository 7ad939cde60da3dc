"""While this is imported, Python code reaches no other machine: it raises instead.

An audit hook (PEP 578) sees every connection and every look-up of a name that goes through Python's
`socket`, whichever library asks for it, and cannot be taken off again. What a C library opens by
itself it does not see.
"""

import ipaddress
import socket
import sys

LOCAL_NAMES = {"", "localhost", socket.gethostname()}
# Events with (socket, address), and with (name, ...): docs.python.org/3/library/audit_events.html
CONNECTIONS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname"}


class NetworkError(RuntimeError):
    """No OSError, so that what is prepared for a network that is down does not hide it."""


def is_local(host: object) -> bool:
    """Whether a host is this machine. None stands for every address of it."""
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(str(name).partition("%")[0]).is_loopback
    except ValueError:  # a name, not an address
        return False


def refuse(event: str, arguments: tuple) -> None:
    """The audit hook."""
    if event in CONNECTIONS:
        address = arguments[1]
        # Unix sockets have a path for an address; sendmsg on a connected socket has none.
        remote = isinstance(address, tuple) and not is_local(address[0])
    elif event in LOOK_UPS:
        remote = not is_local(arguments[0])
    else:
        return
    if remote:
        raise NetworkError(f"no network at run time: {event} {arguments[-1]!r} of {arguments!r}")


sys.addaudithook(refuse)
