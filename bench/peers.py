#!/usr/bin/env python3
"""Octet beside its peers on one CPU machine: llama.cpp, CTranslate2, oneDNN and Open MPI, in one run, as ratios.

    bench/peers.py install                                   the peers, from PyPI, into --venv (outside the tree)
    bench/peers.py models --gguf 1.1b.gguf --shape 1.1b ...  decode and prefill of whole models: ours, then each peer's
    bench/peers.py linear | comm | ranks --shape 1.1b        one int8 product; all-reduces; tp=2 x 1 thread, tp=1 x 2
    bench/peers.py start --gguf 1.1b.gguf --artefact FOLDER  from nothing to a first token
    bench/peers.py table --out table.md                      of all that is in --store, with a chart table.svg

llama.cpp reads a GGUF file of the shape (Q8_0; random weights will do), CTranslate2 makes its own; Octet has dummy weights.
llama.cpp is built here for this machine's instruction set, by clang (clang-16 and libomp-16-dev), because gcc 12 loses
AMX's tile configuration; oneDNN's yardstick needs libdnnl-dev. Each measurement is the median of five; commands and spreads go into --store. Where a machine
is shared, measure several series, minutes apart: the table takes medians of them, and of their ratios. A store is for
one build and one setting.
"""
import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.environ.get("OCTET_BENCH", os.path.join(HERE, "../build/release/bench/octet_bench"))
OCTET = os.environ.get("OCTET", os.path.join(HERE, "../build/release/launcher/octet"))
PRESETS = {"135m": "smollm2-135m", "1.1b": "tinyllama-1.1b", "7b": "llama2-7b"}
ROW = re.compile(r"^(\S.*?) {2,}([\d.]+) (us|ms) +([\d.]+) (us|ms) to +([\d.]+) (us|ms)(.*)$")
UNIT = {"us": 1e-6, "ms": 1e-3}


