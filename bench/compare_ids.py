#!/usr/bin/env python3
"""compare_ids.py KEY A.jsonl B.jsonl: the token ids of two `octet generate --json` runs, as a line of bench/device.sh's results.

Where they differ, the first place is shown with both log-probabilities.
"""
import json
import sys


def read(path):
    answers = [json.loads(line) for line in open(path, encoding="utf-8") if line.startswith("{")]
    return {answer["index"]: answer for answer in answers}


def main():
    key, a, b = sys.argv[1], read(sys.argv[2]), read(sys.argv[3])
    if not a or a.keys() != b.keys():
        print(f"{key}\tfailed\t{len(a)} and {len(b)} answers\t")
        return 1
    for index in sorted(a):
        ids, others = a[index]["token_ids"], b[index]["token_ids"]
        if ids == others:
            continue
        at = next((i for i, (x, y) in enumerate(zip(ids, others)) if x != y), min(len(ids), len(others)))
        margin = " ".join(f"{run['logprobs'][at]:.6f}" for run in (a[index], b[index]) if at < len(run["logprobs"]))
        print(f"{key}\tdiffer\tprompt {index} token {at}, log-probabilities {margin}\t")
        return 0
    print(f"{key}\tequal\t{sum(len(x['token_ids']) for x in a.values())} ids\t")
    return 0


if __name__ == "__main__":
    sys.exit(main())
