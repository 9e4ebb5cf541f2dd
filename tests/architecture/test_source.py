"""What no source file may hold, whatever a ``noqa`` beside it says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 400
SOURCE = [file for room in ("app", "workers", "schemas") for file in sorted((ROOT / room).rglob("*.py"))]
MADE_BY_TOOLS = {"node_modules", "results", "__pycache__"}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "asyncio.create_subprocess_shell"}
# Spelled in parts, so that this file does not name them either.
REGISTRIES = [".".join(parts) for parts in [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("ghcr", "io")]]


def _forbidden(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.split(".")[0] in FORBIDDEN_MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in FORBIDDEN_MODULES:
                yield module
            case ast.Call(func=func) if ast.unparse(func) in FORBIDDEN_CALLS:
                yield ast.unparse(node)
            case ast.keyword(arg="shell", value=value) if ast.unparse(value) != "False":
                yield ast.unparse(node)


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def _is_ours(file: Path) -> bool:
    folders = set(file.relative_to(ROOT).parts[:-1])
    return not folders & MADE_BY_TOOLS and not any(folder.startswith(".") for folder in folders - {".ci"})


def test_nothing_is_unpickled_evaluated_or_given_to_a_shell():
    found = {_name(file): list(_forbidden(ast.parse(file.read_text()))) for file in SOURCE}
    assert {name: uses for name, uses in found.items() if uses} == {}


@pytest.mark.parametrize("code", ["import pickle", "from pickle import loads", "eval('1')", "run('ls', shell=True)"])
def test_the_rule_above_sees_what_it_forbids(code: str):
    assert list(_forbidden(ast.parse(code))) != []


def test_no_source_file_has_outgrown_its_reader():
    sizes = {_name(file): len(file.read_text().splitlines()) for file in SOURCE}
    assert {name: lines for name, lines in sizes.items() if lines > LINES_MAX} == {}


def test_no_file_names_a_package_registry():
    files = [file for file in ROOT.rglob("*") if file.is_file() and _is_ours(file)]
    naming = {_name(file) for file in files for host in REGISTRIES if host.encode() in file.read_bytes()}
    assert naming == set()
