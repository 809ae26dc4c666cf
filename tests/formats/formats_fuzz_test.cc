// Each parser, given 2,000 damaged copies of a small sound file: an InputError of one line or a
// sound load, never anything else (allocation_limit.cc and the sanitizers watch).
#include <gtest/gtest.h>

#include "runtime/formats/gguf_file.h"
#include "runtime/formats/safetensors_folder.h"
#include "runtime/formats/safetensors_writer.h"
#include "tests/formats/expect_sound_or_error.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

TEST(FormatsFuzz, Gguf_ThrowsInputErrorOrLoads) {
  GgufBuilder builder;
  builder.key_string("general.architecture", "llama");
  builder.key_u32("general.alignment", 32);
  builder.key_strings("tokenizer.ggml.tokens", {"<s>", "</s>", "a", "b"});
  builder.key_f32("llama.rope.freq_base", 10000.0f);
  builder.tensor("token_embd.weight", {32, 4}, 8, std::string(136, 'e'));
  builder.tensor("output_norm.weight", {32}, 0, std::string(128, 'n'));
  TempFolder folder;
  write_file(folder / "model.gguf", builder.build());
  expect_errors_or_sound_loads(folder / "model.gguf", [&] { GgufFile(folder / "model.gguf"); });
}

TEST(FormatsFuzz, SafetensorsAndIndex_ThrowInputErrorOrLoad) {
  TempFolder folder;
  const SafetensorsSpec specs[] = {{"model.norm.weight", DType::kF32, Shape{4}},
                                   {"lm_head.weight", DType::kBF16, Shape{4, 4}}};
  SafetensorsWriter(folder / "a.safetensors", specs).sync();
  write_file(folder / kSafetensorsIndex,
             R"({"metadata":{"total_size":48},"weight_map":{"lm_head.weight":"a.safetensors",)"
             R"("model.norm.weight":"a.safetensors"}})");
  const auto load = [&] { SafetensorsFolder{folder.path()}; };
  expect_errors_or_sound_loads(folder / "a.safetensors", load);
  expect_errors_or_sound_loads(folder / kSafetensorsIndex, load);
}

}  // namespace
}  // namespace octet
