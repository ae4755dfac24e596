// A CUDA driver without a GPU: the functions that the plugin uses, over host memory and emulated kernels.
//
// It is as unkind as the real one may be. Work on a stream runs as late as it can: only when someone synchronizes with
// it, and of other streams only what an event makes it wait for. So a missing wait, or a pinned buffer that is written
// again too early, gives wrong numbers here. Device memory starts as NaN and ends at a page that cannot be touched.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../../main/cuda/layout.cuh"
#include "fibers.h"

using Address = unsigned long long;
using Result = int;
using lorikeet::SgmvArgs;
using lorikeet::SwitchArgs;

#define SGMV_KERNELS(each) \
  each(sgmv_shrink_f32) each(sgmv_shrink_bf16) each(sgmv_shrink_f16) each(sgmv_expand_f32) each(sgmv_expand_bf16) each(sgmv_expand_f16) \
  each(sgmv_fused_f32) each(sgmv_fused_bf16) each(sgmv_fused_f16) each(sgmv_shrink_mma_bf16) each(sgmv_shrink_mma_f16) \
  each(sgmv_expand_mma_bf16) each(sgmv_expand_mma_f16)
#define SWITCH_KERNELS(each) \
  each(fused_switch_f32) each(fused_switch_bf16) each(fused_switch_f16) each(fused_switch_mma_bf16) each(fused_switch_mma_f16)

#define DECLARE(name) extern "C" void name(const SgmvArgs args);
SGMV_KERNELS(DECLARE)
#undef DECLARE
#define DECLARE(name) extern "C" void name(const SwitchArgs args);
SWITCH_KERNELS(DECLARE)
#undef DECLARE

namespace {

constexpr Result SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, NOT_READY = 600, LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900, CAPTURED_EVENT = 907,
                 INVALID_CONTEXT = 201;
constexpr Address MEMORY_BYTES = Address{1} << 30;

struct Event {
  unsigned long recorded = 0;
  unsigned long reached = 0;
  struct Stream* stream = nullptr;
  bool captured = false;
};

// One piece of a stream's work. `early` is there for a kernel that may begin before the kernel in front of it has
// ended.
struct Work {
  std::function<Result()> run;
  std::function<void()> early;
  bool isKernel = false;
};

struct Graph {
  std::vector<Work> work;
};

struct Stream {
  std::deque<Work> work;
  std::unique_ptr<Graph> capture;
  Result failure = SUCCESS;
};

using Kernel = std::function<std::function<void()>(const void*)>;

std::map<std::string, Kernel> kernels = {
#define ENTRY(name) {#name, [](const void* args) { return [copy = *static_cast<const SgmvArgs*>(args)] { name(copy); }; }},
    SGMV_KERNELS(ENTRY)
#undef ENTRY
#define ENTRY(name) {#name, [](const void* args) { return [copy = *static_cast<const SwitchArgs*>(args)] { name(copy); }; }},
        SWITCH_KERNELS(ENTRY)
#undef ENTRY
};

struct Allocation {
  void* base;
  std::size_t mapped;
  std::size_t bytes;
};
std::map<Address, Allocation> allocations;
Address allocated = 0;
std::vector<Stream*> streams;
std::map<std::string, int> launches;
int overlapped = 0;

// The primary context lives while someone retains it, and is current for the threads that asked for it.
int retained = 0;
int lifetime = 0;
thread_local int currentLifetime = -1;
bool hasContext() { return retained > 0 && currentLifetime == lifetime; }

Result runNext(Stream* stream) {
  const Work next = std::move(stream->work.front());
  stream->work.pop_front();
  if (next.isKernel && !stream->work.empty() && stream->work.front().early) stream->work.front().early();
  const Result result = next.run();
  if (result != SUCCESS) stream->failure = result;
  return result;
}

Result drain(Stream* stream) {
  while (!stream->work.empty()) runNext(stream);
  return stream->failure;
}

Result reach(Event* event, unsigned long mark) {
  while (event->reached < mark && event->stream != nullptr && !event->stream->work.empty()) runNext(event->stream);
  return event->reached >= mark ? SUCCESS : INVALID_VALUE;
}

Result drainAll() {
  Result result = SUCCESS;
  for (Stream* stream : streams) {
    const Result failed = drain(stream);
    if (failed != SUCCESS) result = failed;
  }
  return result;
}

bool isCapturing() {
  return std::any_of(streams.begin(), streams.end(), [](const Stream* stream) { return stream->capture != nullptr; });
}

Result submit(Stream* stream, Work work) {
  if (stream->capture != nullptr) {
    stream->capture->work.push_back(std::move(work));
  } else {
    stream->work.push_back(std::move(work));
  }
  return SUCCESS;
}
Result submit(Stream* stream, std::function<Result()> run) { return submit(stream, Work{std::move(run)}); }

struct LaunchAttribute {
  int id;
  char padding[4];
  int value[16];
};
struct LaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  Stream* stream;
  const LaunchAttribute* attributes;
  unsigned attributeCount;
};
constexpr int PROGRAMMATIC_STREAM_SERIALIZATION = 6;

}  // namespace

