#!/usr/bin/env python3
"""octet eval, verify and other offline verbs as users meet them: results in files, and what is wrong said before the work begins."""
import json
import tempfile
import unittest
from pathlib import Path

from octet_process import TINYSTORIES, ArtefactTest, run

QUESTION = {"query": "One day, Lily saw a big", "choices": ["dog.", "sky on the table.", "and."], "gold": 0}


class Evaluate(ArtefactTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.scratch = Path(folder.name)
        (self.scratch / "three.jsonl").write_text(3 * (json.dumps(QUESTION) + "\n"))

    def refused(self, *args):
        done = run(*args, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def test_the_results_in_the_file_do_not_depend_on_the_ranks(self):
        files = [self.scratch / f"{ranks}.json" for ranks in (1, 3)]
        for ranks, file in zip((1, 3), files):
            run("eval", "tasks", self.artefact, "--tasks", self.scratch / "three.jsonl", "--shots", 1, "--tp", ranks,
                "--out", file)
        one, three = (json.loads(file.read_text())["tasks"] for file in files)
        self.assertEqual(one, three)
        self.assertEqual(one["three"]["examples"], 2)

    def test_a_file_that_cannot_be_written_is_said_before_the_work_begins(self):
        out = self.scratch / "none" / "out.json"
        text = self.scratch / "text"
        text.write_text("Once upon a time")
        for ranks in (1, 2):
            for command in (("eval", "tasks", self.artefact, "--tasks", self.scratch / "three.jsonl"),
                            ("eval", "perplexity", self.artefact, "--text", text),
                            ("verify", self.artefact, "--against", TINYSTORIES)):
                self.assertIn(f"{out}: cannot be written", self.refused(*command, "--out", out, "--tp", ranks))

    def test_random_weights_are_not_verified(self):
        self.assertIn("--load-format", self.refused("verify", self.artefact, "--against", TINYSTORIES, "--load-format",
                                                    "dummy"))

    def test_what_is_refused_leaves_no_file_for_its_results(self):
        out = self.scratch / "out.json"
        self.refused("verify", self.artefact, "--against", self.scratch / "nothing", "--out", out)
        self.assertFalse(out.exists())

    def test_few_tokens_are_said_to_show_less(self):
        shown = run("verify", self.artefact, "--against", TINYSTORIES, "--prompt", "Once upon a time").stdout
        self.assertIn("a single row that is wrong may pass", shown)

    def test_a_text_that_cannot_be_scored_is_named(self):
        for name, content, why in (("empty", b"", "fewer than two tokens"), ("bytes", b"ab\xff", "not UTF-8")):
            text = self.scratch / name
            text.write_bytes(content)
            done = run("eval", "perplexity", self.artefact, "--text", text, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr.splitlines()[-1], f"{text}: .*{why}")

    def test_a_task_that_is_not_there_is_said_with_the_path_looked_for(self):
        missing = self.refused("eval", "tasks", self.artefact, "--tasks", "piqa", "--task-folder", self.scratch)
        self.assertIn(f"{self.scratch}/piqa.jsonl: no such file; --task-folder names its folder", missing)
        self.assertIn("--tasks", self.refused("eval", "tasks", self.artefact, "--tasks", ""))

    def test_a_preset_is_told_what_it_lacks(self):
        self.assertIn("gpt3-175b is a preset, which has no tokenizer: give --prompt-ids-file", self.refused(
            "generate", "gpt3-175b", "--load-format", "dummy", "Hello"))
        for verb in (("generate", "gpt3-175b", "Hello"), ("inspect", "gpt3-175b"), ("serve", "gpt3-175b")):
            self.assertIn("gpt3-175b is a preset, a model's shape without files", self.refused(*verb))

    def test_a_text_that_cannot_be_read_is_said_with_the_reason(self):
        for text, why in ((self.scratch / "none", "No such file"), (self.scratch, "Is a directory")):
            self.assertIn(f"{text}: {why}", self.refused("eval", "perplexity", self.artefact, "--text", text))

    def test_an_int8_head_is_written_shown_and_the_same_model(self):
        artefact = self.scratch / "int8-head"
        run("quantize", TINYSTORIES, artefact, "--head", "int8")
        shown = json.loads(run("inspect", artefact, "--json", "--verify").stdout)
        dtypes = {tensor["name"]: tensor["dtype"] for tensor in shown["tensors"]}
        self.assertEqual(dtypes["lm_head.weight"], "I8")
        self.assertNotEqual(dtypes["model.embed_tokens.weight"], "I8")
        self.assertIn("(tied, an int8 head beside it)", run("inspect", artefact).stdout)
        run("verify", artefact, "--against", TINYSTORIES, "--tp", 2)

    def test_a_head_that_cannot_be_had_is_refused(self):
        self.assertIn("--head", self.refused("quantize", TINYSTORIES, self.scratch / "out", "--head", "int4"))
        self.assertFalse((self.scratch / "out").exists())
        self.assertIn("--head int8 is only for dummy weights", self.refused(
            "generate", self.artefact, "Hello", "--head", "int8"))

    def test_more_shots_than_examples_are_refused(self):
        self.assertIn("3 examples are too few for --shots 3", self.refused(
            "eval", "tasks", self.artefact, "--tasks", self.scratch / "three.jsonl", "--shots", 3))


if __name__ == "__main__":
    unittest.main()
