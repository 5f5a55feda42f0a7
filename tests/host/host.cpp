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
#include "performance.hpp"
#include "report.hpp"
#ifdef RAVE_JACK
#include <unistd.h>

#include "jack.hpp"
#endif

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
