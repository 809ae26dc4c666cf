#!/usr/bin/env python3
"""Contract 1 with ranks as processes: one digest over ids and log-probabilities, equal for every number of ranks, batch,
chunking, instruction set's thread count and communicator.

    OCTET_MODEL=ARTEFACT exactness_test.py     default: the project's own model, int8 and fp32
"""
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from octet_process import OCTET, TINYSTORIES, ArtefactTest, run

PROMPTS = """Once upon a time
One day, a little girl named Lily found a needle in her room. She knew it was difficult to play with it because it was sharp.
Tom and his dog Max went to the
The
Once upon a time, there was a little car named Beep. Beep loved to go fast and play in the sun. Beep was a healthy car because he always had good fuel. Good fuel made Beep happy and strong. One day, Beep was driving in the park when he saw a big tree.
"No!" said the bird,
Sara was sad because
"""
MODEL = os.environ.get("OCTET_MODEL")


class Exactness(ArtefactTest):
    def digest(self, model, *flags, seed=7):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as prompts:
            prompts.write(PROMPTS)
            prompts.flush()
            out = run("generate", model, "--prompt-file", prompts.name, "--max-tokens", 24, "--ignore-eos", "--digest",
                      "--temperature", 0.8, "--top-p", 0.95, "--seed", seed, "--json", *flags, timeout=600)
        return re.search(r"^digest (\w+)$", out.stdout, re.M).group(1)

    def all_equal(self, model, *common):
        digests = {}
        for ranks in (1, 2, 3, 4):
            for batch in (1, 7):
                for chunks in (("--max-num-batched-tokens", 16), ("--no-enable-chunked-prefill",)):
                    flags = ("--tp", ranks, "--max-num-seqs", batch, *chunks, *common)
                    digests[flags] = self.digest(model, *flags)
        self.assertEqual(len(set(digests.values())), 1, digests)
        return digests.popitem()[1]

    def test_int8_has_one_digest(self):
        model = MODEL or self.artefact
        expected = self.all_equal(model)
        for flags in (("--tp", 2, "--communicator", "mpi"), ("--tp", 3, "--communicator", "mpi"), ("--threads", 3),
                      ("--tp", 8), ("--kv-cache-memory", "200KiB" if MODEL is None else "64MiB")):
            self.assertEqual(self.digest(model, *flags), expected, flags)

    def test_one_rank_under_mpirun_has_the_same_digest(self):
        ask = ["generate", self.artefact, "Once upon a time", "--max-tokens", 8, "--digest"]
        expected = run(*ask).stdout
        for communicator in ("auto", "shm", "mpi"):
            command = ["mpirun", "--allow-run-as-root", "-n", 1, OCTET, *ask, "--communicator", communicator]
            out = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
            self.assertEqual(out.stdout, expected, out.stderr)

    def test_ranks_of_different_kernels_are_refused(self):
        ask = [OCTET, "generate", self.artefact, "Once", "--max-tokens", 1, "--device"]
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", 1, *ask, "cpu", ":", "-n", 1, *ask, "reference"]
        out = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
        self.assertNotEqual(out.returncode, 0)
        self.assertIn("rank 1: this rank runs reference, rank 0 cpu ", out.stderr)

    def test_what_an_ended_group_left_in_shared_memory_is_removed(self):
        dead = Path("/dev/shm/octet-4194305")  # no process can have that pid
        dead.write_bytes(b"x" * 4096)
        os.utime(dead, (1e9, 1e9))
        run("generate", TINYSTORIES, "Once", "--max-tokens", 1, "--tp", 2)
        self.assertFalse(dead.exists())

    def test_fp32_has_one_digest(self):
        self.all_equal(MODEL or TINYSTORIES, "--quantization", "none")

    def test_avx2_has_one_digest(self):
        digests = {self.digest(MODEL or self.artefact, "--tp", ranks, "--isa", "avx2") for ranks in (1, 2, 3)}
        self.assertEqual(len(digests), 1)

    def test_another_seed_has_another_digest(self):
        self.assertNotEqual(self.digest(self.artefact), self.digest(self.artefact, seed=8))


if __name__ == "__main__":
    unittest.main(verbosity=2)
