"""What a running ``headway up`` tells the other commands about itself: ``<data dir>/up.json``."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter, Token
from msgspec import Struct, field
from pydantic import SecretStr

from app.client import Client
from app.embedded.directory import is_owned
from app.errors import SetupError
from app.settings import Settings

FILE = "up.json"


def _directory(_type: Any, tokens: Sequence[Token]) -> Path:
    if not tokens[0].value:
        raise ValueError("An empty name would be the working directory.")
    return Path(tokens[0].value)


DataDir = Annotated[Path | None, Parameter(converter=_directory)]
"""The option ``--data-dir``."""


class Running(Struct):
    """Addresses and process ids. The URLs may carry passwords, so the file is its owner's alone."""

    url: str
    database_url: str
    redis_url: str
    data_dir: str
    pids: dict[str, int] = field(default_factory=dict)


def write(running: Running) -> None:
    """Replace the file; a reader sees the old one or the new one."""
    path = Path(running.data_dir) / FILE
    fresh = path.with_suffix(".new")
    with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(msgspec.json.format(msgspec.json.encode(running)) + b"\n")
    fresh.replace(path)


def read(data_dir: Path) -> Running | None:
    """Return what the ``up`` that runs on ``data_dir`` tells; None if none does.

    Raises:
        SetupError: it cannot be read, as when the directory is somebody else's.

    """
    path = data_dir.resolve() / FILE
    if not is_owned(path.parent):
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except FileNotFoundError:
        return None
    except OSError as refused:
        raise SetupError(f"{path} cannot be read: {refused.strerror}. Choose another data directory.") from None
    except msgspec.MsgspecError as error:
        raise SetupError(f"{path} is damaged ({error}): restart 'headway up'.") from None


def open_client(settings: Settings) -> Client:
    """Make a client of the API: at HEADWAY_URL, else of the ``up`` on this data directory, else at host and port."""
    url = settings.url
    if url is None and "port" not in settings.model_fields_set and (running := read(settings.data_dir)):
        url = running.url
    token = settings.api_token.get_secret_value() if settings.api_token else None
    return Client(url or address(settings.host, settings.port), token)


def with_servers(settings: Settings) -> Settings:
    """Fill in the server URLs that are not set from the ``up`` on this data directory.

    Raises:
        SetupError: there is none.

    """
    missing = {name for name in ("database_url", "redis_url") if getattr(settings, name) is None}
    if not missing:
        return settings
    running = read(settings.data_dir)
    if running is None:
        names = " and ".join(f"HEADWAY_{name.upper()}" for name in sorted(missing))
        raise SetupError(f"Set {names}, or start 'headway up' on {settings.data_dir} first.")
    found = {name: SecretStr(getattr(running, name)) for name in missing}
    return settings.model_copy(update=found)


def address(host: str, port: int) -> str:
    """Return the URL under which this machine reaches a server bound to ``host`` and ``port``."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
