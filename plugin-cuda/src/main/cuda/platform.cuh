// What differs between a GPU and the emulation on a CPU that tests use: conversions, read-only loads, warp operations, tensor cores.
#pragma once

#ifdef LORIKEET_EMULATION
#include "emulation.h"
#else

namespace lorikeet {

constexpr unsigned ALL_LANES = 0xffffffffu;

// The machine that is compiled for, as in sm_90.
#ifdef __CUDA_ARCH__
constexpr int MACHINE = __CUDA_ARCH__ / 10;
#else
constexpr int MACHINE = 0;
#endif

__device__ __forceinline__ float bitsToFloat(unsigned bits) { return __uint_as_float(bits); }
__device__ __forceinline__ unsigned floatToBits(float value) { return __float_as_uint(value); }

__device__ __forceinline__ float halfToFloat(unsigned short bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}
__device__ __forceinline__ unsigned short floatToHalf(float value) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
__device__ __forceinline__ unsigned short floatToBfloat(float value) {
  unsigned short bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

__device__ __forceinline__ uint4 loadReadOnly(const uint4* address) { return __ldg(address); }
__device__ __forceinline__ uint2 loadReadOnly(const uint2* address) { return __ldg(address); }
__device__ __forceinline__ unsigned long long loadReadOnly(const unsigned long long* address) { return __ldg(address); }

// Memory that is read once: it pushes nothing out of the L1 cache.
__device__ __forceinline__ uint4 loadOnce(const uint4* address) {
  uint4 value;
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w) : "l"(address));
  return value;
}
// The whole line of 128 bytes comes to the L2 cache with it.
__device__ __forceinline__ uint4 loadWithLine(const uint4* address) {
  uint4 value;
  asm("ld.global.nc.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w) : "l"(address));
  return value;
}

// What a kernel before this one may have written: past the L1 cache, which may hold what was there before.
__device__ __forceinline__ uint4 loadFresh(const uint4* address) { return __ldcg(address); }

// Programmatic dependent launch (sm_90 and later; nothing on others). From `allowNext` in every block on, the next launch of the stream may begin, if it
// says that it can; it must not touch what earlier kernels write until `awaitPrevious`, where every one of its threads waits for them to end.
__device__ __forceinline__ void allowNext() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
__device__ __forceinline__ void awaitPrevious() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ __forceinline__ void prefetchToL2(const void* address) { asm volatile("prefetch.global.L2 [%0];" ::"l"(address)); }

__device__ __forceinline__ int countBits(unsigned mask) { return __popc(mask); }

__device__ __forceinline__ unsigned ballot(bool vote) { return __ballot_sync(ALL_LANES, vote); }
__device__ __forceinline__ float shuffleXor(float value, int lanes) { return __shfl_xor_sync(ALL_LANES, value, lanes); }
__device__ __forceinline__ unsigned pickBytes(unsigned low, unsigned high, unsigned selector) {
  return __byte_perm(low, high, selector);
}

// c += a b on tensor cores: a is 16 x 16 (16 x 8 for tf32), b 16 x 8 (8 x 8), c 16 x 8 in float.
__device__ __forceinline__ void mmaBf16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void mmaF16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void mmaTf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace lorikeet
#endif
