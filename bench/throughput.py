#!/usr/bin/env python3
"""Tokens per second of `octet generate` by batch and ranks, and the share of the step spent in the reduces.

    OCTET=build/release/launcher/octet bench/throughput.py MODEL [--runs 5] [--out bench/results/NAME.md]

Decode: BATCH prompts of 16 tokens, 128 tokens each. Prefill: one prompt of 512 tokens, one token. Threads: the machine's
cores shared by the ranks. Medians of --runs runs.
"""
import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import tempfile

OCTET = os.environ.get("OCTET", "build/release/launcher/octet")
STATS = re.compile(r"generated (\d+) tokens in ([\d.]+) s: ([\d.]+) tokens/s; (\d+) steps of ([\d.]+) ms; (\d+) rows "
                   r"computed; reduces ([\d.]+)%")


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    version = subprocess.run([OCTET, "version"], capture_output=True, text=True).stdout.splitlines()
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; {version[1]}"


def once(model, batch, ranks, prompt, tokens):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as ids:
        for i in range(batch):
            ids.write(json.dumps([(i * 131 + k * 17) % 1000 + 5 for k in range(prompt)]) + "\n")
        ids.flush()
        out = subprocess.run([OCTET, "generate", model, "--prompt-ids-file", ids.name, "--max-tokens", str(tokens),
                              "--ignore-eos", "--stats", "--json", "--tp", str(ranks), "--max-num-seqs", str(batch),
                              "--max-model-len", "1024"], capture_output=True, text=True, check=True)
    generated, seconds, _, steps, step_ms, rows, reduces = STATS.search(out.stderr).groups()
    return dict(generated=int(generated), seconds=float(seconds), step_ms=float(step_ms), rows=int(rows),
                reduces=float(reduces))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out")
    args = parser.parse_args()
    lines = [f"`bench/throughput.py {os.path.basename(args.model)} --runs {args.runs}` on {machine()}", "",
             "| what | ranks | tokens/s (median) | min to max | step ms | in the reduces |", "|---|---|---|---|---|---|"]
    cases = [("decode, batch 1", 1, 16, 128), ("decode, batch 16", 16, 16, 128), ("prefill 512", 1, 512, 1)]
    for name, batch, prompt, tokens in cases:
        for ranks in (1, 2):
            runs = [once(args.model, batch, ranks, prompt, tokens) for _ in range(args.runs)]
            rates = [(r["rows"] if tokens == 1 else r["generated"]) / r["seconds"] for r in runs]
            lines.append(f"| {name} | {ranks} | {statistics.median(rates):.1f} | {min(rates):.1f} to {max(rates):.1f} | "
                         f"{statistics.median(r['step_ms'] for r in runs):.3f} | "
                         f"{statistics.median(r['reduces'] for r in runs):.1f}% |")
            print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if args.out:
        with open(args.out, "w") as out:
            out.write(text)


if __name__ == "__main__":
    main()
