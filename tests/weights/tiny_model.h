// Tiny LLaMA checkpoints that tests write themselves: the same random weights as a Hugging Face
// folder or as a GGUF file.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/tensor.h"

namespace octet {

// 2 layers, hidden 24, 6 heads of 4 on 3 KV heads, MLP 20, vocabulary 40, tied.
nlohmann::json tiny_config();

struct TinyTensor {
  std::string name;
  Shape shape;
  std::vector<float> values;
};
std::vector<TinyTensor> tiny_tensors();  // sorted by name; values are exact in bf16

// dtype: kF32, kF16 or kBF16. num_files > 1: with an index. Writes a tokenizer.json too.
void write_tiny_folder(const std::filesystem::path& folder, DType dtype, int num_files = 1,
                       const std::vector<TinyTensor>& tensors = tiny_tensors());

// The same in bf16 with a head of its own, the embedding's values backwards.
void write_untied_folder(const std::filesystem::path& folder);

void write_tiny_gguf(const std::filesystem::path& path);  // F32

}  // namespace octet
