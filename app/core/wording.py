"""What the sentences of faults have in common: what they quote is short and safe to print."""

from collections.abc import Collection
from difflib import get_close_matches

QUOTED_MAX = 64
SENTENCE_MAX = 400
GUESSES_AMONG_MAX = 50


def quoted(text: str) -> str:
    """The text in quotes, cut when it is long, with everything unprintable escaped."""
    return repr(text if len(text) <= QUOTED_MAX else f"{text[:QUOTED_MAX]}…")


def shortened(sentence: str) -> str:
    """The sentence, cut when it has grown beyond what people read."""
    return sentence if len(sentence) <= SENTENCE_MAX else f"{sentence[:SENTENCE_MAX]}…"


def did_you_mean(word: str, known: Collection[str]) -> str:
    """``; did you mean 'train'?`` when exactly such a word is known, else nothing.

    Comparing is slow, so it is not tried on long words or among very many.
    """
    if len(word) > QUOTED_MAX or len(known) > GUESSES_AMONG_MAX:
        return ""
    guesses = get_close_matches(word, known, n=1)
    return f"; did you mean {quoted(guesses[0])}?" if guesses else ""
