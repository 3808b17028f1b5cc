// SPDX-License-Identifier: Apache-2.0
/// A Sample as Prometheus metric families: all names, types and labels of /metrics stand in its .cpp.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <memory>
#include <vector>

#include "controlplane/metrics/statistics.hpp"

namespace fairlead::metrics {

/// Pure: one sample in, the families out. Without a dataplane they are only `fairlead_dataplane_up 0`,
/// the build, the node's state and the backends' health: a counter that is absent and comes back at zero is a reset that Prometheus understands.
[[nodiscard]] std::vector<prometheus::MetricFamily> render(const Sample &sample);

/// Takes a sample at each scrape.
class Collector : public prometheus::Collectable {
  public:
    explicit Collector(std::shared_ptr<Statistics> statistics);
    [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

  private:
    std::shared_ptr<Statistics> statistics_;
};

} // namespace fairlead::metrics