extern "C" {

int emulation_launches(const char* kernel) { return launches[kernel]; }
int emulation_overlapped() { return overlapped; }
int emulation_allocations() { return static_cast<int>(allocations.size()); }

Result cuInit(unsigned) { return SUCCESS; }
Result cuGetErrorName(Result error, const char** text) {
  *text = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : error == LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR_EMULATED";
  return SUCCESS;
}
Result cuGetErrorString(Result error, const char** text) {
  *text = error == OUT_OF_MEMORY ? "out of memory" : error == LAUNCH_FAILED ? "unspecified launch failure" : "emulated failure";
  return SUCCESS;
}
Result cuDriverGetVersion(int* version) { return *version = 13000, SUCCESS; }
Result cuDeviceGetCount(int* count) { return *count = 1, SUCCESS; }
Result cuDeviceGet(int* device, int ordinal) { return *device = ordinal, ordinal == 0 ? SUCCESS : INVALID_VALUE; }
Result cuDeviceGetName(char* name, int length, int) {
  std::strncpy(name, "Emulated GPU", length);
  return SUCCESS;
}
Result cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 4 : attribute == 38 ? 1 << 20 : 0;
  return SUCCESS;
}
Result cuDeviceTotalMem_v2(std::size_t* bytes, int) { return *bytes = MEMORY_BYTES, SUCCESS; }

Result cuDevicePrimaryCtxRetain(void** context, int) {
  if (retained++ == 0) lifetime++;
  return *context = &allocated, SUCCESS;
}
Result cuDevicePrimaryCtxRelease_v2(int) { return retained-- > 0 ? drainAll() : INVALID_CONTEXT; }
Result cuCtxSetCurrent(void*) { return currentLifetime = lifetime, hasContext() ? SUCCESS : INVALID_CONTEXT; }
Result cuCtxGetCurrent(void** context) { return *context = &allocated, SUCCESS; }

Result cuModuleLoadData(void** module, const void* image) {
  if (!hasContext()) return INVALID_CONTEXT;
  *module = &kernels;
  return *static_cast<const unsigned*>(image) == 0xba55ed50u ? SUCCESS : INVALID_VALUE;
}
Result cuModuleUnload(void*) { return SUCCESS; }
Result cuModuleGetFunction(void** function, void*, const char* name) {
  const auto found = kernels.find(name);
  if (found == kernels.end()) return NOT_FOUND;
  *function = &*found;
  return SUCCESS;
}
Result cuFuncGetAttribute(int* value, int, void*) { return *value = 0, SUCCESS; }

