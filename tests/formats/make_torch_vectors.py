"""Writes torch_vectors/*.bin: small files by torch.save, as torch itself writes them, and some that Octet refuses. The values of
the tensor NAME[i] are i / 4 - 1 everywhere; torch_vectors_test.cc knows them. Run by hand:
pip install torch numpy; python make_torch_vectors.py
"""

import argparse
import collections
import pathlib

import torch

FOLDER = pathlib.Path(__file__).parent / "torch_vectors"


def ramp(*shape, dtype=torch.float32):
    count = 1
    for extent in shape:
        count *= extent
    return (torch.arange(count, dtype=torch.float32) / 4 - 1).reshape(shape).to(dtype)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.embed.weight.data = ramp(5, 3)
        self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(x)


def main():
    FOLDER.mkdir(exist_ok=True)
    model = Model()
    types = {
        "f32": ramp(2, 3), "f16": ramp(2, 3, dtype=torch.float16), "bf16": ramp(2, 3, dtype=torch.bfloat16),
        "i8": torch.arange(-2, 4, dtype=torch.int8), "u8": torch.arange(6, dtype=torch.uint8),
        "i32": torch.arange(6, dtype=torch.int32), "i64": torch.arange(6), "scalar": torch.tensor(-1.0),
        "empty": torch.zeros(0, 4),
    }
    rows = ramp(6, 2)
    parameter = torch.nn.Parameter(ramp(2, 3))
    files = {
        "module": model.state_dict(),  # tied: both names share a storage; with _metadata
        "types": types,
        "views": collections.OrderedDict(all=rows, tail=rows[4:], one=rows[3]),
        "parameter": {"p": parameter, "t": parameter.detach()},
        "state_dict": {"epoch": 3, "lr": 0.5, "best": None, "state_dict": {"f32": ramp(2, 3)}},
        "model": {"model": collections.OrderedDict(f32=ramp(2, 3)), "steps": [1, 2**40, (True, "x")]},
        "double": {"wide": torch.zeros(2, dtype=torch.float64)},
        "bool": {"mask": torch.zeros(2, dtype=torch.bool)},
        "transposed": {"t": ramp(2, 3).t()},
        "code": {"args": argparse.Namespace(lr=1), "state_dict": {"f32": ramp(2, 3)}},
        "float8": {"f8": torch.zeros(2, dtype=torch.float8_e4m3fn)},
    }
    for name, value in files.items():
        torch.save(value, FOLDER / f"{name}.bin")
    torch.save(types, FOLDER / "protocol4.bin", pickle_protocol=4)
    torch.save(types, FOLDER / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(torch.nn.Identity()), str(FOLDER / "script.bin"))


main()
