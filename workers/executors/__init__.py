"""Executors: where the processes of a stage run.

An executor is a module with one function, ``async start(launch: Launch) -> process``, which never raises for a fault of
the stage. The process has ``handle: str``, ``async wait() -> Exit``, ``terminate()`` (a request: SIGTERM) and
``kill()`` (no request: SIGKILL). ``wait`` returns when nothing of the stage runs any more. ``local`` is the first one;
executors do not know each other and share the words of ``base`` alone.
"""
