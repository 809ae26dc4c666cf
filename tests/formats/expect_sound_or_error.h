// A parser, given 2,000 damaged copies of a small sound file: an InputError of one line or a sound
// load, never anything else.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

#include "runtime/request/error.h"
#include "tests/formats/mutation.h"
#include "tests/formats/temp_folder.h"

namespace octet {

inline constexpr int kMutations = 2000;

// `damage` gives a damaged copy of a sound file's bytes.
inline void expect_errors_or_sound_loads(
    const std::filesystem::path& path, const std::function<void()>& load,
    const std::function<std::string(Mutator&, const std::string&)>& damage =
        [](Mutator& mutator, const std::string& sound) { return mutator.mutate(sound); }) {
  const std::string sound = read_file(path);
  load();
  Mutator mutator(7);
  int refused = 0;
  for (int i = 0; i < kMutations; ++i) {
    write_file(path, damage(mutator, sound));
    try {
      load();
    } catch (const InputError& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    } catch (const std::exception& error) {
      FAIL() << "mutation " << i << ": " << error.what();
    }
  }
  EXPECT_GT(refused, kMutations / 4);
  write_file(path, sound);
}

}  // namespace octet
