"""The servers that everything is measured on: a durable Postgres and a Valkey, real ones."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.embedded import EmbeddedServer, start_postgres, start_valkey


@contextmanager
def servers(data_dir: Path) -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    """A Postgres and a Valkey on this directory, as they were left there or fresh; stopped afterwards."""
    with ExitStack() as running:
        postgres = start_postgres(data_dir)
        running.callback(postgres.stop)
        valkey = start_valkey(data_dir)
        running.callback(valkey.stop)
        yield postgres, valkey


def forget(data_dir: Path) -> None:
    """Ask the kernel to drop what it has of these files in memory; no server may run on them.

    A server that stopped in peace has written all to the disk, so there is nothing that could not be dropped. No
    privilege is needed. What the disk itself has in its own memory stays.
    """
    for file in data_dir.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            try:
                os.fsync(handle)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)
