"""``run_command``: any program, and what is known of it afterwards."""

import sys
from pathlib import Path
from typing import Any

from tests.support.installation import Headway, Installation, stage_of
from tests.support.processes import Oracle


def command(*argv: str, **params: Any) -> dict[str, Any]:
    return {"name": "command", "task": "run_command", "params": {"argv": argv, **params}}


async def test_a_command_ends_with_its_exit_code_and_its_last_lines(headway: Headway):
    pipeline = await headway.run(command("seq", "100"))

    assert pipeline.results["command"] == {"exit_code": 0, "last_lines": [str(n) for n in range(81, 101)]}


async def test_a_command_starts_in_its_run_directory_or_where_the_user_wants(
    headway: Headway, installation: Installation, tmp_path: Path
):
    here = await headway.run(command("pwd"))
    there = await headway.run(command("pwd", cwd=str(tmp_path)))

    assert here.results["command"]["last_lines"] == [str(installation.artifacts(here, "command"))]
    assert there.results["command"]["last_lines"] == [str(tmp_path)]


async def test_a_command_is_given_the_users_environment_and_no_shell_reads_its_arguments(headway: Headway):
    code = "import os, sys; print(os.environ['GREETING'], *sys.argv[1:])"
    pipeline = await headway.run(command(sys.executable, "-c", code, "$(id); echo `id`", env={"GREETING": "hello *"}))

    assert pipeline.results["command"]["last_lines"] == ["hello * $(id); echo `id`"]


async def test_a_command_that_fails_tells_its_exit_code_and_the_end_of_its_log(headway: Headway):
    pipeline = await headway.run(command("ls", "/no-such-directory"))

    error = stage_of(pipeline, "command").error
    assert error is not None
    assert (error["code"], error["exit_code"]) == ("exit_nonzero", 2)
    assert "No such file or directory" in error["log_tail"]


async def test_a_command_that_does_not_exist_says_so(headway: Headway):
    pipeline = await headway.run(command("no-such-program"))

    error = stage_of(pipeline, "command").error
    assert error is not None
    assert error["code"] == "spawn_failed"
    assert "no-such-program" in error["message"]


async def test_no_stage_sees_what_leads_to_headways_own_servers(
    headway: Headway, installation: Installation, oracle: Oracle
):
    code = "report(type='result', values={'environment': dict(os.environ)})"
    pipeline = await headway.run(oracle.stage("curious", code))

    environment = pipeline.results["curious"]["environment"]
    assert environment["HEADWAY_STAGE"] == "curious"
    for secret in (installation.postgres.url, installation.valkey.url, "DATABASE_URL", "REDIS_URL"):
        assert secret not in str(environment)
