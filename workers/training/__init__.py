"""The reference trainer: the programs that the built-in tasks start, and the client of the run contract.

Each program is a process of its own: ``python -P -m workers.training.train``. None of them ever sees a database or
Redis; they know their environment, their files and SIGTERM.
"""
