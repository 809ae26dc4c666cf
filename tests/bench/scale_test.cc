#include <gtest/gtest.h>

#include "runtime/bench/arrivals.h"
#include "runtime/bench/scale_folder.h"
#include "runtime/bench/scale_grid.h"
#include "runtime/bench/scale_report.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

ScaleRow row(int size, int replicas, double rate, double tokens) {
  return {.cell = {.group = {size, replicas}, .rate = rate}, .output_tokens_per_second = tokens};
}

TEST(ScaleGrid, HasEveryGroupAndLoadWithFewRanksFirst) {
  const ScaleGrid grid{.tensor_parallel_sizes = {2, 1},
                       .replicas = {1, 2},
                       .rates = {4, kAtOnce},
                       .concurrencies = {8}};
  const std::vector<ScaleGroup> groups = grid.groups();
  EXPECT_EQ(groups, (std::vector<ScaleGroup>{{1, 1}, {2, 1}, {1, 2}, {2, 2}}));
  const std::vector<ScaleCell> cells = grid.cells(groups[2]);
  ASSERT_EQ(cells.size(), 3);
  EXPECT_EQ(cells[0].file(), "tp1-r2-rate4");
  EXPECT_EQ(cells[1].file(), "tp1-r2-rateinf");
  EXPECT_EQ(cells[1].load(), "all at once");
  EXPECT_EQ(cells[2].file(), "tp1-r2-concurrency8");
}

TEST(ScaleGrid, WhatIsNamedTwiceIsThereOnce) {
  const ScaleGrid grid{.tensor_parallel_sizes = {1, 1},
                       .replicas = {1, 1},
                       .rates = {20, 20.0, kAtOnce, kAtOnce},
                       .concurrencies = {8, 8}};
  EXPECT_EQ(grid.groups().size(), 1);
  EXPECT_EQ(grid.cells(grid.groups()[0]).size(), 3);
}

TEST(ScaleGrid, EachReplicaGetsTheNextSlots) {
  const std::string hosts = "one slots=3  # fast\n\n# none\ntwo\nthree slots=2 max_slots=4\n";
  EXPECT_EQ(
      split_hosts(hosts, "hosts", {2, 3}),
      (std::vector<std::string>{"one slots=2\n", "one slots=1\ntwo slots=1\n", "three slots=2\n"}));
  EXPECT_INPUT_ERROR(split_hosts(hosts, "hosts", {4, 2}), "hosts: has 6 slots", "needs 8");
  EXPECT_INPUT_ERROR(split_hosts("a\nb slots=x\n", "hosts", {1, 1}), "hosts:2", "b slots=x");
  EXPECT_INPUT_ERROR(split_hosts("a slots=-1", "hosts", {1, 1}), "hosts:1");
}

TEST(ScaleFolder, KeepsCellsAndGoesOnWithTheSameSettings) {
  const TempFolder temp;
  const ScaleCell cell{.group = {2, 1}, .rate = 4}, other{.group = {2, 1}, .rate = 8};
  {
    const ScaleFolder folder(temp / "r", {{"seed", "1"}});
    folder.save(cell, {{"failed", 3}});
  }
  const ScaleFolder again(temp / "r", {{"seed", "1"}});
  EXPECT_TRUE(again.has(cell));
  EXPECT_FALSE(again.has(other));
  EXPECT_EQ(again.load(cell)["failed"], 3);
  EXPECT_EQ(again.load(cell)["tensor_parallel_size"], 2);
}

TEST(ScaleFolder, RefusesOtherSettingsByName) {
  const TempFolder temp;
  // A folder without cells takes the settings of the next that asks.
  ScaleFolder(temp / "r", {{"seed", "0"}});
  const ScaleFolder folder(temp / "r", {{"seed", "1"}, {"model", "m"}});
  folder.save({}, {});
  EXPECT_INPUT_ERROR(ScaleFolder(temp / "r", {{"seed", "2"}, {"model", "m"}}), "settings.json",
                     "seed is \"1\" there and \"2\" now");
  EXPECT_INPUT_ERROR(ScaleFolder(temp / "r", {{"model", "m"}}), "seed is \"1\" there and null");
  write_file(temp / "r/settings.json", "[");
  EXPECT_INPUT_ERROR(ScaleFolder(temp / "r", {{"seed", "1"}}), "not valid JSON");
  std::filesystem::remove(temp / "r/settings.json");
  EXPECT_INPUT_ERROR(ScaleFolder(temp / "r", {{"seed", "1"}}), "settings.json", "is missing");
  write_file(temp / "file", "");
  EXPECT_INPUT_ERROR(ScaleFolder(temp / "file", {}), "file");
}

TEST(ScaleReport, EfficiencyIsAgainstTheFewestRanksAtTheirBest) {
  const std::vector<ScalePoint> points =
      scale_points({row(2, 2, 4, 300), row(1, 1, 4, 90), row(1, 1, 8, 100), row(2, 1, 4, 180),
                    row(2, 1, 8, 150)});
  ASSERT_EQ(points.size(), 3);
  EXPECT_EQ(points[0].efficiency, 1);
  EXPECT_EQ(points[0].output_tokens_per_second, 100);
  EXPECT_DOUBLE_EQ(points[1].efficiency, 0.9);
  EXPECT_DOUBLE_EQ(points[2].efficiency, 0.75);
}

TEST(ScaleReport, ShowsEveryCellAndLeavesWhatHasNoRateOutOfPlotsByRate) {
  const std::vector<ScaleRow> rows{row(1, 1, 4, 90), row(1, 1, kAtOnce, 100)};
  const std::string html = scale_html(rows, {{"model", "<m>"}});
  EXPECT_NE(html.find("all at once"), std::string::npos);
  EXPECT_NE(html.find("&lt;m&gt;"), std::string::npos);
  EXPECT_EQ(html.find("inf"), std::string::npos);
  EXPECT_NE(scale_csv(rows).find("1,1,4 requests/s,0.00,90.00"), std::string::npos);
}

TEST(ScaleReport, ACellThatIsNoResultIsNamed) {
  EXPECT_INPUT_ERROR(scale_row({}, nlohmann::json::object(), "cells/x.json"),
                     "cells/x.json: has no number 'request_throughput'");
  EXPECT_INPUT_ERROR(scale_row({}, {{"request_throughput", "fast"}}, "x"), "request_throughput");
}

}  // namespace
}  // namespace octet
