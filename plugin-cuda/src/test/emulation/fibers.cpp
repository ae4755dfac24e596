// Runs a kernel's thread blocks one after another, each thread as a fiber. Barriers count the threads that arrive; when
// every living thread waits and none can go on, the thread block is stuck: a barrier in divergent code. A launch that
// may overlap the one before it has some thread blocks started early, up to where they await it; shared memory is one
// for all of them, so a kernel that touched it before would give wrong numbers, as reading too early does.
#include "fibers.h"

#include <memory>
#include <set>
#include <vector>

#include "emulation.h"
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulation {

Index thread, block, threads, blocks;

namespace {

constexpr int STACK_BYTES = 128 * 1024;

struct Barrier {
  int expected = 0;
  int arrived = 0;
  unsigned generation = 0;
};

struct Fiber {
  void* stackPointer = nullptr;
  std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
#if !defined(__x86_64__)
  ucontext_t context;
#endif
  Index index{};
  Barrier* waitsFor = nullptr;
  unsigned generation = 0;
  bool awaited = false;
  bool done = false;
};

struct Block {
  Index index{};
  int count = 0;
  std::vector<Fiber> fibers;
  std::vector<Barrier> warpBarriers;
  std::vector<char> exchanged;
  Barrier all;
  const std::function<void()>* body = nullptr;
  // Started early, and not yet allowed beyond where it awaits the launch before.
  bool early = false;
};

Block* running;
int current;

constexpr int EXCHANGE_BYTES = 64;

#if defined(__x86_64__)
void* schedulerStack;

extern "C" void emulation_switch(void** save, void* load);
asm(R"(
.text
.globl emulation_switch
emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

void toScheduler() { emulation_switch(&running->fibers[current].stackPointer, schedulerStack); }
void toFiber(Fiber& fiber) { emulation_switch(&schedulerStack, fiber.stackPointer); }
#else
ucontext_t schedulerContext;
void toScheduler() { swapcontext(&running->fibers[current].context, &schedulerContext); }
void toFiber(Fiber& fiber) { swapcontext(&schedulerContext, &fiber.context); }
#endif

void leave(Barrier& barrier) {
  barrier.expected--;
  if (barrier.arrived == barrier.expected && barrier.expected > 0) {
    barrier.arrived = 0;
    barrier.generation++;
  }
}

void run() {
  (*running->body)();
  running->fibers[current].done = true;
  leave(running->all);
  leave(running->warpBarriers[current / 32]);
  toScheduler();
}

void prepare(Fiber& fiber) {
  fiber.waitsFor = nullptr;
  fiber.awaited = false;
  fiber.done = false;
#if defined(__x86_64__)
  auto top = reinterpret_cast<std::uintptr_t>(fiber.stack.get() + STACK_BYTES) & ~std::uintptr_t{15};
  auto** stack = reinterpret_cast<void**>(top);
  *--stack = nullptr;  // keeps the stack aligned as after a call
  *--stack = reinterpret_cast<void*>(&run);
  for (int i = 0; i < 6; i++) *--stack = nullptr;
  fiber.stackPointer = stack;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = STACK_BYTES;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, run, 0);
#endif
}

void wait(Barrier& barrier) {
  if (++barrier.arrived == barrier.expected) {
    barrier.arrived = 0;
    barrier.generation++;
    return;
  }
  running->fibers[current].waitsFor = &barrier;
  running->fibers[current].generation = barrier.generation;
  toScheduler();
}

void start(Block& started, Index at, const std::function<void()>& kernel) {
  const int count = static_cast<int>(threads.x * threads.y * threads.z);
  const int warps = (count + 31) / 32;
  started.index = at;
  started.body = &kernel;
  started.all = Barrier{count};
  started.count = count;
  if (static_cast<int>(started.fibers.size()) < count) started.fibers = std::vector<Fiber>(count);
  started.warpBarriers = std::vector<Barrier>(warps);
  started.exchanged.resize(warps * 32 * EXCHANGE_BYTES);
  for (int warp = 0; warp < warps; warp++) started.warpBarriers[warp] = Barrier{count - warp * 32 < 32 ? count - warp * 32 : 32};
  for (int i = 0; i < count; i++) {
    prepare(started.fibers[i]);
    const unsigned linear = i;
    started.fibers[i].index = {linear % threads.x, linear / threads.x % threads.y, linear / threads.x / threads.y};
  }
}

// Lets a block's threads run as far as they can.
void advance(Block& advanced) {
  running = &advanced;
  block = advanced.index;
  for (bool progress = true; progress;) {
    progress = false;
    for (current = 0; current < advanced.count; current++) {
      Fiber& fiber = advanced.fibers[current];
      if (fiber.done || (advanced.early && fiber.awaited)) continue;
      if (fiber.waitsFor != nullptr && fiber.waitsFor->generation == fiber.generation) continue;
      fiber.waitsFor = nullptr;
      thread = fiber.index;
      toFiber(fiber);
      progress = true;
    }
  }
}

}  // namespace

// The blocks' memory is lent, since stacks are large.
std::vector<std::unique_ptr<Block>> spare;

struct EarlyBlocks {
  std::vector<std::unique_ptr<Block>> blocks;

  ~EarlyBlocks() {
    for (auto& used : blocks) spare.push_back(std::move(used));
  }
};

int lane() { return current % 32; }

void blockBarrier() { wait(running->all); }

void awaitPrevious() {
  running->fibers[current].awaited = true;
  if (running->early) toScheduler();
}

void exchange(const void* mine, void* result, int size) {
  Barrier& barrier = running->warpBarriers[current / 32];
  char* shared = running->exchanged.data() + current / 32 * 32 * EXCHANGE_BYTES;
  std::memcpy(shared + lane() * size, mine, size);
  wait(barrier);
  std::memcpy(result, shared, 32 * size);
  wait(barrier);
}

std::shared_ptr<EarlyBlocks> startEarly(Index gridSize, Index blockSize, const std::function<void()>& kernel) {
  auto result = std::make_shared<EarlyBlocks>();
  threads = blockSize;
  blocks = gridSize;
  const unsigned last = gridSize.x * gridSize.y * gridSize.z - 1;
  for (unsigned linear : std::set<unsigned>{0, last / 2, last}) {
    if (spare.empty()) spare.push_back(std::make_unique<Block>());
    Block& started = *result->blocks.emplace_back(std::move(spare.back()));
    spare.pop_back();
    start(started, {linear % gridSize.x, linear / gridSize.x % gridSize.y, linear / gridSize.x / gridSize.y}, kernel);
    started.early = true;
    advance(started);
  }
  return result;
}

bool launch(Index gridSize, Index blockSize, const std::function<void()>& kernel, bool overlaps, EarlyBlocks* early) {
  threads = blockSize;
  blocks = gridSize;
  static Block next;
  for (Index at{}; at.z < gridSize.z; at.z++) {
    for (at.y = 0; at.y < gridSize.y; at.y++) {
      for (at.x = 0; at.x < gridSize.x; at.x++) {
        Block* one = nullptr;
        for (std::size_t i = 0; early != nullptr && i < early->blocks.size(); i++) {
          const Index& found = early->blocks[i]->index;
          if (found.x == at.x && found.y == at.y && found.z == at.z) one = early->blocks[i].get();
        }
        if (one == nullptr) {
          one = &next;
          start(next, at, kernel);
        }
        one->early = false;
        advance(*one);
        if (one->all.expected != 0) return false;
        // A thread that ends without awaiting the launch before lets the one after run too early.
        for (int i = 0; i < one->count; i++) {
          if (overlaps && !one->fibers[i].awaited) return false;
        }
      }
    }
  }
  return true;
}

}  // namespace emulation
