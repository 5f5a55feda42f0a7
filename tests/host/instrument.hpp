// An exported file as a live host sees it: methods, attributes, blocks; what breaks the protocol is said in one line.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/serialization/import.h>  // what a host needs of torch/script.h, sooner built

#ifdef RAVE_CUDA_GRAPH
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/zeros.h>
#include <c10/core/StreamGuard.h>  // through torch's own library: the CUDA runtime is not linked
#include <c10/core/impl/VirtualGuardImpl.h>
#endif

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "values.hpp"

struct Method {
  std::string name;
  int64_t in_channels, in_ratio, out_channels, out_ratio;  // a ratio: samples per frame
};

struct Attribute {
  std::string name;
  std::vector<int64_t> codes;  // one per value: 0 bool, 1 int, 2 float, 3 string
};

/// An exported file behind a mutex; refuses, on loading and on use, what a live host would choke on.
class Instrument {
 public:
  Instrument(const std::string& path, const std::string& device)
      : device_(device), module_(loaded(path, device_)) {
    module_.eval();
    for (const auto& p : module_.named_parameters())
      need(!p.value.requires_grad(), "the parameter ", p.name, " requires a gradient; export with requires_grad off");
    for (const std::string& name : names("get_methods")) methods_.push_back(read_method(name));
    method("forward");
    for (const std::string& name : names("get_attributes")) attributes_.push_back(read_attribute(name));
  }

  const Method& method(const std::string& name) const { return find(methods_, name, "get_methods()"); }

  /// Samples of the longest frame of all methods: nn~ hands out blocks of a multiple of it, whatever the method.
  int64_t highest_ratio() const {
    int64_t highest = 1;
    for (const Method& m : methods_) highest = std::max({highest, m.in_ratio, m.out_ratio});
    return highest;
  }

  /// The attributes of one floating-point number.
  std::vector<std::string> numbers() const {
    std::vector<std::string> names;
    for (const Attribute& a : attributes_)
      if (a.codes == std::vector<int64_t>{2}) names.push_back(a.name);
    return names;
  }

  int64_t number(const std::string& name) const {  // -1: the file does not say
    const bool there = module_.hasattr(name) && module_.attr(name).isInt();
    return there ? module_.attr(name).toInt() : -1;
  }

