"""Lines that are shown have no secrets in them, however they are written, and masking takes no time."""

import time

import pytest

from app.core.diagnosis.masks import masked

LINES = {
    "headers={'Authorization': 'Bearer abcdefghijklmnop'}": "headers={'Authorization': '***'}",
    '{"authorization": "Basic YWJjOmRlZg=="}': '{"authorization": "***"}',
    '{"headers": ["Bearer abcdefghijklmnop"]}': '{"headers": ["Bearer ***"]}',
    "Authorization: Bearer abc": "Authorization: ***",
    "cannot reach redis://:pw@h:6379/0": "cannot reach redis://***@h:6379/0",
    "postgres://u:p@ss@h/db": "postgres://***@h/db",
    "postgres://u:p@h/db?x=a@b": "postgres://***@h/db?x=a@b",
    "password = 'my secret words', user = 'me'": "password = '***', user = 'me'",
    'password="it\'s \\" mine" user=me': 'password="***" user=me',
    "password = 'never closed": "password = '***",
    '"{\\"password\\": \\"my words\\", \\"user\\": 1}"': '"{\\"password\\": \\"***\\", \\"user\\": 1}"',
    "{'token': b'my words'}": "{'token': b'***'}",
    "train.py --password x --epochs 3": "train.py --password *** --epochs 3",
    "train.py --db-password 'my words' --epochs 3": "train.py --db-password '***' --epochs 3",
    "Command '['train.py', '--api-key', 'abc', '3']'": "Command '['train.py', '--api-key', '***', '3']'",
    "AccountName=a;AccountKey=abc/def==;Suffix=s": "AccountName=a;AccountKey=***;Suffix=s",
    "https://h/c?sv=2024&sig=abc%2Fdef&se=1": "https://h/c?sv=2024&sig=***&se=1",
    "SECRET_KEY=abc": "SECRET_KEY=***",
    "cloning with glpat-abcdefghij_klmnop.01.abc": "cloning with ***",
    "got hf_abcdefghijklmn, and ghs_abcdefghijklmn": "got ***, and ***",
    "jwt eyJhbGciOiJI.eyJzdWIiOiIx.abc-_d end": "jwt *** end",
}
HARMLESS = [
    "ValueError: token_count 5 > 3 in config=small",
    "http://10.0.0.1:8080/path@x",
    "FileNotFoundError: [Errno 2] No such file or directory: '/data/secrets/train.csv'",
    "error: the following arguments are required: --token",
    "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 15.78 GiB total capacity)",
    "design=1, assign: 2",
]


@pytest.mark.parametrize(("line", "shown"), LINES.items(), ids=LINES)
def test_a_secret_is_masked_as_a_whole(line, shown):
    assert masked(line) == shown


@pytest.mark.parametrize("line", HARMLESS)
def test_what_only_looks_like_one_stays(line):
    assert masked(line) == line


@pytest.mark.parametrize(
    "piece",
    [
        "-",
        "--",
        "a",
        "://",
        "://a:",
        "@",
        "eyJ",
        "eyJaaaaaaaa.",
        "bearer ",
        "password",
        "password=",
        "token='",
        "\\",
        "sk-",
        "'",
        "--a",
    ],
)
def test_masking_takes_time_in_proportion_to_the_line(piece):
    began = time.monotonic()
    masked(piece * (100_000 // len(piece)))
    assert time.monotonic() - began < 5
