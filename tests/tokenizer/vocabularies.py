"""The vocabularies of random_strings.py: each as a file that Octet reads and as an oracle of another maker."""
import base64
import json
import os
import re
import shutil

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

CARRIED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")


class FromTokenizers:
    """back(text): what decoding gives back of a text, where that is known."""

    modes = (False, True)  # parse_special: special tokens written in a text are tokens

    def __init__(self, path, tokenizer, back=None, in_vectors=True):
        self.path, self.tokenizer, self.back, self.in_vectors = path, tokenizer, back, in_vectors

    def encode(self, text, parse_special=False):
        self.tokenizer.encode_special_tokens = not parse_special
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=True)


class FromSentencePiece:
    """Unknown tokens are no text here; the package gives them a sign of its own."""

    modes = (False,)
    back = None

    def __init__(self, path, in_vectors=False):
        self.path, self.in_vectors = path, in_vectors
        self.processor = sentencepiece.SentencePieceProcessor(model_file=path)

    def encode(self, text, parse_special=False):
        assert not parse_special
        return self.processor.encode(text)

    def decode(self, ids):
        unknown = self.processor.unk_id()
        return self.processor.decode([i for i in ids if i != unknown])


def gpt2(folder, data):
    """vocab.json and merges.txt, under the names that the Hugging Face hub gives them."""
    shutil.copyfile(f"{data}/tokenizers/gpt2/encoder.json", f"{folder}/vocab.json")
    shutil.copyfile(f"{data}/tokenizers/gpt2/vocab.bpe", f"{folder}/merges.txt")
    tokenizer = Tokenizer(models.BPE.from_file(f"{folder}/vocab.json", f"{folder}/merges.txt"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return FromTokenizers(folder, tokenizer, back=str)


def gpt_neox(data):
    path = f"{data}/tokenizers/gpt-neox/20B_tokenizer.json"
    tokenizer = Tokenizer.from_file(path)
    return FromTokenizers(path, tokenizer, back=tokenizer.normalizer.normalize_str)


def llama_tokenizer(data):
    """LLaMA's vocabulary and merges out of llama-tokenizer.js, with the stages of its tokenizer.json."""
    source = open(f"{data}/tokenizers/llama-spm/llama-tokenizer.js", encoding="utf-8").read()
    pieces, packed = (base64.b64decode(re.search(rf'const {name} = "([^"]*)"', source).group(1))
                      for name in ("llama_vocab_base64", "llama_merges_binary"))
    pieces = pieces.decode().split("\n")
    ids = [int.from_bytes(packed[i:i + 2], "little") for i in range(0, len(packed), 2)]
    merges = [(pieces[a], pieces[b]) for a, b in zip(ids[::2], ids[1::2], strict=True)]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges, unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def unigram_tokenizer(model_file):
    """A SentencePiece Unigram model with the stages that Hugging Face's converters give it."""
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(open(model_file, "rb").read())
    tokenizer = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], proto.trainer_spec.unk_id,
                                         proto.trainer_spec.byte_fallback))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
                                                 normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([p.piece for p in proto.pieces if p.type in (2, 3)])
    return tokenizer


def train(prefix, data, **options):
    sentencepiece.SentencePieceTrainer.train(
        input=f"{data}/text/wiki.test.raw,{data}/text/tinystories_train_head_2MiB.txt", model_prefix=prefix,
        input_sentence_size=8000, num_threads=1, minloglevel=2, **options)
    os.remove(prefix + ".vocab")
    return prefix + ".model"


RULES = [("Ａ", "A"), ("ａ", "a"), ("ﬁ", "fi"), ("½", "1⁄2"), ("…", "..."), ("\u00a0", " "), ("\u3000", " "), ("\u200b", ""),
         ("e\u0301", "é"), ("\t", " "), ("\n", " ")]


def train_small(folder, data):
    """The Unigram vocabulary that the tests carry: few pieces, few rules, bytes for the rest."""
    os.makedirs(folder, exist_ok=True)
    rules = f"{folder}/rules.tsv"
    with open(rules, "w", encoding="utf-8") as out:
        for source, target in RULES:
            out.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
    path = train(f"{folder}/unigram", data, vocab_size=1000, byte_fallback=True, normalization_rule_tsv=rules,
                 user_defined_symbols=["<sep>", "ing"], self_test_sample_size=0)
    os.remove(rules)
    unigram_tokenizer(path).save(f"{folder}/unigram.json", pretty=False)


def spaces(text):
    return text.replace("▁", " ")


def prepare(folder, data):
    everything = {}
    os.makedirs(f"{folder}/gpt2")
    everything["gpt2"] = gpt2(f"{folder}/gpt2", data)
    everything["gpt-neox"] = gpt_neox(data)
    llama = llama_tokenizer(data)
    llama.save(f"{folder}/llama.json")
    everything["llama"] = FromTokenizers(f"{folder}/llama.json", llama, back=spaces, in_vectors=False)
    everything["llama-gguf"] = FromTokenizers(f"{data}/tokenizers/vectors/ggml-vocab-llama-spm.gguf", llama, back=spaces)
    nfkc = train(f"{folder}/nfkc", data, vocab_size=6000, character_coverage=0.9995)
    tokenizer = unigram_tokenizer(nfkc)
    tokenizer.save(f"{folder}/nfkc.json")
    everything["unigram-nfkc"] = FromTokenizers(f"{folder}/nfkc.json", tokenizer, in_vectors=False)
    everything["unigram-nfkc-model"] = FromSentencePiece(nfkc)
    bpe = train(f"{folder}/bpe", data, model_type="bpe", vocab_size=2000, byte_fallback=True,
                user_defined_symbols=["<sep>", "ing", "\n"], normalization_rule_name="identity", remove_extra_whitespaces=False)
    everything["bpe-model"] = FromSentencePiece(bpe)
    carried = f"{CARRIED}/unigram.json"
    if os.path.exists(carried):
        everything["carried-unigram"] = FromTokenizers(carried, Tokenizer.from_file(carried))
        everything["carried-unigram-model"] = FromSentencePiece(f"{CARRIED}/unigram.model", in_vectors=True)
    stories = os.path.join(CARRIED, "../../data/tinystories/tokenizer.json")
    everything["tinystories"] = FromTokenizers(stories, Tokenizer.from_file(stories), back=str)
    return everything
