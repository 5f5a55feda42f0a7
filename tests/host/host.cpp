// Plays a wav through an exported file as nn~ 1.6 (Max, Pure Data) does, and holds the file to what live hosts ask for.
//
// The file is loaded and its attributes are set on the main thread, outside inference mode; the blocks are played on an
// audio thread, inside it; a mutex keeps the two apart. --block counts samples of sound, also where the wav holds latents
// (a frame of it per model frame). The wav has the method's channels, which every stream of the batch then gets, or those
// of each stream in turn; so has the output. The last block is filled up with zeros and written whole. --realtime begins
// block k when its last sample would have come in and wants it done one block later. Nothing is warmed up, unless --graph
// records a block as one CUDA graph before the first.
// Exit code 1: the file, the wav or a setting is not as it must be, with the reason; 2: usage.
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <torch/version.h>

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <future>
#include <iostream>
#include <thread>

#include "instrument.hpp"
#include "wav.hpp"

constexpr const char* kUsage =
    R"(rave_host FILE.ts IN.wav OUT.wav [--method forward] [--block 2048] [--batch 1] [--device cpu|cuda] [--graph] [--realtime]
          [--set NAME=VALUE[,VALUE...]]... [--at BLOCK NAME=VALUE[,VALUE...]]... [--json FILE] [--threads 1])";

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

// ---------------------------------------------------------------- options

struct Setting {
  int64_t block;  // made before this block; -1: before the first is due
  std::string name, value;
};

struct Options {
  std::string file, in, out, method = "forward", device = "cpu", json;
  int64_t block = 2048, batch = 1;  // samples, streams
  int threads = 1;
  bool realtime = false, graph = false;
  std::vector<Setting> settings;
};

struct Usage : std::runtime_error {
  using runtime_error::runtime_error;
};

int64_t whole(const std::string& text, int64_t least) {
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

Setting setting(int64_t block, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) throw Usage("'" + text + "': write NAME=VALUE");
  return {block, text.substr(0, equals), text.substr(equals + 1)};
}

Options parse(int count, char** arguments) {
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
    else if (word == "--json") o.json = next();
    else if (word == "--threads") o.threads = int(whole(next(), 1));
    else if (word.rfind("--", 0) == 0) throw Usage("unknown option " + word);
    else paths.push_back(word);
  }
  if (paths.size() != 3) throw Usage("three paths are needed: FILE.ts IN.wav OUT.wav");
  o.file = paths[0], o.in = paths[1], o.out = paths[2];
  std::stable_sort(o.settings.begin(), o.settings.end(), [](auto& a, auto& b) { return a.block < b.block; });
  return o;
}

// ---------------------------------------------------------------- playing

/// Settings for given blocks: the audio thread waits before such a block until the main thread has made them.
class Cues {
 public:
  void wait_for_settings(int64_t block) {  // the audio thread
    std::unique_lock<std::mutex> lock(mutex_);
    reached_ = block;
    changed_.notify_all();
    changed_.wait(lock, [&] { return over_ || next_due_ > block; });
    need(!over_, "stopped");
  }

  void serve(const std::vector<Setting>& settings, Instrument& instrument) {  // the main thread
    std::unique_lock<std::mutex> lock(mutex_);
    for (const Setting& s : settings) {
      next_due_ = s.block;
      changed_.notify_all();
      changed_.wait(lock, [&] { return over_ || reached_ >= s.block; });
      if (over_) return;
      std::cout << "block " << s.block << ": " << s.name << " = " << instrument.set(s.name, s.value) << '\n';
    }
    next_due_ = INT64_MAX;
    changed_.notify_all();
  }

