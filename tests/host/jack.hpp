// Instances of a file in a JACK client, as nn~ plays them: the process callback collects blocks and never waits; a worker
// thread for each instance plays them. What a block gives is heard while the next but one is collected: 2 blocks late.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <jack/jack.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <semaphore>
#include <thread>

#include "instrument.hpp"
#include "wav.hpp"

/// An instance and its worker. The two semaphores hand the block over: only who was handed it touches it.
class Player {
 public:
  std::vector<double> ms;        // per block played
  std::atomic<int64_t> late{0};  // blocks that were lost, since the one before was not ready: a block of silence instead

  Player(Instrument& instrument, const Method& m, int64_t block, int64_t blocks, int threads)
      : instrument_(instrument), method_(m), block_(block), collected_(m.in_channels * block), input_(collected_),
        heard_(m.out_channels * block), output_(heard_) {
    ms.reserve(blocks);
    worker_ = std::thread([=, this] { work(threads); });
  }

  ~Player() { stop(); }

  /// The audio thread: one sample of each channel in, one out.
  void process(const float* in, float* out) {
    for (int64_t c = 0; c < method_.in_channels; ++c) collected_[c * block_ + filled_] = in[c];
    for (int64_t c = 0; c < method_.out_channels; ++c) out[c] = heard_[c * block_ + filled_];
    if (++filled_ < block_) return;
    filled_ = 0;
    if (done_.try_acquire()) {
      collected_.swap(input_);
      heard_.swap(output_);
      ready_.release();
    } else {
      std::fill(heard_.begin(), heard_.end(), 0.0f);
      ++late;
    }
  }

  /// The main thread, when the audio thread has ended: waits for the block in work; throws what the worker threw.
  void stop() {
    if (!worker_.joinable()) return;
    over_ = true;
    ready_.release();
    worker_.join();
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void work(int threads) try {
    at::set_num_threads(threads);
    while (ready_.acquire(), !over_) {
      const auto begun = std::chrono::steady_clock::now();
      const at::Tensor y = instrument_.play(method_, at::from_blob(input_.data(), {1, method_.in_channels, block_}));
      need(y.numel() == int64_t(output_.size()), method_.name, " returned ", y.sizes());
      std::copy_n(y.const_data_ptr<float>(), y.numel(), output_.begin());
      ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun).count());
      done_.release();
    }
  } catch (...) {
    error_ = std::current_exception();  // from now on every block is late
  }

  Instrument& instrument_;
  const Method& method_;
  const int64_t block_;
  std::vector<float> collected_, input_, heard_, output_;  // (channels, block); collected and heard by the audio thread
  int64_t filled_ = 0;
  std::counting_semaphore<2> ready_{0}, done_{1};
  std::atomic<bool> over_{false};
  std::exception_ptr error_;
  std::thread worker_;  // last: it uses all of the above
};

/// A JACK client that plays a wav into every instance, and keeps and sends to the card what they play.
class Card {
 public:
  Wav out;  // the channels of each instance in turn
  std::atomic<int64_t> xruns{0};

  Card(const Wav& in, std::vector<std::unique_ptr<Player>>& players, int64_t frames, int64_t channels)
      : in_(in), players_(players), frames_(frames), channels_(channels),
        client_(jack_client_open("rave_host", JackNoStartServer, nullptr)) {
    need(bool(client_), "no JACK server answers; jackd -d dummy starts one without a sound card");
    need(jack_get_sample_rate(client_.get()) == in.rate, "JACK runs at ", jack_get_sample_rate(client_.get()),
         " Hz, the wav at ", in.rate);
    out.rate = in.rate, out.channels = uint16_t(channels * players.size());
    out.samples.resize(frames * out.channels);
    for (int i = 0; i < out.channels; ++i)
      ports_.push_back(jack_port_register(client_.get(), ("out_" + std::to_string(i + 1)).c_str(), JACK_DEFAULT_AUDIO_TYPE,
                                          JackPortIsOutput, 0));
    jack_set_process_callback(client_.get(), [](jack_nframes_t n, void* me) { return static_cast<Card*>(me)->process(n); },
                              this);
    jack_set_xrun_callback(client_.get(), [](void* me) { return ++static_cast<Card*>(me)->xruns, 0; }, this);
    jack_on_shutdown(client_.get(), [](void* me) { static_cast<Card*>(me)->gone_ = true; }, this);
  }

  void play() {
    need(jack_activate(client_.get()) == 0, "JACK does not let the client run");
    while (at_ < frames_ && !gone_) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    need(!gone_, "the JACK server has ended");
    jack_deactivate(client_.get());
  }

 private:
  int process(jack_nframes_t count) {
    const int64_t begin = at_, end = std::min(begin + int64_t(count), frames_);
    for (int64_t t = begin; t < end; ++t) {
      const float* in = t < in_.frames() ? &in_.samples[t * in_.channels] : zeros_.data();
      for (size_t k = 0; k < players_.size(); ++k) players_[k]->process(in, &out.samples[t * out.channels + k * channels_]);
    }
    for (size_t i = 0; i < ports_.size(); ++i) {
      auto* to = static_cast<float*>(jack_port_get_buffer(ports_[i], count));
      for (int64_t t = 0; t < count; ++t) to[t] = begin + t < end ? out.samples[(begin + t) * out.channels + i] : 0.0f;
    }
    at_ = end;
    return 0;
  }

  struct Close {
    void operator()(jack_client_t* client) const { jack_client_close(client); }
  };

  const Wav& in_;
  const std::vector<float> zeros_ = std::vector<float>(in_.channels);
  std::vector<std::unique_ptr<Player>>& players_;
  const int64_t frames_, channels_;
  std::vector<jack_port_t*> ports_;
  std::atomic<int64_t> at_{0};  // samples played
  std::atomic<bool> gone_{false};
  std::unique_ptr<jack_client_t, Close> client_;  // last: closed first, it ends the callbacks
};
