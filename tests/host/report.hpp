// What came of the blocks, printed and as JSON.
#pragma once

#include <torch/version.h>

#include <fstream>
#include <iomanip>

#include "performance.hpp"

inline double ranked(const std::vector<double>& sorted, double part) {  // nearest rank
  return sorted[std::max<int64_t>(0, int64_t(std::ceil(part * sorted.size())) - 1)];
}

using Figures = std::vector<std::pair<std::string, std::string>>;
using Rows = std::vector<std::pair<std::string, std::vector<double>>>;

/// Prints the figures, and writes them and the rows to the JSON file if one is asked for.
inline void report(const Options& o, const Figures& figures, const Rows& rows) {
  std::ostringstream json;
  json << std::setprecision(9) << "{\"torch\": \"" << TORCH_VERSION << "\", \"method\": \"" << o.method
       << "\", \"device\": \"" << o.device << "\", \"block\": " << o.block << ", \"batch\": " << o.batch
       << ", \"threads\": " << o.threads;
  for (const auto& [name, value] : figures) {
    std::cout << name << ' ' << value << '\n';
    json << ", \"" << name << "\": " << value;
  }
  for (const auto& [name, values] : rows) {
    json << ", \"" << name << "\": [";
    for (size_t i = 0; i < values.size(); ++i) json << (i ? ", " : "") << values[i];
    json << ']';
  }
  json << "}\n";
  if (o.json.empty()) return;
  std::ofstream file(o.json);
  file << json.str();
  need(bool(file.flush()), o.json, " cannot be written");
}

inline Figures times(std::vector<double> ms) {
  if (ms.empty()) ms.push_back(0);
  std::sort(ms.begin(), ms.end());
  return {{"median_ms", std::to_string(ranked(ms, 0.5))}, {"p99_ms", std::to_string(ranked(ms, 0.99))},
          {"worst_ms", std::to_string(ms.back())}};
}

inline void report(const Performance& p, const Options& o) {
  const auto nth = [&](size_t k) { return k < p.ms.size() ? std::to_string(p.ms[k]) : "null"; };
  Figures figures = {{"first_ms", nth(0)}, {"second_ms", nth(1)}, {"third_ms", nth(2)}};
  for (const auto& figure : times(p.ms)) figures.push_back(figure);
  figures.push_back({"worst_from_fourth_ms",
                     p.ms.size() > 3 ? std::to_string(*std::max_element(p.ms.begin() + 3, p.ms.end())) : "null"});
  figures.push_back({"block_length_ms", std::to_string(1000 * p.block / p.rate)});
  figures.push_back({"blocks", std::to_string(p.blocks)});
  figures.push_back({"misses", o.realtime ? std::to_string(p.missed.size()) : "null"});
  report(o, figures, {{"missed", {p.missed.begin(), p.missed.end()}}, {"block_ms", p.ms}, {"block_cpu_ms", p.cpu_ms}});
}
