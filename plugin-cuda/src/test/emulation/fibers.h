#pragma once
#include <functional>
#include <memory>

#include "emulation.h"

namespace emulation {

struct EarlyBlocks;

// Starts some thread blocks of a kernel while the launch before it is still to run, up to where each of their threads
// awaits it.
std::shared_ptr<EarlyBlocks> startEarly(Index gridSize, Index blockSize, const std::function<void()>& kernel);

// Runs a kernel, `early` thread blocks from where they are; false if some thread block got stuck at a barrier, or a
// launch that overlaps did not await the one before.
bool launch(Index gridSize, Index blockSize, const std::function<void()>& kernel, bool overlaps, EarlyBlocks* early);

}  // namespace emulation