  void end() {  // either thread: it will not go on
    const std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t reached_ = -1, next_due_ = -1;  // blocks
  bool over_ = false;
};

/// The wav cut into blocks for one method, and what came of them.
struct Performance {
  const Method& method;
  const Wav& in;
  int64_t block, batch, blocks;
  double rate;  // Hz, of the sound
  Wav out = {};
  std::vector<double> ms = {};        // per block
  std::vector<int64_t> missed = {};   // blocks that came after their deadline
};

Performance prepare(const Instrument& instrument, const Method& m, const Wav& in, const Options& o) {
  const int64_t multiple = instrument.highest_ratio(), own = instrument.number("sample_rate");
  need(o.block % multiple == 0, "a block of ", o.block, " samples is no multiple of ", multiple,
       ", the longest frame of the file's methods");
  need(in.channels == m.in_channels || in.channels == m.in_channels * o.batch, o.in, " has ", in.channels, " channels; ",
       m.name, " takes ", m.in_channels, ", or ", m.in_channels * o.batch, " for ", o.batch, " streams");
  need(in.frames() > 0, o.in, " is empty");
  need(m.out_channels * o.batch <= UINT16_MAX, "too many output channels for a wav");
  if (own > 0 && m.in_ratio == 1 && own != in.rate)
    std::cerr << "rave_host: note: the wav runs at " << in.rate << " Hz, the file was made for " << own << '\n';
  const int64_t frames = o.block / m.in_ratio;
  // The rate of a wav of latents is rounded (44100 / 2048 = 21.5): the file's own is the better clock.
  const double rate = m.in_ratio > 1 && own > 0 ? double(own) : double(in.rate) * m.in_ratio;
  return {m, in, o.block, o.batch, (in.frames() + frames - 1) / frames, rate};
}

/// Block k as nn~ hands it over: a frame's last sample of a held signal, streams beside channels, so a strided view.
at::Tensor cut(const Performance& p, int64_t k) {
  const int64_t frames = p.block / p.method.in_ratio, ratio = p.method.in_ratio, channels = p.method.in_channels;
  std::vector<float> signal(channels * p.batch * p.block, 0.0f);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t t = 0; t < p.block; ++t) {
        const int64_t frame = k * frames + t / ratio, from = p.in.channels == channels ? c : b * channels + c;
        if (frame < p.in.frames())
          signal[(c * p.batch + b) * p.block + t] = p.in.samples[frame * p.in.channels + from];
      }
  const at::Tensor held = at::from_blob(signal.data(), {channels, p.batch, frames, ratio}).clone();
  return held.select(-1, -1).permute({1, 0, 2});
}

void keep(Performance& p, const at::Tensor& y, int64_t k) {
  const int64_t frames = p.block / p.method.out_ratio, channels = p.method.out_channels;
  const std::vector<int64_t> wanted = {p.batch, channels, frames};
  need(y.sizes() == at::IntArrayRef(wanted), "block ", k, ": ", p.method.name, " returned ", y.sizes(), "; hosts take ",
       at::IntArrayRef(wanted));
  need(at::isfinite(y).all().item<bool>(), "block ", k, ": ", p.method.name, " returned a value that is not finite");
  const float* from = y.const_data_ptr<float>();
  for (int64_t t = 0; t < frames; ++t)
    for (int64_t c = 0; c < p.batch * channels; ++c) p.out.samples.push_back(from[c * frames + t]);
}

/// The audio thread: every block in turn, by the clock if `realtime`.
void perform(Performance& p, Instrument& instrument, Cues& cues, int threads, bool realtime) {
  at::set_num_threads(threads);  // OpenMP keeps this number per thread: the main thread's does not hold here
  const c10::InferenceMode guard;
  const Clock::time_point start = Clock::now();
  const auto due = [&](int64_t k) {
    return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(k * p.block / p.rate));
  };
  for (int64_t k = 0; k < p.blocks; ++k) {
    const at::Tensor x = cut(p, k);
    if (realtime) std::this_thread::sleep_until(due(k));
    const Clock::time_point begun = Clock::now();
    cues.wait_for_settings(k);  // on the clock, as a host's audio thread waits for a setter at the mutex
    const at::Tensor y = instrument.play(p.method, x);
    const Clock::time_point done = Clock::now();
    p.ms.push_back(Milliseconds(done - begun).count());
    if (realtime && done > due(k + 1)) p.missed.push_back(k);
    keep(p, y, k);
  }
}

