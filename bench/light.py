"""The light task of the public benchmark, plugged into Headway as a user's own tasks are."""

from msgspec import Struct

from workers.tasks import TaskContext, task


class Number(Struct):
    """Which Fibonacci number."""

    n: int = 10


class Fibonacci(Struct):
    """The number."""

    value: int


@task()
async def fibonacci(context: TaskContext, params: Number) -> Fibonacci:  # noqa: ARG001 - a task is given its context
    """Compute a Fibonacci number the slow way."""
    return Fibonacci(_fibonacci(params.n))


def _fibonacci(n: int) -> int:
    return n if n <= 1 else _fibonacci(n - 1) + _fibonacci(n - 2)
