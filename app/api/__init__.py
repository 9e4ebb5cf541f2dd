"""The HTTP room: parse, authorise, call one service, answer. The contract is ``docs`` and ``/schema``; no SQL here."""
