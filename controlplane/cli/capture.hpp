// SPDX-License-Identifier: Apache-2.0
/// Captures of Ethernet frames, read and written by libpcap, timestamps in nanoseconds.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "controlplane/error.hpp"

struct pcap;
struct pcap_dumper;

namespace fairlead::cli {

struct CapturedPacket {
    std::uint64_t time_ns = 0;
    std::span<const std::uint8_t> bytes; ///< valid until the next read
};

class CaptureReader {
  public:
    /// Errors: no such file, no capture, not of Ethernet.
    [[nodiscard]] static std::expected<CaptureReader, Error> open(const std::string &path);

    /// Nothing at the end. Errors: a capture that breaks off.
    [[nodiscard]] std::expected<std::optional<CapturedPacket>, Error> next();

  private:
    struct Close {
        void operator()(pcap *) const;
    };
    CaptureReader(std::string path, pcap *handle) : path_(std::move(path)), handle_(handle) {}
    std::string path_;
    std::unique_ptr<pcap, Close> handle_;
};

class CaptureWriter {
  public:
    [[nodiscard]] static std::expected<CaptureWriter, Error> create(const std::string &path);
    void write(std::uint64_t time_ns, std::span<const std::uint8_t> bytes);
    /// Errors: the disk is full.
    [[nodiscard]] std::expected<void, Error> finish();

  private:
    struct Close {
        void operator()(pcap *) const;
        void operator()(pcap_dumper *) const;
    };
    CaptureWriter(std::string path, pcap *handle, pcap_dumper *dumper);
    std::string path_;
    std::unique_ptr<pcap, Close> handle_;
    std::unique_ptr<pcap_dumper, Close> dumper_;
};

} // namespace fairlead::cli
