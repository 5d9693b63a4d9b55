#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config_keys.h"

namespace quipu::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

LoadedConfig FromFile(std::string text) {
  return LoadConfig({.file_name = "q.toml", .file_text = std::move(text), .machine_memory_bytes = 8ull << 30});
}
LoadedConfig FromFlags(std::vector<std::string> flags) {
  return LoadConfig({.flags = std::move(flags), .machine_memory_bytes = 8ull << 30});
}

TEST(Config, DefaultsHoldOfThemselves) {
  const LoadedConfig loaded = FromFile("");
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_EQ(loaded.config.listen_resp, "127.0.0.1:7379");
  EXPECT_EQ(loaded.config.memory_bytes, (8ull << 30) / 100 * 50);
  EXPECT_EQ(loaded.config.segment_bytes, 64u << 20);
  ASSERT_EQ(loaded.config.namespaces.size(), 1u);
  EXPECT_EQ(loaded.config.namespaces[0].settings, NamespaceSettings());
  EXPECT_THAT(loaded.config.databases, ElementsAre("default"));
}

TEST(Config, FlagsBeatTheEnvironmentWhichBeatsTheFile) {
  ConfigInputs in{.file_name = "q.toml",
                  .file_text = "data_dir = \"a\"\n[engine]\nshards = 1\n[log]\nlevel = \"debug\"\n",
                  .environment = {{"QUIPU_DATA_DIR", "b"}, {"QUIPU_ENGINE__SHARDS", "0"}, {"HOME", "x"}},
                  .flags = {"--data_dir", "c"}};
  const LoadedConfig loaded = LoadConfig(in);
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_EQ(loaded.settings.at("data_dir").source, "flag --data_dir");
  EXPECT_EQ(loaded.config.data_dir, "c");
  EXPECT_EQ(loaded.settings.at("engine.shards").source, "environment QUIPU_ENGINE__SHARDS");
  EXPECT_EQ(loaded.config.shards, 0u);
  EXPECT_EQ(loaded.settings.at("log.level").source, "q.toml:5");
  EXPECT_EQ(loaded.config.log_level, LogLevel::kDebug);
}

TEST(Config, AnEmptyDataDirectoryIsNamed) {
  EXPECT_THAT(LoadConfig({.flags = {"--data_dir="}}).problems,
              ElementsAre("flag --data_dir: data_dir: is empty, and must name a directory"));
}

TEST(Config, AnUnknownKeyIsNamedWithItsPlaceAndTheNearestOne) {
  EXPECT_THAT(FromFile("[journal]\n\nsegmnt_size = \"1MiB\"\n").problems,
              ElementsAre("q.toml:3: unknown key `journal.segmnt_size`; did you mean `journal.segment_size`?"));
  EXPECT_THAT(FromFlags({"--lisen.resp=x:1"}).problems,
              ElementsAre("flag --lisen.resp: unknown key `lisen.resp`; did you mean `listen.resp`?"));
  EXPECT_THAT(FromFlags({"--port=6379"}).problems,
              ElementsAre("flag --port: unknown key `port`; did you mean `listen.resp`?"));
  EXPECT_THAT(LoadConfig({.environment = {{"QUIPU_LOG__LEVL", "info"}}}).problems,
              ElementsAre("environment QUIPU_LOG__LEVL: unknown key `log.levl`; did you mean `log.level`?"));
  EXPECT_THAT(FromFile("[namespaces.shop]\ndurabilty = \"sync\"\n").problems,
              ElementsAre("q.toml:2: unknown key `namespaces.shop.durabilty`; did you mean "
                          "`namespaces.shop.durability`?"));
}

TEST(Config, AllProblemsAreListedAtOnce) {
  const LoadedConfig loaded = FromFile(
      "mode = \"cassandra\"\n[journal]\nsegment_size = \"7\"\ncommit_delay = 5\n[engine]\nmemory = \"99%\"\n"
      "shards = \"2\"\n[auth]\nallow_anonymous = \"yes\"\n");
  EXPECT_EQ(loaded.problems.size(), 6u) << ::testing::PrintToString(loaded.problems);
}

