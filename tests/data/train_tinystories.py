#!/usr/bin/env python3
"""Trains the small model that the project carries: tests/data/tinystories, LLaMA architecture, about 1.2 M parameters.

    train_tinystories.py TEXT OUT [--minutes 30] [--threads 1]

TEXT: stories separated by lines "<|endoftext|>" (an excerpt of TinyStories, Eldan and Li 2023). OUT: a Hugging Face
folder: config.json, model.safetensors (bfloat16), tokenizer.json, tokenizer_config.json, generation_config.json.
Geometry: SmolLM2's awkward one in small (9 query heads, 3 KV heads), an MLP width that 8 shards divide unevenly.
Needs torch, tokenizers, safetensors. The learning rate follows the clock, so that any machine ends in time: two runs
differ. The committed model: 32 minutes on one core, 2655 steps, loss 1.46 (held out 3.41).
"""
import argparse
import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"
CONFIG = dict(
    architectures=["LlamaForCausalLM"], model_type="llama", torch_dtype="bfloat16", hidden_act="silu",
    hidden_size=144, intermediate_size=388, num_hidden_layers=5, num_attention_heads=9, num_key_value_heads=3,
    head_dim=16, vocab_size=1024, max_position_embeddings=512, rms_norm_eps=1e-5, rope_theta=10000.0,
    tie_word_embeddings=True, attention_bias=False, mlp_bias=False, bos_token_id=0, eos_token_id=0)
C = argparse.Namespace(**CONFIG)


def train_tokenizer(stories, out):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=C.vocab_size, special_tokens=[END], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(stories, trainer)
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(json.dumps(
        dict(tokenizer_class="PreTrainedTokenizerFast", bos_token=END, eos_token=END, add_bos_token=False,
             model_max_length=C.max_position_embeddings), indent=2) + "\n")
    (out / "generation_config.json").write_text(json.dumps(dict(bos_token_id=0, eos_token_id=0), indent=2) + "\n")
    (out / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    return tokenizer


def initial_weights(generator):
    """Name -> parameter, under Hugging Face's names; [out, in]."""
    def normal(*shape, std=0.02):
        return (torch.randn(*shape, generator=generator) * std).requires_grad_()

    h, i, q, kv = C.hidden_size, C.intermediate_size, C.num_attention_heads * C.head_dim, C.num_key_value_heads * C.head_dim
    small = 0.02 / math.sqrt(2 * C.num_hidden_layers)
    w = {"model.embed_tokens.weight": normal(C.vocab_size, h), "model.norm.weight": torch.ones(h, requires_grad=True)}
    for layer in range(C.num_hidden_layers):
        p = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            w[p + norm + ".weight"] = torch.ones(h, requires_grad=True)
        w[p + "self_attn.q_proj.weight"] = normal(q, h, std=0.05)
        w[p + "self_attn.k_proj.weight"] = normal(kv, h, std=0.05)
        w[p + "self_attn.v_proj.weight"] = normal(kv, h, std=0.05)
        w[p + "self_attn.o_proj.weight"] = normal(h, q, std=small)
        w[p + "mlp.gate_proj.weight"] = normal(i, h, std=0.05)
        w[p + "mlp.up_proj.weight"] = normal(i, h, std=0.05)
        w[p + "mlp.down_proj.weight"] = normal(h, i, std=small)
    return w


def rope(x, cos, sin):  # x: [batch, heads, n, d]; pairs (i, i + d / 2)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def forward(w, ids):  # [batch, n] -> [batch, n, vocab]
    batch, n = ids.shape
    angles = torch.outer(torch.arange(n).float(),
                         C.rope_theta ** (-torch.arange(0, C.head_dim, 2).float() / C.head_dim))
    cos, sin = angles.cos(), angles.sin()

    def norm(x, name):
        return F.rms_norm(x, (C.hidden_size,), w[name + ".weight"], C.rms_norm_eps)

    x = F.embedding(ids, w["model.embed_tokens.weight"])
    for layer in range(C.num_hidden_layers):
        p = f"model.layers.{layer}."
        y = norm(x, p + "input_layernorm")
        q, k, v = (F.linear(y, w[p + f"self_attn.{name}_proj.weight"]).view(batch, n, -1, C.head_dim).transpose(1, 2)
                   for name in "qkv")
        group = C.num_attention_heads // C.num_key_value_heads
        k, v = rope(k, cos, sin).repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = F.scaled_dot_product_attention(rope(q, cos, sin), k, v, is_causal=True)
        x = x + F.linear(y.transpose(1, 2).reshape(batch, n, -1), w[p + "self_attn.o_proj.weight"])
        y = norm(x, p + "post_attention_layernorm")
        y = F.silu(F.linear(y, w[p + "mlp.gate_proj.weight"])) * F.linear(y, w[p + "mlp.up_proj.weight"])
        x = x + F.linear(y, w[p + "mlp.down_proj.weight"])
    return F.linear(norm(x, "model.norm"), w["model.embed_tokens.weight"])


def save(w, out):
    save_file({name: p.detach().to(torch.bfloat16).contiguous() for name, p in w.items()},
              str(out / "model.safetensors"), metadata={"format": "pt"})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    stories = [s.strip() for s in args.text.read_text().split(END) if s.strip()]
    tokenizer = train_tokenizer(stories, args.out)
    ids = torch.tensor([i for story in stories for i in [0] + tokenizer.encode(story).ids])
    held_out, ids = ids[:8192], ids[8192:]
    print(f"{len(stories)} stories, {len(ids)} tokens", flush=True)

    generator = torch.Generator().manual_seed(1)
    w = initial_weights(generator)
    print(f"{sum(p.numel() for p in w.values())} parameters", flush=True)
    decay = [p for p in w.values() if p.dim() == 2]
    plain = [p for p in w.values() if p.dim() == 1]
    peak, batch, n = 4e-3, 16, 256
    optimizer = torch.optim.AdamW([dict(params=decay, weight_decay=0.1), dict(params=plain, weight_decay=0.0)],
                                  lr=peak, betas=(0.9, 0.95))
    start, step, progress = time.time(), 0, 0.0
    while progress < 1:
        progress = min(1.0, (time.time() - start) / (60 * args.minutes))
        rate = peak * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        places = torch.randint(len(ids) - n - 1, (batch,), generator=generator)
        rows = torch.stack([ids[p:p + n + 1] for p in places])
        loss = F.cross_entropy(forward(w, rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(w.values(), 1.0)
        optimizer.step()
        if step % 100 == 0 or progress == 1:
            with torch.no_grad():
                rows = held_out[:8 * 513].view(8, 513)
                score = F.cross_entropy(forward(w, rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
            print(f"{time.time() - start:6.0f} s  step {step}  loss {loss:.3f}  held out {score:.3f}", flush=True)
            save(w, args.out)
        step += 1


if __name__ == "__main__":
    main()
