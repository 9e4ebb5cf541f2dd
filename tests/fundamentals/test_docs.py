"""The lines of docs/api.md work as they stand."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from tests.support.installation import Headway, Installation

API = Path(__file__).parents[2] / "docs" / "api.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
STRICT = 'set -euo pipefail\ncurl() { command curl --fail --show-error --max-time 30 "$@" && echo; }\n'


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(
    ("title", "count"),
    [
        ("Pipelines", 6),
        ("Tasks", 5),
        ("Failures", 1),
        ("Checkpoints", 1),
        ("Events", 1),
        ("Queues, workers, statistics", 1),
        ("Templates, schedules, periodic tasks", 1),
    ],
)
async def test_the_lines_about(headway: Headway, installation: Installation, tmp_path: Path, title: str, count: int):
    section = API.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    blocks = BLOCK.findall(section)
    assert len(blocks) >= count
    script = STRICT + "\n".join(blocks).replace("http://", "").replace("localhost:8700", installation.url)
    bash = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(bash.communicate(), 90)
    assert bash.returncode == 0, said.decode()