TEST(Config, AValueOutsideItsRangeNamesTheRange) {
  EXPECT_THAT(FromFlags({"--journal.commit_delay=1s"}).problems,
              ElementsAre("flag --journal.commit_delay: journal.commit_delay: `1s` is outside 0us to 10ms"));
  EXPECT_THAT(FromFlags({"--limits.connections=0"}).problems, ElementsAre(HasSubstr("outside 1 to 1000000")));
  // The journal holds four frames of 4 MiB a segment; test/e2e runs on the least.
  EXPECT_THAT(FromFlags({"--journal.segment_size=15MiB"}).problems, ElementsAre(HasSubstr("outside 16MiB to 1GiB")));
  EXPECT_THAT(FromFlags({"--journal.segment_size=16MiB"}).problems, IsEmpty());
}

TEST(Config, ABrokenFileNamesTheLine) {
  const LoadedConfig loaded = FromFile("a = 1\nb = = 2\n");
  ASSERT_FALSE(loaded.problems.empty());
  EXPECT_THAT(loaded.problems[0], HasSubstr("q.toml:2: "));
}

TEST(Config, AWideAddressNeedsAPasswordOrConsent) {
  EXPECT_THAT(FromFlags({"--listen.resp=0.0.0.0:7379"}).problems, ElementsAre(HasSubstr("reachable from other")));
  EXPECT_THAT(FromFlags({"--listen.resp=0.0.0.0:7379", "--auth.allow_anonymous"}).problems, IsEmpty());
  EXPECT_THAT(FromFlags({"--listen.resp=[::]:1", "--auth.password_file", "f"}).problems, IsEmpty());
  for (const char* local : {"127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/run/q.sock"}) {
    EXPECT_THAT(FromFlags({fmt::format("--listen.resp={}", local)}).problems, IsEmpty()) << local;
  }
}

TEST(Config, NamespacesAreSeededByName) {
  const LoadedConfig loaded = FromFile(
      "[resp]\ndatabases = [\"default\", \"shop\"]\n[namespaces.shop]\ndurability = \"memory\"\n"
      "token_horizon = \"1h\"\n");
  EXPECT_THAT(loaded.problems, IsEmpty());
  ASSERT_EQ(loaded.config.namespaces.size(), 2u);
  EXPECT_EQ(loaded.config.namespaces[1].name, "shop");
  EXPECT_EQ(loaded.config.namespaces[1].settings.durability, Durability::kMemory);
  EXPECT_EQ(loaded.config.namespaces[1].settings.token_horizon_ms, 3'600'000);
  EXPECT_THAT(FromFile("[namespaces.Shop]\ndurability = \"sync\"\n").problems,
              ElementsAre(HasSubstr("namespaces.Shop")));
  EXPECT_THAT(FromFlags({"--resp.databases=default,x"}).problems, ElementsAre(HasSubstr("`x` is no namespace")));
  EXPECT_THAT(FromFlags({"--namespaces.default.token_horizon=20d"}).problems,
              ElementsAre(HasSubstr("event_retention")));
}

TEST(Config, WhatItPrintsIsAFileThatMeansTheSame) {
  const LoadedConfig first = FromFlags({"--data_dir=odd \"name\"\\", "--namespaces.shop.token_required",
                                        "--resp.databases=shop,default", "--engine.memory=1GiB"});
  ASSERT_THAT(first.problems, IsEmpty());
  const LoadedConfig second = FromFile(ConfigToToml(first));
  ASSERT_THAT(second.problems, IsEmpty());
  for (const auto& [key, setting] : first.settings) EXPECT_EQ(second.settings.at(key).text, setting.text) << key;
}

TEST(ConfigKeys, EveryDefaultIsValidAndEveryNameGoesThroughTheEnvironment) {
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_EQ(ProblemOf(key, key.default_text), std::nullopt) << key.name;
    EXPECT_FALSE(key.doc.empty()) << key.name;
    if (key.name.find('*') == std::string_view::npos) {
      EXPECT_EQ(KeyOfEnvironment(EnvironmentName(key.name)), key.name);
    }
  }
  EXPECT_EQ(EnvironmentName("journal.segment_size"), "QUIPU_JOURNAL__SEGMENT_SIZE");
}

TEST(ConfigKeys, SizesHaveBinaryUnits) {
  EXPECT_EQ(ParseBytes("64MiB"), 64u << 20);
  EXPECT_EQ(ParseBytes("17"), 17u);
  EXPECT_EQ(ParseBytes("1MB"), std::nullopt);
  EXPECT_EQ(ParseBytes("-1"), std::nullopt);
  EXPECT_EQ(ParseBytes("99999999999TiB"), std::nullopt);
}

}  // namespace
}  // namespace quipu::server
