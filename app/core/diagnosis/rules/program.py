"""The program itself: what it is made of, how it is called, what it raises."""

from app.core.diagnosis.rule import Reach, rule
from schemas.diagnosis import Category, Outlook

_ANYWHERE, _LAST = Reach.ANYWHERE, Reach.LAST
_MODULE = "The module {module} is missing: install it into the environment of the worker, or correct the import."
_PROGRAM = "There is no program {name} here: check its path, and the PATH of the worker."

ENVIRONMENT = (
    rule(
        Category.BAD_ARGUMENTS,
        r"JSONDecodeError",
        near=r"\b(?:cfg|conf(?:ig)?|settings?|params|hparams|args|options)\b",
        outlook=Outlook.CHANGED,
    ),
    rule(
        Category.IMPORT_ERROR,
        r"ModuleNotFoundError: No module named '?(?P<module>[\w.]+)",
        "modulenotfounderror",
        remedy=_MODULE,
    ),
    rule(
        Category.IMPORT_ERROR,
        r"undefined symbol: |version [`']?GLIBC(?:XX)?_[\d.]+'? not found|cannot open shared object file"
        r"|wrong ELF class|invalid ELF header|: file too short",
        "undefined symbol",
        "glibc",
        "cannot open shared object",
        "elf ",
        "file too short",
        outlook=Outlook.ELSEWHERE,
    ),
    rule(
        Category.IMPORT_ERROR, r"^(?:\w+\.)*(?:ImportError|ModuleNotFoundError)\b", "importerror", "modulenotfounderror"
    ),
    rule(
        Category.IMPORT_ERROR,
        r"AttributeError: (?:partially initialized )?module '[\w.]+' has no attribute",
        "has no attribute",
    ),
    rule(
        Category.IMPORT_ERROR,
        r"version[^\n]{0,60}(?:is )?incompatible|VersionConflict|DistributionNotFound|PackageNotFoundError",
        "incompatible",
        "versionconflict",
        "distributionnotfound",
        "packagenotfounderror",
    ),
    rule(
        Category.IMPORT_ERROR,
        r"(?:Error while finding module specification for|: No module named) '?(?P<module>[\w.]+)'?",
        "no module named",
        "module specification",
        reach=_LAST,
        remedy=_MODULE,
    ),
    rule(
        Category.COMMAND_NOT_FOUND,
        r"(?:^|: )(?P<name>[^\s:]+): (?:command )?not found$|command not found: (?P<other>\S+)",
        "not found",
        reach=_LAST,
        remedy=_PROGRAM,
    ),
    rule(
        Category.COMMAND_NOT_FOUND,
        r"^(?:FileNotFoundError|PermissionError|NotADirectoryError): (?:[^\n']{0,80}'(?P<name>[^'\n]+)')?",
        "error: ",
        near=r"\bsubprocess\b|\bPopen\b|\bos\.(?:exec|spawn|posix_spawn)|\bcheck_(?:call|output)\b|create_subprocess",
        outlook=Outlook.CHANGED,
        remedy=_PROGRAM,
    ),
    rule(
        Category.COMMAND_NOT_FOUND,
        r"Exec format error|cannot execute(?: binary file|: required file not found)?|bad interpreter",
        "exec format error",
        "cannot execute",
        "bad interpreter",
        reach=_LAST,
    ),
)
RULES = (
    rule(
        Category.NAN_LOSS,
        r"FloatingPointError|found NaN|\bloss(?:es)? (?:is|was|became|has become) (?:nan|inf)",
        "floatingpointerror",
        "nan",
        "inf",
    ),
    rule(
        Category.NAN_LOSS,
        r"non-?finite|not finite|returned nan values|\bnan\b[^\n]{0,20}\bfound\b|\[nan\b|\b(?:nan"
        r"|infinite|inf)\b[^\n]{0,40}\b(?:loss"
        r"|gradient|grad)|\b(?:loss"
        r"|grad(?:ient)?s?)\b[^\n]{0,60}"
        r"\b(?:nan|inf|infinite)\b",
        "finite",
        "nan",
        "inf",
    ),
    rule(
        Category.DIVERGENCE,
        r"(?:training|loss|model)\b[^\n]{0,30}\b(?:diverge[ds]?|diverging)|no improvement (?:for|in|after)"
        r"|\b(?:loss|gradients?|training) (?:has |have )?exploded",
        "diverg",
        "no improvement",
        "exploded",
    ),
    rule(
        Category.BAD_ARGUMENTS,
        r"\berror: (?:unrecognized arguments|the following arguments are required|argument "
        r"|ambiguous option|invalid choice"
        r"|no such option|missing (?:option|argument)|unknown option)",
        "error: ",
        reach=_LAST,
    ),
    rule(
        Category.BAD_ARGUMENTS,
        r"\b(?:unrecognized|unknown|invalid|illegal) option\b|\bno such option\b"
        r"|\boption \S{1,80} not recognized|^usage: "
        r"|\bUnknown command line flag|\bCould not override '",
        "could not override",
        "command line flag",
        "option",
        "usage: ",
        reach=_LAST,
    ),
    rule(
        Category.BAD_ARGUMENTS,
        r"\w: (?:line \d+: )?\w+: (?:unbound variable|parameter not set)$",
        "unbound variable",
        "parameter not set",
        reach=_LAST,
    ),
    rule(
        Category.BAD_ARGUMENTS,
        r"NoOptionError|NoSectionError|MissingSectionHeaderError|TOMLDecodeError|yaml\.(?:scanner|parser)\.",
        "nooptionerror",
        "nosectionerror",
        "missingsectionheader",
        "tomldecodeerror",
        "yaml.",
        outlook=Outlook.CHANGED,
    ),
    rule(
        Category.BAD_ARGUMENTS,
        r"ValidationError\b|Could not override|ConfigAttributeError|ConfigKeyError|MissingMandatoryValue"
        r"|\bConfigError\b"
        r"|MissingConfigException|UsageError|BadParameter",
        "validationerror",
        "could not override",
        "config",
        "missingmandatory",
        "usageerror",
        "badparameter",
        outlook=Outlook.CHANGED,  # it may have been an answer from elsewhere that did not fit
    ),
    rule(
        Category.USER_EXCEPTION,
        r"^(?:Syntax|Indentation|Tab)Error: |: [Ss]yntax error(?:: | near unexpected token)",
        "syntax error",
        "syntaxerror",
        "indentationerror",
        "taberror",
        reach=_LAST,
        outlook=Outlook.NEVER,
        remedy="Correct the syntax of the program.",
    ),
    rule(
        Category.USER_EXCEPTION,
        r"^thread '[^'\n]{1,80}'(?: \(\d+\))? panicked at|^panic: |^fatal error: all goroutines",
        "panicked at",
        "panic: ",
        "all goroutines",
        reach=_ANYWHERE,
    ),
    rule(
        Category.USER_EXCEPTION,
        r"^NameError: |^TypeError: [^\n]{0,200}(?:unexpected keyword argument|required positional argument"
        r"|required keyword-only argument|positional arguments? but)",
        "nameerror",
        "argument",
        outlook=Outlook.NEVER,
    ),
    rule(
        Category.NATIVE_CRASH,
        r"^Fatal Python error: (?:Segmentation fault|Aborted|Illegal instruction|Floating point)|\(core dumped\)"
        r"|terminate called after throwing|^\*\*\* stack smashing detected|^(?:double free or corruption"
        r"|munmap_chunk\(\)|free\(\): )"
        r"|malloc\(\): |corrupted size vs\. prev_size",
        "fatal python error",
        "core dumped",
        "terminate called",
        "stack smashing",
        "double free",
        "munmap_chunk",
        "free(): ",
        "malloc(): ",
        "corrupted size",
        reach=_ANYWHERE,
        cascade=True,
    ),
)