Result cuLaunchKernelEx(const LaunchConfig* config, void* function, void** parameters, void**) {
  if (!hasContext()) return INVALID_CONTEXT;
  const emulation::Index grid{config->gridX, config->gridY, config->gridZ};
  const emulation::Index threads{config->blockX, config->blockY, config->blockZ};
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535 || threads.x * threads.y * threads.z > 1024) return INVALID_VALUE;
  bool overlaps = false;
  for (unsigned i = 0; i < config->attributeCount; i++) {
    if (config->attributes[i].id != PROGRAMMATIC_STREAM_SERIALIZATION) return INVALID_VALUE;
    overlaps = config->attributes[i].value[0] != 0;
  }
  auto* kernel = static_cast<std::pair<const std::string, Kernel>*>(function);
  // Shared by all runs of a captured launch, which come one after another.
  struct Launch {
    std::function<void()> body;
    std::shared_ptr<emulation::EarlyBlocks> early;
  };
  auto launch = std::make_shared<Launch>(kernel->second(parameters[0]));
  Work work;
  work.isKernel = true;
  work.run = [=, name = kernel->first] {
    launches[name]++;
    if (launch->early != nullptr) overlapped++;
    const bool ran = emulation::launch(grid, threads, launch->body, overlaps, launch->early.get());
    launch->early.reset();
    return ran ? SUCCESS : LAUNCH_FAILED;
  };
  if (overlaps) work.early = [=] { launch->early = emulation::startEarly(grid, threads, launch->body); };
  return submit(config->stream, std::move(work));
}

Result cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  *free = MEMORY_BYTES - allocated;
  *total = MEMORY_BYTES;
  return SUCCESS;
}
Result cuMemAlloc_v2(Address* address, std::size_t bytes) {
  if (!hasContext()) return INVALID_CONTEXT;
  if (isCapturing()) return CAPTURE_UNSUPPORTED;
  if (bytes == 0) return INVALID_VALUE;
  if (allocated + bytes > MEMORY_BYTES) return OUT_OF_MEMORY;
  const std::size_t page = sysconf(_SC_PAGESIZE);
  const std::size_t rounded = (bytes + 255) / 256 * 256;
  const std::size_t body = (rounded + page - 1) / page * page;
  void* base = mmap(nullptr, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return OUT_OF_MEMORY;
  mprotect(static_cast<char*>(base) + body, page, PROT_NONE);
  *address = reinterpret_cast<Address>(base) + body - rounded;
  std::memset(reinterpret_cast<void*>(*address), 0xff, rounded);
  allocations[*address] = {base, body + page, bytes};
  allocated += bytes;
  return SUCCESS;
}
Result cuMemFree_v2(Address address) {
  if (!hasContext()) return INVALID_CONTEXT;
  if (isCapturing()) return CAPTURE_UNSUPPORTED;
  const Result drained = drainAll();
  const auto found = allocations.find(address);
  if (found == allocations.end()) return INVALID_VALUE;
  munmap(found->second.base, found->second.mapped);
  allocated -= found->second.bytes;
  allocations.erase(found);
  return drained;
}
Result cuMemHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  if (!hasContext()) return INVALID_CONTEXT;
  *pointer = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  return *pointer == nullptr ? OUT_OF_MEMORY : SUCCESS;
}
Result cuMemFreeHost(void* pointer) {
  const Result drained = drainAll();
  std::free(pointer);
  return drained;
}
Result cuMemcpyHtoD_v2(Address to, const void* from, std::size_t bytes) {
  if (!hasContext()) return INVALID_CONTEXT;
  const Result drained = drainAll();
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return drained;
}
Result cuMemcpyDtoH_v2(void* to, Address from, std::size_t bytes) {
  if (!hasContext()) return INVALID_CONTEXT;
  const Result drained = drainAll();
  std::memcpy(to, reinterpret_cast<void*>(from), bytes);
  return drained;
}
Result cuMemcpyHtoDAsync_v2(Address to, const void* from, std::size_t bytes, void* stream) {
  return submit(static_cast<Stream*>(stream), [=] { return std::memcpy(reinterpret_cast<void*>(to), from, bytes), SUCCESS; });
}
Result cuMemcpyDtoHAsync_v2(void* to, Address from, std::size_t bytes, void* stream) {
  return submit(static_cast<Stream*>(stream), [=] { return std::memcpy(to, reinterpret_cast<void*>(from), bytes), SUCCESS; });
}
Result cuMemcpyDtoDAsync_v2(Address to, Address from, std::size_t bytes, void* stream) {
  return submit(static_cast<Stream*>(stream), [=] { return std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes), SUCCESS; });
}
Result cuMemsetD8Async(Address to, unsigned char value, std::size_t bytes, void* stream) {
  return submit(static_cast<Stream*>(stream), [=] { return std::memset(reinterpret_cast<void*>(to), value, bytes), SUCCESS; });
}

