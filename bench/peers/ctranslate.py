"""CTranslate2's int8 generator on random weights of a LLaMA shape.

    ctranslate.py SHAPE FOLDER --threads N --prompt 512 --batch 1,8 --context 64 --tokens 16 --runs 5

The model is made in FOLDER once. A decode step is (time of --tokens more tokens) / --tokens: greedy search included.
"""
import argparse
import json
import os
import time

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

SHAPES = {
    "135m": dict(hidden=576, layers=30, heads=9, kv=3, mlp=1536, vocab=49152),
    "1.1b": dict(hidden=2048, layers=22, heads=32, kv=4, mlp=5632, vocab=32000),
}


def make_model(shape, folder):
    hidden, heads, kv = shape["hidden"], shape["heads"], shape["kv"]
    rng = np.random.default_rng(1)
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape["layers"], heads, activation=common_spec.Activation.SWISH, pre_norm=True, ffn_glu=True, rms_norm=True,
        rotary_dim=0, rotary_interleave=False, rotary_base=10000, num_heads_kv=kv)

    def matrix(rows, columns):
        return (rng.random((rows, columns), dtype=np.float32) - 0.5) * 0.07

    def ones():
        return np.ones(hidden, dtype=np.float32)

    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = matrix(shape["vocab"], hidden)
    decoder.projection.weight = matrix(shape["vocab"], hidden)
    decoder.layer_norm.gamma = ones()
    for layer in decoder.layer:
        layer.self_attention.layer_norm.gamma = ones()
        layer.self_attention.linear[0].weight = matrix(hidden + 2 * kv * (hidden // heads), hidden)
        layer.self_attention.linear[1].weight = matrix(hidden, hidden)
        layer.ffn.layer_norm.gamma = ones()
        layer.ffn.linear_0.weight = matrix(shape["mlp"], hidden)
        layer.ffn.linear_0_noact.weight = matrix(shape["mlp"], hidden)
        layer.ffn.linear_1.weight = matrix(hidden, shape["mlp"])
    spec.register_vocabulary(["<unk>", "<s>", "</s>"] + [f"t{i}" for i in range(3, shape["vocab"])])
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "<s>", "</s>", "<unk>"
    spec.config.layer_norm_epsilon = 1e-5
    spec.validate()
    spec.optimize(quantization="int8")
    os.makedirs(folder, exist_ok=True)
    spec.save(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--batch", default="1,4,8,16,32")
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    if not os.path.exists(os.path.join(args.folder, "model.bin")):
        make_model(SHAPES[args.shape], args.folder)
    generator = ctranslate2.Generator(args.folder, device="cpu", compute_type="int8", intra_threads=args.threads)

    def generate(sequences, prompt, tokens):
        prompts = [[f"t{(s * 131 + i * 17) % 1000 + 5}" for i in range(prompt)] for s in range(sequences)]
        start = time.perf_counter()
        generator.generate_batch(prompts, max_length=tokens, min_length=tokens, include_prompt_in_result=False)
        return time.perf_counter() - start

    if args.prompt:
        seconds = [generate(1, args.prompt, 1) for _ in range(args.runs + 1)][1:]
        print(json.dumps({"what": f"prefill {args.prompt}", "tokens": args.prompt, "seconds": seconds}), flush=True)
    for sequences in [int(b) for b in args.batch.split(",") if b]:
        seconds = []
        for _ in range(args.runs + 1):
            first = generate(sequences, args.context, 1)
            seconds.append((generate(sequences, args.context, args.tokens + 1) - first) / args.tokens)
        print(json.dumps({"what": f"decode batch:{sequences}", "tokens": sequences, "seconds": seconds[1:]}), flush=True)


if __name__ == "__main__":
    main()
