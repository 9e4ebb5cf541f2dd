from pathlib import Path

from importlinter.cli import lint_imports

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_rooms_import_each_other_as_pyproject_allows(capsys):
    assert lint_imports(str(PYPROJECT), no_cache=True) == 0, capsys.readouterr().out
