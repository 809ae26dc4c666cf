#!/usr/bin/env python3
"""device_table.py [device.tsv ...]: the results of bench/device.sh as the tables of docs/performance.md. What did not run stays
empty; of several files the last that has a result counts."""
import sys

SHAPES = ["4608x12288", "12288x1536", "6144x12288", "12288x6144"]
ROWS = [1, 2, 4, 8, 16, 32, 64]


def read(paths):
    lines = [line.rstrip("\n").split("\t") for path in paths for line in open(path, encoding="utf-8")]
    return {fields[0]: fields[1:4] for fields in lines if len(fields) >= 4}


def cell(results, key):
    value, unit, share = results.get(key, ("", "", ""))
    if not value:
        return ""
    return f"{value} {unit}".strip() + (f" ({float(share):.0%})" if share else "")


def table(title, heads, rows):
    print(f"\n{title}\n")
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def slowdown(results, plain, mixed):
    if plain not in results or mixed not in results:
        return ""
    return f"{float(results[mixed][0]) / float(results[plain][0]) - 1:+.1%}"


def main():
    results = read(sys.argv[1:])
    print(f"Device: {cell(results, 'machine')}")
    table("Ceilings of the same run", ["what", "figure"],
          [["memory read", cell(results, "ceiling.read")], ["int8, mma.sync from registers", cell(results, "ceiling.int8_mma_sync")],
           ["link, host to device", cell(results, "ceiling.link")]])
    for kind in ("w8a8", "llm_int8"):
        table(f"int8 product, {kind}, rows quantised before, by rows (share of memory read; M = 2048: of the mma.sync ceiling)",
              ["shape"] + [f"M={m}" for m in ROWS + [2048]],
              [[shape] + [cell(results, f"linear.{kind}.{shape}.m{m}") for m in ROWS + [2048]] for shape in SHAPES])
    table("int8 product by cuBLASLt (int32 sums, no scales, no outliers; the best of the algorithms that it guesses), by rows "
          "(share of memory read; M = 2048: of the mma.sync ceiling)",
          ["shape"] + [f"M={m}" for m in ROWS + [2048]],
          [[shape] + [cell(results, f"cublaslt.{shape}.m{m}") for m in ROWS + [2048]] for shape in SHAPES])
    table("Rows made ready for a product, by rows",
          ["what"] + [f"M={m}" for m in ROWS + [2048]],
          [[f"{what}, {columns} columns, {kind}"] + [cell(results, f"{key}.{kind}.{columns}.m{m}.us") for m in ROWS + [2048]]
           for key, what in (("norm", "norm, quantised"), ("quantize", "quantised")) for columns in (1536, 6144, 12288)
           for kind in ("w8a8", "llm_int8")])
    table("Attention, 12 heads of 128, context 2048", ["what", "K and V in bf16", "in int8"],
          [[f"decode, batch {b}", cell(results, f"attention.decode.b{b}"), cell(results, f"attention.decode.int8.b{b}")]
           for b in (1, 8, 32, 64, 128)] +
          [["prefill of 2048", cell(results, "attention.prefill.2048"), cell(results, "attention.prefill.int8.2048")]])
    table("One rank of gpt3-175b at tp 8, 96 layers, dummy weights, context 2048; reduces not included",
          ["what", "w8a8", "LLM.int8()", "LLM.int8() over w8a8", "at least", "aim"],
          [[f"step, batch {b}", cell(results, f"step.w8a8.b{b}"), cell(results, f"step.llm_int8.b{b}"),
            slowdown(results, f"step.w8a8.b{b}", f"step.llm_int8.b{b}"), least, aim]
           for b, least, aim in ((1, "6.5 ms", "5.5 ms"), (8, "9.5 ms", "7.5 ms"), (32, "16 ms", "14.5 ms"), (64, "25 ms", "23.8 ms"))] +
          [["prefill of 2048", cell(results, "prefill.w8a8.2048"), cell(results, "prefill.llm_int8.2048"),
            slowdown(results, "prefill.w8a8.2048", "prefill.llm_int8.2048"), "90 ms", "65 ms"]])
    table("Loading (packing on the device; share of the link)", ["shape", "figure"],
          [[shape, cell(results, f"load.{shape}")] for shape in SHAPES])
    table("opt-66b whole on one device, dummy weights", ["batch", "figure"],
          [[str(b), cell(results, f"opt66b.b{b}")] for b in (1, 32)])
    checks = sorted(key for key in results if key.startswith(("part.", "ids.", "digest.")))
    table("Checks", ["what", "result"], [[key, cell(results, key)] for key in checks])


if __name__ == "__main__":
    main()
