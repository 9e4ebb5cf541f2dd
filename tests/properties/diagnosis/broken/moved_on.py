"""Programs that got over one failure, said so or not, and ended by another one that may be gone at the next attempt."""

from schemas.diagnosis import Category
from tests.properties.diagnosis.attempts import Broken

GONE = "sys.exit('the feature store has answered 503')"
OPTIONAL = """
import logging
logging.basicConfig()
try: import flash_attn_nope
except ImportError: logging.exception('flash attention is not here')
"""
RESUMED = """
import logging
logging.basicConfig()
try: raise RuntimeError('Error(s) in loading state_dict for Net:\\n\\tMissing key(s) in state_dict: "head.bias".')
except RuntimeError: logging.exception('cannot resume')
print('starting from scratch', file=sys.stderr)
"""
REPORTED = "report(type='error', message='RuntimeError: the feature store has answered 503', traceback='')\nsys.exit(1)"
IN_A_FILE = "json.dump({'message': {'message': 'RuntimeError: the store has answered 503'}}, open(os.environ['TORCHELASTIC_ERROR_FILE'], 'w'))\nsys.exit(1)"
NOT_READY = 'python3 -I -c "raise ValueError(\\"the service is not ready\\")"'
USAGE = "import argparse\nargparse.ArgumentParser(prog='train.py', add_help=False).print_usage()\n"


def bash(script: str) -> tuple[str, ...]:
    """A line for bash."""
    return ("bash", "-c", script)


ALL = (
    Broken("moved_on_exit", Category.UNKNOWN, OPTIONAL + GONE),
    Broken("moved_on_word", Category.USER_EXCEPTION, OPTIONAL + REPORTED),
    Broken("moved_on_word_and_text", Category.USER_EXCEPTION, OPTIONAL + "print('eager')\n" + REPORTED),
    Broken("moved_on_error_file", Category.USER_EXCEPTION, OPTIONAL + IN_A_FILE),
    Broken("moved_on_from_scratch", Category.UNKNOWN, RESUMED + "sys.exit('the coordinator is gone')"),
    Broken("moved_on_in_a_shell", Category.USER_EXCEPTION, argv=bash(f"nvidia-smi-nope; {NOT_READY}")),
    Broken(
        "moved_on_in_a_shell_word",
        Category.USER_EXCEPTION,
        "import subprocess\nsubprocess.run(['sh', '-c', 'nvidia-smi-nope'])\n" + REPORTED,
    ),
    Broken(
        "moved_on_silently",
        Category.COMMAND_NOT_FOUND,
        "import subprocess\nfirst = not os.path.exists('again'); open('again', 'w')\nsubprocess.run(['sh', '-c', 'nvidia-smi-nope'])\nsys.exit(first)",
        heals=True,
    ),
    Broken("moved_on_usage", Category.UNKNOWN, USAGE + "print('the service is not ready', flush=True)\nsys.exit(2)"),
    Broken(
        "moved_on_usage_long_ago",
        Category.UNKNOWN,
        USAGE + "for n in range(20): print('waiting', n, flush=True)\nsys.exit(2)",
    ),
)
