#!/usr/bin/env python3
"""octet bench serve against guidellm (PyPI), one after the other at the same settings, on a server that is neither's.

    bench/load_tools.py MODEL.gguf --server-python VENV/bin/python --guidellm VENV/bin/guidellm [--out FILE.md]

The server: llama-cpp-python's of the OpenAI API, which answers one request after the other. The load: prompts of random words, answers
of a fixed length, sent by a clock (constant rate) or in a closed loop of one. Figures: each tool's own, medians of --runs alternating
runs; the table gives their ratio.
"""
import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

OCTET = os.environ.get("OCTET", "build/release/launcher/octet")
WORDS = "time people water world house school family night story group money light power music table paper".split()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LlamaServer:
    def __init__(self, python, model, threads):
        self.port = free_port()
        self.process = subprocess.Popen(
            [python, "-m", "llama_cpp.server", "--model", model, "--port", str(self.port), "--n_threads", str(threads),
             "--n_threads_batch", str(threads), "--n_ctx", "1024", "--interrupt_requests", "False", "--verbose", "False"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url + "/v1/models", timeout=1).read()
                return self
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server did not start")

    def __exit__(self, *exception):
        self.process.terminate()
        self.process.wait(10)


def make_prompts(folder, count, words, tokens, seed):
    """The same prompts in the two tools' formats; each file of its own, so that no prompt is asked twice."""
    draw = random.Random(seed)
    prompts = [" ".join(draw.choice(WORDS) for _ in range(words)) for _ in range(count)]
    with open(folder / f"{seed}.jsonl", "w") as out:
        for prompt in prompts:
            out.write(json.dumps({"prompt": prompt, "output_tokens_count": tokens}) + "\n")
    turns = [{"conversations": [{"from": "human", "value": p}, {"from": "gpt", "value": "word" * tokens}]} for p in prompts]
    (folder / f"{seed}.json").write_text(json.dumps(turns))


def octet(url, folder, seed, count, rate):
    load = ["--request-rate", str(rate), "--burstiness", "inf"] if rate else ["--max-concurrency", "1"]
    subprocess.run([OCTET, "bench", "serve", "--backend", "openai", "--base-url", url, "--dataset-name", "sharegpt",
                    "--dataset-path", str(folder / f"{seed}.json"), "--num-prompts", str(count), "--num-warmups", "0", *load,
                    "--extra-body", '{"logit_bias": {"2": -100, "0": -100}}', "--result-dir", str(folder),
                    "--result-name", f"octet-{seed}"], check=True, capture_output=True)
    result = json.loads((folder / f"octet-{seed}.json").read_text())
    return {"requests": result["completed"], "output tokens": result["total_output_tokens"],
            "TTFT median, ms": result["median_ttft_ms"], "TTFT mean, ms": result["mean_ttft_ms"],
            "TPOT median, ms": result["median_tpot_ms"], "TPOT mean, ms": result["mean_tpot_ms"],
            "end to end median, ms": result["median_e2el_ms"], "end to end mean, ms": result["mean_e2el_ms"],
            "output tokens/s": result["output_throughput"]}


def guidellm(program, url, folder, seed, count, rate):
    profile = f"kind=constant,rate={rate}" if rate else "kind=synchronous"
    out = folder / f"guidellm-{seed}.json"
    extras = json.dumps({"kind": "openai_http", "target": url, "request_format": "/v1/completions", "validate_backend": False,
                         "extras": {"body": {"temperature": 0, "logit_bias": {"2": -100, "0": -100}}}})
    done = subprocess.run([program, "run", "--backend", extras, "--profile", profile, "--data",
                           f"kind=json_file,path={folder / f'{seed}.jsonl'}", "--constraint", f"kind=max_requests,count={count}",
                           "--output", f"kind=json,path={out}", "--disable-console"], capture_output=True, text=True,
                          env={**os.environ, "HF_HUB_OFFLINE": "1"})
    if done.returncode != 0:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    benchmark = json.loads(out.read_text())["benchmarks"][0]
    metrics = benchmark["metrics"]

    def figure(name, statistic, scale=1.0):
        return metrics[name]["successful"][statistic] * scale

    requests = benchmark["requests"]["successful"]
    seconds = max(r["request_end_time"] for r in requests) - min(r["request_start_time"] for r in requests)
    tokens = sum(r["output_tokens"] for r in requests)
    return {"requests": len(requests), "output tokens": tokens,
            "TTFT median, ms": figure("time_to_first_token_ms", "median"),
            "TTFT mean, ms": figure("time_to_first_token_ms", "mean"),
            "TPOT median, ms": figure("inter_token_latency_ms", "median"),
            "TPOT mean, ms": figure("inter_token_latency_ms", "mean"),
            "end to end median, ms": figure("request_latency", "median", 1e3),
            "end to end mean, ms": figure("request_latency", "mean", 1e3),
            "output tokens/s": tokens / seconds}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--server-python", required=True)
    parser.add_argument("--guidellm", required=True)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1.0, help="0: a closed loop of one")
    parser.add_argument("--words", type=int, default=150)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out")
    args = parser.parse_args()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as name, LlamaServer(args.server_python, args.model, args.threads) as server:
        folder = Path(name)
        for run in range(args.runs):
            for offset in (1000, 2000):
                make_prompts(folder, args.requests, args.words, args.tokens, offset + run)
            ours.append(octet(server.url, folder, 1000 + run, args.requests, args.rate))
            theirs.append(guidellm(args.guidellm, server.url, folder, 2000 + run, args.requests, args.rate))
    lines = ["| figure | octet bench serve | guidellm | ratio |", "|---|---|---|---|"]
    for figure in ours[0]:
        a, b = (statistics.median(run[figure] for run in runs) for runs in (ours, theirs))
        lines.append(f"| {figure} | {a:.2f} | {b:.2f} | {a / b:.3f} |")
    print("\n".join(lines))
    if args.out:
        Path(args.out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
