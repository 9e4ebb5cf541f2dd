"""The data directory: shared by the workers of one installation, and by nobody else."""

from uuid import UUID

import pytest

from app.errors import SetupError
from app.services import workers
from tests.support.workers import a_worker
from workers.data_dir import require_data_dir

OURS, THEIRS = UUID(int=1), UUID(int=2)


def test_the_first_worker_makes_it_and_the_others_find_it(tmp_path):
    require_data_dir(tmp_path / "data", OURS, may_adopt=True)
    require_data_dir(tmp_path / "data", OURS, may_adopt=True)
    require_data_dir(tmp_path / "data", OURS, may_adopt=False)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["installation"]


@pytest.mark.parametrize("may_adopt", [True, False])
def test_that_of_another_installation_is_refused(tmp_path, may_adopt):
    require_data_dir(tmp_path, THEIRS, may_adopt=True)
    with pytest.raises(SetupError, match="belongs to installation"):
        require_data_dir(tmp_path, OURS, may_adopt=may_adopt)


def test_an_empty_one_is_refused_once_there_has_been_work_and_taken_as_the_message_says(tmp_path):
    with pytest.raises(SetupError, match="is not the one") as refused:
        require_data_dir(tmp_path, OURS, may_adopt=False)
    text, marker = refused.value.detail.rpartition("echo ")[2].split(" > ")
    (tmp_path / marker).write_text(f"{text}\n")
    require_data_dir(tmp_path, OURS, may_adopt=False)


def test_one_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for may_adopt in (True, False):
        with pytest.raises(SetupError, match="cannot be used"):
            require_data_dir(tmp_path / "file" / "data", OURS, may_adopt=may_adopt)


async def test_an_installation_is_new_until_a_worker_has_come(pool):
    assert await workers.is_new(pool)
    await a_worker(pool, lease_s=-1)
    assert not await workers.is_new(pool)
