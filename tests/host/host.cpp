// Plays a wav through an exported file as nn~ 1.6 (Max, Pure Data) does, and holds the file to what live hosts ask for.
//
// The file is loaded and its attributes are set on the main thread, outside inference mode; the blocks are played on an
// audio thread, inside it; a mutex keeps the two apart. --block counts samples of sound, also where the wav holds latents
// (a frame of it per model frame). The wav has the method's channels, which every stream of the batch then gets, or those
// of each stream in turn; so has the output. The last block is filled up with zeros and written whole. --realtime begins
// block k when its last sample would have come in and wants it done one block later. Nothing is warmed up, unless --graph
// records a block as one CUDA graph before the first. --fuzz sets attributes at random before every block. --jack plays
// instances of the file on a JACK card, by its clock: the output has the channels of each, two blocks later (jack.hpp).
// Exit code 1: the file, the wav or a setting is not as it must be, with the reason; 2: usage.
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <torch/version.h>

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <future>
#include <iomanip>
#include <iostream>
#include <random>
#include <thread>

#include "instrument.hpp"
#include "options.hpp"
#include "wav.hpp"
#ifdef RAVE_JACK
#include <unistd.h>

#include "jack.hpp"
#endif

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

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
  std::vector<double> ms = {};        // per block, by the clock
  std::vector<double> cpu_ms = {};    // of all threads: what others do on the machine does not count
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
    const std::clock_t cpu_begun = std::clock();
    cues.wait_for_settings(k);  // on the clock, as a host's audio thread waits for a setter at the mutex
    const at::Tensor y = instrument.play(p.method, x);
    const Clock::time_point done = Clock::now();
    p.ms.push_back(Milliseconds(done - begun).count());
    p.cpu_ms.push_back(1000.0 * double(std::clock() - cpu_begun) / CLOCKS_PER_SEC);
    if (realtime && done > due(k + 1)) p.missed.push_back(k);
    keep(p, y, k);
  }
}

/// `count` settings before each block, the same in every run: any attribute, any number, as Pure Data writes it.
std::vector<Setting> random_settings(const std::vector<std::string>& names, int64_t blocks, int64_t count) {
  constexpr float most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  constexpr float numbers[] = {0, -0.0f, 1, -1, 0.5f, 1e-3f, least, -least, 1e38f, -1e38f, most, -most, 16777216,
                               2147483648.0f, -2147483648.0f, 9.3e18f, INFINITY, -INFINITY, NAN, -NAN};
  std::mt19937 dice(0);
  std::vector<Setting> settings;
  for (int64_t k = 0; k < blocks * count && !names.empty(); ++k) {
    const float value = dice() % 2 ? numbers[dice() % std::size(numbers)] : float(int32_t(dice())) / float(1 << dice() % 31);
    settings.push_back({k / count, names[dice() % names.size()], std::to_string(value)});
  }
  return settings;
}

void play(Performance& p, Instrument& instrument, const Options& o) {
  std::vector<Setting> settings = o.settings;
  for (const Setting& s : random_settings(instrument.numbers(), p.blocks, o.fuzz)) settings.push_back(s);
  std::stable_sort(settings.begin(), settings.end(), [](auto& a, auto& b) { return a.block < b.block; });
  for (const Setting& s : settings)
    need(s.block < p.blocks, "--at ", s.block, ": there are ", p.blocks, " blocks, from 0");
  const auto first = std::find_if(settings.begin(), settings.end(), [](auto& s) { return s.block >= 0; });
  for (auto s = settings.begin(); s != first; ++s) {
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
    cues.serve({first, settings.end()}, instrument);
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

using Figures = std::vector<std::pair<std::string, std::string>>;
using Rows = std::vector<std::pair<std::string, std::vector<double>>>;

/// Prints the figures, and writes them and the rows to the JSON file if one is asked for.
void report(const Options& o, const Figures& figures, const Rows& rows) {
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

Figures times(std::vector<double> ms) {
  if (ms.empty()) ms.push_back(0);
  std::sort(ms.begin(), ms.end());
  return {{"median_ms", std::to_string(ranked(ms, 0.5))}, {"p99_ms", std::to_string(ranked(ms, 0.99))},
          {"worst_ms", std::to_string(ms.back())}};
}

void report(const Performance& p, const Options& o) {
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

// ---------------------------------------------------------------- several instances on a JACK card

#ifdef RAVE_JACK
/// Memory of this process, MiB; 0 where there is no /proc.
double resident() {
  std::ifstream pages("/proc/self/statm");
  double total = 0, held = 0;
  pages >> total >> held;
  return held * sysconf(_SC_PAGESIZE) / (1 << 20);
}

void play_on_card(const Wav& in, const Options& o) {
  if (o.batch != 1 || o.realtime || o.graph || o.device != "cpu" || o.fuzz || 
      std::any_of(o.settings.begin(), o.settings.end(), [](auto& s) { return s.block >= 0; }))
    throw Usage("--jack takes --method, --block, --set, --json and --threads");
  std::vector<std::unique_ptr<Instrument>> instruments;
  std::vector<double> load_s, resident_mib = {resident()};
  for (int64_t i = 0; i < o.jack; ++i) {
    const Clock::time_point begun = Clock::now();
    instruments.push_back(std::make_unique<Instrument>(o.file, o.device));
    load_s.push_back(Milliseconds(Clock::now() - begun).count() / 1000);
    resident_mib.push_back(resident());
    for (const Setting& s : o.settings) instruments.back()->set(s.name, s.value);
  }
  const Method& m = instruments[0]->method(o.method);
  need(m.in_ratio == 1 && m.out_ratio == 1, m.name, " does not play samples to samples");
  const Performance p = prepare(*instruments[0], m, in, o);
  std::vector<std::unique_ptr<Player>> players;
  for (auto& one : instruments) players.push_back(std::make_unique<Player>(*one, m, o.block, p.blocks + 2, o.threads));
  Card card(in, players, (p.blocks + 2) * o.block, m.out_channels);
  card.play();
  std::vector<double> ms, late;
  for (auto& one : players) {
    one->stop();
    one->rethrow();
    ms.insert(ms.end(), one->ms.begin(), one->ms.end());
    late.push_back(double(one->late));
  }
  write_wav(o.out, card.out);
  Figures figures = times(ms);
  figures.push_back({"block_length_ms", std::to_string(1000 * o.block / p.rate)});
  figures.push_back({"blocks", std::to_string(p.blocks + 2)});
  figures.push_back({"xruns", std::to_string(card.xruns)});
  report(o, figures, {{"late", late}, {"load_s", load_s}, {"resident_mib", resident_mib}, {"block_ms", ms}});
}
#else
void play_on_card(const Wav&, const Options&) { fail("rave_host was built without JACK: it needs jack/jack.h and libjack"); }
#endif

int main(int count, char** arguments) {
  try {
    const Options o = parse(count, arguments);
    at::set_num_threads(o.threads);
    at::set_num_interop_threads(o.threads);
    const Wav in = read_wav(o.in);
    if (o.jack) return play_on_card(in, o), 0;
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
