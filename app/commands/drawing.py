"""Pipelines and tasks as tables that are readable at 80 columns; a wider terminal is told more."""

from app.commands.terminal import clean, is_wide, one_line, print_line, print_table
from app.commands.wording import age, brief, message_of, took
from schemas.diagnosis import Diagnosis
from schemas.graph import PipelineGraph
from schemas.pipeline import Pipeline, PipelinePage
from schemas.series import SeriesPage
from schemas.stage import Stage
from schemas.states import StageStatus
from schemas.task import Task, TaskPage

WIDE = 120
LOG_LINES = 10


def draw_pipelines(page: PipelinePage) -> None:
    """A line for each pipeline."""
    rows = [
        (each.uuid, each.name, each.status, age(each.created_at), took(each.started_at, each.finished_at))
        for each in page.items
    ]
    print_table("uuid, name, status, age, took", rows, flexible="name")


def draw_pipeline(pipeline: Pipeline) -> None:
    """A pipeline with its stages, and why some of them wait or ended badly."""
    labels = " ".join(f"{key}={value}" for key, value in pipeline.labels.items())
    print_line(one_line(f"{pipeline.name} {pipeline.uuid} {pipeline.status} {labels}"))
    rows = [
        (each.name, each.status, each.attempt or "", _took(each), each.task_id, each.task) for each in pipeline.stages
    ]
    if is_wide(WIDE):
        print_table("stage, status, attempt, took, task id, task", rows, flexible="stage, task")
    else:
        print_table("stage, status, attempt, took, task id", [row[:-1] for row in rows], flexible="stage")
    for stage in pipeline.stages:
        if why := message_of(stage.error) or one_line(stage.waiting_reason or ""):
            print_line(f"{stage.name}: {why}")
        if stage.diagnosis and stage.status is StageStatus.FAILED:
            print_line(f"{stage.name}: {stage.diagnosis.category}. {one_line(stage.diagnosis.remedy)}")
    draw_logs(pipeline)


def draw_logs(pipeline: Pipeline) -> None:
    """The last lines that each failed stage has printed."""
    for stage in pipeline.stages:
        if stage.status is StageStatus.FAILED and stage.error and (log := str(stage.error.get("log_tail") or "")):
            lines = log.rstrip().splitlines()[-LOG_LINES:]
            print_line("\n".join([f"the end of the log of {stage.name}:", *(f"  {line}" for line in lines)]))


def draw_graph(graph: PipelineGraph) -> None:
    """A line for each stage, level by level, with what it waits for."""
    needs: dict[str, list[str]] = {}
    for edge in graph.edges:
        needs.setdefault(edge.target, []).append(edge.source)
    rows = [
        (each.level, each.name, each.status, ", ".join(needs.get(each.name, [])))
        for each in sorted(graph.nodes, key=lambda node: node.level)
    ]
    print_table("level, stage, status, waits for", rows, flexible="stage, waits for")


def draw_tasks(page: TaskPage) -> None:
    """A line for each task."""
    rows = [
        (each.task_id, each.task, each.status, each.queue, _took(each), each.attempt or "", each.name, each.pipeline)
        for each in page.items
    ]
    if is_wide(WIDE):
        headers = "task id, task, status, queue, took, attempt, stage, pipeline"
        print_table(headers, rows, flexible="task, stage")
    else:
        print_table("task id, task, status, queue, took", [row[:5] for row in rows], flexible="task, queue")


def draw_task(task: Task) -> None:
    """A task, fact by fact, and its attempts."""
    facts = {
        "task": task.task,
        "task id": task.task_id,
        "pipeline": f"{task.pipeline} ({task.pipeline_name})",
        "stage": task.name,
        "status": task.status,
        "progress": _progress(task),
        "waiting": task.waiting_reason,
        "queue": f"{task.queue}, priority {task.priority}",
        "retries": f"{task.max_retries}, after {task.retry_delay:g} s",
        "error": message_of(task.error),
        **_told(task.diagnosis),
    }
    for name, fact in facts.items():
        if fact:
            print_line(f"{name:<11}{one_line(str(fact))}")
    rows = [
        (
            each.attempt,
            each.outcome or "running",
            took(each.started_at, each.finished_at),
            each.worker,
            message_of(each.error),
        )
        for each in task.attempts
    ]
    if rows:
        print_table("attempt, outcome, took, worker, why", rows, flexible="worker, why")


def _told(diagnosis: Diagnosis | None) -> dict[str, str | None]:
    """What a diagnosis says, by facts."""
    if diagnosis is None:
        return {}
    return {
        "diagnosis": f"{diagnosis.category} ({diagnosis.domain}), another attempt: {diagnosis.outlook}",
        "root line": diagnosis.root_line,
        "remedy": diagnosis.remedy,
    }


def _progress(task: Task) -> str:
    """How far a running task has come, how fast, and with what success."""
    told = [
        None if task.step is None or task.total is None else f"step {task.step:g} of {task.total:g}",
        None if task.steps_per_s is None else f"{task.steps_per_s:.3g} steps/s",
        None if task.eta_s is None else f"{brief(task.eta_s)} to go",
        None if task.loss is None else f"loss {task.loss:.4g}",
    ]
    return ", ".join(filter(None, told))


def draw_series(page: SeriesPage) -> None:
    """A line for each series."""
    rows = []
    for each in page.items:
        values = [value for _, value, _ in each.points]
        low, high = (f"{min(values):.4g}", f"{max(values):.4g}") if values else ("", "")
        step, last = (f"{each.points[-1][0]:g}", f"{values[-1]:.4g}") if values else ("", "")
        rows.append((each.name, each.attempt, len(values), step, last, low, high))
    print_table("name, attempt, points, step, last, min, max", rows, flexible="name")


def told_task(task: Task) -> str:
    """A task in a few words."""
    why = f": {message_of(task.error)}" if task.error else ""
    return clean(f"{task.task_id} {task.status}{why}")


def _took(stage: Stage) -> str:
    return took(stage.started_at, stage.finished_at)
