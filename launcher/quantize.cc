// octet quantize: a checkpoint to the int8 artefact, once.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "launcher/flag_checks.h"
#include "launcher/verbs.h"
#include "runtime/models/open_model.h"
#include "runtime/weights/quantizer.h"

namespace octet {
namespace {

struct QuantizeFlags {
  std::string in, out;
  int reduction_shards = Partition::kDefaultShards;
  double max_shard_gib = 5;
};

// Says on stderr how far the work is: one line drawn again and again on a terminal, else a line
// every tenth.
class Progress {
 public:
  Progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (drawn_) fmt::print(stderr, "\r\x1b[K");
  }

  void update(const std::string& tensor, uint64_t done, uint64_t total) {
    const double share = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
    const double rate = static_cast<double>(done) / std::max(seconds(), 1e-3);
    const double left = static_cast<double>(total - done) / std::max(rate, 1.0);
    const std::string figures =
        fmt::format("{:3.0f}%  {:.0f} MB/s  ETA {}:{:02}", share * 100, rate / 1e6,
                    static_cast<int64_t>(left) / 60, static_cast<int64_t>(left) % 60);
    if (terminal_) {
      draw(tensor, share, figures, done == total);
    } else if (const int tenth = static_cast<int>(share * 10); tenth > tenth_) {
      tenth_ = tenth;
      fmt::print(stderr, "quantize: {}  {}\n", figures, tensor);
    }
  }

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  void draw(const std::string& tensor, double share, const std::string& figures, bool last) {
    constexpr double kInterval = 0.1;
    if (!last && drawn_ && seconds() - drawn_at_ < kInterval) return;
    winsize window{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    const size_t width = known ? window.ws_col : 80;
    constexpr size_t kBar = 24;
    const auto full = static_cast<size_t>(share * kBar);
    std::string line = fmt::format("[{}{}] {}  {}", std::string(full, '#'),
                                   std::string(kBar - full, ' '), figures, tensor);
    line.resize(std::min(line.size(), width - 1));
    fmt::print(stderr, "\r\x1b[K{}", line);
    std::fflush(stderr);
    drawn_ = true;
    drawn_at_ = seconds();
  }

  const bool terminal_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool drawn_ = false;
  double drawn_at_ = 0;
  int tenth_ = -1;
};

int run_quantize(const QuantizeFlags& flags) {
  const auto [source, args] = open_model(flags.in);
  const Partition partition(args, flags.reduction_shards);
  QuantizeOptions options;
  options.max_shard_bytes = static_cast<int64_t>(flags.max_shard_gib * (1 << 30));
  QuantizeReport report;
  double seconds = 0;
  {
    Progress progress;
    options.progress = [&](const std::string& tensor, uint64_t done, uint64_t total) {
      progress.update(tensor, done, total);
    };
    report = quantize_checkpoint(*source, partition, flags.out, options);
    seconds = progress.seconds();
  }
  fmt::print(
      "{}: {} tensors, {} of them int8, {:.1f} MB from {:.1f} MB in {:.1f} s, {} reduction "
      "shards\n",
      flags.out, report.tensors, report.quantized, static_cast<double>(report.bytes_out) / 1e6,
      static_cast<double>(report.bytes_in) / 1e6, seconds, partition.num_shards());
  if (report.resumed > 0) {
    fmt::print("{} tensors were finished by an earlier run\n", report.resumed);
  }
  return 0;
}

}  // namespace

Verb add_quantize(CLI::App& octet) {
  auto flags = std::make_shared<QuantizeFlags>();
  CLI::App* command = octet.add_subcommand(
      "quantize", "Write a checkpoint as an int8 artefact, for any number of ranks");
  command->add_option("IN", flags->in, "Hugging Face folder or GGUF file")->required();
  command->add_option("OUT", flags->out, "folder to create")->required()->check(not_empty());
  command
      ->add_option("--reduction-shards", flags->reduction_shards,
                   "most ranks that a row-parallel product can be split over")
      ->check(CLI::Range(1, kMaxShards))
      ->capture_default_str();
  command->add_option("--max-shard-size", flags->max_shard_gib, "largest safetensors file, in GiB")
      ->check(between(0.001, 1024.0))
      ->capture_default_str();
  return {command, [flags] { return run_quantize(*flags); }};
}

}  // namespace octet
