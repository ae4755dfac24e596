#pragma once
#include <functional>

#include "emulation.h"

namespace emulation {

// Runs a kernel; false if some block got stuck at a barrier.
bool launch(Index gridSize, Index blockSize, const std::function<void()>& kernel);

}  // namespace emulation
