#!/usr/bin/env python3
"""Many concurrent streams against `octet serve`, for a while: no error, and no growth of memory after the first 10 s.

    OCTET=build/release/launcher/octet soak.py MODEL [--streams 64] [--seconds 60] [--ranks 2]

Each stream is a loop of `octet complete` calls with its own prompt lengths and seeds. Prints one row every 5 s: requests
done, and the resident memory of serve and of each rank. Fails on any failed request, and when a process is at the end
more than 1 MiB above what it was after 10 s: what malloc's arenas still settle by, whatever the model's size.
"""
import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

from octet_process import OCTET, Server


def resident(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Load:
    def __init__(self, address, streams):
        self.address, self.stop = address, threading.Event()
        self.lock, self.done, self.errors = threading.Lock(), 0, []
        self.threads = [threading.Thread(target=self.stream, args=(i,)) for i in range(streams)]
        for thread in self.threads:
            thread.start()

    def stream(self, number):
        count = 0
        while not self.stop.is_set():
            prompt = "Once upon a time " * (1 + (number * 7 + count) % 12)
            call = subprocess.run([OCTET, "complete", prompt, "--server", self.address, "--ignore-eos", "--temperature",
                                   "0.8", "--seed", str(number), "--max-tokens", str(8 + (number + count) % 57)],
                                  capture_output=True, text=True)
            count += 1
            with self.lock:
                self.done += 1
                if call.returncode != 0:
                    self.errors.append(call.stderr.strip())

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--ranks", type=int, default=2)
    args = parser.parse_args()
    with Server(args.model, args.ranks, "--kv-cache-memory", "128MiB") as server:
        pids = [server.process.pid, *sorted(server.workers())]
        load, start, early, rows = Load(server.address, args.streams), time.time(), None, []
        warm = min(10.0, args.seconds / 2)
        while time.time() - start < args.seconds:
            time.sleep(min(5.0, args.seconds / 4))
            row = [resident(pid) for pid in pids]
            rows.append(row)
            elapsed = time.time() - start
            print(f"{elapsed:5.0f} s  {load.done:6d} requests  resident MiB: serve {row[0]:.1f}, ranks "
                  + ", ".join(f"{r:.1f}" for r in row[1:]), flush=True)
            if early is None and elapsed >= warm:
                early = row
        load.finish()
    grown = [f"process {i}: {a:.1f} to {b:.1f} MiB" for i, (a, b) in enumerate(zip(early, rows[-1]))
             if b > a + 1]
    print(f"{load.done} requests over {args.streams} streams in {args.seconds:.0f} s, {len(load.errors)} errors; "
          f"memory {'grew: ' + '; '.join(grown) if grown else 'did not grow'}")
    for error in load.errors[:5]:
        print(error)
    return 1 if load.errors or grown else 0


if __name__ == "__main__":
    sys.exit(main())
