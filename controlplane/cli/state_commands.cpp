// SPDX-License-Identifier: Apache-2.0
/// fairlead state export|import
#include <cerrno>
#include <fstream>
#include <memory>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "controlplane/cli/session.hpp"
#include "controlplane/publish/descriptor.hpp"
#include "controlplane/state/state_file.hpp"

namespace fairlead::cli {

namespace {

Error about(const std::string &path, std::string_view step, int error_number, std::string mend) {
    return {.what = fmt::format("{}: {}", step, std::generic_category().message(error_number)),
            .file = path, .line = 0, .field = {}, .mend = std::move(mend)};
}

/// Its errno, or 0.
int write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return 0;
}

/// A new file of its owner's alone, since it holds the seed; a failure leaves what was there before.
int replace_file(const std::string &path, std::string_view text) {
    const std::string temporary = path + ".new";
    ::unlink(temporary.c_str()); // of an export that was cut off
    const publish::Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) return errno;
    int failure = ::fchmod(file.get(), 0600) != 0 ? errno : write_all(file.get(), text);
    if (failure == 0 && ::fsync(file.get()) != 0) failure = errno;
    if (failure == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) failure = errno;
    if (failure != 0) ::unlink(temporary.c_str());
    return failure;
}

/// A pipe or a device is written to, never replaced.
int write_into(const std::string &path, std::string_view text) {
    const publish::Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    return file ? write_all(file.get(), text) : errno;
}

void export_state(Session &session, const std::string &file) {
    const auto reply = session.client().state_export();
    if (!reply) return session.fail(reply.error());
    if (file.empty()) {
        fmt::print("{}", reply->text());
        return;
    }
    struct stat status {};
    const bool is_special = ::stat(file.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
    if (const int failure = is_special ? write_into(file, reply->text()) : replace_file(file, reply->text()); failure != 0)
        session.fail(about(file, "cannot write the state", failure, "give a file that may be written"));
}

std::expected<std::string, Error> read_state_text(const std::string &path) {
    std::ifstream stream(path, std::ios::binary);
    std::string text;
    std::string chunk(1 << 16, '\0');
    while (stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || stream.gcount() > 0) {
        text.append(chunk, 0, static_cast<std::size_t>(stream.gcount()));
        if (text.size() > state::kStateTextSizeMax)
            return std::unexpected(Error{.what = "is too big for a state", .file = path, .line = 0, .field = {},
                                         .mend = "give what fairlead state export wrote"});
    }
    if (!stream.eof()) return std::unexpected(about(path, "cannot read the state", errno, "give a file that exists and may be read"));
    return text;
}

void import_state(Session &session, const std::string &file, bool is_forced) {
    auto text = read_state_text(file);
    if (!text) return session.fail(text.error());
    v1::StateImportRequest request;
    request.set_text(std::move(*text));
    request.set_file_name(config::find_not_utf8(file) ? "the file" : file); // it is for errors only
    request.set_force(is_forced);
    session.report(session.client().state_import(request));
}

} // namespace

void add_state_commands(CLI::App &app, Session &session) {
    CLI::App *state = app.add_subcommand("state", "A balancer's whole state, for the one that replaces it");
    state->require_subcommand(1);

    auto export_file = std::make_shared<std::string>();
    CLI::App *export_command = state->add_subcommand("export", "Write seed, configuration, slots and history; keep it secret, it holds the seed");
    export_command->add_option("FILE", *export_file, "Where to; without it standard output");
    export_command->callback([&session, export_file] { export_state(session, *export_file); });

    auto import_file = std::make_shared<std::string>();
    CLI::App *import_command = state->add_subcommand("import", "Take over a state whole; source_address and next_hop_mac stay this balancer's own");
    import_command->add_option("FILE", *import_file, "What export wrote")->required();
    auto is_forced = std::make_shared<bool>(false);
    add_force_option(*import_command, *is_forced, "Though it removes backends of this balancer that have connections");
    import_command->callback([&session, import_file, is_forced] { import_state(session, *import_file, *is_forced); });
}

} // namespace fairlead::cli
