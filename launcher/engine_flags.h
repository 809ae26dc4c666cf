// The engine's flags, under vLLM's names, the same on every verb that starts ranks.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "comm/communicator_factory.h"
#include "runtime/engine/engine_options.h"

namespace octet {

void add_engine_flags(CLI::App& command, EngineOptions& options, int& tensor_parallel_size);
void add_engine_flags(CLI::App& command, EngineOptions& options);  // without the ranks

// These flags as they were given to `command`, for another process; without the ranks.
std::vector<std::string> engine_arguments(const CLI::App& command);

// --tensor-parallel-size alone; `octet worker` takes it from mpirun.
void add_tensor_parallel_flag(CLI::App& command, int& tensor_parallel_size);

// --load-format and --num-hidden-layers, of every verb that opens a model.
void add_source_flags(CLI::App& command, std::string& load_format, int& num_hidden_layers);

// --head: keep, or int8.
void add_head_flag(CLI::App& command, std::string& head, const std::string& help);

// Throws InputError where MODEL is a preset, which no text can be put to. `instead` is what to
// give.
void require_tokenizer(const EngineOptions& options, const char* instead);

// Binds this rank, unless its device is a GPU, to its share of the host's NUMA nodes, and gives its
// options: its place on its host and, when the flag was not given, its share of the host's cores.
EngineOptions place_rank(EngineOptions options, const World& world);

}  // namespace octet
