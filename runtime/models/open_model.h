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

struct ModelSource {
  std::filesystem::path path;  // artefact folder, Hugging Face folder, or GGUF file
  // Random weights in place of files: path is a preset's name, or a folder of which only
  // config.json is read.
  bool dummy = false;
  bool int8_head = false;     // of dummy weights; other sources have the head that they have
  int num_hidden_layers = 0;  // run the first so many layers; 0: all
};

struct ModelFiles {
  std::unique_ptr<Checkpoint> checkpoint;  // under the names of module_names.h
  ModelArgs args;
  bool has_int8() const;  // any int8 weight
};

// Reads no weight, but for a head that is stored beside the embedding it is tied to. Throws
// InputError naming the file and what is wrong: no known family, a config that it refuses, a tensor
// that is missing or not the family's.
ModelFiles open_model(const ModelSource& source);

// The model of one rank, its weights read and packed.
std::unique_ptr<CausalLM> make_model(const ModelContext& context);

}  // namespace octet
