#!/usr/bin/env python3
"""Each stage of tokenizer.json alone, against the `tokenizers` package.

    stage_vectors.py --encode-lines build/release/tests/tokenizer/encode_lines [--count 2000]
    stage_vectors.py --write tests/tokenizer/stage_vectors.json        the vectors that ctest runs without the package

The vocabulary knows a few characters; any other stretch of one word is one unknown token, so ids show the cuts.
"""
import argparse
import json
import random
import sys
import tempfile

from random_strings import octet
from tokenizers import Tokenizer

PIECES = ["<unk>", "a", "b", "A", "1", "2", ".", ",", "-", " ", "▁", "Ġ", "Ċ", "é", "e", "i", "\u0301", "ab", "▁a", "Ġa", "  ", "..",
          "<0x0A>", "x", "▁▁", "12"]
BPE = {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": False, "ignore_merges": False,
       "vocab": {piece: i for i, piece in enumerate(PIECES)},
       "merges": ["a b", "▁ a", "Ġ a", ". .", "▁ ▁", "1 2"]}
UNIGRAM = {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
           "vocab": [[piece, 0.0 if i == 0 else -1.0 - (i * 7 % 11) / 3.0] for i, piece in enumerate(PIECES)]}
META = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}


def token(number, content, **flags):
    fields = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": number, "content": content} | fields | flags


def split(behavior, pattern, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def template(*single):
    return {"type": "TemplateProcessing", "pair": [], "special_tokens": {
        "[C]": {"id": "[C]", "ids": [3], "tokens": ["A"]}, "[S]": {"id": "[S]", "ids": [4, 5], "tokens": ["1", "2"]}},
        "single": [{"Sequence": {"id": "A", "type_id": 0}} if name == "$A" else
                   {"SpecialToken": {"id": name, "type_id": 0}} for name in single]}


def cases():
    yield "bpe", {}
    yield "bpe that does not fuse unknowns", {"model": BPE | {"fuse_unk": False}}
    yield "bpe without an unknown token", {"model": BPE | {"unk_token": None}}
    yield "bpe of whole words", {"model": BPE | {"ignore_merges": True, "merges": []}, "pre_tokenizer": META}
    yield "bpe with byte fallback", {"model": BPE | {"byte_fallback": True}}
    yield "unigram", {"model": UNIGRAM}
    yield "unigram with byte fallback", {"model": UNIGRAM | {"byte_fallback": True}}
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"):
        yield name, {"normalizer": {"type": name}}
    yield "NFD then StripAccents then Lowercase", {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]}}
    for left in (False, True):
        for right in (False, True):
            yield f"Strip {left} {right}", {"normalizer": {"type": "Strip", "strip_left": left, "strip_right": right}}
    yield "Prepend", {"normalizer": {"type": "Prepend", "prepend": "▁"}}
    yield "Replace a string", {"normalizer": {"type": "Replace", "pattern": {"String": ". "}, "content": "a"}}
    yield "Replace a regex", {"normalizer": {"type": "Replace", "pattern": {"Regex": r"\s+|\d"}, "content": "▁"}}
    yield "ByteLevel normalizer", {"normalizer": {"type": "ByteLevel"}}
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield f"Split {behavior} {invert}", {"pre_tokenizer": split(behavior, {"Regex": r"\s|\."}, invert)}
        yield f"Split {behavior} at a string", {"pre_tokenizer": split(behavior, {"String": "."})}
        yield f"Punctuation {behavior}", {"pre_tokenizer": {"type": "Punctuation", "behavior": behavior}}
    for pattern in (r"\w+", r"\W+", r"^.", r".$", r"[\w.]+|\d", r"\h+", r"(?i:AB)|\p{N}{1,3}", r"\s*(?=\S)", r"[^\s\p{L}]+",
                    r"\p{Han}+|\p{Hiragana}", r"(?<=a)b", r"\p{^L}", r"\u0061+", r"[[:alpha:]]+", r"[^\w ]", "x*"):
        yield f"Split at {pattern}", {"pre_tokenizer": split("Isolated", {"Regex": pattern})}
    for scheme in ("always", "first", "never"):
        for cut in (False, True):
            meta = META | {"prepend_scheme": scheme, "split": cut}
            yield f"Metaspace {scheme} {cut}", {"pre_tokenizer": meta, "decoder": meta}
        stripped = {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "Strip", "strip_left": True, "strip_right": False}]}
        yield f"Strip and Metaspace {scheme}", {"normalizer": stripped, "pre_tokenizer": META | {"prepend_scheme": scheme}}
        yield f"WhitespaceSplit and Metaspace {scheme}", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"}, META | {"prepend_scheme": scheme}]}}
    for prefix in (False, True):
        for regex in (False, True):
            level = BYTES | {"add_prefix_space": prefix, "use_regex": regex}
            yield f"ByteLevel {prefix} {regex}", {"pre_tokenizer": level, "decoder": level}
    yield "Digits and ByteLevel", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, BYTES]}}
    for name in ("Whitespace", "WhitespaceSplit"):
        yield name, {"pre_tokenizer": {"type": name}}
    yield "Digits", {"pre_tokenizer": {"type": "Digits", "individual_digits": False}}
    yield "CharDelimiterSplit", {"pre_tokenizer": {"type": "CharDelimiterSplit", "delimiter": "."}}
    yield "TemplateProcessing", {"post_processor": template("[C]", "$A", "[S]")}
    yield "Sequence of processors", {"post_processor": {"type": "Sequence", "processors": [
        BYTES, template("[S]", "$A", "[C]")]}}
    roberta = {"sep": ["a", 1], "cls": ["b", 2]}
    yield "RobertaProcessing", {"post_processor": roberta | {"type": "RobertaProcessing", "trim_offsets": True,
                                                             "add_prefix_space": True}}
    yield "BertProcessing", {"post_processor": roberta | {"type": "BertProcessing"}}
    for flags in ({}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}, {"single_word": True},
                  {"normalized": True}, {"special": True}, {"normalized": True, "lstrip": True, "single_word": True}):
        added = [token(26, "<T>", **flags), token(27, "Bb", **flags), token(28, "Bb.", **flags)]
        name = " ".join(flags) or "plain"
        yield f"added tokens, {name}", {"added_tokens": added, "pre_tokenizer": META}
        yield f"added tokens, {name}, Lowercase", {"added_tokens": added, "normalizer": {"type": "Lowercase"},
                                                   "pre_tokenizer": META | {"prepend_scheme": "first"}}
    replace = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    for name, steps in (("llama", [replace, {"type": "ByteFallback"}, {"type": "Fuse"}, strip]), ("strips", [replace, strip])):
        yield f"decoder of {name}", {"normalizer": {"type": "Prepend", "prepend": "▁"}, "model": BPE | {"byte_fallback": True},
                                     "decoder": {"type": "Sequence", "decoders": steps}}


