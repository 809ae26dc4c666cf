// octet_device_bench [ceilings] [linear] [attention] [step] [yardstick] [ROWS...]: all of them
// where none is named, with as many rows (or sequences) as are named.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <string>
#include <vector>

#include "bench/device/timing.h"
#include "kernels/backend_factory.h"
#include "kernels/say.h"

int main(int argc, char** argv) {
  using namespace octet;
  std::vector<std::string> wanted;
  std::vector<int> only;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.find_first_not_of("0123456789") == std::string::npos) {
      only.push_back(std::stoi(argument));
    } else {
      wanted.push_back(argument);
    }
  }
  const auto want = [&](const char* part) {
    return wanted.empty() || std::ranges::find(wanted, part) != wanted.end();
  };
  try {
    bench::Bench bench{.backend = make_backend({.device = "cuda"}), .only = only};
    fmt::print("device\t{}\t\t\n", bench.backend->name());
    bench::measure_ceilings(bench);  // always: the others are held against them
    if (want("linear")) bench::measure_linear(bench);
    if (want("attention")) bench::measure_attention(bench);
    if (want("step")) bench::measure_step(bench);
    if (want("yardstick")) bench::measure_yardstick(bench);
  } catch (const std::exception& error) {
    say("octet_device_bench: error: {}\n", error.what());
    return 1;
  }
  return 0;
}
