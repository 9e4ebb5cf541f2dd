"""What it reads and writes: checkpoints, samples, files, and the network they come through."""

from app.core.diagnosis.rule import Reach, rule
from schemas.diagnosis import Category

_ANYWHERE, _LAST = Reach.ANYWHERE, Reach.LAST
_CHECKPOINT = r"(?:checkpoint|ckpt|\.pt\b|\.pth\b|safetensors|optimizer\.|trainer_state|state_dict|resume|step-\d+)"
_NEAR_CHECKPOINT = r"checkpoint|ckpt|resume|load_state|state_dict|\.pth?\b|\.safetensors"
_PATH = "There is nothing at {path}: check the path, and whether what is mounted there can be seen by the worker."
_REFUSED = "Access to {path} is refused: grant it to the worker's user."

RULES = (
    rule(
        Category.CHECKPOINT_MISMATCH,
        r"size mismatch for |(?:Missing|Unexpected) key\(s\) in state_dict|Error\(s\) in loading state_dict",
        "size mismatch for ",
        "key(s) in state_dict",
        "in loading state_dict",
    ),
    rule(
        Category.CHECKPOINT_MISMATCH,
        r"state[ _]dict[^\n]{0,120}(?:doesn't match|do(?:es)? not match|different number|not present)"
        r"|\b(?:layer count|weight|shape)s? mismatch when loading",
        "state dict",
        "state_dict",
        "when loading",
    ),
    rule(
        Category.CHECKPOINT_MISMATCH,
        r"checkpoint[^\n]{0,80}(?:mismatch|does not (?:match|fit)|incompatible|different (?:world|model|architecture))",
        "checkpoint",
    ),
    rule(
        Category.CHECKPOINT_CORRUPT,
        r"^(?:\w+\.)*(?:EOFError|UnpicklingError|BadZipFile|BadGzipFile|JSONDecodeError|UnicodeDecodeError|ReadError"
        r"|zlib\.error|struct\.error|LZMAError)",
        "error",
        "badzipfile",
        "badgzipfile",
        near=_NEAR_CHECKPOINT,
    ),
    rule(
        Category.CHECKPOINT_CORRUPT,
        r"truncated|contains pickled|corrupt|\bunable to (?:synchronously )?open file",
        "truncated",
        "contains pickled",
        "corrupt",
        "open file",
        near=_NEAR_CHECKPOINT,
    ),
    rule(
        Category.CHECKPOINT_CORRUPT,
        r"PytorchStreamReader failed|failed finding central directory|SafetensorError|Error while deserializing header",
        "pytorchstreamreader failed",
        "central directory",
        "safetensorerror",
        "deserializing header",
    ),
    rule(
        Category.CHECKPOINT_CORRUPT,
        rf"{_CHECKPOINT}[^\n]{{0,160}}(?:unexpected EOF|truncated|corrupt|torn|incomplete|ran out of input|bad magic"
        r"|not a zip file|digest|manifest|invalid load key)",
        "eof",
        "truncated",
        "corrupt",
        "torn",
        "incomplete",
        "ran out of input",
        "bad magic",
        "zip file",
        "digest",
        "manifest",
        "load key",
    ),
    rule(
        Category.CHECKPOINT_CORRUPT,
        rf"(?:unexpected EOF|truncated|corrupt|torn|incomplete|ran out of input"
        rf"|not a zip file)[^\n]{{0,160}}{_CHECKPOINT}",
        "eof",
        "truncated",
        "corrupt",
        "torn",
        "incomplete",
        "ran out of input",
        "zip file",
    ),
    rule(
        Category.CHECKPOINT_CORRUPT,
        r"unexpected EOF, expected \d+ more bytes|No such file[^\n]{0,200}(?:trainer_state\.json|optimizer\.pt)",
        "unexpected eof",
        "trainer_state",
        "optimizer.pt",
    ),
    rule(
        Category.BAD_SAMPLE,
        r"UnicodeDecodeError|UnpicklingError|Invalid data stream|BadZipFile|BadGzipFile"
        r"|UnidentifiedImageError|cannot identify image"
        r"|image file is truncated"
        r"|zlib\.error|LZMAError|tarfile\.ReadError|ArrowInvalid|DataCorruptionError",
        "unicodedecodeerror",
        "unpicklingerror",
        "invalid data stream",
        "badzipfile",
        "badgzipfile",
        "identify image",
        "unidentifiedimage",
        "image file is truncated",
        "zlib.error",
        "lzmaerror",
        "readerror",
        "arrowinvalid",
        "datacorruption",
    ),
    rule(
        Category.BAD_SAMPLE,
        r"\bParseError: |^_?csv\.Error|^struct\.error|^binascii\.Error|^wave\.Error"
        r"|File out of specification|truncated file"
        r"|contains pickled \(object\) data",
        "parseerror",
        "csv.error",
        "struct.error",
        "binascii.error",
        "wave.error",
        "out of specification",
        "truncated file",
        "contains pickled",
    ),
    rule(
        Category.BAD_SAMPLE,
        r"Invalid (?:parquet|magic)|magic bytes not found|JSONDecodeError|Compressed file ended before"
        r"|CRC[ -]?(?:check|32)?"
        r"[^\n]{0,20}(?:failed|mismatch)|Error tokenizing data|could not parse|(?:corrupt(?:ed)?"
        r"|bad) (?:sample|record|shard)",
        "invalid parquet",
        "magic",
        "jsondecodeerror",
        "compressed file ended",
        "crc",
        "tokenizing data",
        "could not parse",
        "sample",
        "record",
        "shard",
    ),
    rule(
        Category.NETWORK_FLAKE,
        r"Stale (?:NFS )?file handle|Input/output error|Transport endpoint is not connected|\[Errno 5\]|\[Errno 116\]",
        "stale",
        "input/output error",
        "transport endpoint",
        "[errno 5]",
        "[errno 116]",
        reach=_ANYWHERE,
    ),
    rule(
        Category.PERMISSION,
        r"\bAccessDenied\b|ExpiredToken|InvalidAccessKeyId|SignatureDoesNotMatch|NoCredentialsError|GatedRepoError"
        r"|gated repo|\b40[13] Client Error|HTTP Error 40[13]|401 Unauthorized|403 Forbidden",
        "accessdenied",
        "expiredtoken",
        "invalidaccesskeyid",
        "signaturedoesnotmatch",
        "nocredentials",
        "gatedrepo",
        "gated repo",
        "client error",
        "http error",
        "unauthorized",
        "forbidden",
    ),
    rule(
        Category.PERMISSION,
        r"\b40[13] (?:GET|PUT|POST|HEAD|DELETE) |^(?:\w+\.)*(?:Forbidden|Unauthorized|AuthenticationError"
        r"|PermissionDenied)\b"
        r"|\bapi[_ ]key not configured|\bnot have (?:the )?permission|invalid (?:api[_ ]key|credentials|token)",
        "401 ",
        "403 ",
        "forbidden",
        "unauthorized",
        "authenticationerror",
        "permissiondenied",
        "not configured",
        "permission",
        "invalid ",
    ),
    rule(
        Category.PERMISSION,
        r"(?:PermissionError|\bEACCES\b)(?:[^\n']{0,60}'(?P<path>[^'\n]+)')?",
        "permissionerror",
        "eacces",
        remedy=_REFUSED,
    ),
    rule(
        Category.PERMISSION,
        r"Read-only file system|Operation not permitted|(?P<path>[^\s:']+): Permission denied$|Permission denied$",
        "read-only file system",
        "operation not permitted",
        "permission denied",
        reach=_LAST,
        remedy=_REFUSED,
    ),
    rule(
        Category.NETWORK_FLAKE,
        r"Connection(?:Reset|Refused|Aborted)?Error|\bBrokenPipeError|(?:Read|Connect(?:ion)?)Timeout"
        r"|RemoteDisconnected"
        r"|IncompleteRead|ChunkedEncodingError|\bMaxRetryError|ProtocolError|APIConnectionError"
        r"|ServerDisconnected|\burlopen error\b",
        "connection",
        "brokenpipe",
        "timeout",
        "remotedisconnected",
        "incompleteread",
        "chunkedencoding",
        "maxretryerror",
        "protocolerror",
        "serverdisconnected",
        "urlopen error",
    ),
    rule(
        Category.NETWORK_FLAKE,
        r"\b(?:SSL(?:EOF|Zero\w+)?Error)\b|SlowDown\b|TooManyRequests|\b(?:429|50[0234]) (?:Client|Server) Error"
        r"|HTTP Error (?:429|50[0234])|No route to host|Network is unreachable|(?:Connection|operation) timed out"
        r"|^(?:socket\.)?(?:TimeoutError|timeout)\b",
        "ssl",
        "slowdown",
        "toomanyrequests",
        "server error",
        "429",
        "http error",
        "route to host",
        "network is unreachable",
        "timed out",
        "timeout",
    ),
    rule(
        Category.NETWORK_FLAKE,
        r"\bcurl: \((?:6|7|18|28|35|52|56)\)|Could not resolve host|Connection (?:refused|reset by peer|timed out)",
        "curl: (",
        "resolve host",
        "connection ",
        reach=_LAST,
    ),
    rule(
        Category.MISSING_FILE,
        r"(?:FileNotFoundError|NotADirectoryError)(?:[^\n']{0,80}'(?P<path>[^'\n]+)')?",
        "filenotfounderror",
        "notadirectoryerror",
        remedy=_PATH,
    ),
    rule(
        Category.MISSING_FILE,
        r"(?P<path>~?\.{0,2}/[^\s'\":]+)'?\"? (?:does not exist|doesn't exist|(?:was |is )?not found)"
        r"|\b(?:file|directory|folder|path|dataset)\b[^\n]{0,120}(?:does not exist|doesn't exist|(?:was "
        r"|is )?not found)\b",
        "exist",
        "not found",
        remedy=_PATH,
    ),
    rule(
        Category.MISSING_FILE,
        r"Incorrect path_or_model_id|is not a local folder|DatasetNotFoundError|RepositoryNotFoundError"
        r"|EntryNotFoundError|NoSuchKey|NoSuchBucket|404 Client Error"
        r"|HTTP Error 404",
        "path_or_model_id",
        "local folder",
        "notfounderror",
        "nosuchkey",
        "nosuchbucket",
        "404",
    ),
    rule(
        Category.MISSING_FILE,
        r"^(?:[^:\n]{1,80}: ){1,4}(?P<path>[^:\n]+): No such file or directory$|unable to open database file",
        "no such file",
        "open database file",
        reach=_LAST,
        remedy=_PATH,
    ),
    rule(
        Category.MISSING_FILE,
        r"can't open file '?(?P<path>[^'\n]+?)'?: \[Errno 2\]|cannot (?:access|open"
        r"|stat) '(?P<other>[^'\n]+)': No such file",
        "can't open file",
        "no such file",
        reach=_LAST,
        remedy=_PATH,
    ),
)
