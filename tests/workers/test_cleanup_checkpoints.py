"""The clean-up of checkpoints in its worker."""

from types import SimpleNamespace

import msgspec
import pytest

from app.services import retention
from schemas import limits
from schemas.training import CleanupParams
from tests.support.pipelines import CHAIN, submit
from workers.tasks import NotRetryable
from workers.tasks.cleanup_checkpoints import NAMES_SHOWN_MAX, PATHS_TOLD_MAX, require_stage, run


@pytest.fixture
async def context(pool, tmp_path):
    pipeline = await submit(pool, CHAIN)
    return SimpleNamespace(pool=pool, pipeline_uuid=pipeline.uuid, data_dir=tmp_path, progress=None)


async def test_a_stage_that_there_is_not_is_an_error_that_names_those_there_are(context):
    with pytest.raises(NotRetryable, match=r"no stage of this pipeline is named 'trian'; there are a, b, c$"):
        await run(context, CleanupParams(stage="trian"))


async def test_a_stage_without_checkpoints_and_no_stage_at_all_are_fine(context):
    for params in (CleanupParams(stage="a"), CleanupParams()):
        assert (await run(context, params)).deleted == []


def test_not_all_of_very_many_stages_are_named():
    with pytest.raises(NotRetryable) as refused:
        require_stage("x", [f"s{i}" for i in range(1_000)])
    assert str(refused.value).count(",") == NAMES_SHOWN_MAX


async def test_of_thousands_that_are_gone_it_tells_as_many_as_a_result_has_room_for(context, monkeypatch):
    paths = [f"/data/{'long' * 20}/step-{number}" for number in range(3_000)]

    async def clean(*_, **__):
        return retention.Cleaned(kept=paths, deleted=paths, freed_bytes=7, undecided=False)

    monkeypatch.setattr(retention, "clean", clean)
    result = await run(context, CleanupParams())
    assert (result.kept_count, result.deleted_count) == (3_000, 3_000)
    assert result.kept == result.deleted == paths[:PATHS_TOLD_MAX]
    assert len(msgspec.json.encode(result)) < limits.RESULT_BYTES_MAX
