// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/capture.hpp"

#include <pcap/pcap.h>

#include <cerrno>
#include <cstring>

namespace fairlead::cli {

namespace {

constexpr int kSnapLength = 262144;
constexpr std::uint64_t kNsPerS = 1'000'000'000;

Error in_file(const std::string &path, std::string what, std::string mend = {}) {
    return {.what = std::move(what), .file = path, .line = 0, .field = {}, .mend = std::move(mend)};
}

} // namespace

void CaptureReader::Close::operator()(pcap *handle) const { pcap_close(handle); }
void CaptureWriter::Close::operator()(pcap *handle) const { pcap_close(handle); }
void CaptureWriter::Close::operator()(pcap_dumper *dumper) const { pcap_dump_close(dumper); }

std::expected<CaptureReader, Error> CaptureReader::open(const std::string &path) {
    char reason[PCAP_ERRBUF_SIZE] = {};
    pcap_t *handle = pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, reason);
    if (!handle) return std::unexpected(in_file(path, reason, "give a pcap or pcapng file"));
    CaptureReader reader(path, handle);
    if (pcap_datalink(handle) != DLT_EN10MB)
        return std::unexpected(in_file(path, std::string("the capture's link type is ") + pcap_datalink_val_to_name(pcap_datalink(handle)),
                                       "capture on an Ethernet device"));
    return reader;
}

std::expected<std::optional<CapturedPacket>, Error> CaptureReader::next() {
    pcap_pkthdr *header = nullptr;
    const u_char *data = nullptr;
    switch (pcap_next_ex(handle_.get(), &header, &data)) {
    case 1:
        return CapturedPacket{static_cast<std::uint64_t>(header->ts.tv_sec) * kNsPerS + static_cast<std::uint64_t>(header->ts.tv_usec),
                              {data, header->caplen}};
    case PCAP_ERROR_BREAK: return std::optional<CapturedPacket>{};
    default: return std::unexpected(in_file(path_, pcap_geterr(handle_.get()), "the capture is damaged; make it again"));
    }
}

CaptureWriter::CaptureWriter(std::string path, pcap *handle, pcap_dumper *dumper)
    : path_(std::move(path)), handle_(handle), dumper_(dumper) {}

std::expected<CaptureWriter, Error> CaptureWriter::create(const std::string &path) {
    pcap_t *handle = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, kSnapLength, PCAP_TSTAMP_PRECISION_NANO);
    if (!handle) return std::unexpected(error_of("no memory to write a capture"));
    pcap_dumper_t *dumper = pcap_dump_open(handle, path.c_str());
    if (!dumper) {
        Error error = in_file(path, std::strerror(errno), "name a file that can be written");
        pcap_close(handle);
        return std::unexpected(error);
    }
    return CaptureWriter(path, handle, dumper);
}

void CaptureWriter::write(std::uint64_t time_ns, std::span<const std::uint8_t> bytes) {
    pcap_pkthdr header{};
    header.ts.tv_sec = static_cast<time_t>(time_ns / kNsPerS);
    header.ts.tv_usec = static_cast<suseconds_t>(time_ns % kNsPerS); // nanoseconds, by the precision asked for
    header.caplen = header.len = static_cast<bpf_u_int32>(bytes.size());
    pcap_dump(reinterpret_cast<u_char *>(dumper_.get()), &header, bytes.data());
}

std::expected<void, Error> CaptureWriter::finish() {
    if (pcap_dump_flush(dumper_.get()) != 0) return std::unexpected(in_file(path_, std::strerror(errno), "make room on the disk"));
    return {};
}

} // namespace fairlead::cli
