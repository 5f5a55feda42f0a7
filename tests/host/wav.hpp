// Wav files: 16, 24 and 32 bit PCM and float32 are read, float32 is written. For little-endian machines, as wav is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

struct Wav {
  uint32_t rate = 0;           // Hz
  uint16_t channels = 0;
  std::vector<float> samples;  // interleaved

  int64_t frames() const { return channels ? int64_t(samples.size()) / channels : 0; }
};

namespace wav_detail {

constexpr uint16_t kPcm = 1, kFloat = 3, kExtensible = 0xFFFE;

template <class T>
T take(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline float sample(const char* at, uint16_t format, int bits) {
  if (format == kFloat) return take<float>(at);
  int32_t value = 0;  // the bits go to the top, so that one scale serves every width
  std::memcpy(reinterpret_cast<char*>(&value) + 4 - bits / 8, at, bits / 8);
  return float(value) / 2147483648.0f;
}

}  // namespace wav_detail

inline Wav read_wav(const std::string& path) {
  using namespace wav_detail;
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  if (bytes.size() < 12 || bytes.compare(0, 4, "RIFF") || bytes.compare(8, 4, "WAVE"))
    throw std::runtime_error(path + ": no wav file, or not to be read");
  Wav wav;
  uint16_t format = 0, bits = 0;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const std::string name = bytes.substr(at, 4);
    const char* body = bytes.data() + at + 8;
    // A recorder that was cut off leaves a size past the end of the file: what is there is taken.
    const size_t size = std::min<size_t>(take<uint32_t>(bytes.data() + at + 4), bytes.size() - at - 8);
    if (name == "fmt " && size >= 16) {
      format = take<uint16_t>(body);
      if (format == kExtensible && size >= 26) format = take<uint16_t>(body + 24);
      wav.channels = take<uint16_t>(body + 2);
      wav.rate = take<uint32_t>(body + 4);
      bits = take<uint16_t>(body + 14);
    } else if (name == "data") {
      const bool known = (format == kPcm && (bits == 16 || bits == 24 || bits == 32)) || (format == kFloat && bits == 32);
      if (!known || !wav.channels || !wav.rate)
        throw std::runtime_error(path + ": only 16, 24, 32 bit PCM and float32 are read");
      const size_t frame = size_t(wav.channels) * bits / 8;
      wav.samples.resize(size / frame * wav.channels);
      for (size_t i = 0; i < wav.samples.size(); ++i) wav.samples[i] = sample(body + i * bits / 8, format, bits);
      return wav;
    }
    at += 8 + size + size % 2;
  }
  throw std::runtime_error(path + ": no samples in it");
}

inline void write_wav(const std::string& path, const Wav& wav) {
  using namespace wav_detail;
  const size_t size = wav.samples.size() * sizeof(float);
  if (size > 0xFFFFFF00u) throw std::runtime_error(path + ": more than a wav file holds (4 GB)");
  std::string head = "RIFF";
  put(head, uint32_t(48 + size));
  head += "WAVEfmt ";
  put(head, uint32_t(16));
  put(head, kFloat);
  put(head, wav.channels);
  put(head, wav.rate);
  put(head, uint32_t(wav.rate * wav.channels * sizeof(float)));
  put(head, uint16_t(wav.channels * sizeof(float)));
  put(head, uint16_t(32));
  head += "fact";  // asked for in every format but PCM
  put(head, uint32_t(4));
  put(head, uint32_t(wav.frames()));
  head += "data";
  put(head, uint32_t(size));
  std::ofstream file(path, std::ios::binary);
  file << head;
  file.write(reinterpret_cast<const char*>(wav.samples.data()), std::streamsize(size));
  if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}
