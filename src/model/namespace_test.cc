#include "model/namespace.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

std::string ErrorOf(std::string_view json) {
  auto r = NamespaceSettingsFromJson(json, NamespaceSettings());
  EXPECT_EQ(r.code(), Code::kInvalidArgument) << json;
  return std::string(r.status().message());
}

TEST(Duration, ReadsEveryUnit) {
  EXPECT_EQ(*ParseDurationMicros("100us"), 100);
  EXPECT_EQ(*ParseDurationMicros("250ms"), 250'000);
  EXPECT_EQ(*ParseDurationMicros("30s"), 30'000'000);
  EXPECT_EQ(*ParseDurationMicros("5m"), 300'000'000);
  EXPECT_EQ(*ParseDurationMicros("24h"), 86'400'000'000);
  EXPECT_EQ(*ParseDurationMicros("30d"), 30 * 86'400'000'000);
  EXPECT_EQ(*ParseDurationMicros("0us"), 0);
}

TEST(Duration, IsRefusedWhenItIsNotANumberAndAUnit) {
  for (std::string_view t : {"", "s", "5", "5 s", " 5s", "+5s", "-5s", "1.5s", "5S", "5w", "5ss", "0x5s", "1h30m"}) {
    EXPECT_EQ(ParseDurationMicros(t).code(), Code::kInvalidArgument) << t;
  }
  EXPECT_EQ(ParseDurationMicros("106751992d").status().message(),
            "duration of 10 bytes is too long; write a whole number and a unit: 100us, 250ms, 30s, 5m, 24h, 30d");
  EXPECT_EQ(ParseDurationMicros("99999999999999999999s").code(), Code::kInvalidArgument);
}

TEST(Duration, IsWrittenInItsShortestExactForm) {
  for (std::string_view t :
       {"0s", "1us", "1500us", "250ms", "90s", "5m", "36h", "1d", "30d", "9223372036854775807us"}) {
    EXPECT_EQ(FormatDurationMicros(*ParseDurationMicros(t)), t);
  }
  EXPECT_EQ(FormatDurationMicros(*ParseDurationMicros("24h")), "1d");
  EXPECT_EQ(FormatDurationMicros(*ParseDurationMicros("60000ms")), "1m");
}

TEST(NamespaceSettings, DefaultsLookLikeThis) {
  EXPECT_EQ(NamespaceToJson({.id = 0, .name = "default", .version = 3}),
            R"({"name":"default","version":3,"settings":{"durability":"sync","token_horizon":"1d","token_skew":"1m",)"
            R"("token_required":false,"event_retention":"7d","counters_max":0}})");
}

TEST(NamespaceSettings, SurviveTheWayToJsonAndBack) {
  NamespaceSettings s{.durability = Durability::kMemory,
                      .token_horizon_ms = 1001,
                      .token_skew_ms = 0,
                      .token_required = true,
                      .event_retention_ms = 3600'000,
                      .counters_max = 9223372036854775807};
  EXPECT_EQ(*NamespaceSettingsFromJson(NamespaceSettingsToJson(s), NamespaceSettings()), s);
  s.durability = Durability::kAsync;
  EXPECT_EQ(*NamespaceSettingsFromJson(NamespaceSettingsToJson(s), NamespaceSettings()), s);
}

TEST(NamespaceSettings, KeepTheBaseWhereAKeyIsAbsent) {
  NamespaceSettings base{.durability = Durability::kAsync, .counters_max = 5};
  NamespaceSettings wanted = base;
  wanted.token_skew_ms = 2000;
  EXPECT_EQ(*NamespaceSettingsFromJson(R"( { "token_skew" : "2s" } )", base), wanted);
  EXPECT_EQ(*NamespaceSettingsFromJson("{}", base), base);
}

TEST(NamespaceSettings, NameTheNearestKeyForAnUnknownOne) {
  EXPECT_EQ(ErrorOf(R"({"token_horzion":"1h"})"),
            "namespace settings: unknown key token_horzion; did you mean token_horizon?");
  EXPECT_EQ(ErrorOf(R"({"colour":"red"})"), "namespace settings: unknown key colour");
  EXPECT_EQ(ErrorOf(R"({"a\u0007b":"red"})"), "namespace settings: unknown key (of 3 bytes)");
}

TEST(NamespaceSettings, RefuseAKeyGivenTwice) {
  EXPECT_EQ(ErrorOf(R"({"counters_max":1,"token_skew":"1s","counters_max":1})"),
            "namespace settings: the key counters_max is there twice");
}

TEST(NamespaceSettings, RefuseWrongTypes) {
  EXPECT_EQ(ErrorOf(R"({"token_horizon":3600})"),
            "token_horizon is a whole number, must be a duration such as \"24h\"");
  EXPECT_EQ(ErrorOf(R"({"token_required":"yes"})"), "token_required is a string, must be true or false");
  EXPECT_EQ(ErrorOf(R"({"counters_max":1.5})"), "counters_max is a number, must be a whole number");
  EXPECT_EQ(ErrorOf(R"({"counters_max":null})"), "counters_max is null, must be a whole number");
  EXPECT_EQ(ErrorOf(R"({"durability":true})"), "durability is a boolean, must be \"sync\", \"async\" or \"memory\"");
  EXPECT_EQ(ErrorOf(R"({"durability":"Sync"})"),
            "durability is another word, must be \"sync\", \"async\" or \"memory\"");
  EXPECT_EQ(ErrorOf(R"({"token_skew":{"s":1}})"), "namespace settings: token_skew is an object, must be a plain value");
  EXPECT_EQ(ErrorOf(R"({"token_skew":["1s"]})"), "namespace settings: token_skew is an array, must be a plain value");
}

TEST(NamespaceSettings, RefuseValuesOutOfRangeWithTheRange) {
  EXPECT_EQ(ErrorOf(R"({"token_horizon":"999ms"})"), "token_horizon is 999ms, allowed are 1s to 30d");
  EXPECT_EQ(ErrorOf(R"({"token_horizon":"31d","event_retention":"60d"})"),
            "token_horizon is 31d, allowed are 1s to 30d");
  EXPECT_EQ(ErrorOf(R"({"token_horizon":"1500us"})"), "token_horizon is 1500us, must be whole milliseconds");
  EXPECT_EQ(ErrorOf(R"({"token_skew":"2h"})"), "token_skew is 2h, allowed are 0s to 1h");
  EXPECT_EQ(ErrorOf(R"({"event_retention":"23h"})"), "event_retention is 23h, allowed are 1d to 3650d");
  EXPECT_EQ(ErrorOf(R"({"counters_max":-1})"), "counters_max is -1, allowed are 0 (no limit) and more");
  EXPECT_EQ(ErrorOf(R"({"counters_max":9223372036854775808})"),
            "namespace settings: counters_max is out of range [-2^63, 2^63-1]");
}

TEST(NamespaceSettings, RefuseTextThatIsNoJsonObject) {
  for (std::string_view t :
       {"", "  ", "{", "{}x", "{\"a\"}", "{\"counters_max\":01}", "{\"counters_max\":1,}", "{'a':1}", "\xff"}) {
    EXPECT_TRUE(ErrorOf(t).starts_with("namespace settings: no JSON from byte ")) << t;
  }
  for (std::string_view t : {"[]", "1", "\"x\"", "null", "18446744073709551615", "true"}) {
    EXPECT_EQ(ErrorOf(t), "namespace settings: is not a JSON object");
  }
  EXPECT_EQ(ErrorOf(std::string(65537, ' ')), "namespace settings has 65537 bytes, allowed are 65536");
}

TEST(NamespaceTable, FindsByNameAndHidesTheDeleted) {
  NamespaceTable table(
      {{.id = 0, .name = "default"}, {.id = 1, .name = "old", .deleted = true}, {.id = 2, .name = "old"}});
  EXPECT_EQ(table.Find("default")->id, 0u);
  EXPECT_EQ(table.Find("old")->id, 2u);
  EXPECT_EQ(table.Find("new"), nullptr);
  EXPECT_TRUE(table.Get(1).deleted);
}

}  // namespace
}  // namespace quipu