Result cuStreamCreate(void** stream, unsigned) {
  if (!hasContext()) return INVALID_CONTEXT;
  streams.push_back(new Stream());
  *stream = streams.back();
  return SUCCESS;
}
Result cuStreamDestroy_v2(void* stream) {
  const Result drained = drain(static_cast<Stream*>(stream));
  std::erase(streams, static_cast<Stream*>(stream));
  return drained;
}
Result cuStreamSynchronize(void* stream) {
  auto* waited = static_cast<Stream*>(stream);
  return waited->capture != nullptr ? CAPTURE_UNSUPPORTED : drain(waited);
}
Result cuStreamWaitEvent(void* stream, void* event, unsigned) {
  auto* waiter = static_cast<Stream*>(stream);
  auto* mark = static_cast<Event*>(event);
  if (waiter->capture != nullptr) return CAPTURE_UNSUPPORTED;
  return submit(waiter, [mark, at = mark->recorded] { return reach(mark, at); });
}
Result cuEventCreate(void** event, unsigned) {
  if (!hasContext()) return INVALID_CONTEXT;
  return *event = new Event(), SUCCESS;
}
Result cuEventDestroy_v2(void*) { return drainAll(); }
Result cuEventRecord(void* event, void* stream) {
  auto* mark = static_cast<Event*>(event);
  mark->stream = static_cast<Stream*>(stream);
  mark->captured = mark->stream->capture != nullptr;
  const unsigned long at = ++mark->recorded;
  return submit(mark->stream, [mark, at] { return mark->reached = at, SUCCESS; });
}
Result cuEventQuery(void* event) {
  const auto* mark = static_cast<Event*>(event);
  return mark->reached >= mark->recorded ? SUCCESS : NOT_READY;
}
Result cuEventSynchronize(void* event) {
  auto* mark = static_cast<Event*>(event);
  return mark->captured ? CAPTURED_EVENT : reach(mark, mark->recorded);
}
Result cuEventElapsedTime_v2(float* milliseconds, void*, void*) { return *milliseconds = 1, SUCCESS; }

Result cuStreamBeginCapture_v2(void* stream, int) {
  static_cast<Stream*>(stream)->capture = std::make_unique<Graph>();
  return SUCCESS;
}
Result cuStreamEndCapture(void* stream, void** graph) {
  *graph = static_cast<Stream*>(stream)->capture.release();
  return SUCCESS;
}
Result cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  *executable = new Graph(*static_cast<Graph*>(graph));
  return SUCCESS;
}
Result cuGraphLaunch(void* executable, void* stream) {
  for (const auto& work : static_cast<Graph*>(executable)->work) submit(static_cast<Stream*>(stream), work);
  return SUCCESS;
}
Result cuGraphExecDestroy(void* executable) { return drainAll() + (delete static_cast<Graph*>(executable), 0); }
Result cuGraphDestroy(void* graph) { return delete static_cast<Graph*>(graph), SUCCESS; }

}  // extern "C"
