#include "runtime/formats/json_text.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "runtime/formats/file.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {

nlohmann::json parse_json(std::string_view text, const std::string& source) {
  using nlohmann::json;
  constexpr int kMaxDepth = 32;
  std::vector<std::set<std::string, std::less<>>> keys;  // of the objects that are open
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth >= kMaxDepth) {
      throw InputError(fmt::format("{}: JSON nested deeper than {}", source, kMaxDepth));
    }
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key &&
        !keys.back().insert(parsed.get<std::string>()).second) {
      throw InputError(fmt::format("{}: key {} appears twice", source,
                                   printable(parsed.get_ref<const std::string&>())));
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error& error) {
    throw InputError(fmt::format("{}: not valid JSON at byte {}", source, error.byte));
  } catch (const json::exception& error) {  // a number that fits no type
    throw InputError(fmt::format("{}: not valid JSON: {}", source, printable(error.what())));
  }
}

nlohmann::json read_json_file(const std::filesystem::path& path, uint64_t max_bytes) {
  return parse_json(read_text_file(path, max_bytes), path.string());
}

}  // namespace octet