def whole(parts):
    everything = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                  "pre_tokenizer": None, "post_processor": None, "decoder": {"type": "Fuse"}, "model": BPE}
    return everything | parts


ALPHABET = ["a", "b", "A", "B", "Bb", "Bb.", "<T>", "1", "2", "12", ".", "..", ",", "-", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "é",
            "e\u0301", "İ", "ß", "ﬁ", "½", "²", "Ⅷ", "٣", "漢", "字", "ひ", "ー", "한", "_", "'s", "'", "▁", "x", "xx", "q", "Z", "\u200d",
            "\u0327", "\U0001f600", "\u0000", "\u0007", "\u2028", "$", "+", "¿", "\u180e", "\U00031350"]


def texts_of(name, count):
    rng = random.Random(name)
    return [""] + ["".join(rng.choice(ALPHABET) for _ in range(rng.randint(1, 12))) for _ in range(count)]


def vector(name, parts, count):
    tokenizer = Tokenizer.from_str(json.dumps(whole(parts)))
    lowered = "normalized" in name and "Lowercase" in name  # they decode to the normalised token, we to the token
    encode = [tokenizer.encode(text, add_special_tokens=True).ids for text in texts_of(name, count)]
    return {"name": name, "parts": parts, "texts": texts_of(name, count), "ids": encode,
            "decoded": [None if lowered else tokenizer.decode(ids) for ids in encode]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--encode-lines", default="build/release/tests/tokenizer/encode_lines")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--write")
    args = parser.parse_args()
    if args.write:
        with open(args.write, "w", encoding="utf-8") as out:
            vectors = [vector(name, parts, 6) for name, parts in cases()]
            rows = ",\n".join(json.dumps(v, separators=(",", ":")) for v in vectors)
            out.write(f'{{"base": {json.dumps(whole({}))},\n"cases": [\n{rows}\n]}}\n')
        return 0
    wrong = total = 0
    for name, parts in cases():
        expected = vector(name, parts, args.count)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(whole(parts)))
            file.flush()
            answers = octet(args.encode_lines, file.name, expected["texts"], "parse_special", "add_special")
        shown = 0
        for text, ids, decoded, ours in zip(expected["texts"], expected["ids"], expected["decoded"], answers, strict=True):
            total += 1
            if ids == ours["ids"] and decoded in (None, ours["decoded"]):
                continue
            wrong += 1
            shown += 1
            if shown <= 2:
                print(f"  {name}: {text!r}\n    theirs {ids} {decoded!r}\n    ours   {ours['ids']} {ours['decoded']!r}")
    print(f"{total - wrong} of {total} strings agree in ids and decoded text, {len(list(cases()))} stages")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
