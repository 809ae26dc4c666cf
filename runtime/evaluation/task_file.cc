#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/evaluation/tasks.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end()) throw InputError(fmt::format("field \"{}\" is missing", field));
  if (!found->is_string()) throw InputError(fmt::format("field \"{}\" is not a string", field));
  return found->get<std::string>();
}

// The delimiter ends with the space that some files begin a continuation with.
std::string continuation_of(const std::string& text) { return text.substr(text.starts_with(' ')); }

TaskExample greedy_example(const json& line) {
  TaskExample example{.query = text_of(line, "context"),
                      .choices = {continuation_of(text_of(line, "continuation"))}};
  if (example.choices[0].empty()) throw InputError("field \"continuation\" is empty");
  return example;
}

TaskExample choice_example(const json& line) {
  TaskExample example{.query = text_of(line, "query")};
  const auto choices = line.find("choices");
  if (choices == line.end() || !choices->is_array() || choices->size() < 2) {
    throw InputError("field \"choices\" is not an array of two or more");
  }
  for (const json& choice : *choices) {
    example.choices.push_back(choice.is_string() ? continuation_of(choice) : "");
    if (example.choices.back().empty()) {
      throw InputError("field \"choices\" has something that is not a text");
    }
  }
  const auto gold = line.find("gold");
  if (gold == line.end() || !gold->is_number_integer() || *gold < 0 || *gold >= choices->size()) {
    throw InputError("field \"gold\" is not the number of a choice");
  }
  example.gold = gold->get<int>();
  return example;
}

}  // namespace

Task read_task(const std::filesystem::path& file, const std::string& name) {
  if (!std::filesystem::exists(file)) {
    throw InputError(fmt::format("{}: no such file", file.string()), ErrorCode::kNotFound);
  }
  std::ifstream in(file);
  if (!in || std::filesystem::is_directory(file)) {
    throw InputError(fmt::format("{}: cannot be read", file.string()), ErrorCode::kNotFound);
  }
  Task task{.name = name};
  if (name == "piqa" || name.starts_with("arc_")) task.delimiter = "\nAnswer: ";
  int number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    try {
      const json line = json::parse(text);
      if (!line.is_object()) throw InputError("not a JSON object");
      task.examples.push_back(line.contains("context") ? greedy_example(line)
                                                       : choice_example(line));
      const bool greedy = task.examples.front().choices.size() == 1;
      if (greedy != (task.examples.back().choices.size() == 1)) {
        throw InputError("another kind of example than the first");
      }
    } catch (const json::exception&) {
      throw InputError(fmt::format("{}:{}: not JSON", file.string(), number));
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}:{}: {}", file.string(), number, error.what()));
    }
  }
  if (task.examples.empty()) throw InputError(fmt::format("{}: has no examples", file.string()));
  return task;
}

}  // namespace octet
