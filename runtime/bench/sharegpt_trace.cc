#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/bench/length_distribution.h"
#include "runtime/bench/trace.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 32;
constexpr size_t kBytesPerToken = 4;  // of English, about

struct Enough {};

const std::string& text_of(const json& turn, const char* field, const std::string& place) {
  const auto value = turn.find(field);
  if (!turn.is_object() || value == turn.end() || !value->is_string())
    throw InputError(fmt::format("{}: a turn has no text '{}'", place, field));
  return value->get_ref<const std::string&>();
}

// False where the conversation has no question with an answer.
bool read_conversation(const json& conversation, const std::string& place, TraceRow& row) {
  const auto turns = conversation.find("conversations");
  if (turns == conversation.end() || !turns->is_array())
    throw InputError(fmt::format("{}: has no array 'conversations'", place));
  if (turns->size() < 2) return false;
  const std::string& from = text_of((*turns)[0], "from", place);
  if (from != "human" && from != "user") return false;
  const std::string& question = text_of((*turns)[0], "value", place);
  const std::string& answer = text_of((*turns)[1], "value", place);
  if (question.empty() || answer.empty()) return false;
  row.prompt = question;
  row.output_tokens = static_cast<int>(
      std::min<size_t>((answer.size() + kBytesPerToken - 1) / kBytesPerToken, kMostTokens));
  return true;
}

}  // namespace

Trace read_sharegpt_trace(const std::filesystem::path& path, size_t most, Malformed malformed) {
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path))
    throw InputError(fmt::format("{}: cannot be read", path.string()), ErrorCode::kNotFound);
  Trace trace;
  size_t number = 0;
  // Called as the file is parsed; what it answers false to is not kept.
  const auto take = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth >= kMaxDepth)
      throw InputError(fmt::format("{}: JSON nested deeper than {}", path.string(), kMaxDepth));
    if (depth == 0 && event != json::parse_event_t::array_start &&
        event != json::parse_event_t::array_end) {
      throw InputError(fmt::format("{}: must be an array of conversations", path.string()));
    }
    if (depth != 1 || event != json::parse_event_t::object_end) return true;
    ++number;
    const std::string place = fmt::format("{}: conversation {}", path.string(), number);
    try {
      TraceRow row;
      if (read_conversation(parsed, place, row)) trace.rows.push_back(std::move(row));
    } catch (const InputError& error) {
      if (malformed == Malformed::kRefuse) throw;
      if (trace.left_out++ == 0) trace.first_fault = error.what();
    }
    if (trace.rows.size() >= most) throw Enough{};
    return false;
  };
  try {
    const json nothing_left = json::parse(in, take);
  } catch (const Enough&) {
  } catch (const json::exception&) {
    throw InputError(
        fmt::format("{}: not valid JSON after conversation {}", path.string(), number));
  }
  if (trace.rows.empty()) {
    throw InputError(fmt::format("{}: has no question with an answer{}{}", path.string(),
                                 trace.left_out > 0 ? "; " : "", trace.first_fault));
  }
  return trace;
}

}  // namespace octet
