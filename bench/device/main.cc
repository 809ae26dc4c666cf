// octet_device_bench [ceilings] [linear] [attention] [step]: all of them where none is named.
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
  const std::vector<std::string> wanted(argv + 1, argv + argc);
  const auto want = [&](const char* part) {
    return wanted.empty() || std::ranges::find(wanted, part) != wanted.end();
  };
  try {
    bench::Bench bench{.backend = make_backend({.device = "cuda"})};
    fmt::print("device\t{}\t\t\n", bench.backend->name());
    bench::measure_ceilings(bench);  // always: the others are held against them
    if (want("linear")) bench::measure_linear(bench);
    if (want("attention")) bench::measure_attention(bench);
    if (want("step")) bench::measure_step(bench);
  } catch (const std::exception& error) {
    say("octet_device_bench: error: {}\n", error.what());
    return 1;
  }
  return 0;
}
