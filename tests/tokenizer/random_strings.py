#!/usr/bin/env python3
"""20,000 random strings: are ids and decoded texts the same as the `tokenizers` package's (and sentencepiece's)?

    random_strings.py --encode-lines build/release/tests/tokenizer/encode_lines --data ../shared/data [--count 20000]
    random_strings.py ... --write tests/tokenizer/random_vectors.json     the vectors that ctest runs without the packages
    random_strings.py --train tests/tokenizer/data                       the small Unigram vocabulary that the tests carry

Needs the Python packages tokenizers, sentencepiece and protobuf. Prints one line per vocabulary; exit code 1 when one differs.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import vocabularies  # noqa: E402

SEED = 20240607
SCRIPTS = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x590, 0x5FF), (0x600, 0x6FF),
           (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1AB0, 0x1AFF),
           (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x2070, 0x218F), (0x2190, 0x23FF), (0x2580, 0x27BF), (0x3000, 0x30FF),
           (0x3130, 0x318F), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFEFF),
           (0xFF00, 0xFFEF), (0x10000, 0x1007F), (0x11000, 0x1107F), (0x1D400, 0x1D7FF), (0x1F1E6, 0x1F1FF),
           (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0x30000, 0x323AF), (0xE0000, 0xE007F), (0xF0000, 0xF00FF)]
WORDS = ("the of and Hello world 's 're I'LL don't 2024 3.14159 e.g. foo_bar() http://a.b/c?d=e <s> </s> <unk> "
         "<|endoftext|> <0x0A> naïve café Straße ÅNGSTRÖM שלום مرحبا नमस्ते 你好世界 こんにちは 안녕하세요 Привет 👍🏽 "
         "👨‍👩‍👧‍👦 🇩🇪 ﬁn ½ ① ㍿ ｆｕｌｌ ｗｉｄｔｈ ▁ ▁▁ \u200b \ufeff \u00a0 \u2028 \u1680 \u180e").split(" ")


def character(rng, low, high):
    while True:
        point = rng.randint(low, high)
        if not 0xD800 <= point < 0xE000:
            return chr(point)


def any_plane(rng):
    return "".join(character(rng, 0, 0x10FFFF) for _ in range(rng.randint(1, 24)))


def one_script(rng):
    low, high = rng.choice(SCRIPTS)
    return "".join(" " if rng.random() < 0.15 else character(rng, low, high) for _ in range(rng.randint(1, 40)))


def mixed_scripts(rng):
    return "".join(one_script(rng)[:rng.randint(1, 6)] for _ in range(rng.randint(2, 12)))


def control(rng):
    return "".join(chr(rng.choice([rng.randint(0, 0x20), rng.randint(0x7F, 0xA0), 0x61, 0x31])) for _ in range(rng.randint(1, 30)))


def long_run(rng):
    unit = rng.choice([" ", "a", "\n", "\t", "0", "é", "の", "👍", "=", "▁", "ab", " \n", character(rng, 0x21, 0xFFFF)])
    return rng.choice(["", "x", " "]) + unit * rng.randint(20, 400) + rng.choice(["", "y", " "])


def words(rng):
    return "".join(rng.choice(WORDS) + rng.choice([" ", "", "  ", "\n", ", ", ". "]) for _ in range(rng.randint(1, 15)))


def marks(rng):
    return "".join(character(rng, *rng.choice([(0x41, 0x7A), (0x300, 0x36F), (0x1AB0, 0x1ACE), (0x591, 0x5C7), (0x1100, 0x11FF),
                                               (0x900, 0x963), (0x1E8D0, 0x1E8D6), (0xF71, 0xF84)])) for _ in range(rng.randint(2, 16)))


KINDS = [any_plane, one_script, mixed_scripts, control, long_run, words, marks]


def strings(count):
    rng = random.Random(SEED)
    return [KINDS[i % len(KINDS)](rng) for i in range(count)]


def octet(binary, path, texts, *flags):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    run = subprocess.run([binary, path, *flags], input=lines, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"{binary} {path}: {run.stderr}")
    return [json.loads(line) for line in run.stdout.split("\n") if line]


def compare(name, vocabulary, binary, texts, parse_special):
    """One line of the report; True when all agree."""
    same_ids = same_text = back = shown = 0
    answers = octet(binary, vocabulary.path, texts, *(["parse_special"] if parse_special else []))
    for text, ours in zip(texts, answers, strict=True):
        ids = vocabulary.encode(text, parse_special)
        theirs = vocabulary.decode(ids)
        decoded = ours["decoded"]
        if isinstance(vocabulary, vocabularies.FromSentencePiece):  # it may drop more spaces at the start
            theirs, decoded = theirs.lstrip(" "), decoded.lstrip(" ")
        same_ids += ids == ours["ids"]
        same_text += theirs == decoded
        back += vocabulary.back is not None and vocabulary.back(text) == decoded
        if (ids != ours["ids"] or theirs != decoded) and shown < 3:
            shown += 1
            print(f"  {name}: {text!r}\n    theirs {ids[:40]} {theirs!r}\n    ours   {ours['ids'][:40]} {decoded!r}")
    gives_back = vocabulary.back is not None and not parse_special
    print(f"{name}{', special tokens parsed' if parse_special else ''}: {len(texts)} strings, {same_ids} agree id for id, "
          f"{same_text} decode to the same text{f', {back} decode back' if gives_back else ''}", flush=True)
    return same_ids == same_text == len(texts) and (not gives_back or back == len(texts))


def fnv1a(ids):
    """64 bits over the ids as little-endian 32-bit numbers."""
    value = 0xCBF29CE484222325
    for byte in b"".join(i.to_bytes(4, "little") for i in ids):
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def write_vectors(path, everything, texts):
    texts = [text for text in texts if len(text) < 60]
    vectors = {name: [fnv1a(v.encode(text)) for text in texts] for name, v in everything.items() if v.in_vectors}
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"texts": texts, "hashes": vectors}, out, indent=0)
        out.write("\n")
    print(f"{path}: {len(texts)} strings, {os.path.getsize(path)} bytes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--encode-lines", default="build/release/tests/tokenizer/encode_lines")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--only", default="")
    parser.add_argument("--write")
    parser.add_argument("--train")
    args = parser.parse_args()
    if args.train:
        vocabularies.train_small(args.train, args.data)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        everything = vocabularies.prepare(folder, args.data)
        if args.write:
            write_vectors(args.write, everything, strings(420))
            return 0
        texts = strings(args.count)
        good = [compare(name, v, args.encode_lines, texts, mode) for name, v in everything.items() if args.only in name
                for mode in v.modes]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
