// A model as it lies on the disk: its files, its hyper-parameters and its family, checked against
// each other.
#pragma once

#include <filesystem>
#include <memory>

#include "runtime/layers/weight_scope.h"
#include "runtime/models/causal_lm.h"
#include "runtime/models/family.h"
#include "runtime/weights/checkpoint.h"

namespace octet {

struct ModelFiles {
  std::unique_ptr<Checkpoint> checkpoint;  // under the names of module_names.h
  ModelArgs args;
  bool has_int8() const;  // any int8 weight
};

// Opens a Hugging Face folder, a GGUF file or an artefact; reads no weight. Throws InputError
// naming the file and what is wrong: no known family, a config that it refuses, a tensor that is
// missing or not the family's.
ModelFiles open_model(const std::filesystem::path& path);

// The model of one rank, its weights read and packed.
std::unique_ptr<CausalLM> make_model(const ModelContext& context);

}  // namespace octet
