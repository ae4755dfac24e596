// Runs a kernel's blocks one after another, each thread of a block as a fiber. Barriers count the threads that arrive; when every living thread waits and
// none can go on, the block is stuck: a barrier in divergent code.
#include "fibers.h"

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
  std::vector<char> stack = std::vector<char>(STACK_BYTES);
#if !defined(__x86_64__)
  ucontext_t context;
#endif
  Index index{};
  Barrier* waitsFor = nullptr;
  unsigned generation = 0;
  bool done = false;
};

std::vector<Fiber> fibers;
std::vector<Barrier> warpBarriers;
std::vector<char> exchanged;
Barrier all;
int current;
const std::function<void()>* body;

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

void toScheduler() { emulation_switch(&fibers[current].stackPointer, schedulerStack); }
void toFiber(Fiber& fiber) { emulation_switch(&schedulerStack, fiber.stackPointer); }
#else
ucontext_t schedulerContext;
void toScheduler() { swapcontext(&fibers[current].context, &schedulerContext); }
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
  (*body)();
  fibers[current].done = true;
  leave(all);
  leave(warpBarriers[current / 32]);
  toScheduler();
}

void prepare(Fiber& fiber) {
  fiber.waitsFor = nullptr;
  fiber.done = false;
#if defined(__x86_64__)
  auto top = reinterpret_cast<std::uintptr_t>(fiber.stack.data() + STACK_BYTES) & ~std::uintptr_t{15};
  auto** stack = reinterpret_cast<void**>(top);
  *--stack = nullptr;  // keeps the stack aligned as after a call
  *--stack = reinterpret_cast<void*>(&run);
  for (int i = 0; i < 6; i++) *--stack = nullptr;
  fiber.stackPointer = stack;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.data();
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
  fibers[current].waitsFor = &barrier;
  fibers[current].generation = barrier.generation;
  toScheduler();
}

bool runBlock(int count) {
  all = Barrier{count};
  for (int warp = 0; warp * 32 < count; warp++) warpBarriers[warp] = Barrier{count - warp * 32 < 32 ? count - warp * 32 : 32};
  for (int i = 0; i < count; i++) {
    prepare(fibers[i]);
    const unsigned linear = i;
    fibers[i].index = {linear % threads.x, linear / threads.x % threads.y, linear / threads.x / threads.y};
  }
  for (bool progress = true; progress;) {
    progress = false;
    for (int i = 0; i < count; i++) {
      Fiber& fiber = fibers[i];
      if (fiber.done || (fiber.waitsFor != nullptr && fiber.waitsFor->generation == fiber.generation)) continue;
      fiber.waitsFor = nullptr;
      current = i;
      thread = fiber.index;
      toFiber(fiber);
      progress = true;
    }
  }
  return all.expected == 0;
}

}  // namespace

int lane() { return current % 32; }

void blockBarrier() {
  wait(all);
  thread = fibers[current].index;
}

void exchange(const void* mine, void* result, int size) {
  Barrier& barrier = warpBarriers[current / 32];
  char* shared = exchanged.data() + current / 32 * 32 * EXCHANGE_BYTES;
  std::memcpy(shared + lane() * size, mine, size);
  wait(barrier);
  std::memcpy(result, shared, 32 * size);
  wait(barrier);
  thread = fibers[current].index;
}

bool launch(Index gridSize, Index blockSize, const std::function<void()>& kernel) {
  const int count = static_cast<int>(blockSize.x * blockSize.y * blockSize.z);
  if (static_cast<int>(fibers.size()) < count) {
    fibers = std::vector<Fiber>(count);
    warpBarriers = std::vector<Barrier>((count + 31) / 32);
    exchanged = std::vector<char>((count + 31) / 32 * 32 * EXCHANGE_BYTES);
  }
  threads = blockSize;
  blocks = gridSize;
  body = &kernel;
  for (block.z = 0; block.z < gridSize.z; block.z++) {
    for (block.y = 0; block.y < gridSize.y; block.y++) {
      for (block.x = 0; block.x < gridSize.x; block.x++) {
        if (!runBlock(count)) return false;
      }
    }
  }
  return true;
}

}  // namespace emulation
