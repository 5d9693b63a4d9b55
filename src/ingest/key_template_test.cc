#include "ingest/key_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quipu::ingest {
namespace {

std::string Build(std::string_view text, std::vector<std::string_view> values) {
  const KeyTemplate t = KeyTemplate::Parse(text).value();
  EXPECT_EQ(t.columns().size(), values.size());
  std::string scratch;
  return std::string(t.Build(values, &scratch));
}

TEST(KeyTemplate, PutsColumnsBetweenTexts) {
  EXPECT_EQ(Build("path:{path}", {"/x"}), "path:/x");
  EXPECT_EQ(Build("{user}/{item}", {"u", "i"}), "u/i");
  EXPECT_EQ(Build("{a}", {"v"}), "v");
  EXPECT_EQ(Build("{a}{b}.", {"1", "2"}), "12.");
  EXPECT_EQ(Build("{a}-{a}", {"1"}), "1-1");
  EXPECT_EQ(Build("{{{a}}}", {"1"}), "{1}");
  EXPECT_EQ(Build("all requests", {}), "all requests");
}

TEST(KeyTemplate, RefusesWhatCannotBeMeant) {
  for (const char* text : {"", "{", "}", "{a", "a}", "{}", "x{}y"}) {
    EXPECT_EQ(KeyTemplate::Parse(text).code(), Code::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace quipu::ingest
