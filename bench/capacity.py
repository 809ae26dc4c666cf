#!/usr/bin/env python3
"""`octet plan` against what then happens: speed, memory, and whether a configuration starts at all.

    OCTET=build/release/launcher/octet bench/capacity.py speed  SMOLLM2 tinyllama-1.1b [--runs 5] [--out FILE]
    OCTET=build/release/launcher/octet bench/capacity.py ledger --hardware local.json [--out FILE]
    OCTET=build/release/launcher/octet bench/capacity.py limit  --hardware local.json [--configurations 20] [--out FILE]

speed: tokens/s of `octet generate` (BATCH prompts of 16 tokens, all decoding together) beside the plan's, at 1 and 2 ranks. A
run is a profile and then every case once, so that what the machine does at other times is in neither; medians of the runs.
ledger: bytes of a rank beside its resident memory (its pages, and its share of shared ones), its cache filled.
limit: random configurations under a memory limit (a control group; needs root): none that plan calls possible may die, none
that it calls impossible may start.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

OCTET = os.environ.get("OCTET", "build/release/launcher/octet")
QUIET = os.environ.get("QUIET", "").split()  # a command that runs another while the machine is quiet
STATS = re.compile(r"generated (\d+) tokens in ([\d.]+) s: .*; (\d+) steps of ([\d.]+) ms")
PROMPT, TOKENS = 16, 64


def plan(model, hardware, *flags):
    command = [OCTET, "plan", "--model", model, "--hardware", hardware, "--json", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def prompts(count, length):
    ids = tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False)
    for i in range(count):
        ids.write(json.dumps([(i * 131 + k * 17) % 1000 + 5 for k in range(length)]) + "\n")
    ids.close()
    return ids.name


def source_flags(model):
    weights = os.path.isfile(model) or any(pathlib.Path(model).glob("*.safetensors"))
    return [] if weights else ["--load-format", "dummy"]


def generate(model, ids, tokens, ranks, *flags):
    return [OCTET, "generate", model, *source_flags(model), "--prompt-ids-file", ids, "--max-tokens", str(tokens),
            "--ignore-eos", "--json", "--stats", "--tp", str(ranks), *map(str, flags)]


def table(header, rows):
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


# Speed

def measured_rate(model, ranks, batch, tokens):
    """Of the whole run and of its decoding steps."""
    ids = prompts(batch, PROMPT)
    command = generate(model, ids, tokens, ranks, "--max-num-seqs", batch, "--max-model-len", 1024)
    out = subprocess.run([*QUIET, *command], capture_output=True, text=True, check=True)
    os.unlink(ids)
    generated, seconds, _, _ = STATS.search(out.stderr).groups()
    return int(generated) / float(seconds)


def planned_rate(model, ranks, batch, hardware, tokens):
    common = ["--tp", ranks, "--max-model-len", 1024, *(["--dummy-weights"] if source_flags(model) else [])]
    decode = plan(model, hardware, *common, "--batch", batch, "--context", PROMPT + tokens // 2)
    prefill = plan(model, hardware, *common, "--batch", batch, "--input-tokens", min(1023, PROMPT * batch),
                   "--output-tokens", 1)
    step = decode["groups"][0]["batches"][0]["step_seconds"]
    first = prefill["groups"][0]["batches"][0]["ttft_seconds"]
    return batch * tokens / (first + (tokens - 1) * step)


def measured_profile(folder):
    path = os.path.join(folder, "profile.json")
    subprocess.run([*QUIET, OCTET, "profile", "--tp", "1,2", "--out", path], check=True, stderr=subprocess.DEVNULL)
    return path


def speed(args):
    cases = [(model, ranks, batch) for model in args.models for ranks in (1, 2) for batch in (1, 4, 16, 32)]
    planned, measured = {case: [] for case in cases}, {case: [] for case in cases}
    for run in range(args.runs):
        with tempfile.TemporaryDirectory() as folder:
            profile = measured_profile(folder)
            for case in cases:
                planned[case].append(planned_rate(*case, profile, TOKENS))
        for case in cases:
            measured[case].append(measured_rate(*case, TOKENS))
            print(f"run {run + 1}:", *case, f"{planned[case][-1]:.1f} {measured[case][-1]:.1f}", file=sys.stderr, flush=True)
    rows, errors = [], []
    for case in cases:
        over = [expected / actual - 1 for expected, actual in zip(planned[case], measured[case])]
        errors.append(statistics.median(over))
        rows.append((os.path.basename(case[0]), *case[1:], f"{statistics.median(planned[case]):.1f}",
                     f"{statistics.median(measured[case]):.1f}", f"{errors[-1]:+.1%}", f"{min(over):+.1%} to {max(over):+.1%}"))
    sizes = [abs(error) for error in errors]
    return table(("model", "ranks", "batch", "planned tokens/s", "measured", "planned over measured", "min to max"),
                 rows) + ["", f"Off by {statistics.median(sizes):.1%} in the median, {max(sizes):.1%} at most."]


# Memory

def ranks_of(pid):
    """The processes below `pid` that are ranks, or `pid` itself."""
    found = []
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
            environment = (status.parent / "environ").read_bytes()
        except OSError:
            continue
        parent = int(re.search(r"PPid:\s+(\d+)", text).group(1))
        if parent == pid and b"OMPI_COMM_WORLD_RANK=" in environment:
            rank = int(re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", environment).group(1))
            found.append((rank, status.parent))
        elif parent == pid:
            found += ranks_of(int(status.parent.name))
    return found


def resident(process):
    return int(re.search(r"Pss:\s+(\d+)", (process / "smaps_rollup").read_text()).group(1)) * 1024


def resident_at_end(command):
    """The most that each rank held in the run's last half second, when all is loaded and its cache is full."""
    samples, log = {}, tempfile.TemporaryFile("w+")
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
    while running.poll() is None:
        for rank, process in ranks_of(running.pid) or [(0, pathlib.Path(f"/proc/{running.pid}"))]:
            try:
                samples.setdefault(rank, []).append(resident(process))
            except OSError:
                pass
        time.sleep(0.05)
    log.seek(0)
    return running.returncode, {rank: max(held[-10:]) for rank, held in samples.items()}, log.read()


