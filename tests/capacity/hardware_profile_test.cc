#include "runtime/capacity/hardware_profile.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/capacity/costs.h"
#include "runtime/formats/file.h"
#include "runtime/formats/json_text.h"
#include "runtime/request/error.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

using nlohmann::json;

std::string error_of(const json& profile) {
  try {
    parse_profile(profile, "p.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

json h200() { return parse_json(built_in_text("h200"), "h200"); }

TEST(HardwareProfile, EveryBuiltInOneIsSoundAndGivesASourceForEachNumber) {
  const auto names = built_in_profiles();
  for (const char* wanted : {"a100", "h100", "h200", "b200", "infiniband", "ethernet"}) {
    EXPECT_NE(std::ranges::find(names, wanted), names.end()) << wanted;
  }
  for (const std::string_view name : names) {
    const HardwareProfile profile = load_profile(std::string(name));
    EXPECT_EQ(profile.name, name);
    for (const auto& [fact, value] : profile.facts) EXPECT_GT(value.source.size(), 10u) << fact;
    for (const ProfileTable& table : profile.tables) EXPECT_GT(table.source.size(), 10u);
    if (profile.device == "cuda") {
      for (const int ranks : {2, 4, 8}) EXPECT_EQ(profile.find("reduce", ranks)->ranks, ranks);
    }
  }
  EXPECT_GT(load_costs("").device_hour.at("h200"), 0);
}

TEST(HardwareProfile, WritingAndReadingIsTheSame) {
  const json once = to_json(parse_profile(h200(), "h200"));
  EXPECT_EQ(to_json(parse_profile(once, "again")), once);
}

TEST(HardwareProfile, WhatIsWrongIsNamedWithItsFieldAndValue) {
  json wrong = h200();
  wrong["octet_hardware"] = 2;
  EXPECT_EQ(error_of(wrong), "p.json: octet_hardware: is version 2, this program reads version 1");
  wrong = h200();
  wrong["facts"]["memory_bytes"]["value"] = -1;
  EXPECT_EQ(error_of(wrong), "p.json: facts.memory_bytes: is -1, must be from 1 to 1e+18");
  wrong = h200();
  wrong["facts"]["colour"] = {{"value", 1}, {"source", "x"}};
  EXPECT_NE(error_of(wrong).find("p.json: facts: \"colour\" is not known"), std::string::npos);
  wrong = h200();
  wrong["colour"] = 1;
  EXPECT_NE(error_of(wrong).find("p.json: \"colour\" is not known"), std::string::npos);
  wrong = h200();
  wrong["device"] = "tpu";
  EXPECT_EQ(error_of(wrong), "p.json: device: \"tpu\" is not known; known: cpu, cuda, network");
  wrong = h200();
  wrong["facts"]["bandwidth_share"]["value"] = 50;
  EXPECT_EQ(error_of(wrong), "p.json: facts.bandwidth_share: is 50, must be from 0.001 to 1");
  wrong = h200();
  wrong["facts"]["memory_bytes"]["value"] = 1000;
  EXPECT_NE(error_of(wrong).find("p.json: facts.reserved_bytes: is 2"), std::string::npos);
  wrong = h200();
  wrong["tables"][1]["operation"] = "reduces";
  EXPECT_NE(error_of(wrong).find("p.json: tables[1].operation: \"reduces\" is not known"),
            std::string::npos);
  wrong = h200();
  wrong["tables"][0]["axes"][0]["name"] = "bits";
  EXPECT_EQ(error_of(wrong), "p.json: tables[0].axes: are [bits], of reduce they are [bytes]");
  wrong = h200();
  wrong["tables"].push_back(wrong["tables"][0]);
  EXPECT_EQ(error_of(wrong), "p.json: tables[3]: is reduce at 2 ranks once more");
  wrong = h200();
  wrong["tables"][0]["values"].push_back(1);
  EXPECT_EQ(error_of(wrong), "p.json: tables[0].values: has 16 values for 15 points");
  wrong = h200();
  wrong["tables"][0]["axes"][0]["at"][1] = 1;
  EXPECT_EQ(error_of(wrong), "p.json: tables[0].axes[0].at: does not ascend");
  wrong = h200();
  wrong.erase("name");
  EXPECT_EQ(error_of(wrong), "p.json: name: is missing");
  EXPECT_NE(error_of(json::array()).find("not a JSON object"), std::string::npos);
  EXPECT_THROW(load_profile("/nowhere.json"), InputError);
}

// Every byte of the file changed, cut or doubled is an InputError or a sound profile.
TEST(HardwareProfile, SurvivesMutations) {
  const std::string text(built_in_text("h200"));
  uint32_t seed = 1;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = text;
    for (int i = 0; i < 3; ++i) {
      seed = seed * 1664525 + 1013904223;
      const size_t at = (seed >> 8) % changed.size();
      switch (seed % 3) {
        case 0:
          changed[at] = static_cast<char>(seed >> 24);
          break;
        case 1:
          changed.erase(at, 1 + seed % 7);
          break;
        default:
          changed.insert(at, changed.substr(at, 1 + seed % 9));
      }
    }
    try {
      const HardwareProfile profile = parse_profile(parse_json(changed, "m"), "m");
      for (const ProfileTable& table : profile.tables) {
        table.grid.value(std::vector<double>(table.grid.axes().size(), 5000));
      }
    } catch (const InputError&) {
    }
  }
}

TEST(Costs, AFieldThatIsNotOneIsNamed) {
  const testing::TempFolder folder;
  const std::string file = (folder.path() / "costs.json").string();
  write_text_file(file, R"({"kilowatt_hour": "cheap"})");
  EXPECT_THROW(load_costs(file), InputError);
  write_text_file(file, R"({"watt": 1})");
  EXPECT_THROW(load_costs(file), InputError);
  write_text_file(file, R"({"kilowatt_hour": 0.5, "device_hour": {"h200": 4}})");
  const Bill bill = bill_of(load_profile("h200"), load_costs(file), 16, 1000);
  EXPECT_NEAR(bill.kilowatts, 20.4, 1e-9);
  EXPECT_NEAR(bill.hour, 16 * 4 + 20.4 * 0.5, 1e-9);
  EXPECT_NEAR(bill.million_tokens, bill.hour / 3.6, 1e-9);
}

}  // namespace
}  // namespace octet
