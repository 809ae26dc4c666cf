#!/usr/bin/env python3
"""Standard streams that take nothing: what stderr loses changes no exit code, what stdout loses is an error."""
import array
import fcntl
import os
import signal
import subprocess
import termios
import time
import unittest
from pathlib import Path

from octet_process import OCTET, SOURCE, TINYSTORIES, ArtefactTest, run

INSPECT = ("inspect", TINYSTORIES, "--json")


def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def with_fds(redirection, *args):
    """Its exit code under the shell's `redirection`."""
    return subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirection}', OCTET, *map(str, args)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120).returncode


class Streams(ArtefactTest):
    def test_an_exit_code_does_not_depend_on_stderr(self):
        for args, code in ((("generate", "none", "a"), 2), (("generate",), 2), ((), 2), (("inspect", "none"), 2),
                           (("generate", self.artefact, "a", "--max-tokens", 2, "--stats"), 0)):
            for redirection in ("2>&-", "2>/dev/full"):
                self.assertEqual(with_fds(redirection, *args), code, (args, redirection))
            with os.fdopen(closed_pipe(), "wb") as pipe:
                done = subprocess.run([OCTET, *map(str, args)], stderr=pipe, stdout=subprocess.DEVNULL, timeout=120)
            self.assertEqual(done.returncode, code, args)

    def test_an_answer_that_stdout_does_not_take_is_an_error_whatever_stderr_takes(self):
        text = SOURCE / "README.md"
        for args in (INSPECT, ("--help",), ("eval", "perplexity", self.artefact, "--text", text, "--max-tokens", 9),
                     ("generate", self.artefact, "a", "--max-tokens", 2, "--tp", 2)):
            for redirection in (">&-", ">/dev/full", ">/dev/full 2>&1", ">&- 2>&-"):
                self.assertEqual(with_fds(redirection, *args), 2, (args, redirection))
            with os.fdopen(closed_pipe(), "wb") as pipe:
                done = subprocess.run([OCTET, *map(str, args)], stdout=pipe, stderr=pipe, timeout=120)
            self.assertEqual(done.returncode, 2, args)

    def test_a_reader_that_stalls_does_not_keep_ranks_from_being_ended(self):
        prompts = f"{self.folder.name}/prompts.jsonl"
        with open(prompts, "w") as file:
            file.write("[5, 6]\n" * 20)
        octet = subprocess.Popen([OCTET, "generate", self.artefact, "--prompt-ids-file", prompts, "--max-tokens", "400",
                                  "--ignore-eos", "--json", "--tp", "2"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        pending, still = array.array("i", [0]), 0
        while still < 20:  # until the pipe has been full for a second: more is to come than it holds
            before = pending[0]
            time.sleep(0.05)
            fcntl.ioctl(octet.stdout, termios.FIONREAD, pending)
            still = still + 1 if pending[0] == before > 0 else 0
        octet.send_signal(signal.SIGTERM)
        self.assertEqual(octet.wait(timeout=60), 130)
        octet.stdout.close()

    def generating(self, ranks):
        """`octet generate --json` with far more to do than a test waits for, once it has written a line."""
        prompts = f"{self.folder.name}/many.jsonl"
        with open(prompts, "w") as file:
            file.write("[5, 6]\n" * 20_000)
        octet = subprocess.Popen([OCTET, "generate", self.artefact, "--prompt-ids-file", prompts, "--max-tokens", "20",
                                  "--ignore-eos", "--json", "--tp", str(ranks)],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(octet.stdout.readline())
        return octet

    def test_signals_end_one_process_as_they_end_ranks(self):
        for ranks in (1, 2):
            for sent in (signal.SIGINT, signal.SIGTERM):
                octet = self.generating(ranks)
                octet.send_signal(sent)
                errors = octet.communicate(timeout=60)[1].decode()
                self.assertEqual(octet.returncode, 130, (ranks, sent, errors))
                self.assertEqual(errors.splitlines()[-1], "octet: error: interrupted", (ranks, sent))

    def test_a_killed_mpirun_is_told(self):
        octet = self.generating(2)
        mpirun, = Path(f"/proc/{octet.pid}/task/{octet.pid}/children").read_text().split()
        os.kill(int(mpirun), signal.SIGKILL)
        errors = octet.communicate(timeout=60)[1].decode()
        self.assertEqual(octet.returncode, 3, errors)
        self.assertRegex(errors, r"(?m)^octet generate: error: mpirun was killed by signal 9$")

    def test_no_file_takes_the_place_of_a_closed_stderr(self):
        out = f"{self.folder.name}/again"
        self.assertEqual(with_fds("2>&-", "quantize", TINYSTORIES, out), 0)
        run("inspect", out, "--verify")


if __name__ == "__main__":
    unittest.main()
