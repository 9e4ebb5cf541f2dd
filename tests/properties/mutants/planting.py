"""Plant a defect in this process: one source file is read with another text, and the disk is left alone."""

import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

from tests.properties.mutants.mutant import ROOT, Mutant, mutated

STARTUP = ROOT / "tests" / "properties" / "mutants" / "startup"
"""On the ``PYTHONPATH`` of a hunt, so that every Python that its tests start plants the mutant named by ``MUTANT``."""
planted: list[str] = []
"""The mutant of this process, for those who want to be sure."""


def plant(one: Mutant) -> None:
    """Do it before the program is imported: modules find the defect in their source, everybody else in the file."""
    path, text = ROOT / one.file, mutated(one)
    if path.suffix == ".py":
        finder = _Finder(path, text)
        assert finder.module not in sys.modules
        sys.meta_path.insert(0, finder)
    else:
        _read_instead(path, text)
    planted.append(one.name)


def _read_instead(path: Path, text: str) -> None:
    read_text = Path.read_text

    def read(self: Path, *arguments: Any, **options: Any) -> str:
        return text if self.absolute() == path else read_text(self, *arguments, **options)

    Path.read_text = read


class _Finder:
    """Finds one module, and leaves all others to Python."""

    def __init__(self, path: Path, text: str) -> None:
        self.module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        self.loader = _Loader(self.module, str(path))
        self.loader.text = text

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        return spec_from_file_location(name, self.loader.path, loader=self.loader) if name == self.module else None


class _Loader(SourceFileLoader):
    """Compiles another text than the file's."""

    text: str

    def get_data(self, _path: str) -> bytes:
        return self.text.encode()

    def path_stats(self, path: str) -> dict[str, Any]:
        raise OSError(path)  # so that nothing compiled is taken from a cache, or put there
