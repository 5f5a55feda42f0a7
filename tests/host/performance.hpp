// A wav, cut into blocks, through one method of a file: the audio thread plays, the main thread sets attributes.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <future>
#include <iostream>
#include <limits>
#include <random>
#include <thread>

#include "instrument.hpp"
#include "options.hpp"
#include "wav.hpp"

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

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

inline Performance prepare(const Instrument& instrument, const Method& m, const Wav& in, const Options& o) {
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
inline at::Tensor cut(const Performance& p, int64_t k) {
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

inline void keep(Performance& p, const at::Tensor& y, int64_t k) {
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
inline void perform(Performance& p, Instrument& instrument, Cues& cues, int threads, bool realtime) {
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
inline std::vector<Setting> random_settings(const std::vector<std::string>& names, int64_t blocks, int64_t count) {
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

inline void play(Performance& p, Instrument& instrument, const Options& o) {
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
