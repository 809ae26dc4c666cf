#include "launcher/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "kernels/say.h"

namespace octet {

Progress::Progress(std::string verb, std::string unit, double unit_size)
    : verb_(std::move(verb)),
      unit_(std::move(unit)),
      unit_size_(unit_size),
      terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (drawn_) say("\r\x1b[K");
}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::update(const std::string& label, uint64_t done, uint64_t total) {
  const double share = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  std::string figures = fmt::format("{:3.0f}%", share * 100);
  constexpr double kTellingSeconds = 0.5;  // before that the rate is that of the beginning
  if (const double elapsed = seconds(); done > 0 && elapsed >= kTellingSeconds) {
    const double rate = static_cast<double>(done) / elapsed, shown = rate / unit_size_;
    const auto left = static_cast<int64_t>(static_cast<double>(total - done) / rate);
    figures += fmt::format("  {:.{}f} {}/s  ETA {}:{:02}", shown, shown < 10 ? 1 : 0, unit_,
                           left / 60, left % 60);
  }
  if (terminal_) {
    draw(label, share, figures, done == total);
  } else if (const int tenth = static_cast<int>(share * 10); tenth > tenth_) {
    tenth_ = tenth;
    say("{}: {}  {}\n", verb_, figures, label);
  }
}

void Progress::draw(const std::string& label, double share, const std::string& figures, bool last) {
  constexpr double kInterval = 0.1;
  if (!last && drawn_ && seconds() - drawn_at_ < kInterval) return;
  winsize window{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
  const size_t width = known ? window.ws_col : 80;
  constexpr size_t kBar = 24;
  const auto full = static_cast<size_t>(share * kBar);
  std::string line = fmt::format("[{}{}] {}  {}", std::string(full, '#'),
                                 std::string(kBar - full, ' '), figures, label);
  line.resize(std::min(line.size(), width - 1));
  say("\r\x1b[K{}", line);
  drawn_ = true;
  drawn_at_ = seconds();
}

}  // namespace octet
