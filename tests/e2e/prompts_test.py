#!/usr/bin/env python3
"""Prompts that `octet generate` cannot take: each is named by file and line, and none is answered before all were judged."""
import unittest

from octet_process import ArtefactTest, run


class Prompts(ArtefactTest):
    def refusal(self, lines, *flags):
        """What it says of a file of ids, after the file's name."""
        file = f"{self.folder.name}/ids.jsonl"
        with open(file, "w") as out:
            out.write("".join(f"{line}\n" for line in lines))
        done = run("generate", self.artefact, "--prompt-ids-file", file, "--max-tokens", 4, "--json", *flags, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(done.stderr.count("error:"), 1, done.stderr)
        self.assertIn(f"octet generate: error: {file}:", done.stderr)
        return done.stderr.split(f"error: {file}:")[1].strip()

    def test_a_prompt_that_cannot_run_is_named_before_any_answer(self):
        for ranks in (1, 2):
            self.assertIn("2: prompt token 999999 is outside the vocabulary", self.refusal(["[5, 6]", "[999999]"], "--tp", ranks))
            self.assertEqual(self.refusal(["[5, 6]", str(list(range(20)))], "--max-model-len", 16, "--tp", ranks),
                             "2: 20 prompt tokens and max_tokens 4 exceed the model's length of 16")

    def test_what_is_no_prompt_is_named(self):
        self.assertEqual(self.refusal([]), "has no prompts")
        self.assertEqual(self.refusal(["[1]", "[]"]), "2: has no tokens")
        self.assertEqual(self.refusal(["[1]", "one"]), "2: not a JSON array of token ids")


if __name__ == "__main__":
    unittest.main()
