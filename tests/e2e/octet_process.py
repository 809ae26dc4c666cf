"""Runs the real `octet` binary for the end-to-end tests. Standard library only."""
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

OCTET = os.environ["OCTET"]
# A job in a shell's background ignores SIGINT, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

SOURCE = Path(__file__).resolve().parents[2]
TINYSTORIES = SOURCE / "tests/data/tinystories"


def run(*args, timeout=120, check=True, **kwargs):
    done = subprocess.run([OCTET, *map(str, args)], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f"octet {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def processes(pattern):
    """Pids of live (not zombie) processes whose command line has `pattern`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            continue
        if pattern in command and state != "Z":
            found.append(int(entry.name))
    return found


def wait_until(condition, seconds, what):
    end = time.time() + seconds
    while time.time() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


class Server:
    """`octet serve` on a free port, ended with the `with` block."""

    def __init__(self, model, ranks, *flags, ready="serving"):
        self.model, self.ready = str(model), ready
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = subprocess.Popen(
            [OCTET, "serve", self.model, "--tensor-parallel-size", str(ranks), "--port", "0",
             *map(str, flags)],
            stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def __enter__(self):
        self.address = wait_until(self.find_address, 60, f"serve is ready\n{self.output()}")
        self.command = f"octet worker {self.model} --coordinator={self.address}"
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        self.log.close()

    def output(self):
        return Path(self.log.name).read_text()

    def find_address(self):
        if self.process.poll() is not None:
            raise AssertionError(f"serve ended with {self.process.returncode}\n{self.output()}")
        match = re.search(rf"^octet: {self.ready}.* on (\S+)", self.output(), re.M)
        return match and match.group(1)

    def workers(self):
        """Pids of the ranks, mpirun's not among them."""
        return [p for p in processes(f"--coordinator={self.address}")
                if b"mpirun" not in Path(f"/proc/{p}/cmdline").read_bytes().split(b"\0")[0]]

    def mpirun(self):
        return [p for p in processes(f"--coordinator={self.address}") if p not in self.workers()]

    def client(self, *args):
        return subprocess.Popen([OCTET, *map(str, args), "--server", self.address], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)


class ArtefactTest(unittest.TestCase):
    """Tests on the project's own model, quantised once for the class."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.artefact = Path(cls.folder.name) / "stories"
        run("quantize", TINYSTORIES, cls.artefact)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def one_line(self, done, code, *parts):
        errors = [line for line in done.stderr.splitlines() if "error:" in line]
        self.assertEqual(len(errors), 1, done.stderr)
        for part in parts:
            self.assertIn(part, errors[0])
        self.assertEqual(done.returncode, code, done.stderr)