@contextlib.contextmanager
def launcher():
    """A coordinator that waits for its ranks."""
    model = pathlib.Path(__file__).parent / "../tests/data/tinystories"
    coordinator = subprocess.Popen([OCTET, "serve", model, "--external-group", "--port", "0"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        yield
        if coordinator.poll() is not None:
            raise SystemExit("the coordinator ended")
    finally:
        coordinator.terminate()
        coordinator.wait()


BLOOM_560M = {"model_type": "bloom", "hidden_size": 1024, "n_layer": 24, "n_head": 16, "seq_length": 2048,
              "vocab_size": 250880}
LEDGER_MODELS = [("smollm2-135m", 0), ("bloom-560m", 0), ("tinyllama-1.1b", 0), ("llama2-7b", 6), ("opt-175b", 1),
                 ("gpt3-175b", 1)]


def model_source(model, folder):
    """A preset's name, or a folder with the config.json of a model that is none."""
    if model != "bloom-560m":
        return model
    path = pathlib.Path(folder, model)
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(BLOOM_560M))
    return str(path)


def reserved(profile, ranks):
    """Bytes of a rank beside its ledger, at the measured number of ranks nearest to `ranks`."""
    tables = [table for table in profile["tables"] if table["operation"] == "memory.reserved"]
    return min(tables, key=lambda table: abs(table["ranks"] - ranks))["values"][0]


def ledger(args):
    rows, errors, folder = [], [], tempfile.TemporaryDirectory()
    for name, layers in LEDGER_MODELS:
        model = model_source(name, folder.name)
        for ranks in (1, 2, 4):
            cache = ["--max-model-len", 256, "--max-num-seqs", 2, "--max-num-batched-tokens", 256]
            depth = ["--num-hidden-layers", layers]
            planned = plan(model, args.hardware, *cache, *depth, "--tp", ranks)
            group = planned["groups"][0]
            ids = prompts(2, 192)
            command = generate(model, ids, 64, ranks, *cache, *depth)
            if ranks == 1:  # a plan's ranks are under mpirun, and share the program with their launcher
                command = ["mpirun", "--allow-run-as-root", "-n", "1", *command]
            with launcher() if ranks == 1 else contextlib.nullcontext():
                code, held, log = resident_at_end(command)
            os.unlink(ids)
            if code:
                raise SystemExit(log)
            expected = group["ledger"]["total"] + reserved(args.profile, ranks)
            actual = max(held.values())
            errors.append(actual / expected - 1)
            rows.append((name, layers or "all", ranks, f"{group['ledger']['total'] / 2**20:.1f}", f"{expected / 2**20:.1f}",
                         "yes" if "memory is as planned" in log else "NO", f"{actual / 2**20:.1f}", f"{errors[-1]:+.2%}"))
            print(rows[-1], flush=True)
    worst = max(abs(error) for error in errors)
    return table(("model", "layers", "ranks", "ledger MiB", "with the process MiB", "allocator took the ledger",
                  "resident MiB", "resident over planned"), rows) + ["", f"Off by {worst:.2%} at most."]


class ControlGroup:
    """Memory of a version 1 control group; a process joins it by writing its number."""
    def __init__(self, limit):
        self.path = pathlib.Path(f"/sys/fs/cgroup/memory/octet-{os.getpid()}")
        self.path.mkdir(exist_ok=True)
        (self.path / "memory.limit_in_bytes").write_text(str(limit))

    def run(self, command):
        # Pages of the program and its libraries are charged to whoever reads them first: to this group, as in a container.
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
        join = f"echo $$ > {self.path}/cgroup.procs; exec \"$@\""
        return subprocess.run(["bash", "-c", join, "_", *command], capture_output=True, text=True)

    def close(self):
        for _ in range(50):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.1)


