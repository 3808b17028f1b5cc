// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bpf/loaded_object.hpp"

#include <cerrno>
#include <cstring>

#include <bpf/bpf.h>
#include <linux/bpf.h>

namespace fairlead::bpf::test {

std::optional<std::string> missing_privilege() {
    const Descriptor map(bpf_map_create(BPF_MAP_TYPE_HASH, "probe", 4, 4, 1, nullptr));
    if (map.get() >= 0) return std::nullopt;
    return std::string("cannot create BPF maps here: ") + std::strerror(errno);
}

LoadedObject::LoadedObject(bpf_object *opened) : object_(opened, &bpf_object__close) {
    if (object_ && bpf_object__load(object_.get()) == 0) program_ = bpf_object__next_program(object_.get(), nullptr);
}

int LoadedObject::map(const char *name) const {
    return bpf_map__fd(bpf_object__find_map_by_name(object_.get(), name));
}

RunResult LoadedObject::run(const Bytes &frame, unsigned interface_index) const {
    RunResult result;
    result.frame.resize(frame.size() + 64);
    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<std::uint32_t>(frame.size());
    options.data_out = result.frame.data();
    options.data_size_out = static_cast<std::uint32_t>(result.frame.size());
    xdp_md context{};
    context.data_end = static_cast<std::uint32_t>(frame.size());
    context.ingress_ifindex = interface_index;
    if (interface_index != 0) {
        options.ctx_in = &context;
        options.ctx_size_in = sizeof(context);
    }
    result.error = -bpf_prog_test_run_opts(program(), &options);
    result.verdict = options.retval;
    result.frame.resize(result.error == 0 ? options.data_size_out : 0);
    return result;
}

} // namespace fairlead::bpf::test
