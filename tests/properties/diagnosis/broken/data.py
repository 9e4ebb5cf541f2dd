"""Files, checkpoints, permissions, the network."""

from schemas.diagnosis import Category
from tests.properties.diagnosis.attempts import Broken

FILES = (
    Broken("no_file", Category.MISSING_FILE, "open('/data/train.csv')"),
    Broken("no_directory", Category.MISSING_FILE, "os.listdir('shards')"),
    Broken("no_script", Category.MISSING_FILE, argv=("python3", "-I", "nowhere/train.py")),
    Broken(
        "no_file_for_cat",
        Category.MISSING_FILE,
        argv=("sh", "-c", "cat train.csv | sort > out || exit 1; cat train.csv"),
    ),
    Broken("no_file_for_ls", Category.MISSING_FILE, argv=("ls", "nowhere")),
    Broken("not_a_directory", Category.MISSING_FILE, "open('x', 'w')\nopen('x/train.csv')"),
    Broken(
        "no_file_wrapped",
        Category.MISSING_FILE,
        """
        def load():
            try: return open("labels.json")
            except FileNotFoundError: raise RuntimeError("the labels are not there")
        load()
        """,
    ),
    Broken(
        "no_key",
        Category.MISSING_FILE,
        "class NoSuchKey(Exception): pass\nNoSuchKey.__module__ = 'botocore.errorfactory'\nraise NoSuchKey('An error occurred (NoSuchKey) when calling the GetObject operation')",
    ),
    Broken(
        "no_config_file",
        Category.MISSING_FILE,
        "import configparser, pathlib\nconfigparser.ConfigParser().read_file(pathlib.Path('train.ini').open())",
    ),
)
FORBIDDEN = """
import http.server, threading, urllib.request
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_error(%s)
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.handle_request, daemon=True).start()
urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/model.bin")
"""
ACCESS = (
    Broken("locked_file", Category.PERMISSION, "open('x', 'w'); os.chmod('x', 0)\nas_nobody()\nopen('x')"),
    Broken(
        "locked_directory",
        Category.PERMISSION,
        "os.mkdir('x', 0o700); as_nobody()\nif os.getuid() == 65534: open('x/y')\nelse: open('/root/x')",
    ),
    Broken("low_port", Category.PERMISSION, "import socket, pathlib\nas_nobody()\nopen('/etc/shadow')"),
    Broken("kill_others", Category.PERMISSION, "as_nobody()\nos.kill(1, 0)"),
    Broken(
        "locked_for_cat",
        Category.PERMISSION,
        "open('x', 'w'); os.chmod('x', 0)\nimport warnings; as_nobody()\nos.execlp('cat', 'cat', 'x')",
    ),
    Broken("http_403", Category.PERMISSION, FORBIDDEN % 403),
    Broken("http_401", Category.PERMISSION, FORBIDDEN % 401),
)
SAMPLES = (
    Broken(
        "bad_text", Category.BAD_SAMPLE, "open('x', 'wb').write(b'\\xff\\xfe\\xfa')\nopen('x', encoding='utf-8').read()"
    ),
    Broken(
        "bad_zip",
        Category.BAD_SAMPLE,
        "import zipfile\nopen('x.zip', 'wb').write(b'nonsense')\nzipfile.ZipFile('x.zip')",
    ),
    Broken(
        "bad_gzip", Category.BAD_SAMPLE, "import gzip\nopen('x.gz', 'wb').write(b'nonsense')\ngzip.open('x.gz').read()"
    ),
    Broken(
        "short_gzip",
        Category.BAD_SAMPLE,
        "import gzip\nopen('x.gz', 'wb').write(gzip.compress(bytes(range(256)) * 99)[:-20])\ngzip.open('x.gz').read()",
    ),
    Broken("bad_json", Category.BAD_SAMPLE, "import json\nopen('x', 'w').write('{\"a\": ')\njson.load(open('x'))"),
    Broken("bad_zlib", Category.BAD_SAMPLE, "import zlib\nzlib.decompress(b'nonsense')"),
    Broken(
        "bad_tar",
        Category.BAD_SAMPLE,
        "import tarfile\nopen('x.tar', 'wb').write(b'nonsense' * 100)\ntarfile.open('x.tar')",
    ),
    Broken("bad_xz", Category.BAD_SAMPLE, "import lzma\nlzma.decompress(b'nonsense')"),
    Broken(
        "bad_sample_in_a_worker",
        Category.BAD_SAMPLE,
        "try: b'\\xff'.decode()\nexcept UnicodeDecodeError as e: raise type('DataCorruptionError', (ValueError,), {})(f'corrupt sample 17 in shard-3: {e}')",
    ),
)
TORN = """
import pickle
data = pickle.dumps({"step": 3, "weights": list(range(1000))})
open("checkpoint-3.pt", "wb").write(data[:%s])
def load_checkpoint(path):
    with open(path, "rb") as checkpoint: return pickle.load(checkpoint)
load_checkpoint("checkpoint-3.pt")
"""
CHECKPOINTS = (
    Broken("torn_pickle", Category.CHECKPOINT_CORRUPT, TORN % 100),
    Broken("empty_pickle", Category.CHECKPOINT_CORRUPT, TORN % 0),
    Broken(
        "zipped",
        Category.CHECKPOINT_CORRUPT,
        "import zipfile\nopen('step-3.pt', 'wb').write(b'PK nonsense')\nstate = zipfile.ZipFile('step-3.pt')  # load_checkpoint",
    ),
    Broken(
        "torch_reader",
        Category.CHECKPOINT_CORRUPT,
        "raise RuntimeError('PytorchStreamReader failed reading zip archive: failed finding central directory')",
    ),
    Broken(
        "safetensors",
        Category.CHECKPOINT_CORRUPT,
        "class SafetensorError(Exception): pass\nraise SafetensorError('Error while deserializing header: HeaderTooLarge')",
    ),
    Broken(
        "digest",
        Category.CHECKPOINT_CORRUPT,
        "import hashlib, json\nopen('model.bin', 'wb').write(b'torn')\nif hashlib.sha256(b'whole').digest() != hashlib.sha256(open('model.bin', 'rb').read()).digest(): raise ValueError('checkpoint step-3 is torn: model.bin does not have the digest of its manifest')",
    ),
    Broken(
        "headways_own_torn",
        Category.CHECKPOINT_CORRUPT,
        "class Torn(Exception): pass\nraise Torn('/data/checkpoints/step-3 is not the file that its manifest describes')",
    ),
    Broken(
        "json_state",
        Category.CHECKPOINT_CORRUPT,
        "import json, pathlib\npathlib.Path('trainer_state.json').write_text('{\"step\":')\ncheckpoint = json.loads(pathlib.Path('trainer_state.json').read_text())",
    ),
)
MISMATCH = (
    Broken(
        "size_mismatch",
        Category.CHECKPOINT_MISMATCH,
        "raise RuntimeError('Error(s) in loading state_dict for Net:\\n\\tsize mismatch for fc.weight: copying a param with shape torch.Size([10, 4]) from checkpoint, the shape in current model is torch.Size([10, 8]).')",
    ),
    Broken(
        "missing_keys",
        Category.CHECKPOINT_MISMATCH,
        "raise RuntimeError('Error(s) in loading state_dict for Net:\\n\\tMissing key(s) in state_dict: \"fc.bias\". ')",
    ),
    Broken(
        "world_size",
        Category.CHECKPOINT_MISMATCH,
        "saved, now = {'world_size': 8}, {'world_size': 4}\nif saved != now: raise ValueError(f'checkpoint mismatch: it was written by {saved}, this is {now}')",
    ),
    Broken(
        "other_model",
        Category.CHECKPOINT_MISMATCH,
        "raise ValueError('The checkpoint does not fit the model: layers 3 and 4')",
    ),
)
NETWORK = (
    Broken(
        "refused",
        Category.NETWORK_FLAKE,
        "import socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]; s.close()\nsocket.create_connection(('127.0.0.1', port))",
    ),
    Broken(
        "refused_url",
        Category.NETWORK_FLAKE,
        "import socket, urllib.request\ns = socket.socket(); s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]; s.close()\nurllib.request.urlopen(f'http://127.0.0.1:{port}/')",
    ),
    Broken(
        "reset",
        Category.NETWORK_FLAKE,
        """
        import socket, struct
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()
        time.sleep(0.02)
        client.recv(10)
        """,
    ),
    Broken(
        "silent_server",
        Category.NETWORK_FLAKE,
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\nsocket.create_connection(server.getsockname(), timeout=0.1).recv(1)",
    ),
    Broken("broken_pipe", Category.NETWORK_FLAKE, "r, w = os.pipe(); os.close(r); os.write(w, b'x')"),
    Broken("http_503", Category.NETWORK_FLAKE, FORBIDDEN % 503),
    Broken("http_429", Category.NETWORK_FLAKE, FORBIDDEN % 429),
    Broken(
        "hung_up",
        Category.NETWORK_FLAKE,
        """
        import http.client, socket, threading
        server = socket.create_server(("127.0.0.1", 0))
        def serve():
            other, _ = server.accept(); other.recv(1000); other.close()
        threading.Thread(target=serve, daemon=True).start()
        c = http.client.HTTPConnection(*server.getsockname()); c.request("GET", "/"); c.getresponse()
        """,
    ),
    Broken("input_output_error", Category.NETWORK_FLAKE, "os.read(os.open('/proc/self/mem', os.O_RDONLY), 10)"),
)
PORTS = (
    Broken(
        "port_in_use",
        Category.RENDEZVOUS_FAILURE,
        "import socket\na = socket.create_server(('127.0.0.1', 0))\nsocket.create_server(a.getsockname())",
    ),
    Broken(
        "port_in_use_http",
        Category.RENDEZVOUS_FAILURE,
        "import http.server\nC = http.server.BaseHTTPRequestHandler\na = http.server.ThreadingHTTPServer(('127.0.0.1', 0), C)\na.allow_reuse_address = False\nimport socketserver\nsocketserver.TCPServer(a.server_address, C)",
    ),
    Broken(
        "unknown_host",
        Category.RENDEZVOUS_FAILURE,
        "import socket\nsocket.create_connection(('trainer-0.invalid', 29500))",
    ),
    Broken(
        "unknown_host_url",
        Category.RENDEZVOUS_FAILURE,
        "import urllib.request\nurllib.request.urlopen('http://trainer-0.invalid/')",
    ),
    Broken(
        "rendezvous",
        Category.RENDEZVOUS_FAILURE,
        "class RendezvousTimeoutError(Exception): pass\nraise RendezvousTimeoutError",
    ),
    Broken(
        "nobody_came",
        Category.RENDEZVOUS_FAILURE,
        "class DistStoreError(RuntimeError): pass\nDistStoreError.__module__ = 'torch.distributed'\nraise DistStoreError('Timed out after 61 seconds waiting for clients. 1/2 clients joined.')",
    ),
)
ALL = FILES + ACCESS + SAMPLES + CHECKPOINTS + MISMATCH + NETWORK + PORTS
