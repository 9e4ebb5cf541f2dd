"""The scheduler: whatever becomes possible when a stage ends is made to happen here.

Its duties, in the order in which data meets them; any number of schedulers may run, none of them leads:

``completions``  hears from the event stream which pipelines have news
``releaser``     tells dependents, queues due retries, settles; its sweep finds what a lost hint left behind
``dispatcher``   puts queued stages on Redis, and again after Redis lost them
``retrier``      looks for retries that are due, and for stages that have waited too long
``rescuer``      takes stages back from dead workers, and from live ones that overran their timeout
``pruner``       removes what is kept for a time only
``rollup``       counts what has ended, for statistics
"""
