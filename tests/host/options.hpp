// The options of rave_host.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

constexpr const char* kUsage =
    R"(rave_host FILE.ts IN.wav OUT.wav [--method forward] [--block 2048] [--batch 1] [--device cpu|cuda] [--graph]
          [--realtime] [--set NAME=VALUE[,VALUE...]]... [--at BLOCK NAME=VALUE[,VALUE...]]... [--fuzz COUNT]
          [--jack INSTANCES] [--json FILE] [--threads 1])";

struct Setting {
  int64_t block;  // made before this block; -1: before the first is due
  std::string name, value;
};

struct Options {
  std::string file, in, out, method = "forward", device = "cpu", json;
  int64_t block = 2048, batch = 1;  // samples, streams
  int64_t fuzz = 0, jack = 0;       // random settings before each block; instances on a JACK card
  int threads = 1;
  bool realtime = false, graph = false;
  std::vector<Setting> settings;
};

struct Usage : std::runtime_error {
  using runtime_error::runtime_error;
};

inline int64_t whole(const std::string& text, int64_t least) {
  size_t used = 0;
  int64_t value = 0;
  try {
    value = std::stoll(text, &used);
  } catch (const std::logic_error&) {
  }
  if (text.empty() || used != text.size() || value < least)
    throw Usage("'" + text + "' is no whole number of at least " + std::to_string(least));
  return value;
}

inline Setting setting(int64_t block, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) throw Usage("'" + text + "': write NAME=VALUE");
  return {block, text.substr(0, equals), text.substr(equals + 1)};
}

inline Options parse(int count, char** arguments) {
  Options o;
  std::vector<std::string> paths;
  int i = 1;
  const auto next = [&]() -> std::string {
    if (i >= count) throw Usage(std::string(arguments[count - 1]) + " wants a value after it");
    return arguments[i++];
  };
  while (i < count) {
    const std::string word = next();
    if (word == "--method") o.method = next();
    else if (word == "--block") o.block = whole(next(), 1);
    else if (word == "--batch") o.batch = whole(next(), 1);
    else if (word == "--device") o.device = next();
    else if (word == "--realtime") o.realtime = true;
    else if (word == "--graph") o.graph = true;
    else if (word == "--set") o.settings.push_back(setting(-1, next()));
    else if (word == "--at") { const int64_t block = whole(next(), 0); o.settings.push_back(setting(block, next())); }
    else if (word == "--fuzz") o.fuzz = whole(next(), 1);
    else if (word == "--jack") o.jack = whole(next(), 1);
    else if (word == "--json") o.json = next();
    else if (word == "--threads") o.threads = int(whole(next(), 1));
    else if (word.rfind("--", 0) == 0) throw Usage("unknown option " + word);
    else paths.push_back(word);
  }
  if (paths.size() != 3) throw Usage("three paths are needed: FILE.ts IN.wav OUT.wav");
  o.file = paths[0], o.in = paths[1], o.out = paths[2];
  return o;
}
