// SPDX-License-Identifier: Apache-2.0
#include "controlplane/config/yaml_tree.hpp"

#include <charconv>
#include <map>
#include <set>
#include <streambuf>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace fairlead::config {

namespace {

/// Leaves yaml-cpp's parser from within a callback; caught in read_yaml() and nowhere else.
struct Refused {
    Error error;
};

/// Lets an istream read a string_view in place.
class ViewBuffer : public std::streambuf {
  public:
    explicit ViewBuffer(std::string_view text) {
        char *begin = const_cast<char *>(text.data()); // an input buffer is never written
        setg(begin, begin, begin + text.size());
    }
};

class TreeBuilder : public YAML::EventHandler {
  public:
    TreeBuilder(YamlTree &tree, std::string_view file_name) : tree_(tree), file_name_(file_name) {}

    void OnDocumentStart(const YAML::Mark &mark) override {
        if (++document_count_ > 1) refuse(line(mark), "a second document begins", "give one document");
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark &mark, YAML::anchor_t anchor) override {
        add(YamlNode::Kind::kNull, mark, anchor, {});
    }

    void OnScalar(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                  const std::string &value) override {
        check_tag(mark, tag);
        if (expects_key()) {
            take_key(mark, anchor, value);
            return;
        }
        add(YamlNode::Kind::kScalar, mark, anchor, value);
    }

    void OnAlias(const YAML::Mark &mark, YAML::anchor_t anchor) override {
        const auto target = anchors_.find(anchor);
        if (expects_key() || target == anchors_.end())
            refuse(line(mark), "an alias to what is not complete, or as a key", "write the value out");
        count(target->second->node_count, line(mark));
        attach(target->second, line(mark));
    }

    void OnSequenceStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        check_tag(mark, tag);
        open(YamlNode::Kind::kSequence, mark, anchor);
    }
    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        check_tag(mark, tag);
        open(YamlNode::Kind::kMap, mark, anchor);
    }
    void OnMapEnd() override { close(); }

  private:
    struct Frame {
        YamlNode *node;
        YAML::anchor_t anchor;
        std::set<std::string> keys;
        bool has_key = false; ///< in a map: a key was read and waits for its value
        std::string key;
        int key_line = 0;
    };

    static int line(const YAML::Mark &mark) { return mark.line + 1; }

    [[nodiscard]] std::string path() const {
        std::string text;
        for (const Frame &frame : frames_) {
            if (frame.node->kind == YamlNode::Kind::kSequence)
                text += fmt::format("[{}]", frame.node->entries.size());
            else if (frame.has_key)
                text += (text.empty() ? "" : ".") + frame.key;
        }
        return text;
    }

    [[noreturn]] void refuse(int at_line, std::string what, std::string mend) const {
        throw Refused{{.what = std::move(what), .file = std::string(file_name_), .line = at_line, .field = path(),
                       .mend = std::move(mend)}};
    }

    [[nodiscard]] bool expects_key() const {
        return !frames_.empty() && frames_.back().node->kind == YamlNode::Kind::kMap && !frames_.back().has_key;
    }

    void check_tag(const YAML::Mark &mark, const std::string &tag) const {
        if (!tag.empty() && tag != "?" && tag != "!")
            refuse(line(mark), fmt::format("the tag {} has no meaning here", quoted(tag)), "give the value without it");
    }

    void count(std::size_t nodes, int at_line) {
        node_count_ += nodes;
        if (node_count_ > kYamlNodeCountMax)
            refuse(at_line, fmt::format("more than {} values, aliases counted as what they stand for", kYamlNodeCountMax),
                   "give fewer");
    }

    void take_key(const YAML::Mark &mark, YAML::anchor_t anchor, const std::string &key) {
        Frame &frame = frames_.back();
        if (anchor != 0) refuse(line(mark), "an anchor on a key", "anchor the value");
        if (!frame.keys.insert(key).second) {
            frame.has_key = true;
            frame.key = key;
            refuse(line(mark), "is given twice", "give each key once");
        }
        frame.has_key = true;
        frame.key = key;
        frame.key_line = line(mark);
    }

    YamlNode *make(YamlNode::Kind kind, const YAML::Mark &mark) {
        if (expects_key()) refuse(line(mark), "a key that is not a word", "give plain words as keys");
        count(1, line(mark));
        YamlNode &node = tree_.nodes.emplace_back();
        node.kind = kind;
        node.line = line(mark);
        return &node;
    }

    void add(YamlNode::Kind kind, const YAML::Mark &mark, YAML::anchor_t anchor, const std::string &scalar) {
        YamlNode *node = make(kind, mark);
        node->scalar = scalar;
        // yaml-cpp puts nothing where the next thing begins; the key is where people look.
        if (kind == YamlNode::Kind::kNull && !frames_.empty() && frames_.back().has_key) node->line = frames_.back().key_line;
        if (anchor != 0) anchors_[anchor] = node;
        attach(node, node->line);
    }

    void attach(const YamlNode *node, int at_line) {
        if (frames_.empty()) {
            tree_.root = node;
            return;
        }
        Frame &frame = frames_.back();
        frame.node->node_count += node->node_count;
        if (frame.node->kind == YamlNode::Kind::kMap)
            frame.node->entries.push_back({std::move(frame.key), frame.key_line, node});
        else
            frame.node->entries.push_back({{}, at_line, node});
        frame.has_key = false;
        frame.key.clear();
    }

    void open(YamlNode::Kind kind, const YAML::Mark &mark, YAML::anchor_t anchor) {
        if (frames_.size() >= kYamlDepthMax)
            refuse(line(mark), fmt::format("nested deeper than {}", kYamlDepthMax), "give the layout of the manual");
        YamlNode *node = make(kind, mark);
        Frame frame;
        frame.node = node;
        frame.anchor = anchor;
        frames_.push_back(std::move(frame));
    }

    void close() {
        const Frame frame = std::move(frames_.back());
        frames_.pop_back();
        if (frame.anchor != 0) anchors_[frame.anchor] = frame.node;
        attach(frame.node, frame.node->line);
    }

    YamlTree &tree_;
    std::string_view file_name_;
    std::vector<Frame> frames_;
    std::map<YAML::anchor_t, const YamlNode *> anchors_; ///< complete ones only, so no tree holds itself
    std::size_t node_count_ = 0;
    int document_count_ = 0;
};