def run(command, env=None):
    shown = " ".join(os.path.relpath(word) if word.startswith("/") else word for word in command)
    print("$", shown, file=sys.stderr, flush=True)
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise SystemExit(f"{shown}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def octet_bench(arguments):
    """{row's name: record}"""
    rows = {}
    for line in run([BENCH, *arguments]).splitlines():
        match = ROW.match(line)
        if match:
            name, middle, unit, least, least_unit, most, most_unit, rest = match.groups()
            share = re.search(r"([\d.]+)%", rest)
            rows[name] = {"median": float(middle) * UNIT[unit], "share": float(share[1]) if share else None,
                          "spread": [float(least) * UNIT[least_unit], float(most) * UNIT[most_unit]],
                          "command": "octet_bench " + " ".join(arguments)}
    return rows


def peer_lines(command, env=None):
    """{what: record} of a peer's JSON lines"""
    records = {}
    for line in run(command, env).splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            seconds = found["seconds"]
            records[found["what"]] = {"median": statistics.median(seconds), "spread": [min(seconds), max(seconds)],
                                      "command": " ".join(os.path.basename(word) for word in command)}
    return records


class Store:
    """One JSON object a line: group (measured together), shape, what, who, tokens, median, spread, share, command."""

    def __init__(self, path):
        self.path = path
        self.group = time.strftime("%Y-%m-%d %H:%M:%S")

    def add(self, shape, what, who, record, tokens=0):
        line = {"group": self.group, "shape": shape, "what": what, "who": who, "tokens": tokens, **record}
        with open(self.path, "a") as out:
            out.write(json.dumps(line) + "\n")
        rate = f"{tokens / record['median']:.2f} tokens/s" if tokens else f"{record['median'] * 1e6:.2f} us"
        print(f"{shape} {what:<22} {who:<28} {rate}", flush=True)

    def records(self):
        with open(self.path) as lines:
            return [json.loads(line) for line in lines]


def install(args):
    subprocess.run([sys.executable, "-m", "venv", args.venv], check=True)
    pip = [os.path.join(args.venv, "bin/pip"), "install", "-q"]
    subprocess.run([*pip, "numpy", "ctranslate2"], check=True)
    subprocess.run([*pip, "--no-cache-dir", "--no-binary", "llama-cpp-python", "llama-cpp-python"], check=True,
                   env={**os.environ, "CC": "clang-16", "CXX": "clang++-16", "CMAKE_ARGS": "-DGGML_NATIVE=ON"})


def split(text):
    return [word for word in text.split(",") if word]


def models(args, store):
    sizes = ["--context", str(args.context), "--tokens", str(args.tokens)]
    python = os.path.join(args.venv, "bin/python")
    preset = [PRESETS[args.shape], "--load-format", "dummy", "--head", args.head]
    work = ["--prompt", args.prompt or "0", "--batch", args.batch, *sizes, "--threads", str(args.threads)]
    ours = {}
    if args.batch:
        ours |= octet_bench(["decode", *preset, "--batch", args.batch, *sizes, "--threads", str(args.threads)])
    if args.prompt:
        ours |= octet_bench(["prefill", *preset, "--prompt", args.prompt, "--threads", str(args.threads)])
    who = "Octet" if args.head == "keep" else "Octet, int8 head"
    found = {who: {re.sub(r"^\S+ tp:\S+ ", "", name): row for name, row in ours.items()}}
    if args.gguf and not args.without_peers:
        found["llama.cpp"] = peer_lines([python, os.path.join(HERE, "peers/llama.py"), args.gguf, *work])
    if args.shape in ("135m", "1.1b") and not (args.without_ctranslate2 or args.without_peers):
        folder = os.path.join(args.venv, "ctranslate2-" + args.shape)
        found["CTranslate2"] = peer_lines([python, os.path.join(HERE, "peers/ctranslate.py"), args.shape, folder, *work])
    cases = [(f"decode batch:{b}", int(b)) for b in split(args.batch)]
    cases += [(f"prefill {p}", int(p)) for p in split(args.prompt)]
    for what, tokens in cases:
        for who, records in found.items():
            if what in records:
                store.add(args.shape, what, who, records[what], tokens)


def ranks(args, store):
    preset = [PRESETS[args.shape], "--load-format", "dummy"]
    for tp, threads in ((1, 2), (2, 1)):
        group = ["--tp", str(tp), "--threads", str(threads)]
        rows = {}
        if args.batch:
            rows |= octet_bench(["decode", *preset, "--batch", args.batch, *group])
        if args.prompt:
            rows |= octet_bench(["prefill", *preset, "--prompt", args.prompt, *group])
        for name, row in rows.items():
            if not name.startswith("limit/"):
                what = re.sub(r"^\S+ tp:\S+ ", "", name)
                store.add(args.shape, "ranks " + what, f"tp={tp} x {threads}", row, int(re.findall(r"\d+", what)[0]))


def linear(args, store):
    binary = os.path.join(args.venv, "onednn")
    run(["g++", "-O2", "-std=c++20", os.path.join(HERE, "peers/onednn.cc"), "-ldnnl", "-o", binary])
    rows = octet_bench(["kernels", "--filter", "^linear/4096x4096/M:(1|8|32|512)$"])
    for m in (1, 8, 32, 512):
        what = f"linear 4096x4096 M:{m}"
        store.add("linear", what, "Octet", rows[f"linear/4096x4096/M:{m}"])
        peer = peer_lines([binary, str(m), "4096", "4096"], {"OMP_NUM_THREADS": str(args.threads)})
        store.add("linear", what, "oneDNN", peer[what])


def comm(args, store):
    for name, row in octet_bench(["comm"]).items():
        who = "Open MPI" if name.startswith("Open MPI") else "Octet"
        size = re.search(r"[\d.]+ KiB", name)
        store.add("comm", f"all-reduce {size[0]}" if size else "barrier", who, row)


def start(args, store):
    """Wall time of whole commands, files in the page cache."""
    prompt = os.path.join(args.venv, "start.jsonl")
    with open(prompt, "w") as out:
        out.write("[" + ",".join(str(5 + i * 17) for i in range(8)) + "]\n")
    python = os.path.join(args.venv, "bin/python")
    commands = {"Octet": [OCTET, "generate", args.artefact, "--prompt-ids-file", prompt, "--max-tokens", "1",
                          "--ignore-eos", "--json", "--max-model-len", "128", "--max-num-seqs", "1"],
                "llama.cpp": [python, os.path.join(HERE, "peers/llama.py"), args.gguf, "--start",
                              "--threads", str(args.threads)]}
    seconds = {who: [] for who in commands}
    for _ in range(6):
        for who, command in commands.items():
            begun = time.perf_counter()
            out = run(command)
            # The peer is timed inside its process: Python's own start is not llama.cpp's.
            spent = json.loads(out)["seconds"][0] if who == "llama.cpp" else time.perf_counter() - begun
            seconds[who].append(spent)
    for who, times in seconds.items():
        times = times[1:]
        command = " ".join(os.path.basename(word) for word in commands[who])
        store.add(args.shape, "start", who, {"median": statistics.median(times), "spread": [min(times), max(times)],
                                             "command": command})


def middle(series):
    return statistics.median(record["median"] for record in series.values())


def cases(store):
    """[(shape, what, who, its series, ratios to Octet's in the same series)]; a series is {group: record}."""
    found = {}
    for record in store.records():
        whos = found.setdefault((record["shape"], record["what"]), {})
        whos.setdefault(record["who"], {})[record["group"]] = record
    rows = []
    by_number = lambda case: [int(word) if word.isdigit() else word for word in re.split(r"(\d+)", case[0][1])]
    for (shape, what), whos in sorted(sorted(found.items(), key=by_number), key=lambda case: case[0][0]):
        ours = whos.get("Octet") or whos.get("tp=2 x 1") or {}
        for who, series in sorted(whos.items()):
            ratios = [record["median"] / ours[group]["median"] for group, record in series.items() if group in ours]
            if ours and not ratios:  # measured apart
                ratios = [middle(series) / middle(ours)]
            if series is ours:
                ratios = []
            rows.append((shape, what, who, series, ratios))
    return rows


def chart(rows, path):
    """The ratios to the best of the others as bars on a logarithmic scale, lines from the least to the most."""
    best = {}
    for shape, what, who, _, ratios in rows:
        if ratios and statistics.median(ratios) < best.get((shape, what), (math.inf,))[0]:
            best[shape, what] = (statistics.median(ratios), min(ratios), max(ratios), who)
    ticks = [tick for tick in (0.5, 1, 2, 4, 8, 16, 32, 64) if tick / 2 < max(entry[2] for entry in best.values())]
    labels = [f"{what if what.startswith(shape) else f'{shape} {what}'}, {entry[3]}" for (shape, what), entry in best.items()]
    left, step, width, height = 16 + 7 * max(map(len, labels)), 80, 22, 22 * len(best)

    def x(ratio):
        return left + step * (1 + math.log2(max(ratio, 0.5)))

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{x(ticks[-1]) + 60:.0f}" height="{height + 40}" '
             'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>']
    for tick in ticks:
        stroke = "black" if tick == 1 else "#ddd"
        parts.append(f'<path d="M{x(tick):.0f} 8V{height + 12}" stroke="{stroke}"/>'
                     f'<text x="{x(tick):.0f}" y="{height + 28}" text-anchor="middle">{tick:g}x</text>')
    for i, (label, (median, least, most, _)) in enumerate(zip(labels, best.values())):
        y = 20 + width * i
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{label}</text>')
        parts.append(f'<text x="{max(x(most), x(1)) + 6:.0f}" y="{y + 4}">{median:.2f}</text>')
        parts.append(f'<rect x="{min(x(1), x(median)):.1f}" y="{y - 7}" width="{abs(x(median) - x(1)):.1f}" height="14" '
                     f'fill="{"#4a7fb5" if median >= 1 else "#c0504d"}"/>')
        parts.append(f'<path d="M{x(least):.1f} {y}H{x(most):.1f}" stroke="black"/>')
    with open(path, "w") as out:
        out.write("\n".join(parts) + "\n</svg>\n")


