"""How users' tasks are found, and what is said of those that cannot be used; the modules and packages are real."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.errors import SetupError
from workers.plug_ins import known_tasks
from workers.tasks.built_in import BUILT_IN

ROOT = Path(__file__).parents[2]
PRELUDE = """\
from msgspec import Struct, Meta
from typing import Annotated, Any
from workers.tasks import Queue, Slot, Task, TaskContext, task

class P(Struct): n: int = 0
class R(Struct): n: int = 0

"""
ONE = "@task()\nasync def {name}(context: TaskContext, params: P) -> R: return R(params.n)\n"

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Put a module on the import path; returns its name."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def write_module(code: str, name: str = "mine", prelude: str = PRELUDE) -> str:
        (tmp_path / f"{name}.py").write_text(prelude + code)
        return name

    yield write_module
    for module in set(sys.modules) - known:
        if (getattr(sys.modules[module], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[module]


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., None]:
    """Install a package that has entry points: its metadata, as pip would leave them."""

    def install(*entry_points: str, name: str = "acme") -> None:
        metadata = tmp_path / f"{name}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text("\n".join(["[headway.tasks]", *entry_points]))

    return install


def own(task_modules: str = "") -> set[str]:
    return known_tasks(task_modules).keys() - BUILT_IN.keys()


def refusal(task_modules: str = "") -> str:
    """What the worker says when it does not start."""
    with pytest.raises(SetupError) as refused:
        known_tasks(task_modules)
    head, *faults = refused.value.detail.splitlines()
    assert head == "These plug-ins cannot be used, and a worker starts with all of its tasks or not at all:"
    return "\n".join(fault.removeprefix("  ") for fault in faults)


# Finding them


def test_without_any_there_are_the_built_in_ones():
    assert known_tasks("") == BUILT_IN
    assert known_tasks(" , ") == BUILT_IN


def test_every_task_at_the_top_level_of_a_module_plugs_in(write: Write):
    write(ONE.format(name="first") + ONE.format(name="second") + "not_a_task = [first]\n")
    write(ONE.format(name="third"), "other")
    assert own("mine, other") == {"first", "second", "third"}


def test_a_module_may_lie_in_a_package(write: Write, tmp_path: Path):
    (tmp_path / "inside").mkdir()
    write(ONE.format(name="first"), "inside/deeper")
    assert own("inside.deeper") == {"first"}


def test_a_task_that_is_seen_twice_plugs_in_once(write: Write, package):
    write(ONE.format(name="first"))
    write("from mine import first\nfrom workers.tasks.noop import NOOP\n", "again")
    package("one = mine:first", "all = mine")
    assert own("mine,again,mine") == {"first"}


@pytest.mark.parametrize("value", ["mine:first", "mine", "mine:both", "mine:lazily"])
def test_an_entry_point_may_be_a_task_a_module_or_an_iterable(write: Write, package, value: str):
    write(ONE.format(name="first") + "both = (first,)\n" + "lazily = (each for each in both)\n")
    package(f"acme = {value}")
    assert own() == {"first"}


def test_both_ways_go_together(write: Write, package):
    write(ONE.format(name="first"))
    write(ONE.format(name="second"), "other")
    package("acme = mine")
    assert own("other") == {"first", "second"}


def test_what_is_found_can_be_called_as_the_function_that_it_is(write: Write):
    write("@task()\ndef double(context: TaskContext, params: P) -> R: return R(2 * params.n)\n")
    module = __import__(write("", "other", prelude="from mine import double, P, TaskContext\n"))
    assert module.double(module.TaskContext(), module.P(21)).n == 42
    assert own("mine") == {"double"}


def test_finding_tasks_imports_nothing_that_only_trainings_need(write: Write, tmp_path: Path):
    write(ONE.format(name="first"))
    code = (
        "import sys; from workers.plug_ins import known_tasks; assert 'first' in known_tasks('mine')\n"
        "sys.exit(bool({'numpy', 'polars', 'sklearn'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_writing_tasks_imports_nothing_of_the_service(write: Write, tmp_path: Path):
    write(ONE.format(name="first"))
    heavy = "{'app', 'arq', 'asyncpg', 'redis', 'litestar', 'structlog', 'pydantic'}"
    code = f"import sys, mine, workers.run_task; sys.exit(bool({heavy} & set(sys.modules)))"
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


# Those that cannot be loaded


def test_a_module_that_does_not_exist(tmp_path: Path):
    assert refusal("no_such_module") == (
        "HEADWAY_TASK_MODULES: no_such_module: ModuleNotFoundError: No module named 'no_such_module'; "
        "install it beside Headway, or put its folder on PYTHONPATH."
    )


def test_a_module_that_needs_another_one(write: Write, tmp_path: Path):
    write("import not_installed\n")
    said = refusal("mine")
    assert "No module named 'not_installed'" in said
    assert f"({tmp_path}/mine.py, line {PRELUDE.count(chr(10)) + 1})" in said


def test_a_module_that_is_no_python(write: Write):
    write("def f(:\n")
    assert re.search(r"mine: SyntaxError: .*\(mine\.py, line 8\)", refusal("mine"))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('gone')\n", "SystemExit: gone"),
        ("from msgspec import Nothing\n", "cannot import name 'Nothing'"),
    ],
)
def test_a_module_that_fails_when_it_is_imported(write: Write, tmp_path: Path, code: str, said: str):
    write(code)
    fault = refusal("mine")
    assert fault.startswith("HEADWAY_TASK_MODULES: mine: ")
    assert said in fault
    assert f"{tmp_path}/mine.py, line 8" in fault


@pytest.mark.parametrize("name", [".mine", "mine.py", "../mine", "mine mine"])
def test_a_name_that_is_not_a_modules(write: Write, name: str):
    write(ONE.format(name="first"))
    assert refusal(name).startswith(f"HEADWAY_TASK_MODULES: {name}: ")


def test_a_module_without_a_task(write: Write):
    write("def plain(context: TaskContext, params: P) -> R: ...\n")
    assert refusal("mine") == (
        "HEADWAY_TASK_MODULES: mine: there is no task in it; "
        "make one with @task from workers.tasks, at the top level of the module."
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("mine:missing", "AttributeError: module 'mine' has no attribute 'missing'"),
        ("missing", "No module named 'missing'"),
        ("mine:number", "it is of type int, not a Task, a module, or an iterable of Tasks"),
        ("mine:mixed", "it is of type list, not a Task"),
        ("mine:empty", "there is no task in it"),
    ],
)
def test_an_entry_point_that_leads_nowhere(write: Write, package, value: str, said: str):
    write(ONE.format(name="first") + "number = 1\nmixed = [first, 1]\nempty = []\n")
    package(f"acme = {value}")
    fault = refusal()
    assert fault.startswith(f"entry point acme = {value} of acme 1.2: ")
    assert said in fault


# Tasks that could not run


F = "async def f(context: TaskContext, params: P) -> R: ..."
NO_TASKS = [
    (f"@task(name='no spaces')\n{F}", "a name has 1 to 128"),
    (f"@task(name='x' * 129)\n{F}", "a name has 1 to 128"),
    (f"@task(name='a:b')\n{F}", "a name has 1 to 128"),
    (f"@task(queue='urgent')\n{F}", "there is no queue 'urgent'"),
    (f"@task\n{F}", "takes 0 positional arguments"),
    (f"@task()\n{F.replace(': P', ': dict')}", "its params must be a msgspec Struct, not dict"),
    (f"@task()\n{F.replace('> R', '> None')}", "its result must be a msgspec Struct, not NoneType"),
    (f"@task()\n{F.replace('> R', '> R | None')}", "its result must be a msgspec Struct, not"),
    (f"@task()\n{F.replace(' -> R', '')}", "'return' has no annotation"),
    (f"@task()\n{F.replace('params: P', 'params')}", "'params' has no annotation"),
    (f"@task()\n{F.replace('context: TaskContext, ', '')}", "with these two parameters and no others"),
    (f"@task()\n{F.replace('(context', '(*context')}", "with these two parameters and no others"),
    (f"@task()\n{F.replace(': P', ': Later')}".replace("Later", "'Later'"), "name 'Later' is not defined"),
    (f"@task()\n{F.replace('...', 'yield')}", "it must be a function"),
    (f"@task()\n{F.replace('...', 'yield').removeprefix('async ')}", "it must be a function"),
    ("@task()\nclass F: ...", "it must be a function"),
    (f"def make():\n @task()\n {F.removeprefix('async ')}\n return f\nT = make()", "would not find it as mine:make"),
    ("T = Task('t', 'default', 'process', P, R)", "it has neither a function (run) nor a command line (argv)"),
    ("T = Task('t', 'default', 'process', P, R, argv=str, run=str)", "it has both a function (run) and a command"),
    ("T = Task('t', 'default', 'inline', P, R, argv=str)", "an inline task is an async function"),
    (f"{F}\nT = Task('t', 'default', 'process', P, R, run=f)", "a process task is a function without async"),
    (f"{F.removeprefix('async ')}\nT = Task('t', 'default', 'process', P, R, run=f)", "would not find it as mine:f"),
    ("T = Task('t', 'default', 'gpu', P, R, argv=str)", "there is no slot 'gpu', only process, inline"),
    (f"class P(Struct):\n o: type\n@task()\n{F}", "its params or result have no JSON Schema"),
    (f"class P(Struct, array_like=True):\n n: int\n@task()\n{F}", "its params must be a JSON object"),
    (f"class P(Struct):\n s: Annotated[str, Meta(pattern='(?a)x')]\n@task()\n{F}", "the JSON Schema of its params"),
]


@pytest.mark.parametrize(("code", "said"), NO_TASKS)
def test_a_task_that_could_not_run_is_refused_at_the_start(write: Write, code: str, said: str):
    write(code)
    fault = refusal("mine")
    assert fault.startswith("HEADWAY_TASK_MODULES: mine: ")
    assert said in fault
    assert len(fault.splitlines()) == 1


def test_a_fault_of_a_task_names_the_users_own_line(write: Write, tmp_path: Path):
    write("\n\n@task(queue='urgent')\nasync def f(context: TaskContext, params: P) -> R: ...\n")
    assert f"({tmp_path}/mine.py, line 10)" in refusal("mine")


def test_a_name_that_is_built_in(write: Write):
    write(ONE.format(name="noop"))
    assert refusal("mine") == (
        "HEADWAY_TASK_MODULES: mine: Headway itself has a task 'noop' already; choose another name."
    )


def test_a_name_that_another_plug_in_has(write: Write, package):
    write(ONE.format(name="first"))
    write(ONE.format(name="first"), "other")
    package("acme = mine")
    assert refusal("other") == (
        "HEADWAY_TASK_MODULES: other: entry point acme = mine of acme 1.2 has a task 'first' already; "
        "choose another name."
    )


def test_all_faults_are_told_at_once(write: Write, package):
    write(ONE.format(name="fine"))
    write("1 / 0", "broken")
    package("acme = missing")
    assert [line.partition(":")[0] for line in refusal("mine, broken, absent").splitlines()] == [
        "entry point acme = missing of acme 1.2",
        "HEADWAY_TASK_MODULES",
        "HEADWAY_TASK_MODULES",
    ]


# What they register


def test_a_struct_that_holds_its_own_kind_has_a_schema_that_works(write: Write):
    write(
        "class Node(Struct, forbid_unknown_fields=True):\n n: int\n kids: list['Node'] = []\n"
        "@task()\nasync def walk(context: TaskContext, params: Node) -> R: ...\n"
    )
    from app.core.params import schema_faults  # noqa: PLC0415
    from workers.tasks.registration import task_type  # noqa: PLC0415

    described = task_type(known_tasks("mine")["walk"])
    good, bad = {"n": 1, "kids": [{"n": 2}]}, {"n": 1, "kids": [{"n": "x"}]}
    assert list(schema_faults(good, described, "", frozenset())) == []
    assert len(list(schema_faults(bad, described, "", frozenset()))) == 1