void play(Performance& p, Instrument& instrument, const Options& o) {
  for (const Setting& s : o.settings)
    need(s.block < p.blocks, "--at ", s.block, ": there are ", p.blocks, " blocks, from 0");
  const auto first = std::find_if(o.settings.begin(), o.settings.end(), [](auto& s) { return s.block >= 0; });
  for (auto s = o.settings.begin(); s != first; ++s) {
    std::cout << "set " << s->name << " = " << instrument.set(s->name, s->value) << '\n';
  }
  p.out.channels = uint16_t(p.method.out_channels * o.batch);
  p.out.rate = uint32_t(std::max(1L, std::lround(p.rate / p.method.out_ratio)));
  p.out.samples.reserve(p.blocks * p.block / p.method.out_ratio * p.out.channels);
  Cues cues;
  auto audio = std::async(std::launch::async, [&] {
    try {
      perform(p, instrument, cues, o.threads, o.realtime);
    } catch (...) {
      cues.end();
      throw;
    }
  });
  try {
    cues.serve({first, o.settings.end()}, instrument);
  } catch (...) {
    cues.end();
    throw;
  }
  audio.get();
}

// ---------------------------------------------------------------- the report

double ranked(const std::vector<double>& sorted, double part) {  // nearest rank
  return sorted[std::max<int64_t>(0, int64_t(std::ceil(part * sorted.size())) - 1)];
}

void report(const Performance& p, const Options& o) {
  std::vector<double> sorted = p.ms;
  std::sort(sorted.begin(), sorted.end());
  const auto nth = [&](size_t k) { return k < p.ms.size() ? std::to_string(p.ms[k]) : "null"; };
  const std::vector<std::pair<std::string, std::string>> figures = {
      {"first_ms", nth(0)}, {"second_ms", nth(1)}, {"third_ms", nth(2)},
      {"median_ms", std::to_string(ranked(sorted, 0.5))}, {"p99_ms", std::to_string(ranked(sorted, 0.99))},
      {"worst_ms", std::to_string(sorted.back())},
      {"worst_from_fourth_ms",
       p.ms.size() > 3 ? std::to_string(*std::max_element(p.ms.begin() + 3, p.ms.end())) : "null"},
      {"block_length_ms", std::to_string(1000 * p.block / p.rate)}, {"blocks", std::to_string(p.blocks)},
      {"misses", o.realtime ? std::to_string(p.missed.size()) : "null"}};
  std::ostringstream json;
  json << "{\"torch\": \"" << TORCH_VERSION << "\", \"method\": \"" << p.method.name << "\", \"device\": \"" << o.device
       << "\", \"block\": " << p.block << ", \"batch\": " << p.batch << ", \"threads\": " << o.threads;
  for (const auto& [name, value] : figures) {
    std::cout << name << ' ' << value << '\n';
    json << ", \"" << name << "\": " << value;
  }
  json << ", \"missed\": [";
  for (size_t i = 0; i < p.missed.size(); ++i) json << (i ? ", " : "") << p.missed[i];
  json << "], \"block_ms\": [";
  for (size_t i = 0; i < p.ms.size(); ++i) json << (i ? ", " : "") << p.ms[i];
  json << "]}\n";
  if (o.json.empty()) return;
  std::ofstream file(o.json);
  file << json.str();
  need(bool(file.flush()), o.json, " cannot be written");
}

int main(int count, char** arguments) {
  try {
    const Options o = parse(count, arguments);
    at::set_num_threads(o.threads);
    at::set_num_interop_threads(o.threads);
    const Wav in = read_wav(o.in);
    Instrument instrument(o.file, o.device);
    instrument.describe(std::cout);
    Performance p = prepare(instrument, instrument.method(o.method), in, o);
    if (o.graph) {
      const std::string reason = instrument.record(p.method, {o.batch, p.method.in_channels, o.block / p.method.in_ratio});
      if (reason.empty()) std::cout << "a block is one CUDA graph\n";
      else std::cerr << "rave_host: note: played without a CUDA graph: " << reason << '\n';
    }
    play(p, instrument, o);
    write_wav(o.out, p.out);
    report(p, o);
    return 0;
  } catch (const Usage& wrong) {
    std::cerr << "rave_host: " << wrong.what() << '\n' << kUsage << '\n';
    return 2;
  } catch (const c10::Error& wrong) {
    std::cerr << "rave_host: " << wrong.what_without_backtrace() << '\n';
  } catch (const std::exception& wrong) {
    std::cerr << "rave_host: " << wrong.what() << '\n';
  }
  return 1;
}