def table(args, store):
    """One row for who did what: the median of all its series, and of the ratios to Octet's."""
    rows = cases(store)
    lines = ["| shape | what | who | series | median | min to max | share of the limit | Octet is faster by |",
             "|---|---|---|---|---|---|---|---|"]
    commands = []
    for shape, what, who, series, ratios in rows:
        records = list(series.values())
        median = middle(series)
        least = min(record["spread"][0] for record in records)
        most = max(record["spread"][1] for record in records)
        tokens = records[-1]["tokens"]
        if tokens:
            shown = f"{tokens / median:.2f} tok/s | {tokens / most:.2f} to {tokens / least:.2f}"
        else:
            shown = f"{median * 1e6:.2f} us | {least * 1e6:.2f} to {most * 1e6:.2f}"
        shares = [record["share"] for record in records if record.get("share")]
        share = f"{statistics.median(shares):.0f}%" if shares else ""
        ratio = f"{statistics.median(ratios):.2f}x" if ratios else ""
        if len(ratios) > 1:
            ratio += f" ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {shape} | {what} | {who} | {len(records)} | {shown} | {share} | {ratio} |")
        if records[-1]["command"] not in commands:
            commands.append(records[-1]["command"])
    text = "\n".join(lines) + "\n\n## Commands\n\n```\n" + "\n".join(commands) + "\n```\n"
    if args.out:
        with open(args.out, "w") as out:
            out.write(text)
        if any(ratios for *_, ratios in rows):
            chart(rows, os.path.splitext(args.out)[0] + ".svg")
    print(text)


def main():
    actions = {"install": install, "models": models, "ranks": ranks, "linear": linear, "comm": comm, "start": start,
               "table": table}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=actions)
    parser.add_argument("--venv", default="/tmp/octet-peers")
    parser.add_argument("--store", default="/tmp/octet-peers/figures.jsonl")
    parser.add_argument("--shape", choices=PRESETS, default="1.1b")
    parser.add_argument("--gguf", default="")
    parser.add_argument("--artefact", default="")
    parser.add_argument("--head", choices=["keep", "int8"], default="keep", help="of the models: keep is 16 bits; peers' is int8")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", default="512")
    parser.add_argument("--batch", default="1,4,8,16,32")
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--without-ctranslate2", action="store_true")
    parser.add_argument("--out")
    args = parser.parse_args()
    if args.action == "install":
        install(args)
    else:
        actions[args.action](args, Store(args.store))


if __name__ == "__main__":
    main()
