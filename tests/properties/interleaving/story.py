"""What happened in a schedule, for the eyes of whoever has to find out why it went wrong."""

import re
from uuid import UUID

from tests.properties.interleaving.ledger import Ledger

NAMELESS = re.compile(r"UUID\('([-0-9a-f]+)'\)")


class Story:
    """Lines as they come, with short names for what has a uuid."""

    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []
        self.names: dict[UUID, str] = {}

    def tell(self, *words: object) -> None:
        """The next one, spelled only if anybody reads it."""
        self.lines.append(words)

    def name(self, ledger: Ledger) -> None:
        """Pipelines by their ids and stages by their positions; for workers and tokens see ``_named``."""
        for book in ledger.books.values():
            self.names[book.uuid] = f"pipeline {book.id}"
            self.names |= {uuid: f"stage {book.id}.{at}" for at, uuid in enumerate(book.stages)}
        self.names |= {worker: f"worker {number}" for number, worker in enumerate(ledger.leases, 1)}

    def _named(self, found: re.Match[str]) -> str:
        uuid = UUID(found[1])
        return self.names.setdefault(uuid, f"token {len(self.names)}")

    def __str__(self) -> str:
        return NAMELESS.sub(self._named, "\n".join(" ".join(map(str, words)) for words in self.lines))
