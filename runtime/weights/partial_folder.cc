#include "runtime/weights/partial_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/request/error.h"
#include "runtime/weights/hash.h"

namespace octet {
namespace fs = std::filesystem;
namespace {

constexpr const char* kJournal = ".quantize-journal";
constexpr uint64_t kMaxJournalBytes = 256 << 20;

void check_absent(const fs::path& out) {
  if (fs::symlink_status(out).type() != fs::file_type::not_found) {
    throw InputError(fmt::format("{}: exists already", out.string()));
  }
}

}  // namespace

PartialFolder::PartialFolder(const fs::path& out, const std::string& job)
    : out_(out), partial_(out.string() + ".partial") {
  check_absent(out_);
  lock();
  resumed_ = read_journal(job);
  if (!resumed_) {
    finished_.clear();
    empty();
    journal_bytes_ = 0;
  }
  journal_ = std::make_unique<OutputFile>(partial_ / kJournal, OutputFile::Mode::kKeep);
  journal_->resize(journal_bytes_);
  if (!resumed_) {
    const std::string line = nlohmann::json{{"job", job}}.dump() + "\n";
    journal_->write(0, line);
    journal_bytes_ = line.size();
  }
}

PartialFolder::~PartialFolder() { ::close(lock_); }

// The lock is on the folder itself, so it goes along when the folder is renamed.
void PartialFolder::lock() {
  if (::mkdir(partial_.c_str(), 0755) != 0 && errno != EEXIST) {
    throw InputError(fmt::format("{}: create: {}", partial_.string(), std::strerror(errno)));
  }
  lock_ = ::open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0) {
    throw InputError(fmt::format("{}: open: {}", partial_.string(), std::strerror(errno)));
  }
  struct stat locked {
  }, named{};
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 || ::fstat(lock_, &locked) != 0 ||
      ::stat(partial_.c_str(), &named) != 0 || locked.st_ino != named.st_ino) {
    ::close(lock_);
    throw InputError(fmt::format("{}: another process is writing it", partial_.string()));
  }
}

// False: nothing to take up.
bool PartialFolder::read_journal(const std::string& job) {
  const fs::path path = partial_ / kJournal;
  if (!fs::exists(path)) {
    if (fs::is_empty(partial_)) return false;
    ::close(lock_);
    throw InputError(fmt::format("{}: exists, and is not what a quantize run left; remove it",
                                 partial_.string()));
  }
  const std::string text = read_text_file(path, kMaxJournalBytes);
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const auto line =
        nlohmann::json::parse(text.begin() + static_cast<int64_t>(begin),
                              text.begin() + static_cast<int64_t>(end), nullptr, false);
    if (!line.is_object()) break;
    try {
      if (begin == 0) {
        if (line.at("job").get<std::string>() != job) return false;
      } else {
        finished_[line.at("tensor").get<std::string>()] = line.at("xxh3").get<Hashes>();
      }
    } catch (const nlohmann::json::exception&) {
      break;
    }
    journal_bytes_ = end + 1;
  }
  return journal_bytes_ > 0;
}

void PartialFolder::empty() const {
  for (const auto& item : fs::directory_iterator(partial_)) fs::remove_all(item.path());
}

const PartialFolder::Hashes* PartialFolder::finished(const std::string& tensor) const {
  const auto found = finished_.find(tensor);
  return found == finished_.end() ? nullptr : &found->second;
}

void PartialFolder::finish(const std::string& tensor, const Hashes& hashes) {
  const std::string line = nlohmann::json{{"tensor", tensor}, {"xxh3", hashes}}.dump() + "\n";
  journal_->write(journal_bytes_, line);
  journal_bytes_ += line.size();
}

void PartialFolder::publish() {
  sync_folder(partial_);
  check_absent(out_);
  fs::rename(partial_, out_);
  fs::remove(out_ / kJournal);
  sync_folder(out_);
  const fs::path parent = fs::absolute(out_).parent_path();
  sync_folder(parent);
}

}  // namespace octet