  /// One block, (batch, in_channels, frames) -> (batch, out_channels, frames') on the CPU, checked but for its length.
  at::Tensor play(const Method& m, const at::Tensor& x) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const c10::InferenceMode guard;
#ifdef RAVE_CUDA_GRAPH
    if (recorded_ == &m && x.sizes() == input_.sizes()) {
      input_.copy_(x);
      graph_->replay();
      return output_.cpu();
    }
#endif
    const IValue y = module_.get_method(m.name)({x.to(device_)});
    need(y.isTensor(), m.name, " returned a ", y.tagKind(), "; hosts take one tensor and are silent otherwise");
    need(y.toTensor().scalar_type() == at::kFloat, m.name, " returned ", y.toTensor().scalar_type(), "; hosts take float32");
    need(y.toTensor().is_contiguous(), m.name, " returned a tensor that is not contiguous; hosts copy it as one piece");
    return y.toTensor().cpu();
  }

  /// Records a method's block of this shape as one CUDA graph, which `play` then replays; why it cannot, or "".
  std::string record(const Method& m, at::IntArrayRef shape) {
    if (!device_.is_cuda()) return "the device is no GPU";
    if (number("receptive_field") < 0) return "the file is of another program, whose state need not lie in buffers";
    if (!module_.attr("regular", number("hop") > 1).toBool()) return "the file converts the sampling rate, so that its blocks differ";
#ifdef RAVE_CUDA_GRAPH
    const std::lock_guard<std::mutex> lock(mutex_);
    const c10::InferenceMode guard;
    input_ = at::zeros(shape, at::TensorOptions(device_));
    const auto block = [&] { return module_.get_method(m.name)({input_}).toTensor(); };
    const c10::impl::VirtualGuardImpl gpu(device_.type());
    const c10::Device device(device_.type(), gpu.getDevice().index());
    const c10::Stream stream = gpu.getStreamFromGlobalPool(device, false);
    {
      const c10::StreamGuard on(stream);
      for (int i = 0; i < 4; ++i) block();  // TorchScript compiles, cuBLAS allocates its workspace
      stream.synchronize();
      graph_ = std::make_unique<at::cuda::CUDAGraph>();
      graph_->capture_begin();
      output_ = block();
      graph_->capture_end();
    }
    module_.get_method("reset")({});
    gpu.getStream(device).synchronize();
    recorded_ = &m;
    return "";
#else
    return "rave_host was built without the headers of the CUDA runtime";
#endif
  }

  /// Sets an attribute; what it holds then, and what was asked for where that is something else.
  std::string set(const std::string& name, const std::string& text) {
    const Attribute& a = find(attributes_, name, "get_attributes()");
    const std::vector<std::string> parts = split(text);
    need(parts.size() == a.codes.size(), name, "=", text, ": ", a.codes.size(), " values are wanted");
    std::vector<IValue> values;
    std::string asked;
    for (size_t i = 0; i < parts.size(); ++i) {
      values.push_back(value(parts[i], a.codes[i], name));
      asked += (i ? "," : "") + written(values[i], a.codes[i], name);
    }
    const IValue done = call("set_" + name, std::move(values));
    need(done.isInt(), "set_", name, " returned a ", done.tagKind(), "; hosts take an int, 0 for done");
    need(done.toInt() == 0, "set_", name, " refused ", text, ": it returned ", done.toInt(), " instead of 0");
    const std::string held = get(name);
    return held == asked ? held : held + ", not " + asked;
  }

  std::string get(const std::string& name) {
    const Attribute& a = find(attributes_, name, "get_attributes()");
    const IValue got = call("get_" + name, {});
    need(got.isTuple(), "get_", name, " returned a bare ", got.tagKind(), "; nn~ 1.6 takes a tuple only");
    const auto& values = got.toTupleRef().elements();
    need(values.size() == a.codes.size(), "get_", name, " returned ", values.size(), " values, ", name, "_params names ",
         a.codes.size());
    std::string text;
    for (size_t i = 0; i < values.size(); ++i) text += (i ? "," : "") + written(values[i], a.codes[i], name);
    return text;
  }

  void describe(std::ostream& to) {
    for (const char* name : {"sample_rate", "hop", "latency"})
      if (number(name) >= 0) to << name << ' ' << number(name) << '\n';
    for (const Method& m : methods_)
      to << m.name << ": " << m.in_channels << " in, a frame per " << m.in_ratio << "; " << m.out_channels
         << " out, a frame per " << m.out_ratio << "; " << labels(m.name + "_input_labels") << " input labels, "
         << labels(m.name + "_output_labels") << " output labels\n";
    for (const Attribute& a : attributes_) to << "attribute " << a.name << " = " << get(a.name) << '\n';
  }

 private:
  static torch::jit::Module loaded(const std::string& path, const c10::Device& device) {
    try {
      return torch::jit::load(path, device);
    } catch (const c10::Error& wrong) {
      const std::string reason = wrong.what_without_backtrace();
      fail(path, " cannot be loaded; torch says: ", reason.substr(0, reason.find('\n')));
    }
  }

  template <class Named>
  static const Named& find(const std::vector<Named>& among, const std::string& name, const char* list) {
    std::string others;
    for (const Named& one : among) {
      if (one.name == name) return one;
      others += " " + one.name;
    }
    fail(list, " does not list ", name, "; there is:", others.empty() ? " nothing" : others);
  }

  IValue call(const std::string& name, std::vector<IValue> values) {
    const std::lock_guard<std::mutex> lock(mutex_);
    need(bool(module_.find_method(name)), "the file has no method ", name);
    return module_.get_method(name)(std::move(values));
  }

  std::vector<std::string> names(const std::string& from) {
    const IValue list = call(from, {});
    need(list.isList(), from, "() returned a ", list.tagKind(), ", not a list of names");
    std::vector<std::string> names;
    for (const IValue& name : list.toListRef()) names.push_back(name.toStringRef());
    return names;
  }

  std::vector<int64_t> integers(const std::string& name) const {
    need(module_.hasattr(name), "the file has no ", name);
    const IValue held = module_.attr(name);
    need(held.isTensor() && held.toTensor().dim() == 1 && at::isIntegralType(held.toTensor().scalar_type(), false), name,
         " is no row of integers");
    const at::Tensor row = held.toTensor().cpu().to(at::kLong).contiguous();
    return {row.const_data_ptr<int64_t>(), row.const_data_ptr<int64_t>() + row.numel()};
  }

  int64_t labels(const std::string& name) const {  // 0: none given
    return module_.hasattr(name) && module_.attr(name).isList() ? int64_t(module_.attr(name).toListRef().size()) : 0;
  }

  Method read_method(const std::string& name) {
    need(bool(module_.find_method(name)), "get_methods() lists ", name, ", but the file has no such method");
    const std::vector<int64_t> p = integers(name + "_params");
    need(p.size() == 4, name, "_params holds ", p.size(), " numbers, not in channels, in ratio, out channels, out ratio");
    for (const int64_t n : p) need(n > 0, name, "_params holds ", n, "; every number is at least 1");
    for (const int64_t ratio : {p[1], p[3]})
      need((ratio & (ratio - 1)) == 0, name, "_params: the ratio ", ratio, " is no power of two, as hosts' blocks are");
    const int64_t in = labels(name + "_input_labels"), out = labels(name + "_output_labels");
    need(!in || in == p[0], name, "_input_labels names ", in, " of ", p[0], " channels");
    need(!out || out == p[2], name, "_output_labels names ", out, " of ", p[2], " channels");
    return {name, p[0], p[1], p[2], p[3]};
  }

  Attribute read_attribute(const std::string& name) {
    for (const std::string prefix : {"get_", "set_"})
      need(bool(module_.find_method(prefix + name)), "the attribute ", name, " has no ", prefix, name);
    const std::vector<int64_t> codes = integers(name + "_params");
    need(!codes.empty(), name, "_params is empty; it holds a code per value");
    for (const int64_t code : codes)
      need(0 <= code && code <= 3, name, "_params holds the code ", code, "; there are 0 to 3");
    return {name, codes};
  }

  c10::Device device_;
  torch::jit::Module module_;
  std::mutex mutex_;
  std::vector<Method> methods_;
  std::vector<Attribute> attributes_;
#ifdef RAVE_CUDA_GRAPH
  const Method* recorded_ = nullptr;
  at::Tensor input_, output_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
#endif
};
