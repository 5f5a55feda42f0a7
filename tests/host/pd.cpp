// A Pure Data object that plays an exported file as nn~ 1.6 does without its thread: [rave~ FILE METHOD BLOCK].
//
// Signals gather in blocks of BLOCK, or of the file's largest ratio where that is more. A block is computed when its last
// sample has come in: the sound is BLOCK - 64 samples later than the file makes it. Of a method with a ratio, the last of so
// many samples is the frame, and a frame is held for as many. "set NAME VALUE" hands a number on as text, by std::to_string.
#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <m_pd.h>

#include "instrument.hpp"

struct Player {
  Instrument instrument;
  const Method& method;
  int64_t block;
  at::Tensor in, out;  // (channels, block)
  int64_t position = 0;
  std::vector<t_sample*> signals;  // of the inlets, then of the outlets

  Player(const std::string& file, const std::string& name, int64_t wanted)
      : instrument(file, "cpu"), method(instrument.method(name)), block(std::max(wanted, instrument.highest_ratio())),
        in(at::zeros({method.in_channels, block})), out(at::zeros({method.out_channels, block})) {}

  /// The next `count` samples of every inlet, then of every outlet: their memory may be the same.
  void play(int64_t count) {
    for (int64_t c = 0; c < method.in_channels; ++c)
      std::copy_n(signals[c], count, in.mutable_data_ptr<float>() + c * block + position);
    position = (position + count) % block;
    if (position == 0) compute();
    for (int64_t c = 0; c < method.out_channels; ++c)
      std::copy_n(out.const_data_ptr<float>() + c * block + position, count, signals[method.in_channels + c]);
  }

  void compute() {
    const at::Tensor frames = in.view({1, method.in_channels, -1, method.in_ratio}).select(3, -1).contiguous();
    out = instrument.play(method, frames)[0].repeat_interleave(method.out_ratio, 1).contiguous();
  }
};

struct Object {
  t_object object;
  t_float unused;
  Player* player;
};

static t_class* kClass;

/// Runs `work`; what goes wrong is told on Pure Data's console.
template <class Work>
bool told(Object* object, const Work& work) {
  try {
    work();
    return true;
  } catch (const std::exception& wrong) {
    pd_error(object, "rave~: %s", wrong.what());
    return false;
  }
}

static void* make(t_symbol*, int count, t_atom* words) {
  auto* x = reinterpret_cast<Object*>(pd_new(kClass));
  x->player = nullptr;
  const bool made = told(x, [&] {
    x->player = new Player(atom_getsymbolarg(0, count, words)->s_name, atom_getsymbolarg(1, count, words)->s_name,
                           int64_t(atom_getfloatarg(2, count, words)));
  });
  if (!made) return pd_free(&x->object.ob_pd), nullptr;
  for (int64_t c = 1; c < x->player->method.in_channels; ++c)  // the first is there
    inlet_new(&x->object, &x->object.ob_pd, &s_signal, &s_signal);
  for (int64_t c = 0; c < x->player->method.out_channels; ++c) outlet_new(&x->object, &s_signal);
  return x;
}

static void unmake(Object* x) { delete x->player; }

static void set(Object* x, t_symbol*, int count, t_atom* words) {
  told(x, [&] {
    need(count == 2, "set NAME VALUE is wanted");
    const t_atom& a = words[1];
    const std::string name = atom_getsymbol(words)->s_name;
    const std::string held =
        x->player->instrument.set(name, a.a_type == A_FLOAT ? std::to_string(a.a_w.w_float) : a.a_w.w_symbol->s_name);
    post("rave~: %s is %s", name.c_str(), held.c_str());
  });
}

static t_int* perform(t_int* words) {
  auto* x = reinterpret_cast<Object*>(words[1]);
  told(x, [&] { x->player->play(words[2]); });
  return words + 3;
}

static void dsp(Object* x, t_signal** signals) {
  x->player->signals.clear();
  for (int64_t i = 0; i < x->player->method.in_channels + x->player->method.out_channels; ++i)
    x->player->signals.push_back(signals[i]->s_vec);
  dsp_add(perform, 2, x, t_int(signals[0]->s_n));
}

extern "C" void rave_tilde_setup() {
  at::set_num_threads(1);
  kClass = class_new(gensym("rave~"), reinterpret_cast<t_newmethod>(make), reinterpret_cast<t_method>(unmake),
                     sizeof(Object), CLASS_DEFAULT, A_GIMME, A_NULL);
  CLASS_MAINSIGNALIN(kClass, Object, unused);
  class_addmethod(kClass, reinterpret_cast<t_method>(dsp), gensym("dsp"), A_CANT, A_NULL);
  class_addmethod(kClass, reinterpret_cast<t_method>(set), gensym("set"), A_GIMME, A_NULL);
}
