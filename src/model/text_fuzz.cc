// Any bytes as the texts of the model: tokens, names, durations, the settings of a namespace. Refused, or read, and
// then what is written for it is read the same. The first byte says as what the rest is taken.
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "model/name.h"
#include "model/namespace.h"
#include "model/token.h"

namespace quipu {
namespace {

void Token(std::string_view text) {
  if (!CheckToken(text).ok()) return;
  const TokenBytes packed = PackToken(text);
  if (packed.form == TokenForm::kText) return;
  const std::string again = TokenText(packed);
  QUIPU_ASSERT(again == text, "a token of {} bytes comes back as another one", text.size());
  const Micros own = TokenOwnTime(text);
  QUIPU_ASSERT(own == TokenOwnTime(again), "a token's own time is {} and {}", own, TokenOwnTime(again));
}

void Name(std::string_view text) {
  if (!IsCounterName(text)) return;
  QUIPU_ASSERT(HashCounter(0, text) == HashCounter(0, std::string(text)), "a hash goes by more than the name");
  const GroupedName grouped = SplitGrouped(text);
  QUIPU_ASSERT(grouped.group.empty() || grouped.group.size() + grouped.field.size() + 2 == text.size(),
               "{} and {} of {} bytes", grouped.group.size(), grouped.field.size(), text.size());
}

void Duration(std::string_view text) {
  const auto us = ParseDurationMicros(text);
  if (!us.ok()) return;
  const auto again = ParseDurationMicros(FormatDurationMicros(*us));
  QUIPU_ASSERT(again.ok() && *again == *us, "{} us come back as `{}`", *us, FormatDurationMicros(*us));
}

void Settings(std::string_view text) {
  const auto settings = NamespaceSettingsFromJson(text, {});
  if (!settings.ok()) return;
  const auto again = NamespaceSettingsFromJson(NamespaceSettingsToJson(*settings), {});
  QUIPU_ASSERT(again.ok() && *again == *settings, "settings of {} bytes come back as others", text.size());
}

constexpr void (*kTexts[])(std::string_view) = {Token, Name, Duration, Settings};

}  // namespace
}  // namespace quipu

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  quipu::kTexts[data[0] % std::size(quipu::kTexts)]({reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