def limit(args):
    chance = random.Random(args.seed)
    rows, wrong, too_careful = [], 0, 0
    for _ in range(args.configurations):
        ranks = chance.choice((1, 2, 4))
        model, most = chance.choice((("tinyllama-1.1b", 22), ("llama2-7b", 4), ("smollm2-135m", 30)))
        length, sequences = chance.choice((256, 512, 1024)), chance.choice((1, 2, 4))
        flags = ["--num-hidden-layers", chance.randint(1, most), "--max-model-len", length, "--max-num-seqs", sequences,
                 "--max-num-batched-tokens", chance.choice((64, 256, 512)),
                 "--kv-cache-dtype", chance.choice(("bfloat16", "float32", "int8"))]
        free = plan(model, args.hardware, *flags, "--tp", ranks, "--memory", 1 << 40)["groups"][0]["ledger"]
        whole = ranks * (free["peak"] + reserved(args.profile, ranks)) + args.profile["facts"]["launcher_bytes"]["value"]
        bytes_of_limit = int(whole * chance.uniform(0.6, 1.5))
        group = plan(model, args.hardware, *flags, "--tp", ranks, "--memory", bytes_of_limit // ranks)["groups"][0]
        ids = prompts(sequences, length - 2)
        control = ControlGroup(bytes_of_limit)
        done = control.run(generate(model, ids, 2, ranks, *flags))
        control.close()
        os.unlink(ids)
        refused = "more of memory, " in done.stderr and done.returncode == 2
        outcome = "ran" if done.returncode == 0 else "refused at start" if refused else f"died ({done.returncode})"
        right = outcome == "refused at start" or (group["fits"] and outcome == "ran")
        wrong += not right
        too_careful += group["fits"] and outcome == "refused at start"
        rows.append((model, *flags[1::2], ranks, f"{bytes_of_limit / 2**20:.0f}", f"{whole / 2**20:.0f}",
                     "possible" if group["fits"] else "impossible", outcome, "" if right else "WRONG"))
        print(rows[-1], flush=True)
        if not right:
            print(done.stderr[-2000:], flush=True)
    return table(("model", "layers", "length", "sequences", "tokens a step", "cache", "ranks", "limit MiB", "needed MiB",
                  "plan says", "what happened", ""), rows) + [
                      "", f"{wrong} of {len(rows)} died though possible, or started though impossible; {too_careful} that plan "
                      "calls possible were refused at start, in one line."]


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    version = subprocess.run([OCTET, "version"], capture_output=True, text=True).stdout.splitlines()
    return f"{model}, {os.cpu_count()} cores; {version[1]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("speed", "ledger", "limit"))
    parser.add_argument("models", nargs="*")
    parser.add_argument("--hardware", help="a profile of this machine, for ledger and limit")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--configurations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out")
    args = parser.parse_intermixed_args()
    if (args.what == "speed") == bool(args.hardware):
        parser.error("--hardware is for ledger and limit, which need it")
    if (args.what == "speed") != bool(args.models):
        parser.error("models are for speed, which needs some")
    if args.runs < 1 or args.configurations < 1:
        parser.error("--runs and --configurations are at least 1")
    for model in args.models:  # found out before hours of work
        plan(model, "h100", "--max-model-len", 1024)
    try:
        args.profile = json.load(open(args.hardware)) if args.hardware else None
        open(args.out or os.devnull, "a").close()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    lines = {"speed": speed, "ledger": ledger, "limit": limit}[args.what](args)
    text = "\n".join([f"`bench/capacity.py {args.what}` on {machine()}", "", *lines]) + "\n"
    print(text)
    if args.out:
        pathlib.Path(args.out).write_text(text)


if __name__ == "__main__":
    main()
