"""Log lines: JSON for machines, and no secrets for anybody."""

import json
import subprocess
import sys

import pytest
import structlog
from structlog.testing import capture_logs

from app.log import Outage, mask_passwords
from tests.cli.programs import ROOT, environment

PROGRAM = """
import logging, sys, structlog
from app import log
log.configure(sys.argv[1], "info")
ours = structlog.get_logger("headway.test")
ours.info("connected", url="postgresql://me:hunter2@db/x", api_token="hunter2", attempt=3)
logging.getLogger("library").warning("cannot reach %s", "redis://:hunter2@host")
ours.debug("not shown")
try:
    password = "hunter2"
    raise ValueError("broken")
except ValueError:
    ours.exception("failed")
"""


def said(log_format: str) -> str:
    command = [sys.executable, "-c", PROGRAM, log_format]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def test_json_lines_are_one_object_each_from_us_and_from_libraries():
    ours, library, failed = (json.loads(line) for line in said("json").splitlines())
    assert (ours["event"], ours["level"], ours["logger"], ours["attempt"]) == ("connected", "info", "headway.test", 3)
    assert (library["event"], library["logger"]) == ("cannot reach redis://:***@host", "library")
    assert "ValueError: broken" in failed["exception"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cret@db/x", "postgresql://me:***@db/x"),
        ("postgresql://me:s3@cret@db/x", "postgresql://me:***@db/x"),
        ("redis://:s3cret@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql://me@/x?host=/run&password=s3cret&port=1", "postgresql://me@/x?host=/run&password=***&port=1"),
        ("unix:///run/valkey.sock?db=0&Password=s3cret", "unix:///run/valkey.sock?db=0&Password=***"),
        ("cannot reach redis://h?password=s3cret: refused", "cannot reach redis://h?password=*** refused"),
        ("http://host:8700/a?limit=5", "http://host:8700/a?limit=5"),
    ],
)
def test_passwords_of_urls_are_masked_wherever_they_stand(url, shown):
    assert mask_passwords(url) == shown


def test_an_outage_is_told_once_and_so_is_its_end():
    outage = Outage(structlog.get_logger(), "redis_away")
    with capture_logs() as logs:
        outage.end()
        for _ in range(2):
            outage.note(TimeoutError(), count=3)
            outage.note(OSError("refused"))
            outage.end()
            outage.end()
    once = [
        {"event": "redis_away", "log_level": "warning", "error": "TimeoutError", "count": 3},
        {"event": "redis_away_no_longer", "log_level": "info"},
    ]
    assert logs == once * 2


def test_no_format_shows_secrets():
    for log_format in ("json", "pretty"):
        assert "hunter2" not in said(log_format).replace('password = "hunter2"', "")
