// stories260K (../shared/data), a trained model in llama2.c's checkpoint format, as a Hugging Face
// folder with a GGUF vocabulary, so that the runtime reads it like any other.
#pragma once

#include <filesystem>

namespace octet::testing {

std::filesystem::path stories260k_data();  // may not exist

// Writes config.json, model.safetensors and tokenizer.gguf into `folder`; returns it.
std::filesystem::path convert_stories260k(const std::filesystem::path& folder);

}  // namespace octet::testing
