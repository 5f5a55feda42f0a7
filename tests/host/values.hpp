// Values of attributes as text, and how a failure is told.
#pragma once

#include <ATen/core/ivalue.h>

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using c10::IValue;

/// Throws the parts as one message.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw std::runtime_error(text.str());
}

template <class... Parts>
void need(bool fulfilled, const Parts&... parts) {
  if (!fulfilled) fail(parts...);
}

inline std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == ',') parts.emplace_back();
    else parts.back() += c;
  return parts;
}

inline IValue value(const std::string& text, int64_t code, const std::string& name) {
  static const char* kinds[] = {"true or false", "a whole number", "a number"};
  size_t used = 0;
  IValue result;
  try {
    if (code == 3) return text;
    if (code == 0 && (text == "true" || text == "1")) return true;
    if (code == 0 && (text == "false" || text == "0")) return false;
    if (code == 1) result = int64_t(std::stoll(text, &used));
    if (code == 2) result = double(std::stof(text, &used));  // hosts send single precision
  } catch (const std::logic_error&) {
  }
  need(used && used == text.size(), name, ": '", text, "' is not ", kinds[code]);
  return result;
}

inline std::string written(const IValue& v, int64_t code, const std::string& name) {
  static const char* kinds[] = {"bool", "int", "float", "string"};
  const bool right[] = {v.isBool(), v.isInt(), v.isDouble(), v.isString()};
  need(right[code], "get_", name, " returned a ", v.tagKind(), " where ", name, "_params says ", kinds[code]);
  std::ostringstream text;
  if (code == 0) text << std::boolalpha << v.toBool();
  if (code == 1) text << v.toInt();
  if (code == 2) text << v.toDouble();
  if (code == 3) text << v.toStringRef();
  return text.str();
}