/// Takes the front part of a path: `name` or `[index]`.
const YamlNode::Entry *step(const YamlNode &node, std::string_view &path) {
    if (path.starts_with('.')) path.remove_prefix(1);
    if (path.starts_with('[')) {
        std::size_t index = 0;
        const auto [end, error] = std::from_chars(path.data() + 1, path.data() + path.size(), index);
        if (error != std::errc{} || node.kind != YamlNode::Kind::kSequence || index >= node.entries.size())
            return nullptr;
        path.remove_prefix(static_cast<std::size_t>(end - path.data()) + 1);
        return &node.entries[index];
    }
    const std::string_view key = path.substr(0, path.find_first_of(".["));
    path.remove_prefix(key.size());
    for (const YamlNode::Entry &entry : node.entries)
        if (node.kind == YamlNode::Kind::kMap && entry.key == key) return &entry;
    return nullptr;
}

} // namespace

const YamlNode *YamlNode::find(std::string_view key) const {
    for (const Entry &entry : entries)
        if (entry.key == key) return entry.value;
    return nullptr;
}

int YamlTree::line_of(std::string_view path) const {
    if (root == nullptr) return 0;
    const YamlNode *node = root;
    int line = root->line;
    while (!path.empty()) {
        const YamlNode::Entry *entry = step(*node, path);
        if (entry == nullptr) return line;
        line = entry->line;
        node = entry->value;
        if (node->line < line) return line; // an alias: what is wrong is wrong here, not where the anchor is
    }
    return line;
}

std::expected<YamlTree, Error> read_yaml(std::string_view text, std::string_view file_name) {
    YamlTree tree;
    TreeBuilder builder(tree, file_name);
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    try {
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(builder)) {}
    } catch (Refused &refused) {
        return std::unexpected(std::move(refused.error));
    } catch (const YAML::Exception &exception) {
        return std::unexpected(Error{.what = "not YAML: " + exception.msg,
                                     .file = std::string(file_name),
                                     .line = exception.mark.line + 1,
                                     .field = {},
                                     .mend = "look at this line's indentation, quotes and brackets"});
    }
    return tree;
}

std::string_view cut(std::string_view value) {
    constexpr std::size_t kShownMax = 60;
    if (value.size() <= kShownMax) return value;
    std::size_t size = kShownMax;
    while (size > 0 && (static_cast<unsigned char>(value[size]) & 0xc0) == 0x80) --size;
    return value.substr(0, size);
}

std::string quoted(std::string_view value) {
    const std::string_view shown = cut(value);
    std::string text = "\"";
    for (const char c : shown) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') text += fmt::format("\\{}", c);
        else if (byte < 0x20 || byte == 0x7f) text += fmt::format("\\x{:02x}", byte);
        else text += c;
    }
    return text + (value.size() > shown.size() ? "...\"" : "\"");
}

} // namespace fairlead::config
