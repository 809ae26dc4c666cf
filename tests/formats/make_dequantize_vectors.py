"""Writes dequantize_vectors.json: random blocks of every GGUF format that Octet reads, and what the Python package `gguf`
makes of them. Run by hand: pip install gguf numpy; python make_dequantize_vectors.py > dequantize_vectors.json
"""

import json

import gguf
import numpy as np

# Format, blocks, and where in a block the fp16 scales are (the other bytes are random).
FORMATS = [
    ("F32", 8, None), ("F16", 8, None), ("BF16", 8, None),
    ("Q4_0", 2, [0]), ("Q4_1", 2, [0, 2]), ("Q5_0", 2, [0]), ("Q5_1", 2, [0, 2]), ("Q8_0", 2, [0]),
    ("Q4_K", 1, [0, 2]), ("Q5_K", 1, [0, 2]), ("Q6_K", 1, [208]),
]


def main():
    random = np.random.default_rng(2)
    vectors = {}
    for name, blocks, scales in FORMATS:
        kind = gguf.GGMLQuantizationType[name]
        _, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        if scales is None:
            values = random.standard_normal(blocks).astype(np.float32)
            raw = gguf.quants.quantize(values.reshape(1, -1), kind).view(np.uint8).reshape(-1)
        else:
            raw = random.integers(0, 256, (blocks, block_bytes), dtype=np.uint8)
            for at in scales:
                halves = random.uniform(-0.1, 0.1, blocks).astype(np.float16)
                raw[:, at : at + 2] = halves.view(np.uint8).reshape(blocks, 2)
            raw = raw.reshape(-1)
        out = gguf.quants.dequantize(raw.view(np.float32) if name == "F32" else raw, kind)
        vectors[name] = {"blocks": raw.tobytes().hex(), "f32": out.astype(np.float32).tobytes().hex()}
    print(json.dumps(vectors, indent=1))


main()
